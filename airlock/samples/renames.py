"""An earlier or later form of a table under the names that its columns have now."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airlock.samples.model import Table


def renamed_columns(one: Table, other: Table) -> dict[str, str]:
    """Map the names of one form's columns to those that another form of the same table has for them, where they differ."""
    if one.oid != other.oid:
        return {}
    names = {it.number: it.name for it in other.columns}
    return {it.name: names[it.number] for it in one.columns if names.get(it.number, it.name) != it.name}


def named_as(other: Table, now: Table) -> Table:
    """Spell another form of the same table with the names of the columns now; what is another table stays as it is.

    A CHECK of a column that has another name is left out: its text names it as it was.
    """
    renamed = renamed_columns(other, now)
    if not renamed:
        return other

    def under(columns: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(renamed.get(one, one) for one in columns)

    return dataclasses.replace(
        other,
        columns=tuple(
            dataclasses.replace(one, name=renamed.get(one.name, one.name)) for one in other.columns
        ),
        checks=tuple(one for one in other.checks if not renamed.keys() & set(one.columns)),
        uniques=tuple(dataclasses.replace(one, columns=under(one.columns)) for one in other.uniques),
        foreign_keys=tuple(
            dataclasses.replace(one, columns=under(one.columns)) for one in other.foreign_keys
        ),
    )
