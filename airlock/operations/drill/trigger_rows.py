"""Rows that a revision leaves behind, its own and those of triggers and rules, an audit trail say: what is said of them.

What the upgrade brought itself, or by a trigger that comes with it, must go with it. A trail that the history kept before
goes on growing; that it should, only the revision can say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.operations.drill import interim_writes
from airlock.records.difference import Difference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.catalogue.fingerprint import Fingerprint
    from airlock.operations.drill.interim_writes import Meanwhile
    from airlock.operations.drill.state import State

_CALLED = re.compile(r'EXECUTE (?:FUNCTION|PROCEDURE) ((?:[\w$.]|"(?:[^"]|"")*")+)\(')


@dataclass(frozen=True)
class Stayed:
    """Rows that are there after a downgrade and were not before the upgrade.

    `differences` are the revision's own. `trails` were written by triggers and rules that stay: whether they are meant to
    stay too, the revision says, or nobody. `notes` tell of the others, which the downgrade may have moved there.
    """

    differences: tuple[Difference, ...] = ()
    trails: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()


def stayed(before: State, after: State, written: Meanwhile, below: State) -> Stayed:
    """Tell of tables that hold more rows after the downgrade than before the upgrade. Reads what was read of them."""
    differences, trails, notes = [], [], []
    for table, more in interim_writes.left(before, after, written, below).items():
        there = before.digests[table].count
        brought = after.digests[table].count - there
        writing = list(writers(after.catalogue, table))
        own = [name for name in writing if name not in before.catalogue.objects]
        rows = "1 row" if more == 1 else f"{more} rows"
        if own:
            said = f"{rows} more, written by {', '.join(own)}, which comes with the revision"
            differences.append(Difference(table, "rows", f"{there} rows", said))
        elif writing:
            trails.append(
                Difference(
                    table, "rows", f"{there} rows", f"{rows} more, and {', '.join(writing)} writes there"
                )
            )
        elif brought > 0:
            few = min(more, brought)
            said = f"{'1 row' if few == 1 else f'{few} rows'} more, which the upgrade brought"
            differences.append(Difference(table, "rows", f"{there} rows", said))
        else:
            notes.append(
                f"{table} holds {rows} more than before the upgrade, and not from those written meanwhile"
            )
    return Stayed(tuple(differences), tuple(trails), tuple(notes))


def writers(catalogue: Fingerprint, table: str) -> Iterator[str]:
    """Name the triggers whose functions name the table, and the rules that do. Their statements are not read."""
    named = re.compile(rf"\b{re.escape(table.rpartition('.')[2].strip(chr(34)))}\b")
    for name in catalogue.of_kind("rule"):
        said = catalogue[name].get("definition", "")
        if named.search(said.partition(" DO ")[2]):
            yield name
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
