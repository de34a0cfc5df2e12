"""env.py: whose connection it uses, and what it does with it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import psycopg2
import pytest
import sqlalchemy as sa
from alembic import command

from tests.history import configuration, revisions
from tests.projects_copy import ProjectCopy
from tests.servers import Database, Server

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.server
EXPAND = "2962789fd751"


def version(database: Database) -> str | None:
    with psycopg2.connect(database.url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('phase2.alembic_version')")
        if cursor.fetchone() == (None,):
            return None
        cursor.execute("SELECT max(version_num) FROM phase2.alembic_version")
        found: str | None = (cursor.fetchone() or (None,))[0]
        return found


def test_a_connection_that_is_passed_is_used_and_left_open(empty_database: Database) -> None:
    engine = sa.create_engine(empty_database.sqlalchemy_url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        config = configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        assert not connection.in_transaction()
        assert connection.scalar(sa.text("SELECT count(*) FROM phase2.task")) == 0
    assert version(empty_database) == revisions()[-1]


def test_a_callers_transaction_is_the_callers_to_end(empty_database: Database) -> None:
    """What runs in it is undone with it."""
    engine = sa.create_engine(empty_database.sqlalchemy_url, poolclass=sa.NullPool)
    with engine.connect() as connection, connection.begin() as transaction:
        config = configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, EXPAND)
        assert connection.scalar(sa.text("SELECT version_num FROM phase2.alembic_version")) == EXPAND
        transaction.rollback()
    assert version(empty_database) is None


def test_comparing_on_a_callers_connection_leaves_it_as_it_was(database: Database) -> None:
    """Its transaction, its search_path, its dialect's idea of the default schema."""
    engine = sa.create_engine(database.sqlalchemy_url, poolclass=sa.NullPool)
    with engine.connect() as connection, connection.begin():
        connection.execute(sa.text("SET LOCAL search_path TO phase2"))
        default = connection.dialect.default_schema_name
        config = configuration()
        config.attributes["connection"] = connection
        command.check(config)
        assert connection.in_transaction()
        assert connection.scalar(sa.text("SHOW search_path")) == "phase2"
        assert connection.dialect.default_schema_name == default
        assert connection.dialect.identifier_preparer._double_percents


@pytest.mark.proof
def test_a_url_with_percent_signs_reaches_the_driver_whole(
    empty_database: Database, server: Server, tmp_path: Path
) -> None:
    """It never passes through the ini's interpolation, which would fail and show the password."""
    role, password = f"r%{empty_database.name}", "p%s@%%/(x)s:#?"
    server.run(f"CREATE ROLE \"{role}\" LOGIN PASSWORD '{password}'")
    server.run(f'ALTER DATABASE "{empty_database.name}" OWNER TO "{role}"')
    try:
        url = sa.make_url(server.url(empty_database.name)).set(username=role, password=password)
        done = ProjectCopy.make(tmp_path).alembic(
            "upgrade", EXPAND, url=url.render_as_string(hide_password=False)
        )
        assert done.returncode == 0, done.stderr
        assert version(empty_database) == EXPAND
    finally:
        server.run(f'ALTER DATABASE "{empty_database.name}" OWNER TO CURRENT_USER')
        with psycopg2.connect(empty_database.url) as connection, connection.cursor() as cursor:
            cursor.execute(f'DROP OWNED BY "{role}" CASCADE')
        server.run(f'DROP ROLE "{role}"')


@pytest.mark.proof
def test_a_role_without_create_migrates_in_a_schema_made_for_it(
    empty_database: Database, server: Server, tmp_path: Path
) -> None:
    """CREATE SCHEMA IF NOT EXISTS would ask for a right that is not needed."""
    role = f"r{empty_database.name}"
    server.run(f'CREATE ROLE "{role}" LOGIN{server.password_clause}')
    try:
        with psycopg2.connect(empty_database.url) as connection, connection.cursor() as cursor:
            cursor.execute(f'CREATE SCHEMA phase2 AUTHORIZATION "{role}"')
        done = ProjectCopy.make(tmp_path).alembic(
            "upgrade", "head", url=server.url(empty_database.name, role)
        )
        assert done.returncode == 0, done.stderr
    finally:
        with psycopg2.connect(empty_database.url) as connection, connection.cursor() as cursor:
            cursor.execute(f'DROP OWNED BY "{role}" CASCADE')
        server.run(f'DROP ROLE "{role}"')


def test_a_run_imports_neither_models_nor_airlock(database: Database, tmp_path: Path) -> None:
    """Imports are most of what a run at head costs."""
    project = ProjectCopy.make(tmp_path)
    watched = ("sqlmodel", "pydantic", "airlock", "asyncpg", "psycopg")
    env = project.directory / "alembic" / "env.py"
    env.write_text(
        env.read_text()
        + f"\nprint('IMPORTED', [name for name in {watched} if name in sys.modules], file=sys.stderr)\n"
    )
    done = project.alembic("upgrade", "head", url=database.url)
    assert "IMPORTED []" in done.stderr
    assert "sqlmodel" in sys.modules, "the names are right: this process has them"
