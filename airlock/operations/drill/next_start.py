"""Where the next revision starts: every table with rows in it, and every column with values."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from airlock.operations.drill.state import Ledger, State

# As many as it takes for every column to get its edges and its NULL.
_ROWS = 23


def settle(ledger: Ledger, before: State, above: State) -> State:
    """Fill what is new or was emptied, give values to new columns; return the state in which the next revision starts.

    `before` is the state below the step, `above` the one it left. Writes sample rows, and commits.
    """
    written, ledger.strangers = set(ledger.strangers), {}
    summed = {name for name in written & above.digests.keys() if above.digests[name].rows is None}
    if summed:
        above = ledger.read(above, summed)
    emptied = {name for name, it in above.digests.items() if it.count == 0 and name != ledger.version_table}
    new = above.tables() - before.catalogue.objects.keys()
    wanting: Collection[str] = {
        name for name in emptied | new if name not in ledger.fills or ledger.fills[name].rows or name in new
    }
    ledger.fill(wanting)
    added = {name: above.digests[name].count for name in uniform(before, above) - emptied - new}
    for name, count in sorted(added.items()):
        ledger.add(name, count + min(_ROWS, ledger.wanted))
    filled = {*wanting, *added}
    if filled:
        above = ledger.read(above, None if ledger.stirs(filled) else filled)
    return above


def uniform(before: State, above: State) -> set[str]:
    """Name the tables with a new column that holds one value in all rows: nobody would see that value lost."""
    found = set()
    for name, now in above.digests.items():
        then = before.digests.get(name)
        if then is None:
            continue
        for place, column in enumerate(now.columns):
            if column not in then.columns and (
                now.rows is None or len({row[place] for row in now.rows.values()}) <= 1
            ):
                found.add(name)
    return found
