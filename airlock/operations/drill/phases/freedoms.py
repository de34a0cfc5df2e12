"""What a proof holds for: the freedoms that an upgrade grants, and the query that counts the rows that made use of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.operations.downgrade.items import narrowed
from airlock.operations.downgrade.rehearse import Rehearsed

if TYPE_CHECKING:
    from airlock.operations.downgrade.items import Item
    from airlock.operations.downgrade.snapshot import Snapshot
    from airlock.operations.drill.state import State

_RULES = ("constraint ", "index ")


def grants(before: State, after: State) -> bool:
    """Tell whether an upgrade may let rows in that were refused before: a rule, a NOT NULL or a type is not what it was."""
    then, now = before.catalogue.objects, after.catalogue.objects
    return any(
        now.get(name) != one and (one.kind in {"column", "enum"} or name.startswith(_RULES))
        for name, one in then.items()
    )


def narrows(revision: str, above: Snapshot, below: Snapshot) -> tuple[Item, ...]:
    """Say which rows must not be there above a step for it to go down as it was seen to."""
    step = Rehearsed(revision, above, below, (), reads_rows=False, recast=())
    return tuple(narrowed(step, above))
