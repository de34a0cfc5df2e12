"""Tables of the models that inherit from others: each side has what is theirs by themselves."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from airlock.catalogue.structure import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import sqlalchemy as sa

    from airlock.catalogue.structure import Structure, Table


def own(
    live: Structure, wanted: Structure, inheriting: Iterable[sa.Table], default: str
) -> tuple[Structure, Structure]:
    """Give the models' heirs their parents, and leave columns that follow a table above to that one, on both sides."""
    there, made = dict(live.tables), dict(wanted.tables)
    for model in inheriting:
        key = (model.schema or "", model.name)
        if key not in made and model.schema == default:
            key = ("", model.name)
        above = model.dialect_options["postgresql"]["inherits"]
        names = [above] if isinstance(above, str) else list(above)
        made[key] = dataclasses.replace(made[key], parents=tuple(map(quoted, names)))
        if key in there:
            following = {one.name for one in there[key].columns.values() if one.inherited}
            there[key], made[key] = (_without(side[key], following) for side in (there, made))
    return dataclasses.replace(live, tables=there), dataclasses.replace(wanted, tables=made)


def _without(table: Table, names: set[str]) -> Table:
    kept = {name: one for name, one in table.columns.items() if name not in names}
    return dataclasses.replace(table, columns=kept)


def parents_first(tables: Sequence[Table]) -> list[Table]:
    """Order tables that are made: those above come before their heirs."""
    left, ordered = list(tables), []
    while left:
        waiting = {one.sql for one in left}
        # The server knows no circle of heirs.
        free = [one for one in left if not waiting & set(one.parents)] or left
        ordered += free
        left = [one for one in left if one not in free]
    return ordered
