"""Rows that triggers write while a step runs, an audit trail say: whose they are, and what is said of them.

A trail that the history kept before goes on growing, and a note says so. Rows of a trigger that comes with the revision
itself are the revision's own: where they stay when it goes, the database is not what it was.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airlock.operations.drill import interim_writes
from airlock.records.difference import Difference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.catalogue.fingerprint import Fingerprint
    from airlock.operations.drill.interim_writes import Meanwhile
    from airlock.operations.drill.state import State

_CALLED = re.compile(r'EXECUTE (?:FUNCTION|PROCEDURE) ((?:[\w$.]|"(?:[^"]|"")*")+)\(')


def stayed(
    before: State, after: State, written: Meanwhile, below: State
) -> tuple[list[Difference], list[str]]:
    """Tell of tables that hold more rows after the downgrade than before the upgrade: differences, and notes."""
    differences, notes = [], []
    for table, more in interim_writes.left(before, after, written, below).items():
        triggers = list(writers(after.catalogue, table))
        own = [name for name in triggers if name not in before.catalogue.objects]
        rows = "1 row" if more == 1 else f"{more} rows"
        if own:
            said = f"{rows} more, written by {', '.join(own)}, which comes with the revision"
            differences.append(Difference(table, "rows", f"{before.digests[table].count} rows", said))
        else:
            whose = f"{', '.join(triggers)} writes there" if triggers else "not from those written meanwhile"
            notes.append(f"{table} holds {rows} more than before the upgrade, and {whose}")
    return differences, notes


def writers(catalogue: Fingerprint, table: str) -> Iterator[str]:
    """Name the triggers whose functions name the table. Their statements are not read: the name is enough."""
    named = re.compile(rf"\b{re.escape(table.rpartition('.')[2].strip(chr(34)))}\b")
    for name in catalogue.of_kind("trigger"):
        called = _CALLED.search(catalogue[name].get("definition", ""))
        if called is None:
            continue
        for function in catalogue.of_kind("function"):
            if function.partition("(")[0].rpartition(".")[2] == called[1].rpartition(".")[2] and named.search(
                catalogue[function].get("definition", "")
            ):
                yield name
                break
