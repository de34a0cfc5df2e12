"""Who waits in a queue behind a step: it asks for one table while it keeps another from everybody."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airlock.records.findings import Finding
from airlock.records.locks import harms

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airlock.records.trace import Lock, StatementRecord


def holds_and_waits(statements: Sequence[StatementRecord], kin: Mapping[str, str]) -> tuple[Finding, ...]:
    """Find each table that is asked for in a blocking mode while one on another table is held, once.

    What one statement takes at once is taken in the order of its text; the server does not tell.
    """
    found: dict[str, Finding] = {}
    since: dict[str, int] = {}
    for one in statements:
        held = sorted(
            _blocking(one.held) if one.transactional else (), key=lambda lock: since.get(lock.object, 0)
        )
        since = {lock.object: since.get(lock.object, 0) for lock in held}
        for lock in sorted(_blocking(one.locks), key=lambda lock: _place(one.sql, lock.object)):
            root = kin.get(lock.object, lock.object)
            first = [other for other in held if kin.get(other.object, other.object) != root]
            if first and all(lock.object != other.object for other in held) and lock.object not in found:
                order = ", then ".join(f"{other.mode} on {other.object}" for other in (*first, lock))
                found[lock.object] = Finding(
                    "holds-and-waits", lock.object,
                    f"asks for {lock.mode} on {lock.object} while it holds {first[0].mode} on {first[0].object}"
                    f" (order: {order})",
                    one.sql, "", one.file, one.line,
                )  # fmt: skip
            held.append(lock)
            since.setdefault(lock.object, len(held) + max(since.values(), default=0))
    return tuple(found.values())


def _blocking(locks: Sequence[Lock]) -> Iterator[Lock]:
    """Yield the locks on tables that reads or writes wait for, the strongest of each table."""
    seen = set()
    for lock in locks:
        # Other kinds have their word in front: "index public.ix".
        if (
            harms(lock.mode)
            and " " not in re.sub(r'"(?:[^"]|"")*"', "", lock.object)
            and lock.object not in seen
        ):
            seen.add(lock.object)
            yield lock


def _place(sql: str, table: str) -> int:
    """Tell where the text names a table; what it does not name comes last: the other end of a key."""
    name = re.split(r'\.(?=(?:[^"]*"[^"]*")*[^"]*$)', table)[-1].strip('"')
    found = re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", sql, re.IGNORECASE)
    return found.start() if found else len(sql)
