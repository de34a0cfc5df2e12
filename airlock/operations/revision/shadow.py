"""Both sides of the comparison as real catalogues: the database, and what the models would create.

The models are created under other schema names inside a savepoint that is rolled back, in the same database:
PostgreSQL itself then spells every default, CHECK, predicate and type of both sides in one way, and answers
what a change would rewrite on an empty copy of the table.
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.operations import Operations

from airlock.catalogue import structure
from airlock.catalogue.structure import Structure, Table, quoted
from airlock.database import missing
from airlock.operations.revision import borrowed_types, inheritance, sources, unmade
from airlock.operations.revision.ddl import create_domain, create_enum, unqualified
from airlock.operations.revision.filters import filtered
from airlock.operations.revision.model_types import model_types
from airlock.operations.revision.probe import Probe, in_transaction, probed, rolled_back, run
from airlock.operations.revision.registered import found_by_others
from airlock.operations.revision.shadow_names import found_in_shadows, named_apart

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from alembic.runtime.migration import MigrationContext

    from airlock.operations.revision.model_types import ModelType
    from airlock.operations.revision.unmade import Unmade


@dataclasses.dataclass(frozen=True)
class Sides:
    """The database as it is and as the models want it, spelt alike; and a place to try changes on."""

    connection: sa.Connection
    live: Structure
    wanted: Structure
    shadows: Mapping[str, str]
    real: Mapping[str, str]
    missing: tuple[str, ...] = ()
    types: Mapping[tuple[str, str], ModelType] = dataclasses.field(default_factory=dict)
    # What env.py's filters leave out of both sides, by the names that differences have.
    left_out: frozenset[str] = frozenset()
    # What the server does not make of the models, each in one line; it is in neither side.
    unmade: tuple[str, ...] = ()

    def probe(self, table: Table, *clauses: str, also: Sequence[str] = ()) -> Probe:
        """Try ALTER TABLE clauses on an empty copy of a live table. Rolled back; takes ACCESS SHARE on it."""
        shadow = next(iter(self.shadows.values()))
        also = (*self.coming, *also)
        return probed(self.connection, shadow, self.real[table.schema], table, clauses, also=also)

    @property
    def coming(self) -> list[str]:
        """Spell how the enums and domains that only the models have are made, in schemas that may be to come as well."""
        live, wanted = self.live, self.wanted
        new = [create_enum(name, labels) for name, labels in wanted.enums.items() if name not in live.enums]
        new += [
            create_domain(name, self.first_text(name)) for name in wanted.domains if name not in live.domains
        ]
        return [f"CREATE SCHEMA IF NOT EXISTS {quoted(name)}" for name in self.missing if new] + new

    def first_text(self, domain: str) -> str:
        """Spell how a domain that only the models have is made: without CHECKs where a table that is there gets a column of it.

        With them each row would be written again; they come behind the column, for new values first.
        """
        wanted = self.wanted.domains[domain]
        there = [table for key, table in self.wanted.tables.items() if key in self.live.tables]
        used = any(one.type == domain for table in there for one in table.columns.values())
        return wanted.bare if used and not wanted.not_null else wanted.text

    def renamed(self, table: Table, names: Mapping[str, str], types: Mapping[str, str]) -> Table:
        """Spell a wanted table as if some of its columns, and of the models' types, had other names. Rolled back."""
        shadow = f"{quoted(self.shadows[table.schema])}.{quoted(table.name)}"
        qualified = {
            (f"{quoted(key)}." if key else "") + name: f"{quoted(schema)}.{name}"
            for key, schema in self.shadows.items() for name in map(_last, types)
        }  # fmt: skip
        with rolled_back(self.connection):
            for one, other in types.items():
                run(self.connection, f"ALTER TYPE {qualified[one]} RENAME TO {_last(other)}")
            for column, name in names.items():
                run(self.connection, f"ALTER TABLE {shadow} RENAME COLUMN {quoted(column)} TO {quoted(name)}")
            read = structure.read(
                self.connection, {value: key for key, value in self.shadows.items()}, table.home
            )
            return read.tables[table.schema, table.name]

    def accepts(self, table: Table, column: str, expression: str) -> bool:
        """Tell whether a value passes the wanted table's CHECKs on that one column, and its type."""
        wanted = self.wanted.tables.get((table.schema, table.name))
        schemas = self.shadows if wanted is not None and column in wanted.columns else self.real
        source = f"{quoted(schemas[table.schema])}.{quoted(table.name)}"
        copy = f"{next(iter(self.shadows.values()))}.airlock_value"
        checks = " AND ".join(
            f"coalesce({one.bare.removeprefix('CHECK ')}, true)"
            for one in table.constraints.values()
            if one.kind == "c" and one.columns == (column,)
        )
        name = quoted(column)
        try:
            with rolled_back(self.connection):
                run(self.connection, f"CREATE TABLE {copy} (LIKE {source})")
                for other in table.columns.values():
                    if other.not_null and other.name != column:
                        run(self.connection, f"ALTER TABLE {copy} ALTER {quoted(other.name)} DROP NOT NULL")
                run(self.connection, f"INSERT INTO {copy} ({name}) VALUES ({expression})")
                if not checks:
                    return True
                found = run(self.connection, f"SELECT {checks} FROM {copy}")
                return bool(found.scalar_one())
        except sa.exc.DBAPIError:
            return False


def _last(name: str) -> str:
    """Take the schema from a name, and leave the quotes."""
    return quoted(unqualified(name))


@contextlib.contextmanager
def sides(context: MigrationContext, renames: Sequence[str] = ()) -> Iterator[Sides]:
    """Read both sides in a savepoint. Leaves the database as it was; `renames` are run first.

    Locks nothing but what renames need; the schemas' tables are only read. Raises DBAPIError where the models
    cannot be created.
    """
    connection = context.connection
    if connection is None:
        raise RuntimeError("models are compared with a database, and this run has none")
    autogen = AutogenContext(context, autogenerate=False)
    metadatas = _metadatas(context)
    default = str(connection.dialect.default_schema_name)
    keys: set[str | None] = {table.schema for metadata in metadatas for table in metadata.tables.values()}
    keys |= {metadata.schema for metadata in metadatas if metadata.schema is not None}
    compared = not keys or bool(keys & {None, default}) or _default_too(autogen, context)
    # What has no schema is spelt as the tables of the default one are.
    home = default if default in keys and None not in keys else None
    apart = {name or home for name, _ in named_apart(metadatas)}
    keys |= apart | ({home} if compared else set())
    keys = {None if key == default and None in keys else key for key in keys}
    mark = secrets.token_hex(4)
    shadows = {key or "": f"airlock_{mark}_{number}" for number, key in enumerate(sorted(keys, key=str))}
    real = {key: key or default for key in shadows}
    real |= {name: name for name in _others(connection, autogen, context) if name not in {*real.values()}}
    with in_transaction(connection), rolled_back(connection):
        for statement in renames:
            run(connection, statement)
        for shadow in shadows.values():
            run(connection, f"CREATE SCHEMA {shadow}")
        translated: dict[str | None, str] = {key or None: shadow for key, shadow in shadows.items()}
        if "" in shadows:
            translated[default] = shadows[""]
        elif default in shadows:
            translated[None] = shadows[default]
        refused = _create(
            connection, metadatas, translated, {shadow: real[key] for key, shadow in shadows.items()}
        )
        wanted = structure.read(connection, {shadow: key for key, shadow in shadows.items()}, default)
        wanted = sources.given(wanted, metadatas, connection.dialect, default)
        # Of what inherits, no more: children of a table that only SQL has made are not the models' to drop.
        live = structure.read(connection, {name: key for key, name in real.items()}, default, wanted.tables)
        if not compared:
            # Only types of the models lie in the default schema: what tables it has are not theirs.
            live = dataclasses.replace(live, tables={key: one for key, one in live.tables.items() if key[0]})
        live, wanted = inheritance.own(live, wanted, _inheriting(metadatas), default)
        live, wanted, left_out = filtered(autogen, context, metadatas, live, wanted, default)
        live, hidden = unmade.without(live, refused, default)
        there = set(run(connection, "SELECT nspname FROM pg_namespace").scalars())
        used = {schema for schema, _ in wanted.tables} | {key or "" for key in (None, *apart)}
        missing = tuple(sorted(name for key, name in real.items() if key in used and name not in there))
        types = model_types(context, metadatas, wanted, default)
        said = tuple(one.text for one in refused)
        yield Sides(connection, live, wanted, shadows, real, missing, types, left_out | hidden, said)


def _default_too(autogen: AutogenContext, context: MigrationContext) -> bool:
    """Tell whether Alembic too would compare the default schema of models that all have another one."""
    return bool(context.opts.get("include_schemas")) and autogen.run_name_filters(None, "schema", {})


def _others(connection: sa.Connection, autogen: AutogenContext, context: MigrationContext) -> Iterator[str]:
    """Name the schemas that Alembic too would compare: where env.py includes schemas and its filter lets them in."""
    if not context.opts.get("include_schemas"):
        return
    default = connection.dialect.default_schema_name
    for name in sorted(set(sa.inspect(connection).get_schema_names()) - {"information_schema", default}):
        if autogen.run_name_filters(name, "schema", {}):
            yield name


def _create(
    connection: sa.Connection,
    metadatas: list[sa.MetaData],
    translated: Mapping[str | None, str],
    real: Mapping[str, str],
) -> tuple[Unmade, ...]:
    """Create the models under their shadows' names; `real` says of each shadow which schema it stands for."""
    before = connection.get_execution_options().get("schema_translate_map")
    connection.execution_options(schema_translate_map=dict(translated))
    indexes_apart = False
    try:
        for _ in range(borrowed_types.MOST):
            try:
                with (
                    connection.begin_nested(), _not_concurrently(metadatas), _not_inheriting(metadatas),
                    found_in_shadows(connection, metadatas, translated),
                ):  # fmt: skip
                    return unmade.create_tables(
                        connection, metadatas, checkfirst=False, indexes_apart=indexes_apart
                    )
            except sa.exc.DBAPIError as error:
                create = _borrowed(connection, str(error.orig), real)
                if create is not None:
                    run(connection, create)
                elif indexes_apart:
                    raise
                else:
                    indexes_apart = True
        return ()
    finally:
        connection.execution_options(schema_translate_map=before)


@contextlib.contextmanager
def _not_concurrently(metadatas: Sequence[sa.MetaData]) -> Iterator[None]:
    """Let indexes that their model builds CONCURRENTLY be made in a transaction: how one is built is not what it is."""
    options: list[Any] = [
        index.dialect_options["postgresql"]
        for metadata in metadatas for table in metadata.tables.values() for index in table.indexes
        if index.dialect_options["postgresql"].get("concurrently")
    ]  # fmt: skip
    for one in options:
        one["concurrently"] = False
    try:
        yield
    finally:
        for one in options:
            one["concurrently"] = True


@contextlib.contextmanager
def _not_inheriting(metadatas: Sequence[sa.MetaData]) -> Iterator[None]:
    """Let tables that inherit be made by themselves: the one above may be in the models only."""
    options: list[Any] = [table.dialect_options["postgresql"] for table in _inheriting(metadatas)]
    above = [one["inherits"] for one in options]
    for one in options:
        one["inherits"] = None
    try:
        yield
    finally:
        for one, name in zip(options, above, strict=True):
            one["inherits"] = name


def _inheriting(metadatas: Sequence[sa.MetaData]) -> list[sa.Table]:
    """List the tables whose model says `postgresql_inherits`."""
    return [
        table for metadata in metadatas for table in metadata.tables.values()
        if table.dialect_options["postgresql"].get("inherits")
    ]  # fmt: skip


def _borrowed(connection: sa.Connection, text: str, real: Mapping[str, str]) -> str | None:
    shadow, name = missing.type_name(text) or (None, "")
    if shadow is None or shadow not in real:
        return None
    return borrowed_types.statement(
        lambda query: [tuple(row) for row in run(connection, query)], real[shadow], name, f"{quoted(shadow)}.{quoted(name)}"
    )  # fmt: skip


def create(context: MigrationContext) -> tuple[str, ...]:
    """Create the models under their own names in the connected database, commit, and name their schemas.

    With them what other extensions of Alembic have registered: views and functions are models too.
    """
    connection = context.connection
    if connection is None:
        raise RuntimeError("there is no database to create the models in")
    metadatas = _metadatas(context)
    default = str(connection.dialect.default_schema_name)
    apart = {name for name, _ in named_apart(metadatas)}
    schemas = {
        name or default
        for metadata in metadatas
        for name in (
            *(table.schema for table in metadata.tables.values()),
            metadata.schema,
            *apart,
        )
        if name is not None
        or not metadata.tables
        or None in {*apart, *(table.schema for table in metadata.tables.values())}
    }
    with in_transaction(connection, end="COMMIT"):
        for name in sorted(schemas):
            run(connection, f"CREATE SCHEMA IF NOT EXISTS {quoted(name)}")
        for table in _inheriting(metadatas):
            above = table.dialect_options["postgresql"]["inherits"]
            for name in (above,) if isinstance(above, str) else above:
                if (parent := table.metadata.tables.get(name)) is not None:
                    table.add_is_dependent_on(parent)
        with _not_concurrently(metadatas):
            unmade.create_tables(connection, metadatas, checkfirst=True, indexes_apart=True)
        for operation in found_by_others(context):
            Operations(context).invoke(operation)
    # env.py may hold the transaction, and roll back what only looked.
    connection.connection.dbapi_connection.commit()  # type: ignore[union-attr]
    return tuple(sorted(schemas))


def _metadatas(context: MigrationContext) -> list[sa.MetaData]:
    target = context.opts.get("target_metadata")
    if target is None:
        return []
    return list(target) if isinstance(target, (list, tuple)) else [target]
