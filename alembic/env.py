"""Run the history in `versions/` against the database of DATABASE_URL_UNPOOLED or DATABASE_URL.

Everything happens in the schema phase2, the version table included. Each revision has a transaction of its
own. A caller may pass `config.attributes["connection"]`, an Engine or a Connection; otherwise one connection
is made and closed here. The models are imported only where they are compared with a database.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic import context

from app.database_url import ConfigurationError, migration_url, psycopg2_url
from app.naming import NAMING_CONVENTION, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator

config = context.config

if config.config_file_name is not None and config.attributes.get("configure_logger", True):
    from logging.config import fileConfig

    fileConfig(config.config_file_name, disable_existing_loggers=False)


def has_destination() -> bool:
    """Tell a run from what only looks: `current`, `check`, `revision --autogenerate`."""
    try:
        context.get_revision_argument()
    except KeyError:
        return False
    return True


def include_name(name: str | None, type_: str, _parents: object) -> bool:
    """Look at no schema but our own."""
    return name == SCHEMA if type_ == "schema" else True


def options() -> dict[str, Any]:
    """Say what online and offline runs have in common."""
    return {
        # Unnamed constraints of a revision get the same names whether or not the models are imported.
        "target_metadata": sa.MetaData(schema=SCHEMA, naming_convention=NAMING_CONVENTION),
        "version_table_schema": SCHEMA,
        "include_schemas": True,
        "include_name": include_name,
        "transaction_per_migration": True,
    }


def comparison() -> dict[str, Any]:
    """Compare what autogenerate does not compare by itself, and write what it finds so that it blocks nobody."""
    from airlock import autogenerate_options, process_revision_directives
    from app.models import metadata

    return autogenerate_options() | {
        "target_metadata": metadata,
        "process_revision_directives": process_revision_directives,
    }


@contextlib.contextmanager
def connected() -> Iterator[sa.Connection]:
    """Lend the caller's connection, or one to the configured database."""
    given = config.attributes.get("connection")
    if isinstance(given, sa.Connection):
        yield given
        return
    engine = given
    if engine is None:
        url = psycopg2_url(migration_url())
        engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"connect_timeout": 10})
    with engine.connect() as connection:
        yield connection


def ensure_schema(connection: sa.Connection) -> None:
    """Create the schema, which must be there before the version table; needs no right to where it exists."""
    if connection.scalar(sa.text("SELECT to_regnamespace(:name)"), {"name": SCHEMA}) is None:
        connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))


def run() -> None:
    """Upgrade, downgrade or stamp, one transaction per revision."""
    with connected() as connection:
        borrowed = connection.in_transaction()
        context.configure(connection=connection, **options())
        ensure_schema(connection)
        if not borrowed:
            connection.commit()
        with context.begin_transaction():
            context.run_migrations()


def look() -> None:
    """Read the database, and compare it with the models, in a transaction that is rolled back."""
    with connected() as connection:
        dialect = connection.dialect
        schema_before = dialect.default_schema_name
        transaction = connection.begin_nested() if connection.in_transaction() else connection.begin()
        try:
            # A role called phase2, or one with phase2 in its search_path, reads our tables as those of "no
            # schema" and would create every one again.
            connection.execute(sa.text("SET LOCAL search_path TO public"))
            dialect.default_schema_name = "public"
            context.configure(connection=connection, **options())
            if not context.get_context().opts.get("dont_mutate"):  # `current` compares nothing
                ensure_schema(connection)
                context.configure(connection=connection, **options() | comparison())
            context.run_migrations()
        finally:
            dialect.default_schema_name = schema_before
            transaction.rollback()


def write_sql() -> None:
    """Write the run as SQL for psql; no database is asked, so none has to be there."""
    context.configure(
        dialect_name="postgresql",
        literal_binds=True,
        # As a driver's own style would, psql does not take %% for %.
        dialect_opts={"paramstyle": "named"},
        **options(),
    )
    if context.get_starting_revision_argument() is None:
        context.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    with context.begin_transaction():
        context.run_migrations()


try:
    if context.is_offline_mode():
        write_sql()
    elif has_destination():
        run()
    else:
        look()
except ConfigurationError as error:
    print(f"alembic: {error}", file=sys.stderr)
    raise SystemExit(error.exit_code) from None
