"""What a later form of a table demands of rows that are made before it: room, no NULL, its CHECKs and keys."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from airlock.drivers.spelling import quoted
from airlock.samples.model import Check

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airlock.samples.model import Column, Table

_NUMBERS = frozenset({"smallint", "integer", "bigint", "real", "double precision", "numeric"})


def with_requirements(table: Table, later: Table | None) -> Table:
    """Add what a later form of the table demands of the columns that are there already."""
    if later is None:
        return table
    here = {column.name for column in table.columns}
    demanding = {column.name: column for column in later.columns}
    columns = tuple(
        dataclasses.replace(
            column,
            nullable=column.nullable and demanding[column.name].nullable,
            length=min(
                (one for one in (column.length, demanding[column.name].length) if one is not None),
                default=None,
            )
            if column.category == "S" and demanding[column.name].category == "S"
            else column.length,
            fits=_as_text(demanding[column.name])
            if column.category == "S" and demanding[column.name].category != "S"
            else demanding[column.name].fits or column.fits,
            shape=demanding[column.name].shape or column.shape,
            within=(demanding[column.name].within if demanding[column.name].full == column.full else None)
            or column.within,
            chosen=column.chosen
            or (demanding[column.name].chosen if demanding[column.name].full == column.full else None),
        )
        if column.name in demanding
        else column
        for column in table.columns
    )
    later = in_present_types(later, table)
    checks = [one for one in later.checks if one.columns and set(one.columns) <= here]
    uniques = [one for one in later.uniques if one.columns and set(one.columns) <= here]
    referring = {one.columns for one in table.foreign_keys}
    keys = [one for one in later.foreign_keys if set(one.columns) <= here and one.columns not in referring]
    # What is called the same may be another: a primary key on other columns, a CHECK of other values.
    return dataclasses.replace(
        table,
        columns=columns,
        checks=tuple(dict.fromkeys([*table.checks, *checks, *_narrower(table, demanding)])),
        uniques=tuple(dict.fromkeys([*table.uniques, *uniques])),
        foreign_keys=(*table.foreign_keys, *keys),
    )


def _as_text(later: Column) -> Column:
    """Describe an enum by its labels alone: a type that is yet to come, no value can be cast to."""
    if later.kind != "e":
        return later
    return dataclasses.replace(later, type="text", category="S", length=None)


def in_present_types(later: Table, table: Table) -> Table:
    """Spell the CHECKs of a table's later form with the types that its columns have: the later ones may be yet to come."""
    present = {one.name: one.full for one in table.columns}
    retyped = {
        one.full: present[one.name] for one in later.columns if present.get(one.name, one.full) != one.full
    }
    if not retyped:
        return later
    casts = re.compile(rf'::({"|".join(re.escape(one) for one in retyped)})(?![\w."(])')
    checks = [
        dataclasses.replace(one, expression=casts.sub(lambda cast: f"::{retyped[cast[1]]}", one.expression))
        for one in later.checks
    ]
    return dataclasses.replace(later, checks=tuple(checks))


def _narrower(table: Table, later: Mapping[str, Column]) -> Iterator[Check]:
    """Demand of each number whose type will change that it fits the later type."""
    for column in table.columns:
        then = later.get(column.name)
        if then is None or not {column.type, then.type} <= _NUMBERS:
            continue
        if (column.type, column.length, column.scale) != (then.type, then.length, then.scale):
            modifier = f"({then.length}, {then.scale or 0})" if then.type == "numeric" and then.length else ""
            name = quoted(column.name)
            fits = f"({name})::{then.type}{modifier} IS NOT NULL OR {name} IS NULL"
            yield Check(f"later type of {column.name}", (column.name,), fits)
