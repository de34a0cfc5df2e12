"""The models' tables made without what PostgreSQL refuses of them, so that the rest is compared.

A foreign key whose other end lacks a unique key; an index or an exclusion constraint on a type that the access method has no
operator class for, which projects have whose env.py leaves such an index to the history.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ExcludeConstraint

from airlock.operations.revision.filters import path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airlock.catalogue.structure import Structure, Table

_Part = sa.ForeignKeyConstraint | sa.Index | ExcludeConstraint


@dataclasses.dataclass(frozen=True)
class Unmade:
    """A foreign key, index or exclusion constraint of the models that the server refuses, and its words."""

    part: _Part
    reason: str

    @property
    def text(self) -> str:
        """Say in one line which it is, and what becomes of it."""
        part = self.part
        if isinstance(part, sa.ForeignKeyConstraint):
            there = part.referred_table
            ends = [
                f"{table.fullname} ({', '.join(column.name for column in columns)})"
                for table, columns in (
                    (part.table, part.columns),
                    (there, [one.column for one in part.elements]),
                )
            ]
            what = f"foreign key of {ends[0]} to {ends[1]}"
        else:
            kind = "index" if isinstance(part, sa.Index) else "exclusion constraint"
            what = f"{kind} {part.name or 'without a name'} of {_table(part).fullname}"
        return f"the {what}, which cannot be created: {self.reason}"


def create_tables(
    connection: sa.Connection,
    metadatas: Sequence[sa.MetaData],
    *,
    checkfirst: bool,
    indexes_apart: bool = False,
) -> tuple[Unmade, ...]:
    """Create the models, where a foreign key stands in the way without it; name those that the server refuses.

    With `indexes_apart` also where an index or an exclusion constraint does. Raises DBAPIError where anything else cannot be
    created, after it was undone.
    """
    try:
        with connection.begin_nested():
            for metadata in metadatas:
                metadata.create_all(connection, checkfirst=checkfirst)
    except sa.exc.DBAPIError:
        tables = [table for metadata in metadatas for _, table in sorted(metadata.tables.items())]
        parts: list[_Part] = [
            one for table in tables
            for one in sorted(table.foreign_key_constraints, key=lambda key: [*key.column_keys]) if one._ddl_if is None
        ]  # fmt: skip
        if indexes_apart:
            parts += [one for table in tables for one in sorted(table.indexes, key=lambda it: str(it.name))]
            parts += [
                one for table in tables
                for one in sorted(table.constraints, key=lambda it: str(it.name)) if isinstance(one, ExcludeConstraint)
            ]  # fmt: skip
        with _apart(parts), connection.begin_nested():
            for metadata in metadatas:
                metadata.create_all(connection, checkfirst=checkfirst)
        return tuple(_refused(connection, parts))
    return ()


@contextlib.contextmanager
def _apart(parts: Sequence[_Part]) -> Iterator[None]:
    """Let tables be created without these."""
    conditions = [one._ddl_if for one in parts]
    for one in parts:
        one.ddl_if(callable_=lambda *_, **__: False)
    try:
        yield
    finally:
        for one, condition in zip(parts, conditions, strict=True):
            one._ddl_if = condition


def _refused(connection: sa.Connection, parts: Sequence[_Part]) -> Iterator[Unmade]:
    """Add each by itself."""
    for one in parts:
        rule: Any = getattr(one, "_create_rule", None)
        try:
            with connection.begin_nested():
                if isinstance(one, sa.Index):
                    one.create(connection)
                else:
                    connection.execute(sa.schema.AddConstraint(one))
        except sa.exc.DBAPIError as error:
            yield Unmade(one, str(error.orig).splitlines()[0].strip())
        finally:
            # AddConstraint takes it out of its table's CREATE TABLE for good.
            if not isinstance(one, sa.Index):
                one._create_rule = rule


def _table(part: _Part) -> sa.Table:
    table: Any = part.table
    return table  # type: ignore[no-any-return]


def without(live: Structure, unmade: Sequence[Unmade], default: str) -> tuple[Structure, frozenset[str]]:
    """Leave out of a database what it has in place of these, a foreign key's unique key too; name it as differences do.

    Such a key is often the history's alone: nobody may drop either because the models do not say it.
    """
    tables, names = dict(live.tables), set()
    for one in unmade:
        for table, kind, columns in _places(one.part):
            key = (
                "" if table.schema == default and ("", table.name) in tables else table.schema or "",
                table.name,
            )
            there = tables.get(key)
            if there is None:
                continue
            mine = _alike(there, kind, columns) | (
                {str(one.part.name)} & {*there.indexes, *there.constraints}
            )
            tables[key] = dataclasses.replace(
                there,
                constraints={name: it for name, it in there.constraints.items() if name not in mine},
                indexes={name: it for name, it in there.indexes.items() if name not in mine},
            )
            names |= {path(it, default) for name in mine for it in ((*key, name), (key[0], name))}
    return dataclasses.replace(live, tables=tables), frozenset(names)


def _places(part: _Part) -> Iterator[tuple[sa.Table, str, list[str]]]:
    """Say where in a database something may stand in place of it: the table, its kind there ("i" for an index), its columns."""
    if isinstance(part, sa.ForeignKeyConstraint):
        yield part.table, "f", [column.name for column in part.columns]
        yield part.referred_table, "u", [it.column.name for it in part.elements]
    else:
        yield (
            _table(part),
            "i" if isinstance(part, sa.Index) else "x",
            [column.name for column in part.columns],
        )


def _alike(there: Table, kind: str, columns: list[str]) -> set[str]:
    """Name what a table has of this kind on these columns; of unique keys and indexes both."""
    found = {
        name for name, it in there.constraints.items() if it.kind == kind and sorted(it.columns) == sorted(columns)
    }  # fmt: skip
    if kind in "ui":
        indexes = there.indexes.items()
        found |= {
            name for name, it in indexes if it.unique == (kind == "u") and sorted(it.columns) == sorted(columns)
        }  # fmt: skip
    return found
