"""Reading a structure from the catalogue, every name spelt as the caller wants it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airlock.catalogue.structure import queries
from airlock.catalogue.structure.model import (
    CLUSTER,
    IDENTITY,
    Column,
    Constraint,
    Domain,
    Index,
    Sequence,
    Structure,
    Table,
)
from airlock.catalogue.structure.names import Spelling, create_policy, quoted, trigger_state

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping


def read(
    connection: sa.Connection,
    schemas: Mapping[str, str],
    home: str = "public",
    heirs: Container[tuple[str, str]] = (),
) -> Structure:
    """Read the schemas that are keys of `schemas`; spell each as its value ("" leaves the name out: it is `home`).

    Of tables that inherit from others only `heirs` are read.
    Sets search_path to pg_catalog for the reading, and back, so that every name comes out qualified.
    """
    return _Reading(connection, schemas, home, heirs).structure()


@contextlib.contextmanager
def qualified(connection: sa.Connection) -> Iterator[None]:
    """Let every name come out qualified: search_path is pg_catalog meanwhile."""
    path = connection.execute(sa.text("SELECT current_setting('search_path')")).scalar_one()
    set_path = sa.text("SELECT set_config('search_path', :path, false)")
    connection.execute(set_path, {"path": "pg_catalog"})
    try:
        yield
    finally:
        connection.execute(set_path, {"path": path})


class _Reading:
    def __init__(
        self,
        connection: sa.Connection,
        schemas: Mapping[str, str],
        home: str,
        heirs: Container[tuple[str, str]],
    ) -> None:
        self.heirs = heirs
        self.home = home
        self.connection = connection
        self.schemas = schemas
        self.spell = Spelling(schemas, home)
        self.version = int(connection.execute(sa.text("SHOW server_version_num")).scalar_one())

    def structure(self) -> Structure:
        with qualified(self.connection):
            return self._structure()

    def rows(self, query: str) -> list[Any]:
        statement = sa.text(query).bindparams(sa.bindparam("schemas", expanding=True))
        return list(self.connection.execute(statement, {"schemas": sorted(self.schemas)}))

    def _structure(self) -> Structure:
        owned, free = self._sequences()
        columns, not_nulls = self._columns(owned), self.rows(queries.CONSTRAINTS)
        names = {
            (row[0], row[4][0]): (row[1], row[5]) for row in not_nulls if row[2] == "n" and len(row[4]) == 1
        }
        constraints: dict[int, dict[str, Constraint]] = defaultdict(dict)
        for (
            table, name, kind, definition, used, valid, comment, index, target, referred, items, operators, predicate,
        ) in not_nulls:  # fmt: skip
            if kind != "n":
                constraints[table][name] = Constraint(
                    name,
                    kind,
                    self.spell(definition),
                    tuple(used),
                    valid,
                    comment,
                    self.spell(index),
                    self.spell(target),
                    referred=tuple(referred),
                    excludes=tuple(zip(map(self.spell, items), map(self.spell, operators), strict=True)),
                    predicate=self.spell(predicate),
                )
        indexes: dict[int, dict[str, Index]] = defaultdict(dict)
        for table, name, definition, space, unique, valid, comment, used in self.rows(queries.INDEXES):
            indexes[table][name] = Index(
                name, self.spell(definition), tuple(used), unique, valid, comment, tablespace=space
            )
        rows = [
            row
            for row in self.rows(queries.TABLES)
            if not row[8] or (self.schemas[row[1]], row[2]) in self.heirs
        ]
        sql = {row[0]: self.spell(f"{quoted(row[1])}.{quoted(row[2])}") for row in rows}
        extras, marks = self._extras(sql, rows), self._marks(sql)
        heirs: dict[int, list[tuple[str, str]]] = defaultdict(list)
        partitions: dict[int, list[tuple[str, str]]] = defaultdict(list)
        for root, schema, name, below, above, bounds, key in self.rows(queries.BELOW):
            if bounds is None:
                heirs[root].append((schema, name))
                continue
            within = f" PARTITION BY {key}" if key else ""
            made = f"CREATE TABLE {self.spell(below)} PARTITION OF {self.spell(above)} {self.spell(bounds)}{within}"
            extras[root].append(made)
            partitions[root].append((schema, name))
        tables = {}
        for oid, schema, name, persistence, options, key, comment, space, parents, *_ in rows:
            shown = self.schemas[schema]
            own = {
                column.name: dataclasses.replace(column, not_null_name=name_, not_null_valid=valid)
                for column in columns[oid]
                for name_, valid in [names.get((oid, column.name), (None, True))]
            }
            tables[shown, name] = Table(
                shown, name, sql[oid], comment, persistence, tuple(options), key, own,
                constraints[oid], indexes[oid], tuple(extras[oid]),
                self.home, tuple(heirs[oid]), tuple(partitions[oid]), space, tuple(map(self.spell, parents)),
                tuple(marks[oid]), key is not None and self.version < 180000,
            )  # fmt: skip
        enums = {self._name(schema, name): tuple(labels) for schema, name, labels in self.rows(queries.ENUMS)}
        domains = {
            self._name(schema, name): Domain(
                str(self.spell(base)),
                self.spell(default),
                required,
                {key: str(self.spell(text)) for key, text in zip(checks, texts, strict=True)},
            )
            for schema, name, base, default, required, checks, texts in self.rows(queries.DOMAINS)
        }
        return Structure(tables, free, enums, domains)

    def _name(self, schema: str, name: str) -> str:
        return str(self.spell(f"{quoted(schema)}.{quoted(name)}"))

    def _sequences(self) -> tuple[dict[tuple[int, int], Sequence], dict[str, Sequence]]:
        owned, free = {}, {}
        for (
            schema, name, kind, start, step, low, high, cache, cycle, table, column, comment, grants,
        ) in self.rows(queries.SEQUENCES):  # fmt: skip
            sequence = Sequence(
                self._name(schema, name), kind, start, step, low, high, cache, cycle, comment, tuple(grants)
            )
            if table is None:
                free[sequence.name] = sequence
            else:
                owned[table, column] = sequence
        return owned, free

    def _columns(self, owned: Mapping[tuple[int, int], Sequence]) -> dict[int, list[Column]]:
        privileges: dict[tuple[int, str], list[str]] = defaultdict(list)
        self.grants = self.rows(queries.GRANTS)
        for table, column, privilege, grantable, grantee in self.grants:
            if column is not None:
                tail = " WITH GRANT OPTION" if grantable else ""
                privileges[table, column].append(
                    f"GRANT {privilege} ({quoted(column)}) ON TABLE {{table}} TO {grantee}{tail}"
                )
        found: dict[int, list[Column]] = defaultdict(list)
        for (
            table,
            name,
            kind,
            collation,
            required,
            default,
            identity,
            generated,
            comment,
            number,
            inherited,
        ) in self.rows(queries.COLUMNS):
            found[table].append(
                Column(
                    name,
                    self.spell(kind),
                    self.spell(collation),
                    required,
                    self.spell(default),
                    identity.strip(),
                    generated.strip(),
                    comment,
                    tuple(privileges[table, name]),
                    owned.get((table, number)),
                    inherited=bool(inherited),
                )
            )
        return found

    def _marks(self, sql: Mapping[int, str]) -> dict[int, list[tuple[str, str]]]:
        marks: dict[int, list[tuple[str, str]]] = defaultdict(list)
        for table, index, identity, clustered in self.rows(queries.MARKS):
            if table in sql:
                marks[table] += [(index, IDENTITY)] if identity else []
                marks[table] += [(index, CLUSTER)] if clustered else []
        return marks

    def _extras(self, sql: Mapping[int, str], rows: list[Any]) -> dict[int, list[str]]:
        extras: dict[int, list[str]] = defaultdict(list)
        for oid, *_, row_security, forced, identity in rows:
            if row_security:
                extras[oid].append(f"ALTER TABLE {sql[oid]} ENABLE ROW LEVEL SECURITY")
            if forced:
                extras[oid].append(f"ALTER TABLE {sql[oid]} FORCE ROW LEVEL SECURITY")
            if identity in {"f", "n"}:
                extras[oid].append(
                    f"ALTER TABLE {sql[oid]} REPLICA IDENTITY {'FULL' if identity == 'f' else 'NOTHING'}"
                )
        for oid, definition, name, enabled in self.rows(queries.TRIGGERS):
            if oid in sql:
                extras[oid] += [self.spell(definition), *trigger_state(sql[oid], name, enabled)]
        for oid, name, permissive, command, roles, using, check in self.rows(queries.POLICIES):
            if oid in sql:
                extras[oid].append(
                    create_policy(
                        name,
                        sql[oid],
                        command,
                        roles,
                        self.spell(using),
                        self.spell(check),
                        permissive=permissive,
                    )
                )
        for oid, definition in self.rows(queries.STATISTICS):
            extras[oid].append(self.spell(definition))
        for oid, column, privilege, grantable, grantee in self.grants:
            if column is None and oid in sql:
                tail = " WITH GRANT OPTION" if grantable else ""
                extras[oid].append(f"GRANT {privilege} ON TABLE {sql[oid]} TO {grantee}{tail}")
        return extras
