"""Half-applied revisions and INVALID indexes: found before and after, repaired on request."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import psycopg2
import pytest

from airlock.operations.upgrade.transaction_end import ends_transaction
from tests.airlock import forked
from tests.airlock.histories import Revision, write_project
from tests.airlock.running import rows
from tests.airlock.upgrade.test_limits import WORKER, holding, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Database, Server

TABLE = Revision("m1", 'op.execute("CREATE TABLE t AS SELECT 1 AS v FROM generate_series(1, 3)")')
OUTSIDE = "with op.get_context().autocommit_block():\n    "
TRAP = Revision(
    "m2", f'{OUTSIDE}op.execute("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS ix_t_v ON t (v)")'
)
INVALID = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"


def mark(database: Database) -> str | None:
    ((found,),) = rows(database.url, "SELECT obj_description('alembic_version'::regclass)")
    return None if found is None else str(found)


def test_an_index_left_invalid_is_found_and_repaired(tmp_path: Path, empty_database: Database) -> None:
    """Bare Alembic stamps the revision on the second run with the index still INVALID; here 41 until it is repaired."""
    ini = write_project(tmp_path, [TABLE, TRAP])
    failed = forked.airlock(ini, "upgrade", url=empty_database.url)
    assert failed.code == 41 and "m2 is half applied and must be looked at" in failed.error, failed.err
    assert rows(empty_database.url, INVALID) == [(1,)]
    again = forked.airlock(ini, "upgrade", url=empty_database.url)
    assert again.code == 41 and "airlock upgrade --repair" in again.error
    rows(empty_database.url, "DELETE FROM t WHERE ctid <> '(0,1)'")
    repaired = forked.airlock(ini, "upgrade", "--repair", "--json", url=empty_database.url)
    assert repaired.code == 0, repaired.err
    did = [event["what"] for event in repaired.events if event["event"] == "repair"]
    assert did == ["cleared the mark of m2", "DROP INDEX CONCURRENTLY public.ix_t_v"]
    assert (rows(empty_database.url, INVALID), mark(empty_database)) == ([(0,)], None)


def test_an_invalid_index_of_bare_alembics_stops_the_next_upgrade(
    tmp_path: Path, empty_database: Database
) -> None:
    """No mark tells of it; the catalogue does."""
    ini = write_project(tmp_path, [TABLE])
    forked.airlock(ini, "upgrade", url=empty_database.url)
    with pytest.raises(psycopg2.errors.UniqueViolation):
        rows(empty_database.url, "CREATE UNIQUE INDEX CONCURRENTLY ix_t_v ON t (v)")
    ini = write_project(tmp_path, [TABLE, Revision("m2", "pass")])
    ran = forked.airlock(ini, "upgrade", url=empty_database.url)
    assert ran.code == 41
    assert ran.error == (
        "airlock: INVALID index: public.ix_t_v. Nothing changed; still at m1. "
        "Try: airlock upgrade --repair, or DROP INDEX CONCURRENTLY public.ix_t_v"
    )


def test_an_index_that_a_killed_runners_server_built_to_the_end_is_named(
    tmp_path: Path, empty_database: Database
) -> None:
    """The server builds on when the client is gone: a valid index without a version row, which --repair alone cannot tell."""
    built = 'op.create_index("ix v", "t", ["v"], schema="public", postgresql_concurrently=True)'
    ini = write_project(
        tmp_path, [TABLE, Revision("m2", f'{OUTSIDE}{built}\n    op.execute("SELECT broken")')]
    )
    assert forked.airlock(ini, "upgrade", url=empty_database.url).code == 41
    ini = write_project(tmp_path, [TABLE, Revision("m2", OUTSIDE + built)])
    again = forked.airlock(ini, "upgrade", "--repair", url=empty_database.url)
    assert again.code == 41
    assert (
        'Try: DROP INDEX CONCURRENTLY public."ix v", if a run that was cut has built it; then airlock upgrade --repair'
        in again.error
    )
    rows(empty_database.url, 'DROP INDEX CONCURRENTLY public."ix v"')
    assert forked.airlock(ini, "upgrade", "--repair", url=empty_database.url).code == 0


def test_an_index_on_a_partitioned_table_is_invalid_by_design(
    tmp_path: Path, empty_database: Database
) -> None:
    """ON ONLY leaves it so until every partition has its own: nothing to repair."""
    partitioned = Revision(
        "m1",
        'op.execute("CREATE TABLE p (id int) PARTITION BY RANGE (id)")\n'
        'op.execute("CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9)")\n'
        'op.execute("CREATE INDEX ix_p ON ONLY p (id)")',
    )
    ini = write_project(tmp_path, [partitioned, Revision("m2", "pass")])
    assert forked.airlock(ini, "upgrade", url=empty_database.url).code == 0


@pytest.mark.proof
def test_the_version_tables_own_comment_survives(tmp_path: Path, empty_database: Database) -> None:
    """The mark carries it along, quotes, backslashes and all, and puts it back."""
    comment = 'ours: it\'s 100% \\ "quoted"\nand long'
    ini = write_project(tmp_path, [TABLE])
    forked.airlock(ini, "upgrade", url=empty_database.url)
    with (
        contextlib.closing(psycopg2.connect(empty_database.url)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("COMMENT ON TABLE alembic_version IS %s", (comment,))
        connection.commit()
    failing = Revision("m2", f'{OUTSIDE}op.execute("SELECT broken")')
    assert (
        forked.airlock(write_project(tmp_path, [TABLE, failing]), "upgrade", url=empty_database.url).code
        == 41
    )
    assert (mark(empty_database) or "").startswith("airlock: half applied ")
    mended = Revision("m2", f'{OUTSIDE}op.execute("SELECT 1")')
    ini = write_project(tmp_path, [TABLE, mended])
    assert forked.airlock(ini, "upgrade", "--repair", url=empty_database.url).code == 0
    assert mark(empty_database) == comment


@pytest.mark.parametrize(
    "body",
    [
        'op.execute("CREATE TABLE first ()")\nop.execute("COMMIT")\nop.execute("SELECT broken")',
        'op.execute("CREATE TABLE first ()")\nop.get_bind().commit()\nop.execute("SELECT broken")',
        'op.execute("CREATE TABLE first (); -- as psql would\\nCOMMIT; SELECT broken")',
    ],
    ids=["COMMIT as text", "the connection's commit", "COMMIT between statements"],
)
def test_a_revision_that_commits_by_other_means_is_marked_too(
    body: str, tmp_path: Path, empty_database: Database
) -> None:
    """Whatever ends the transaction inside a revision, the mark is in it."""
    ini = write_project(tmp_path, [TABLE, Revision("m2", body)])
    ran = forked.airlock(ini, "upgrade", url=empty_database.url)
    assert ran.code == 41, ran.err
    assert rows(empty_database.url, "SELECT to_regclass('first') IS NOT NULL") == [(True,)]
    assert '"m2"' in (mark(empty_database) or "")


@pytest.mark.parametrize(
    ("sql", "ends"),
    [
        ("COMMIT", True),
        ("/* now */ commit;", True),
        ("ALTER TABLE t ADD x int; END; SELECT 1", True),
        ("SELECT 1; -- one\nROLLBACK", True),
        ("SELECT $a$; $b$ $a$; ABORT", True),
        ("PREPARE TRANSACTION 'x'", True),
        (r"SELECT E'it\'s'; COMMIT; SELECT ''", True),
        ("ROLLBACK TO SAVEPOINT s", False),
        ("SELECT 1; ROLLBACK WORK TO s", False),
        ("COMMIT PREPARED 'x'", False),
        ("PREPARE q AS SELECT 1", False),
        ("DO $$ BEGIN PERFORM 1; END; $$", False),
        (
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END",
            False,
        ),
        ("INSERT INTO t VALUES ('x; COMMIT')", False),
        ('CREATE TABLE t ("; COMMIT" int)', False),
        ("SELECT CASE WHEN true THEN 1 END", False),
    ],
)
def test_the_end_of_a_transaction_is_read_from_the_text(sql: str, ends: bool) -> None:
    """Between statements as well, and not in what is merely quoted."""
    assert ends_transaction(sql) is ends


@pytest.mark.proof
def test_an_index_build_waits_for_others_without_making_them_wait(
    tmp_path: Path, empty_database: Database
) -> None:
    """CONCURRENTLY has no lock_timeout: it waits past the budget for an old transaction, and lands when that ends."""
    ini = write_project(tmp_path, [TABLE])
    forked.airlock(ini, "upgrade", url=empty_database.url)
    index = Revision("m2", f'{OUTSIDE}op.execute("CREATE INDEX CONCURRENTLY ix_t_v ON t (v)")')
    ini = write_project(tmp_path, [TABLE, index])
    with holding(empty_database.url, "INSERT INTO t VALUES (2)"):
        running = forked.start(ini, "upgrade", "--lock-timeout", "200ms", url=empty_database.url)
        wait_for(empty_database.url, f"SELECT 1 {WORKER} AND wait_event_type = 'Lock'")
        wait_for(
            empty_database.url, f"SELECT 1 {WORKER} AND clock_timestamp() - query_start > interval '1 s'"
        )
    ran = running.finish()
    assert ran.code == 0, ran.err
    assert rows(empty_database.url, INVALID) == [(0,)]


@pytest.mark.proof
def test_a_statement_outside_a_transaction_that_holds_up_readers_is_cancelled(
    tmp_path: Path, empty_database: Database
) -> None:
    """ALTER TABLE in an autocommit block queues readers behind it: the observer ends it at the budget, retries, lands."""
    ini = write_project(tmp_path, [TABLE])
    forked.airlock(ini, "upgrade", url=empty_database.url)
    alter = Revision(
        "m2", f'{OUTSIDE}op.execute("ALTER TABLE t ADD COLUMN IF NOT EXISTS w int")', extra="resumable = True"
    )
    ini = write_project(tmp_path, [TABLE, alter])
    with holding(empty_database.url, "SELECT * FROM t"):
        running = forked.start(ini, "upgrade", "--lock-timeout", "300ms", "--json", url=empty_database.url)
        wait_for(empty_database.url, f"SELECT 1 {WORKER} AND wait_event_type = 'Lock'")
        with contextlib.closing(psycopg2.connect(empty_database.url)) as reader, reader.cursor() as cursor:
            cursor.execute("SET statement_timeout = '5s'")
            cursor.execute("SELECT count(*) FROM t")
    ran = running.finish()
    assert ran.code == 0, ran.err
    assert "retry" in {event["event"] for event in ran.events}


@pytest.mark.proof
def test_an_orphan_that_may_not_be_ended_is_named(
    tmp_path: Path, server: Server, empty_database: Database
) -> None:
    """Without the right to end it: exit 20, who it is, what an administrator types."""
    role = f"plain_{os.getpid()}"
    server.run(f"CREATE ROLE {role} LOGIN")
    try:
        rows(empty_database.url, f"GRANT ALL ON SCHEMA public TO {role}")
        with holding(empty_database.url, "SELECT 1", name="airlock-worker:0dead0ff"):
            ran = forked.airlock(
                write_project(tmp_path, [TABLE]), "upgrade", url=server.url(empty_database.name, role)
            )
        assert ran.code == 20, ran.err
        assert "user postgres" in ran.error and "Try: SELECT pg_terminate_backend(" in ran.error
    finally:
        rows(empty_database.url, f"DROP OWNED BY {role}")
        server.run(f"DROP ROLE {role}")
