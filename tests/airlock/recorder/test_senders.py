"""Whatever sends a statement, its record has its line, its locks and what it read: also bit by bit, also later."""

from __future__ import annotations

import asyncio
import contextlib
import io
from typing import TYPE_CHECKING, Any

import asyncpg
import psycopg
import psycopg2
import psycopg2.extras
import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.util import await_only

from airlock.recorder import Recorder, installed
from airlock.scratch import embedded
from tests.airlock.recorder.test_recorder import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airlock.records.trace import StatementRecord

EVERY = "SELECT * FROM s.t"
PAIRS = [(1, 1), (2, 2)]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """One server, whose statements use no parallel workers."""
    quiet = {"max_parallel_workers_per_gather": "0", "max_parallel_maintenance_workers": "0"}
    with embedded.scratch_cluster(max(embedded.available()), quiet) as cluster:
        with contextlib.closing(psycopg2.connect(cluster.url())) as connection:
            connection.cursor().execute(TABLES)
            connection.commit()
        yield cluster.url()


def _recorded(url: str, revision: Callable[[Callable[[], None]], None]) -> list[StatementRecord]:
    """Run what a revision does; it calls what it is given before it rolls back, as a step ends before its commit."""

    def connect() -> Any:
        connection = psycopg2.connect(url)
        connection.autocommit = True
        return connection

    recorder = Recorder(connect)
    records: list[StatementRecord] = []
    try:
        with installed(recorder):
            recorder.begin(__file__, "the_revision.py")
            revision(lambda: records.extend(recorder.end()))
    finally:
        recorder.close()
    return records


def _lines(revision: Callable[..., Any], records: list[StatementRecord]) -> list[int]:
    first = revision.__code__.co_firstlineno
    return [one.line - first for one in records]


def test_psycopgs_pipeline_stream_and_server_side_cursor(url: str) -> None:
    """Each is one record at its line; what the cursors fetch is their own scan, under the lock that is held."""

    def revision(ended: Callable[[], None]) -> None:
        with psycopg.connect(url) as connection:
            with connection.pipeline():
                connection.execute("ALTER TABLE s.small ADD COLUMN a1 int")
                connection.execute("LOCK s.t IN SHARE MODE")
            connection.cursor().executemany("UPDATE s.t SET a = %s WHERE id = %s", PAIRS)
            assert len(list(connection.cursor().stream(EVERY))) == 2_000
            assert len(list(connection.cursor("named").execute(EVERY))) == 2_000
            ended()
            connection.rollback()

    alter, lock, update, stream, named = records = _recorded(url, revision)
    assert _lines(revision, records) == [3, 4, 5, 6, 7]
    assert [str(one.locks[0].mode) for one in (alter, lock, update)] == [
        "ACCESS EXCLUSIVE", "SHARE", "ROW EXCLUSIVE",
    ]  # fmt: skip
    assert [(one.scans, one.dangerous) for one in (stream, named)] == [(("s.t",), True)] * 2


def test_psycopg2s_batches_copy_and_named_cursor(url: str) -> None:
    """The named cursor's rows are put down to it, not to the statement after it."""

    def revision(ended: Callable[[], None]) -> None:
        with contextlib.closing(psycopg2.connect(url)) as connection:
            cursor = connection.cursor()
            psycopg2.extras.execute_values(cursor, "INSERT INTO s.small (id) VALUES %s", [(1,), (2,)])
            psycopg2.extras.execute_batch(cursor, "UPDATE s.t SET a = %s WHERE id = %s", PAIRS)
            cursor.copy_expert("COPY s.small (id) FROM STDIN", io.StringIO("1\n"))
            named = connection.cursor("named")
            named.execute(EVERY)
            assert len(list(named)) == 2_000
            cursor.execute("SELECT 1")
            ended()

    *_, named, after = records = _recorded(url, revision)
    assert _lines(revision, records) == [3, 4, 5, 7, 9]
    assert (named.scans, after.scans, after.reads) == (("s.t",), (), ())


def test_asyncpgs_prepared_statements_cursors_and_copy(url: str) -> None:
    """By the revision's own coroutine, past SQLAlchemy."""

    async def revision(ended: Callable[[], None]) -> None:
        connection = await asyncpg.connect(url)
        transaction = connection.transaction()
        await transaction.start()
        await connection.executemany("UPDATE s.t SET a = $1 WHERE id = $2", PAIRS)
        prepared = await connection.prepare("SELECT * FROM s.t WHERE id > $1")
        assert len(await prepared.fetch(0)) == 2_000
        assert len([row async for row in connection.cursor(EVERY)]) == 2_000
        await connection.copy_records_to_table("small", schema_name="s", columns=["id"], records=[(1,)])
        await connection.copy_from_query(EVERY, output=io.BytesIO())
        ended()
        await transaction.rollback()
        await connection.close()

    records = _recorded(url, lambda ended: asyncio.run(revision(ended)))
    assert _lines(revision, records) == [4, 6, 7, 8, 9]
    assert [one.scans for one in records] == [(), ("s.t",), ("s.t",), (), ("s.t",)]


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_a_raw_asynchronous_connection_under_sqlalchemy_has_the_revisions_lines(
    driver: str, url: str
) -> None:
    """What is awaited by the loop is called in the revision: there it has its line."""

    def revision(connection: sa.Connection, ended: Callable[[], None]) -> None:
        connection.execute(sa.text("LOCK s.t IN SHARE MODE"))
        raw: Any = connection.connection
        raw.run_async(lambda own: own.execute("ALTER TABLE s.small ADD COLUMN q2 int"))
        await_only(raw.driver_connection.execute("ALTER TABLE s.small ADD COLUMN q3 int"))
        rows = connection.execute(sa.text(EVERY), execution_options={"stream_results": True})
        assert len(list(rows)) == 2_000
        connection.execute(
            sa.text("UPDATE s.t SET a = :a WHERE id = :b"), [{"a": 1, "b": 1}, {"a": 2, "b": 2}]
        )

        async def later(own: AsyncConnection) -> None:
            await own.execute(sa.text("LOCK s.small IN SHARE MODE"))

        Operations(MigrationContext.configure(connection)).run_async(later)
        ended()

    async def main(ended: Callable[[], None]) -> None:
        engine = create_async_engine(url.replace("postgresql:", f"postgresql+{driver}:"))
        async with engine.connect() as connection:
            await connection.run_sync(revision, ended)
            await connection.rollback()
        await engine.dispose()

    records = _recorded(url, lambda ended: asyncio.run(main(ended)))
    lock, alter, again, rows, update, _ = records
    assert _lines(revision, records) == [1, 3, 4, 5, 7, 12]
    assert [str(one.mode) for one in (*lock.locks, *alter.locks)] == ["SHARE", "ACCESS EXCLUSIVE"]
    assert (again.held, rows.scans, rows.dangerous) == ((*alter.locks, *lock.locks), ("s.t",), True)
    assert update.scans == ()


def test_what_an_event_trigger_does_is_its_statements(url: str) -> None:
    """The table that the trigger locks and reads stands at the line that sent the DDL."""

    def revision(ended: Callable[[], None]) -> None:
        with contextlib.closing(psycopg2.connect(url)) as connection:
            cursor = connection.cursor()
            cursor.execute(
                "CREATE FUNCTION s.ev() RETURNS event_trigger LANGUAGE plpgsql AS "
                "$$BEGIN LOCK s.t IN SHARE MODE; PERFORM * FROM s.t; END$$"
            )
            cursor.execute("CREATE EVENT TRIGGER ev ON ddl_command_end EXECUTE FUNCTION s.ev()")
            cursor.execute("CREATE TABLE s.zz (id int)")
            ended()

    records = _recorded(url, revision)
    assert _lines(revision, records)[-1] == 8
    assert (str(records[-1].locks[0].mode), records[-1].scans) == ("SHARE", ("s.t",))
