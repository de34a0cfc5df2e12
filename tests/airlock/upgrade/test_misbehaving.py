"""Revisions and env.py files that end a transaction by themselves, never end it, or stop the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airlock import forked
from tests.airlock.histories import HEADER, Revision, write_project
from tests.airlock.running import Ran, rows
from tests.airlock.upgrade.test_losses import at, down, losses, prepare, second

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Database

NEVER_COMMITS = (
    HEADER
    + """
engine = create_engine(URL.replace("postgresql://", "postgresql+psycopg2://"), poolclass=pool.NullPool)
with engine.connect() as connection:
    connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS early")
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
)
FIRST = Revision("m1", 'op.execute("CREATE TABLE first ()")', 'op.execute("DROP TABLE first")')


def upgrade(tmp_path: Path, database: Database, body: str, driver: str = "psycopg2") -> Ran:
    ini = write_project(tmp_path, [FIRST, Revision("m2", body)], driver=driver)
    return forked.airlock(ini, "upgrade", url=database.url)


def tables(database: Database) -> set[str]:
    query = (
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
        "AND relname <> 'alembic_version'"
    )
    return {str(row[0]) for row in rows(database.url, query)}


@pytest.mark.parametrize("revisions", [1, 2])
def test_an_env_that_never_commits(revisions: int, tmp_path: Path, empty_database: Database) -> None:
    """A statement before context.configure(): bare Alembic ends with exit 0 and nothing done. Here 2, naming the remedy."""
    history = [FIRST, Revision("m2", 'op.execute("CREATE TABLE second ()")')][:revisions]
    ini = write_project(tmp_path, history, env=NEVER_COMMITS)
    ran = forked.airlock(ini, "upgrade", url=empty_database.url)
    assert ran.code == 2, ran.err
    assert (
        "ends without committing it: what m1 did is rolled back. Nothing changed; still at base." in ran.error
    )
    assert "connection.commit() before context.configure()" in ran.error
    assert tables(empty_database) == set()


@pytest.mark.parametrize("driver", ["psycopg2", "asyncpg"])
def test_what_follows_a_revisions_own_commit(driver: str, tmp_path: Path, empty_database: Database) -> None:
    """Bare Alembic rolls it back, version row and all, and ends with exit 0. Here it is committed, and no mark is left."""
    body = 'op.execute("CREATE TABLE second ()")\nop.get_bind().commit()\nop.execute("CREATE TABLE third ()")'
    ran = upgrade(tmp_path, empty_database, body, driver)
    assert (ran.code, at(empty_database)) == (0, "m2"), ran.err
    assert tables(empty_database) == {"first", "second", "third"}
    assert rows(empty_database.url, "SELECT obj_description('alembic_version'::regclass)") == [(None,)]


def test_a_first_revision_that_works_through_a_connection_of_its_own(
    tmp_path: Path, empty_database: Database
) -> None:
    """The version table is not committed yet: no mark can be written there, and the revision goes through all the same."""
    own = 'with op.get_bind().engine.begin() as own: own.exec_driver_sql("CREATE TABLE {} ()")'
    ini = write_project(tmp_path, [Revision("m1", own.format("first")), Revision("m2", own.format("second"))])
    ran = forked.airlock(ini, "upgrade", url=empty_database.url)
    assert (ran.code, at(empty_database)) == (0, "m2"), ran.err
    assert tables(empty_database) == {"first", "second"}
    assert rows(empty_database.url, "SELECT obj_description('alembic_version'::regclass)") == [(None,)]


def test_a_revision_that_rolls_back_and_goes_on(tmp_path: Path, empty_database: Database) -> None:
    """What it did before is gone: it is not recorded as done (40), and what it did after is undone too."""
    body = (
        'op.execute("CREATE TABLE second ()")\nop.get_bind().rollback()\nop.execute("CREATE TABLE third ()")'
    )
    ran = upgrade(tmp_path, empty_database, body)
    assert (ran.code, at(empty_database)) == (40, "m1"), ran.err
    assert "m2 rolled back its own transaction, and went on. Now at m1 (1 done)." in ran.error
    assert tables(empty_database) == {"first"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise SystemExit(0)", "m2 stopped the program (SystemExit)."),
        ("import asyncio\nraise asyncio.CancelledError", "m2: CancelledError"),
    ],
)
def test_a_revision_that_stops_the_program(
    body: str, said: str, tmp_path: Path, empty_database: Database
) -> None:
    """A failure of the revision (40) like any other: one line, undone, and where the database stands."""
    ran = upgrade(tmp_path, empty_database, f'op.execute("CREATE TABLE second ()")\n{body}')
    assert (ran.code, at(empty_database)) == (40, "m1"), ran.err
    assert said in ran.error and "Now at m1 (1 done)." in ran.error
    assert tables(empty_database) == {"first"}


@pytest.mark.proof
def test_what_follows_a_commit_is_counted_as_lost(tmp_path: Path, empty_database: Database) -> None:
    """Scratch commits it as the target will: the column dropped behind a commit() is no surprise."""
    revisions = second(
        'op.execute("ALTER TABLE item ADD COLUMN colour text")',
        'op.get_bind().commit()\nop.execute("ALTER TABLE item DROP COLUMN colour")',
    )
    ini = prepare(tmp_path, empty_database, revisions, "INSERT INTO item (id, colour) VALUES (1, 'red')")
    refused = down(ini, empty_database)
    assert ("public.item.colour", 1) in losses(refused)
    assert (refused.code, at(empty_database)) == (1, "d2"), refused.err


LOCKS_THE_VERSION_TABLE = (
    HEADER
    + """
engine = create_engine(URL.replace("postgresql://", "postgresql+psycopg2://"))
connection = engine.connect()
connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS alembic_version (version_num varchar(32) PRIMARY KEY)")
connection.commit()
connection.exec_driver_sql("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")
context.configure(connection=connection)
with context.begin_transaction():
    context.run_migrations()
"""
)


@pytest.mark.parametrize(
    ("end", "body", "code", "said"),
    [
        (
            "connection.commit()",
            "raise ValueError('no')",
            40,
            "m2: ValueError: no. (m2.py:12). Now at m1 (1 done).",
        ),
        ("", "pass", 2, "Nothing changed; still at base."),
    ],
    ids=["fails", "never commits"],
)
def test_an_env_that_leaves_the_version_table_locked(
    end: str, body: str, code: int, said: str, tmp_path: Path, empty_database: Database
) -> None:
    """Its connection is never closed: nobody waits for that lock to say where the database stands."""
    history = [FIRST, Revision("m2", body)]
    ini = write_project(tmp_path, history, env=LOCKS_THE_VERSION_TABLE + end)
    ran = forked.start(ini, "upgrade", url=empty_database.url).finish(timeout=20)
    assert ran.code == code, ran.err
    assert said in ran.error
