"""The models' tables made with every foreign key that PostgreSQL makes: one whose other end lacks a unique key it refuses."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airlock.operations.revision.filters import path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airlock.catalogue.structure import Structure


@dataclasses.dataclass(frozen=True)
class Unmade:
    """A foreign key of the models that the server refuses, and its words."""

    key: sa.ForeignKeyConstraint
    reason: str

    @property
    def text(self) -> str:
        """Say in one line which it is, and what becomes of it."""
        there = self.key.referred_table
        ends = [
            f"{table.fullname} ({', '.join(column.name for column in columns)})"
            for table, columns in (
                (self.key.table, self.key.columns),
                (there, [one.column for one in self.key.elements]),
            )
        ]
        return f"the foreign key of {ends[0]} to {ends[1]}, which cannot be created: {self.reason}"


def create_tables(
    connection: sa.Connection, metadatas: Sequence[sa.MetaData], *, checkfirst: bool
) -> tuple[Unmade, ...]:
    """Create the models, where a foreign key stands in the way without it; name those that the server refuses.

    Raises DBAPIError where anything else cannot be created, after it was undone.
    """
    try:
        with connection.begin_nested():
            for metadata in metadatas:
                metadata.create_all(connection, checkfirst=checkfirst)
    except sa.exc.DBAPIError:
        keys = [
            one for metadata in metadatas for _, table in sorted(metadata.tables.items())
            for one in sorted(table.foreign_key_constraints, key=lambda key: [*key.column_keys]) if one._ddl_if is None
        ]  # fmt: skip
        with _apart(keys), connection.begin_nested():
            for metadata in metadatas:
                metadata.create_all(connection, checkfirst=checkfirst)
        return tuple(_refused(connection, keys))
    return ()


@contextlib.contextmanager
def _apart(keys: Sequence[sa.ForeignKeyConstraint]) -> Iterator[None]:
    """Let tables be created without these."""
    for one in keys:
        one.ddl_if(callable_=lambda *_, **__: False)
    try:
        yield
    finally:
        for one in keys:
            one._ddl_if = None


def _refused(connection: sa.Connection, keys: Sequence[sa.ForeignKeyConstraint]) -> Iterator[Unmade]:
    """Add each by itself."""
    for one in keys:
        rule = one._create_rule
        try:
            with connection.begin_nested():
                connection.execute(sa.schema.AddConstraint(one))
        except sa.exc.DBAPIError as error:
            yield Unmade(one, str(error.orig).splitlines()[0].strip())
        finally:
            # AddConstraint takes it out of its table's CREATE TABLE for good.
            one._create_rule = rule


def without(live: Structure, unmade: Sequence[Unmade], default: str) -> tuple[Structure, frozenset[str]]:
    """Leave out of a database what it has in place of these, and the unique key that it needs; name it as differences do.

    Such a key is often the history's alone: nobody may drop either because the models do not say it.
    """
    tables, names = dict(live.tables), set()
    for one in unmade:
        for table, kind, columns in (
            (one.key.table, "f", [column.name for column in one.key.columns]),
            (one.key.referred_table, "u", [it.column.name for it in one.key.elements]),
        ):
            key = (
                "" if table.schema == default and ("", table.name) in tables else table.schema or "",
                table.name,
            )
            there = tables.get(key)
            if there is None:
                continue
            mine = {
                name for name, it in there.constraints.items()
                if it.kind == kind and sorted(it.columns) == sorted(columns)
            }  # fmt: skip
            if kind == "u":
                indexes = there.indexes.items()
                mine |= {name for name, it in indexes if it.unique and sorted(it.columns) == sorted(columns)}
            tables[key] = dataclasses.replace(
                there,
                constraints={name: it for name, it in there.constraints.items() if name not in mine},
                indexes={name: it for name, it in there.indexes.items() if name not in mine},
            )
            names |= {path(it, default) for name in mine for it in ((*key, name), (key[0], name))}
    return dataclasses.replace(live, tables=tables), frozenset(names)
