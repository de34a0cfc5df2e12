"""Who waits in a queue behind a step: it asks for one table while it keeps another from everybody."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airlock.catalogue.fingerprint.model import plain
from airlock.records.findings import Finding
from airlock.records.locks import harms

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airlock.records.trace import Lock, StatementRecord

_KIN = """
WITH RECURSIVE up (member, parent) AS (
  SELECT inhrelid, inhparent FROM pg_inherits
  UNION SELECT up.member, i.inhparent FROM up JOIN pg_inherits i ON i.inhrelid = up.parent)
SELECT m.nspname, c.relname, n.nspname, p.relname
FROM up JOIN pg_class c ON c.oid = up.member JOIN pg_namespace m ON m.oid = c.relnamespace
JOIN pg_class p ON p.oid = up.parent JOIN pg_namespace n ON n.oid = p.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = p.oid)
"""


def roots(connection: Any) -> dict[str, str]:
    """Name the root of every partition and heir: one statement on a root takes them all, in one order for everybody."""
    with connection.cursor() as cursor:
        cursor.execute(_KIN)
        return {
            f"{plain(schema)}.{plain(table)}": f"{plain(of_schema)}.{plain(of)}"
            for schema, table, of_schema, of in cursor.fetchall()
        }


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
