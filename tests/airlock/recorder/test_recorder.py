"""The recorder tells what a statement did from the server's own books, whoever sent the statement."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
from typing import TYPE_CHECKING, Any

import psycopg2
import psycopg2.extras
import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.ext.asyncio import create_async_engine

from airlock.recorder import Recorder, installed, outside_transaction, tap
from airlock.records.locks import LockMode
from airlock.records.trace import Lock
from airlock.scratch import embedded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.records.trace import StatementRecord

TABLES = """
CREATE SCHEMA s;
CREATE TABLE s.parent (id int PRIMARY KEY);
INSERT INTO s.parent SELECT generate_series(1, 2000);
CREATE TABLE s.t (id int PRIMARY KEY, a int, b text, parent_id int);
INSERT INTO s.t SELECT n, n, 'x', n FROM generate_series(1, 2000) n;
CREATE INDEX ix ON s.t (a);
CREATE TABLE s.small AS SELECT generate_series(1, 10) AS id;
ANALYZE s.parent; ANALYZE s.t; ANALYZE s.small;
"""
DANGEROUS = [
    "ALTER TABLE s.t ALTER COLUMN a TYPE bigint",
    "ALTER TABLE s.t ALTER COLUMN a SET NOT NULL",
    "ALTER TABLE s.t ADD FOREIGN KEY (parent_id) REFERENCES s.parent",
    "CREATE INDEX ON s.t (b)",
    "REINDEX INDEX s.ix",
]
REACHING = [
    "REINDEX SCHEMA s",
    "/* all */ VACUUM FULL",
    "CALL s.work()",
    "SELECT s.f()",
    "DO $$ BEGIN EXECUTE 'REINDEX TABLE s.' || 't'; END $$",
]
HARMLESS = [
    "ALTER TABLE s.t ADD COLUMN c int DEFAULT 1",
    "ALTER TABLE s.t ADD FOREIGN KEY (parent_id) REFERENCES s.parent NOT VALID",
    "ALTER TABLE s.small ALTER COLUMN id SET NOT NULL",
    "TRUNCATE s.t",
    "DO $$ BEGIN TRUNCATE s.t; END $$",
    "UPDATE s.t SET a = a + 1",
    "CREATE TABLE s.copy AS SELECT * FROM s.t",
    "DROP TABLE s.t",
]


NEWEST = max(embedded.available())
MAJORS = [
    pytest.param(major, marks=() if major == NEWEST else pytest.mark.proof)
    for major in sorted(embedded.available())
]


@pytest.fixture(scope="module", params=MAJORS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server of each major, whose statements use no parallel workers: their reads would be counted elsewhere."""
    quiet = {"max_parallel_workers_per_gather": "0", "max_parallel_maintenance_workers": "0"}
    with embedded.scratch_cluster(request.param, quiet) as cluster:
        with _connected(cluster.url()) as connection, connection.cursor() as cursor:
            cursor.execute(TABLES)
        yield cluster.url()


@contextlib.contextmanager
def _connected(url: str) -> Iterator[Any]:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        yield connection
    finally:
        connection.close()


def _connect(url: str) -> Any:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    return connection


@contextlib.contextmanager
def _recording(url: str) -> Iterator[Recorder]:
    recorder = Recorder(lambda: _connect(url))
    try:
        with installed(recorder):
            recorder.begin(__file__, "the_revision.py")
            yield recorder
            recorder.end()
    finally:
        recorder.close()


def _record(url: str, *statements: str, autocommit: bool = False) -> tuple[StatementRecord, ...]:
    """Run the statements on a raw cursor, take the records, and undo what can be undone."""
    with _recording(url) as recorder:
        # Closing it undoes what can be undone, also when a statement failed.
        with contextlib.closing(psycopg2.connect(url)) as connection:
            connection.autocommit = autocommit
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
            return recorder.end()


@pytest.mark.parametrize("statement", DANGEROUS)
def test_work_that_grows_under_a_lock_that_blocks_is_dangerous(url: str, statement: str) -> None:
    """A scan or a rewrite of a large table under a mode that blocks reads or writes is dangerous."""
    (record,) = _record(url, statement)
    assert record.dangerous, record
    assert record.findings


@pytest.mark.parametrize("statement", HARMLESS)
def test_work_that_does_not_grow_or_does_not_block_is_not_dangerous(url: str, statement: str) -> None:
    """Neither a lock without work, nor work without a blocking lock, nor a small table is dangerous."""
    (record,) = _record(url, statement)
    assert not record.dangerous, record


def test_a_scan_is_dangerous_while_an_earlier_lock_is_still_held(url: str) -> None:
    """The second statement takes no blocking lock itself; the first one's is held until the transaction ends."""
    first, second = _record(url, "ALTER TABLE s.parent ADD COLUMN c int", "SELECT sum(a) FROM s.t")
    assert not first.dangerous
    assert second.held == (Lock("s.parent", LockMode.ACCESS_EXCLUSIVE),)
    assert second.scans == ("s.t",)
    assert second.dangerous


def test_no_transaction_answers_for_what_the_last_one_read(url: str) -> None:
    """A session hands its counters in once a second or so; a look-up right after a scan is no scan."""
    with _recording(url) as recorder:
        with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            for statement in ("SELECT sum(a) FROM s.t", "UPDATE s.t SET b = 'y' WHERE id = 1"):
                cursor.execute(statement)
                connection.commit()
            records = recorder.end()
    assert [record.scans for record in records] == [("s.t",), ()]


def test_set_transaction_is_still_the_first_statement(url: str) -> None:
    """The recorder asks nothing before it, and what was read before is not put down to it."""
    first, second = _record(url, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SELECT sum(a) FROM s.t")
    assert (first.scans, second.scans) == ((), ("s.t",))


def test_a_table_made_in_the_same_transaction_is_nobodys_to_wait_for(url: str) -> None:
    """Creating, filling and indexing a new table reports no lock, because no one else can see the table."""
    records = _record(
        url,
        "CREATE TABLE s.new (id int)",
        "INSERT INTO s.new SELECT generate_series(1, 5000)",
        "CREATE INDEX ON s.new (id)",
    )
    assert [(record.locks, record.blocks) for record in records] == [((), "nothing")] * 3


def test_a_statement_outside_a_transaction_is_seen_while_it_waits(url: str) -> None:
    """Each CONCURRENTLY statement shows SHARE UPDATE EXCLUSIVE, its scan, and blocks DDL only."""
    statements = (
        "CREATE INDEX CONCURRENTLY later ON s.t (b)",
        "REINDEX INDEX CONCURRENTLY s.later",
        "DROP INDEX CONCURRENTLY s.later",
    )
    records = _record(url, *statements, autocommit=True)
    assert [record.locks for record in records] == [(Lock("s.t", LockMode.SHARE_UPDATE_EXCLUSIVE),)] * 3
    assert [record.scans for record in records] == [("s.t",), ("s.t",), ()]
    assert [record.rewrites for record in records] == [(), ("index s.later",), ()]
    assert not any(record.dangerous or record.transactional for record in records)


@pytest.mark.parametrize("statement", REACHING)
def test_what_the_text_does_not_name_is_seen_outside_a_transaction(url: str, statement: str) -> None:
    """A whole schema, every table, a procedure's body, names that a block spells together."""
    with _connected(url) as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE PROCEDURE s.work() LANGUAGE plpgsql AS 'BEGIN REINDEX TABLE s.t; COMMIT; END'"
        )
        cursor.execute("CREATE OR REPLACE FUNCTION s.f() RETURNS void LANGUAGE sql AS 'REINDEX TABLE s.t'")
    (record,) = _record(url, statement, autocommit=True)
    assert (record.dangerous, "s.t" in record.scans or "s.t" in record.rewrites) == (True, True)


def test_a_backfill_that_commits_per_batch_shows_its_write_lock(url: str) -> None:
    """A DO block with its own COMMITs is held up too: ROW EXCLUSIVE, which blocks DDL only."""
    block = "DO $$ BEGIN FOR i IN 0..3 LOOP UPDATE s.t SET a = a WHERE id % 4 = i; COMMIT; END LOOP; END $$"
    (record,) = _record(url, block, autocommit=True)
    assert record.locks == (Lock("s.t", LockMode.ROW_EXCLUSIVE),)
    assert record.blocks == "DDL only"
    assert record.scans == ("s.t",)


def test_equal_statements_in_a_row_become_one_record(url: str) -> None:
    """A loop of updates is one record that counts them, and single look-ups add up to no scan."""
    (record,) = _record(url, *["UPDATE s.t SET a = 1 WHERE id = 7"] * 1500)
    assert (record.times, record.rows, record.scans) == (1500, 1500, ())
    assert record.locks == (Lock("s.t", LockMode.ROW_EXCLUSIVE),)


def test_statements_that_a_loop_sends_in_turns_become_one_record_each(url: str) -> None:
    """A look-up and an update for each of many rows are two lines, in the order of the first round."""
    looked, updated = "SELECT a FROM s.t WHERE id = 7", "UPDATE s.t SET a = 1 WHERE id = 7"
    records = _record(url, "LOCK s.t IN EXCLUSIVE MODE", *[looked, updated] * 300, "SELECT count(*) FROM s.t")
    assert [(one.times, one.scans, one.dangerous) for one in records] == [
        (1, (), False), (300, (), False), (300, (), False), (1, ("s.t",), True),
    ]  # fmt: skip
    assert [one.sql for one in records[1:3]] == [looked, updated]


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_a_percent_sign_is_shown_as_the_server_gets_it(url: str, driver: str) -> None:
    """SQLAlchemy doubles it for these drivers; what a raw cursor sends without values is as it stands."""
    engine = sa.create_engine(url.replace("postgresql:", f"postgresql+{driver}:"))
    with _recording(url) as recorder, engine.connect() as connection:
        recorder.begin(__file__, "the_revision.py")
        connection.execute(sa.text("UPDATE s.small SET id = id WHERE 'a%' = 'b'"))
        connection.connection.cursor().execute("UPDATE s.small SET id = id WHERE 'a%%' = 'b'")
        shown = [one.sql.partition("WHERE ")[2] for one in recorder.end()]
    engine.dispose()
    assert shown == ["'a%' = 'b'", "'a%%' = 'b'"]


def test_a_select_that_hands_rows_to_python_is_remembered(url: str) -> None:
    """Only reading a table's rows makes a revision depend on rows; asking the catalogue does not."""
    with _recording(url) as recorder, _connected(url) as connection:
        connection.autocommit = False
        cursor = connection.cursor()
        cursor.execute("SELECT count(*) FROM pg_class")
        seen = [recorder.depends_on_rows]
        cursor.execute("SELECT id FROM s.t WHERE id = 1")
        seen.append(recorder.depends_on_rows)
        connection.rollback()
    assert seen == [False, True]


def test_raw_sql_operations_core_and_copy_are_all_seen_with_their_lines(url: str) -> None:
    """Four ways to send a statement, each recorded once with the line that sent it; values stay out."""
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg2:"))
    with _recording(url) as recorder, engine.connect() as connection:
        recorder.begin(__file__, "the_revision.py")  # past what SQLAlchemy asks at its first connection
        op = Operations(MigrationContext.configure(connection))
        first = inspect.currentframe().f_lineno + 1  # type: ignore[union-attr]
        op.execute("UPDATE s.small SET id = id")
        op.add_column("small", sa.Column("note", sa.String()), schema="s")
        connection.execute(sa.update(sa.table("small", sa.column("note"), schema="s")).values(note="secret"))
        raw = connection.connection.cursor()
        raw.copy_expert("COPY s.small (id) FROM STDIN", io.StringIO("901\n902\n"))
        connection.connection.cursor(cursor_factory=psycopg2.extras.DictCursor).execute(
            "LOCK s.t IN SHARE MODE"
        )
        records = recorder.end()
        connection.rollback()
    engine.dispose()
    assert [(record.line - first, record.rows) for record in records] == [
        (0, 10),
        (1, 0),
        (2, 10),
        (4, 2),
        (5, 0),
    ]
    assert {record.file for record in records} == {"the_revision.py"}
    assert not [record for record in records if "secret" in record.sql]


def test_psycopg_is_seen_with_its_copy(url: str) -> None:
    """Under psycopg the Engine's statements and a raw COPY are recorded once each."""
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection, _recording(url) as recorder:
        tap(connection.connection.dbapi_connection, recorder)  # it was checked out before
        connection.execute(sa.text("ALTER TABLE s.small ADD COLUMN p int"))
        with connection.connection.cursor().copy("COPY s.small (id) FROM STDIN") as copy:
            copy.write_row((903,))
        records = recorder.end()
        connection.rollback()
    engine.dispose()
    assert [(record.rows, record.locks, record.held) for record in records] == [
        (0, (Lock("s.small", LockMode.ACCESS_EXCLUSIVE),), ()),
        (1, (), (Lock("s.small", LockMode.ACCESS_EXCLUSIVE),)),
    ]


def test_a_psycopg_connection_opened_by_the_revision_itself_is_seen(url: str) -> None:
    """Its statements, with a cursor class of its own choice, from a server's cursor, and outside a transaction."""
    import psycopg

    opened_before = psycopg.connect(url)
    with _recording(url) as recorder:
        opened_before.execute("LOCK s.t IN SHARE MODE")
        opened_before.close()
        with psycopg.connect(url, cursor_factory=psycopg.ClientCursor) as connection:
            connection.execute("ALTER TABLE s.small ADD COLUMN own int")
            with connection.cursor(name="many") as many:
                assert many.execute("SELECT id FROM s.parent").fetchone()
            connection.rollback()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE INDEX CONCURRENTLY by_psycopg ON s.t (b)")
            connection.execute("DROP INDEX CONCURRENTLY s.by_psycopg")
        lock, add, read, build, drop = recorder.end()
        assert recorder.depends_on_rows
    assert lock.locks == (Lock("s.t", LockMode.SHARE),)
    assert add.locks == (Lock("s.small", LockMode.ACCESS_EXCLUSIVE),)
    assert read.sql == "SELECT id FROM s.parent"
    assert build.locks == drop.locks == (Lock("s.t", LockMode.SHARE_UPDATE_EXCLUSIVE),)
    assert (add.transactional, build.transactional, build.scans) == (True, False, ("s.t",))


def test_asyncpg_is_seen_with_its_copy_and_outside_a_transaction(url: str) -> None:
    """Under asyncpg: the Engine's statements, a raw COPY, and an index built concurrently."""

    def revision(connection: sa.Connection) -> None:
        connection.execute(sa.text("ALTER TABLE s.small ADD COLUMN q int"))
        raw: Any = connection.connection
        raw.run_async(
            lambda driver: driver.copy_records_to_table(
                "small", schema_name="s", columns=["id"], records=[(904,)]
            )
        )

    async def main(recorder: Recorder) -> tuple[StatementRecord, ...]:
        engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
        async with engine.connect() as connection:
            await connection.run_sync(revision)
            await connection.rollback()
        async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            await connection.execute(sa.text("CREATE INDEX CONCURRENTLY by_asyncpg ON s.t (b)"))
            await connection.execute(sa.text("DROP INDEX CONCURRENTLY s.by_asyncpg"))
        await engine.dispose()
        return recorder.end()

    import asyncpg  # noqa: F401  its methods are tapped where it is loaded

    with _recording(url) as recorder:
        add, copy, build, drop = asyncio.run(main(recorder))
    assert add.locks == (Lock("s.small", LockMode.ACCESS_EXCLUSIVE),)
    assert (copy.sql, copy.held) == ("COPY s.small", add.locks)
    assert build.locks == drop.locks == (Lock("s.t", LockMode.SHARE_UPDATE_EXCLUSIVE),)
    assert build.scans == ("s.t",)


def test_a_failed_statement_leaves_no_record_and_no_hold(url: str) -> None:
    """After an error outside a transaction, nobody holds the table."""
    with _recording(url) as recorder, _connected(url) as connection:
        with pytest.raises(psycopg2.errors.UniqueViolation):
            connection.cursor().execute("INSERT INTO s.t (id) VALUES (1)")
        assert recorder.end() == ()
        with _connected(url) as other:
            other.cursor().execute("BEGIN; LOCK TABLE s.t NOWAIT; ROLLBACK")


def test_a_short_statement_is_seen_because_it_is_held_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking ten times a second, one would miss a statement of a millisecond; held up, it cannot be missed."""
    monkeypatch.setattr(outside_transaction, "_POLL_SECONDS", 0.1)
    (record,) = _record(url, "UPDATE s.t SET a = a WHERE id = 1", autocommit=True)
    assert record.locks == (Lock("s.t", LockMode.ROW_EXCLUSIVE),)


def test_nobody_tries_for_a_table_that_the_statement_waits_for(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind ACCESS EXCLUSIVE that is asked for nobody gets a lock: the first hold, relaxed to its end, is the only one."""
    holds: list[object] = []
    hold = outside_transaction._Holder.hold

    def counted(holder: outside_transaction._Holder, *given: Any) -> None:
        holds.append(holder)
        hold(holder, *given)

    monkeypatch.setattr(outside_transaction._Holder, "hold", counted)
    (record,) = _record(url, "ALTER TABLE s.t DROP COLUMN IF EXISTS none", autocommit=True)
    assert record.locks == (Lock("s.t", LockMode.ACCESS_EXCLUSIVE),)
    assert len(holds) == 1
