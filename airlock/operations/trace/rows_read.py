"""What an upgrade asks of the rows that it reads, learnt from what it raises on others: no NULL, a text that is JSON or a number.

What its own code asks stands in no catalogue. Only columns that the revision's source names are given other values.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from airlock.database.server_errors import sqlstate
from airlock.drivers.spelling import mentions
from airlock.operations.drill import failures
from airlock.operations.drill.rows import cast_demands
from airlock.samples import with_requirements

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airlock.operations.drill.rows.cast_demands import Demand
    from airlock.samples import Table
    from airlock.samples.model import Column

_NOT_NULL = "23502"


def fitting(
    tables: Mapping[str, Table], required: Mapping[str, Table], error: BaseException, source: str
) -> dict[str, Table] | None:
    """Describe tables whose rows may go through where rows as `required` ended in `error`; None where it tells nothing new.

    `tables` are as they stand below the upgrade, `source` is the revision's text.
    """
    demand = cast_demands.said(error)
    without_nulls = sqlstate(error) == _NOT_NULL or "NoneType" in str(failures.origin(error))
    if demand is None and not without_nulls:
        return None
    found = dict(required)
    for table in tables.values():
        if mentions(source, table.name):
            now = with_requirements(table, required.get(table.label))
            found[table.label] = _without_nulls(now) if without_nulls else _read_as(now, demand, source)
    return found if found != required else None


def _without_nulls(table: Table) -> Table:
    # A row cannot refer to itself before it is there.
    own = {name for key in table.foreign_keys if key.target == table.oid for name in key.columns}
    columns = (one if one.name in own else dataclasses.replace(one, nullable=False) for one in table.columns)
    return dataclasses.replace(table, columns=tuple(columns))


def _read_as(table: Table, demand: Demand | None, source: str) -> Table:
    keys = {name for unique in table.uniques for name in unique.columns}
    keys |= {name for key in table.foreign_keys for name in key.columns}
    columns: list[Column] = []
    for one in table.columns:
        free = one.name not in keys and one.category == "S" and one.sequence is None
        other = (
            cast_demands.as_demanded(one, demand, source)
            if demand and free and mentions(source, one.name)
            else None
        )
        columns.append(other or one)
    return dataclasses.replace(table, columns=tuple(columns))
