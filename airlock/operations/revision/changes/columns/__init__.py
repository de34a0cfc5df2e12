"""Changes of columns: added, altered, retyped, dropped, without blocking anybody where there is such a form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.operations.revision.changes.columns.adding import added
from airlock.operations.revision.changes.columns.altering import altered
from airlock.operations.revision.changes.columns.dropping import dropped
from airlock.operations.revision.changes.columns.needs import Changes
from airlock.operations.revision.changes.columns.remaking import remade
from airlock.operations.revision.changes.columns.reshaping import reshape, reshaped
from airlock.operations.revision.changes.columns.swapping import noted, swaps
from airlock.records.revision import Likely

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airlock.catalogue.structure import Table
    from airlock.operations.revision.changes.columns.needs import Swap
    from airlock.operations.revision.changes.columns.reshaping import Reshaped
    from airlock.operations.revision.shadow import Sides

__all__ = ["Changes", "changes", "remade", "reshaped", "swaps"]


def changes(
    sides: Sides, live: Table, wanted: Table, remade: Sequence[Swap] = (), others: Sequence[Reshaped] = ()
) -> Changes:
    """Plan the columns of one table; those of `remade` turn with their enum, those of `others` are split or merged."""
    found = Changes()
    mine = [one for one in others if one.table == (live.schema, live.name)]
    for one in mine:
        reshape(sides, live, wanted, one, found)
    said = {name for one in mine for name in (*one.old, *one.new)}
    turning = [one for one in remade if one.live is live]
    for swap in turning:
        noted(sides, swap, found)
    gone = [one for name, one in live.columns.items() if name not in wanted.columns and name not in said]
    come = [one for name, one in wanted.columns.items() if name not in live.columns and name not in said]
    for old in gone:
        for new in come:
            if (old.spelt_type, old.generated, bool(old.identity)) == (
                new.spelt_type, new.generated, bool(new.identity),
            ):  # fmt: skip
                found.likely.append(Likely("column", live.label_of(old.name), live.label_of(new.name)))
    for column in come:
        added(sides, live, wanted, column, found)
    for name, after in wanted.columns.items():
        if name in {one.names.column for one in turning}:
            continue
        if name in live.columns and live.columns[name] != after:
            altered(sides, live, wanted, live.columns[name], after, found)
    if gone:
        dropped(sides, live, wanted, gone, found)
    return found
