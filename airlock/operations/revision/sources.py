"""The models' own words for CHECKs and indexes.

What PostgreSQL shows of an expression is not always what it keeps when it is given that back (a list of varchar
constants is the common case). A revision therefore says what the models say, and leads to the same catalogue.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic.util import sqla_compat

from airlock.project import check_constraints
from airlock.project.percent_signs import undoubled

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airlock.catalogue.structure import Structure, Table


def given(
    wanted: Structure, metadatas: Iterable[sa.MetaData], dialect: sa.Dialect, default: str
) -> Structure:
    """Give each CHECK and index of the wanted side the text that the models have for it."""
    spoken = undoubled(dialect)
    tables = dict(wanted.tables)
    for metadata in metadatas:
        for model in metadata.tables.values():
            for key in (
                (model.schema or "", model.name),
                ("", model.name) if model.schema == default else ("", ""),
            ):
                if key in tables:
                    tables[key] = _given(tables[key], model, spoken)
    return dataclasses.replace(wanted, tables=tables)


def _given(table: Table, model: sa.Table, dialect: sa.Dialect) -> Table:
    constraints, indexes = dict(table.constraints), dict(table.indexes)
    for check in check_constraints.checks_of(model):
        name = sqla_compat._get_constraint_final_name(check, dialect)
        if name in constraints:
            text = check.sqltext.compile(
                dialect=dialect, compile_kwargs={"literal_binds": True, "include_table": False}
            )
            constraints[name] = dataclasses.replace(constraints[name], source=f"CHECK ({text})")
    for index in model.indexes:
        name = sqla_compat._get_constraint_final_name(index, dialect)
        if name in indexes:
            body = str(sa.schema.CreateIndex(index).compile(dialect=dialect)).partition(" ON ")[2]
            head = f"CREATE {'UNIQUE ' if indexes[name].unique else ''}INDEX"
            # The name as PostgreSQL has it: it may have been cut.
            spelt = indexes[name].definition.removeprefix(head).partition(" ON ")[0]
            indexes[name] = dataclasses.replace(indexes[name], source=f"{head}{spelt} ON {body}")
    return dataclasses.replace(table, constraints=constraints, indexes=indexes)
