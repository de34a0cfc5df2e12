"""Changes of columns: added, altered, retyped, dropped, without blocking anybody where there is such a form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.operations.revision.columns.adding import added
from airlock.operations.revision.columns.altering import altered
from airlock.operations.revision.columns.dropping import dropped
from airlock.operations.revision.columns.needs import Changes
from airlock.operations.revision.columns.remaking import remade
from airlock.operations.revision.columns.swapping import noted, swaps
from airlock.records.revision import Likely

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airlock.catalogue.structure import Table
    from airlock.operations.revision.columns.needs import Swap
    from airlock.operations.revision.shadow import Sides

__all__ = ["Changes", "changes", "remade", "swaps"]


def changes(sides: Sides, live: Table, wanted: Table, remade: Sequence[Swap] = ()) -> Changes:
    """Plan the columns of one table; those of `remade` turn with their enum."""
    found = Changes()
    turning = [one for one in remade if one.live is live]
    for swap in turning:
        noted(swap, found)
    gone = [one for name, one in live.columns.items() if name not in wanted.columns]
    come = [one for name, one in wanted.columns.items() if name not in live.columns]
    for old in gone:
        for new in come:
            if (old.spelt_type, old.generated, bool(old.identity)) == (
                new.spelt_type, new.generated, bool(new.identity),
            ):  # fmt: skip
                found.likely.append(Likely("column", live.label_of(old.name), live.label_of(new.name)))
    for one in come:
        added(sides, live, wanted, one, found)
    for name, after in wanted.columns.items():
        if name in {one.names.column for one in turning}:
            continue
        if name in live.columns and live.columns[name] != after:
            altered(sides, live, wanted, live.columns[name], after, found)
    if gone:
        dropped(sides, live, gone, found)
    return found
