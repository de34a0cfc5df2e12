"""What env.py's include_name and include_object leave out, as Alembic asks them: of tables, and of what is in them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from airlock.catalogue.fingerprint.model import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from alembic.autogenerate.api import AutogenContext
    from alembic.runtime.migration import MigrationContext

    from airlock.catalogue.structure import Constraint, Structure, Table

Key = tuple[str, str]
_CONSTRAINTS = {"u": "unique_constraint", "f": "foreign_key_constraint", "c": "check_constraint"}


def filtered(
    autogen: AutogenContext,
    context: MigrationContext,
    metadatas: list[sa.MetaData],
    live: Structure,
    wanted: Structure,
    default: str,
) -> tuple[Structure, Structure, frozenset[str]]:
    """Leave out what env.py's filters leave out, and Alembic's own table; name what was left out."""
    version = (context.version_table_schema or "", context.version_table)
    models = {
        (
            ""
            if table.schema in {None, default} and ("", table.name) in wanted.tables
            else table.schema or "",
            table.name,
        ): table
        for metadata in metadatas
        for table in metadata.tables.values()
    }

    def included(key: Key, *, reflected: bool) -> bool:
        schema, name = key
        if key == version or (
            name == version[1] and schema in {version[0], ""} and version[0] in {"", default}
        ):
            return False
        parents: Any = {"schema_name": schema or None}
        if reflected and not autogen.run_name_filters(name, "table", parents):
            return False
        table = models.get(key)
        if table is None:
            table = sa.Table(name, sa.MetaData(), schema=schema or None)
        if reflected and key in models:
            return True
        return bool(autogen.run_object_filters(table, name, "table", reflected, None))

    kept = {key for key in wanted.tables if included(key, reflected=False)}
    there = {
        key
        for key in live.tables
        if (key in kept or key not in wanted.tables) and included(key, reflected=True)
    }
    left_out = {path(key, default) for key in wanted.tables if key not in kept}
    before, after = {key: live.tables[key] for key in live.tables if key in there}, {}
    asked = bool(autogen._object_filters or autogen._name_filters)
    for key in kept:
        after[key] = wanted.tables[key]
        if asked and key in before:
            members = _Members(autogen, key, models[key], before[key], after[key])
            before[key], after[key] = members.filtered()
            left_out |= {
                one for name in members.left_out for one in (path((*key, name), default), path((key[0], name), default))
            }  # fmt: skip
    return (
        dataclasses.replace(live, tables=before),
        dataclasses.replace(wanted, tables={key: after[key] for key in wanted.tables if key in kept}),
        frozenset(left_out),
    )


def path(names: tuple[str, ...], default: str) -> str:
    """Spell a table, or what is in one, as differences name it."""
    return ".".join(plain(one) for one in (names[0] or default, *names[1:]))


class _Members:
    """The columns, indexes and constraints of a table that both sides have."""

    def __init__(
        self, autogen: AutogenContext, key: Key, model: sa.Table, live: Table, wanted: Table
    ) -> None:
        self.autogen = autogen
        self.model, self.live, self.wanted = model, live, wanted
        self.parents: Any = {"table_name": key[1], "schema_name": key[0] or None}
        self.left_out: set[str] = set()
        self._reflected: sa.Table | None = None

    def filtered(self) -> tuple[Table, Table]:
        """Give both sides without what is left out, and without what stands on a column that is."""
        sides = self.live, self.wanted
        columns = self._asked("column", self.live.columns, self.wanted.columns)
        gone = [set(table.columns) - set(kept) for table, kept in zip(sides, columns, strict=True)]
        indexes = self._asked("index", *(
            {name: one for name, one in table.indexes.items() if lost.isdisjoint(one.columns)}
            for table, lost in zip(sides, gone, strict=True)
        ))  # fmt: skip
        constraints: list[dict[str, Constraint]] = [
            {name: one for name, one in table.constraints.items() if one.kind not in _CONSTRAINTS} for table in sides
        ]  # fmt: skip
        for kind, type_ in _CONSTRAINTS.items():
            found = self._asked(type_, *(
                {
                    name: one for name, one in table.constraints.items()
                    if one.kind == kind and lost.isdisjoint(one.columns)
                }
                for table, lost in zip(sides, gone, strict=True)
            ))  # fmt: skip
            for into, more in zip(constraints, found, strict=True):
                into |= more
        live, wanted = (
            dataclasses.replace(table, columns=of_columns, indexes=of_indexes, constraints=of_constraints)
            for table, of_columns, of_indexes, of_constraints in zip(
                sides, columns, indexes, constraints, strict=True
            )
        )
        return live, wanted

    def _asked(
        self, type_: Any, here: Mapping[str, Any], there: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Ask of each that differs; one that both sides have, and that is left out, stays as it is."""
        find: Callable[[sa.Table, str], Any] = _column if type_ == "column" else _other
        live, wanted = dict(here), dict(there)
        for name in {*here, *there}:
            if name not in here:
                found = find(self.model, name)
                if found is not None and not self._object(found, name, type_, reflected=False, to=None):
                    self.left_out.add(name)
                    del wanted[name]
                continue
            said = self.autogen.run_name_filters(name, type_, dict(self.parents))
            if name not in there:
                found = find(self.reflected, name)
                if not said or (
                    found is not None and not self._object(found, name, type_, reflected=True, to=None)
                ):
                    self.left_out.add(name)
                    del live[name]
            elif here[name] != there[name]:
                found = find(self.model, name)
                to = find(self.reflected, name)
                if not said or (
                    found is not None and not self._object(found, name, type_, reflected=False, to=to)
                ):
                    self.left_out.add(name)
                    wanted[name] = here[name]
        return live, wanted

    def _object(self, one: Any, name: str, type_: Any, *, reflected: bool, to: Any) -> bool:
        return self.autogen.run_object_filters(one, name, type_, reflected, to)

    @property
    def reflected(self) -> sa.Table:
        """Give the table of the database, as Alembic shows it to env.py."""
        if self._reflected is None:
            connection: Any = self.autogen.connection
            self._reflected = sa.Table(
                self.live.name, sa.MetaData(), schema=self.live.schema or None, autoload_with=connection, resolve_fks=False
            )  # fmt: skip
        return self._reflected


def _column(table: sa.Table, name: str) -> sa.Column[Any] | None:
    return next((one for one in table.columns if one.name == name), None)


def _other(table: sa.Table, name: str) -> Any:
    """Find an index or a constraint by the name that it has in the database."""
    found: list[Any] = [*table.indexes, *table.constraints]
    preparer = postgresql.dialect().identifier_preparer  # type: ignore[no-untyped-call]
    for one in found:
        said = preparer.format_index if isinstance(one, sa.Index) else preparer.format_constraint
        if one.name == name or (one.name is not None and _unquoted(said(one)) == name):
            return one
    return None


def _unquoted(name: str | None) -> str:
    return (name or "").rpartition(".")[2].strip('"').replace('""', '"')
