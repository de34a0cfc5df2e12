"""Servers that are short of something, that move, or that others read from: proxies, standbys, subscribers."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from tests.airlock import forked
from tests.airlock.histories import Revision, write_project
from tests.airlock.pooler import pgbouncer
from tests.airlock.running import rows
from tests.airlock.topologies.standing import HAPROXY, cluster, haproxy, standby_of, until
from tests.airlock.topologies.test_waits import ALTER, TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airlock.scratch import embedded


pytestmark = pytest.mark.proof

SLOW = Revision("w2", 'op.execute("ALTER TABLE t ADD COLUMN w integer"); op.execute("SELECT pg_sleep(4)")')


def version(url: str) -> list[str]:
    return [row[0] for row in rows(url, "SELECT version_num FROM alembic_version")]


def test_no_connection_left(tmp_path: Path) -> None:
    """Exit 10, which is worth another try, before anything is changed; with room again the same run goes through."""
    with cluster(max_connections="6", superuser_reserved_connections="1") as server:
        rows(
            server.url(),
            "CREATE ROLE app LOGIN; ALTER DATABASE postgres OWNER TO app; GRANT ALL ON SCHEMA public TO app",
        )
        url = server.url().replace("postgres@", "app@")
        ini = write_project(tmp_path, [TABLE, ALTER])
        for taken in (3, 5):
            with contextlib.ExitStack() as stack:
                for _ in range(taken):
                    stack.enter_context(contextlib.closing(psycopg2.connect(url)))
                ran = forked.airlock(ini, "upgrade", "--wait", "3s", url=url)
                assert ran.code == 10, ran.err
                assert "no connection left" in ran.error
        assert forked.airlock(ini, "upgrade", url=url).code == 0


def test_more_tables_than_the_lock_table_holds(tmp_path: Path) -> None:
    """Exit 40, undone, and what to raise; the lease's lock and status are not hurt."""
    many = Revision("w1", 'for n in range(5000):\n    op.execute(f"CREATE TABLE many{n} (id int)")')
    with cluster(max_locks_per_transaction="10", max_connections="10") as server:
        ini = write_project(tmp_path, [many])
        ran = forked.airlock(ini, "upgrade", url=server.url())
        assert ran.code == 40, ran.err
        assert "out of shared memory (53200)" in ran.error
        assert "max_locks_per_transaction" in ran.error
        assert "still at base" in ran.error
        assert rows(server.url(), "SELECT count(*) FROM pg_class WHERE relname LIKE 'many%'") == [(0,)]


@pytest.mark.skipif(HAPROXY is None, reason="needs haproxy")
def test_a_proxy_that_cuts_idle_connections(tmp_path: Path) -> None:
    """A statement longer than its idle timeout: exit 50 in time, nothing half applied, and a direct run goes on."""
    with cluster() as server:
        direct = server.url()
        ini = write_project(tmp_path, [TABLE, SLOW])
        with haproxy(f"{server.socket_directory}/.s.PGSQL.5432", "2s") as port:
            ran = forked.airlock(
                ini, "upgrade", url=f"postgresql://postgres@127.0.0.1:{port}/postgres", timeout=60
            )
        assert ran.code == 50, ran.err
        # Either the server had noticed and undone it, or the statement was at its end: never a half.
        time.sleep(5)
        columns = rows(
            direct, "SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'w'"
        )
        assert (version(direct), columns) in ((["w1"], [(0,)]), (["w2"], [(1,)]))
        assert forked.airlock(ini, "upgrade", url=direct).code == 0
        assert version(direct) == ["w2"]


def test_a_failover_in_the_middle(tmp_path: Path) -> None:
    """The primary is killed during a revision and the standby promoted: exit 50, and the same run on the new primary ends it."""
    with cluster(wal_level="replica", max_wal_senders="4") as primary:
        ini = write_project(tmp_path, [TABLE, SLOW])
        assert forked.airlock(ini, "upgrade", "w1", url=primary.url()).code == 0
        with standby_of(primary) as standby:
            until(lambda: rows(standby.url(), "SELECT 1 FROM alembic_version"), "caught up")
            refused = forked.airlock(ini, "upgrade", url=standby.url())
            assert refused.code == 12 and "standby" in refused.error, refused.err
            pid = int((primary.data / "postmaster.pid").read_text().splitlines()[0])
            killer = threading.Timer(2.5, os.kill, (pid, signal.SIGQUIT))
            killer.start()
            ran = forked.airlock(ini, "upgrade", url=primary.url(), timeout=60)
            killer.join()
            assert ran.code == 50, ran.err
            rows(standby.url(), "SELECT pg_promote()")
            until(lambda: rows(standby.url(), "SELECT 1 WHERE NOT pg_is_in_recovery()"), "caught up")
            assert version(standby.url()) == ["w1"]
            ran = forked.airlock(ini, "upgrade", url=standby.url(), timeout=60)
            assert ran.code == 0, ran.err
            assert version(standby.url()) == ["w2"]


@pytest.fixture(scope="module")
def followed() -> Iterator[tuple[embedded.Cluster, embedded.Cluster]]:
    """Serve a primary and a standby whose settings the tests change."""
    with cluster(wal_level="replica") as primary, standby_of(primary) as standby:
        until(lambda: rows(standby.url(), "SELECT 1"), "the standby")
        yield primary, standby


@pytest.mark.parametrize(
    ("delay", "step", "feedback"),
    [
        ("500ms", "op.execute('ALTER TABLE t ADD COLUMN w integer')", "on"),
        ("500ms", "op.execute('DROP INDEX ix')", "off"),
        ("-1", "op.execute('ALTER TABLE t ADD COLUMN w integer')", "off"),
        ("-1", "op.execute('DROP INDEX ix')", "on"),
    ],
)
def test_a_query_on_a_standby_meets_a_replayed_lock(
    delay: str, step: str, feedback: str, followed: tuple[embedded.Cluster, embedded.Cluster], tmp_path: Path
) -> None:
    """It is ended after the delay; with -1 it goes on, and all else there reads what was before. Feedback changes nothing."""
    primary, standby = followed
    url, there = primary.url(), standby.url()
    for name, value in (("max_standby_streaming_delay", delay), ("hot_standby_feedback", feedback)):
        rows(there, f"ALTER SYSTEM SET {name} = '{value}'")
    rows(there, "SELECT pg_reload_conf()")
    first = Revision("w1", TABLE.up + "; op.execute('CREATE INDEX ix ON t (id)')")
    ini = write_project(tmp_path, [first, Revision("w2", step)])
    assert forked.airlock(ini, "upgrade", "w1", url=url).code == 0
    seen = "SELECT 1 FROM alembic_version WHERE version_num = '{}'"
    until(lambda: rows(there, seen.format("w1")), "replayed")
    with contextlib.closing(psycopg2.connect(there)) as reader, reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM t")
        ran = forked.airlock(ini, "upgrade", url=url)
        # Nobody on the primary is blocked, nor can see who is on the standby.
        assert (ran.code, ran.out.endswith("nobody was blocked.\n")) == (0, True), (ran.out, ran.err)
        if delay == "-1":
            waiting = (
                "SELECT 1 FROM pg_stat_activity WHERE backend_type = 'startup' AND wait_event_type = 'Lock'"
            )
            until(lambda: rows(there, waiting), "replay waits for the reader")
            assert rows(there, seen.format("w1"))
            cursor.execute("SELECT count(*) FROM t")
            reader.rollback()
        else:
            until(lambda: rows(there, seen.format("w2")), "replay went on")
            with pytest.raises(
                psycopg2.OperationalError, match=r"conflict with recovery|closed the connection"
            ):
                cursor.execute("SELECT count(*) FROM t")
    until(lambda: rows(there, seen.format("w2")), "replayed")
    rows(url, "DROP TABLE t, alembic_version")
    until(lambda: rows(there, "SELECT 1 WHERE to_regclass('t') IS NULL"), "replayed")


def test_two_poolers_before_one_server(tmp_path: Path) -> None:
    """Runs that come through different poolers take one lease: one goes first, the other finds nothing to do."""
    with cluster() as server, pgbouncer(server.url()) as one, pgbouncer(server.url()) as other:
        ini = write_project(tmp_path, [TABLE, SLOW])
        runs = [forked.start(ini, "upgrade", url=url) for url in (one, other)]
        ended = [run.finish(60) for run in runs]
        assert [ran.code for ran in ended] == [0, 0], [ran.err for ran in ended]
        assert sorted("2 revisions" in ran.out for ran in ended) == [False, True]
        assert version(server.url()) == ["w2"]


def test_tables_of_logical_replication_are_named(tmp_path: Path) -> None:
    """Status says which are published, and a subscriber that lacks a new column stops: it must have it first."""
    with cluster(wal_level="logical") as server:
        url = server.url()
        ini = write_project(tmp_path, [TABLE, ALTER])
        assert forked.airlock(ini, "upgrade", "w1", url=url).code == 0
        rows(url, "ALTER TABLE t ADD PRIMARY KEY (id); CREATE PUBLICATION news FOR TABLE t")
        rows(url, "CREATE TABLE few (id int PRIMARY KEY, sent int, kept int)")
        rows(url, "CREATE PUBLICATION a_few FOR TABLE few (id, sent) WHERE (id > 5)")
        moved = "CREATE TABLE moved (id int PRIMARY KEY, k int NOT NULL, n int)"
        rows(url, f"{moved}; CREATE PUBLICATION keyed FOR TABLE moved; INSERT INTO moved VALUES (1, 10, 0)")
        rows(url, "CREATE DATABASE subscriber")
        there = server.url("subscriber")
        rows(
            there,
            f"CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE few (id int PRIMARY KEY, sent int); {moved}",
        )
        rows(url, "SELECT pg_create_logical_replication_slot('feed', 'pgoutput')")
        host = make_url(url).query["host"]
        rows(
            there,
            f"CREATE SUBSCRIPTION feed CONNECTION 'host={host} user=postgres dbname=postgres' PUBLICATION news, a_few, keyed "
            "WITH (create_slot = false, slot_name = feed)",
        )
        said = forked.airlock(ini, "status", url=url).out
        assert "published  3 tables: a subscriber must have a new column first" in said
        assert "public.t (news)" in said
        ran = forked.airlock(ini, "upgrade", url=url)
        assert ran.code == 0, ran.err
        assert (
            "w2: public.t: adds w: a subscriber of news must have the column first, or its apply stops."
            in ran.err
        )
        rows(url, "INSERT INTO t (id, w) VALUES (1000, 1)")
        time.sleep(2)
        assert rows(there, "SELECT count(*) FROM t WHERE id = 1000") == [(0,)]
        rows(there, "ALTER TABLE t ADD COLUMN w integer")
        until(lambda: rows(there, "SELECT w FROM t WHERE id = 1000") == [(1,)], "the worker goes on")
        rows(url, "CREATE SCHEMA shop; CREATE PUBLICATION shop FOR TABLES IN SCHEMA shop")
        steps = [
            Revision(
                "w3",
                'op.execute("ALTER TABLE t DROP COLUMN w")\nop.execute("ALTER TABLE few ADD COLUMN more int")',
            ),
            Revision("w4", 'op.execute("CREATE TABLE shop.u (id int)")'),
            Revision(
                "w5",
                'op.execute("ALTER TABLE moved DROP CONSTRAINT moved_pkey")\nop.execute("ALTER TABLE moved ADD PRIMARY KEY (k)")',
            ),
            Revision("w6", 'op.execute("ALTER TABLE t DROP CONSTRAINT t_pkey")'),
        ]
        ini = write_project(tmp_path, [TABLE, ALTER, *steps])
        ran = forked.airlock(ini, "upgrade", url=url)
        assert ran.code == 0, ran.err
        assert "w3: public.t: drops w: a subscriber of news must lose the column last" in ran.err
        assert "w4: shop.u: shop publishes it from now on: a subscriber needs the table" in ran.err
        mute = "has no replica identity, and {} publishes its changes: every UPDATE and DELETE on it fails"
        assert (
            f"w4: shop.u: {mute.format('shop')}" in ran.err
            and f"w6: public.t: {mute.format('news')}" in ran.err
        )
        swapped = "tells its rows by k, no longer by id: a subscriber of keyed whose key is id stops at the first UPDATE"
        assert f"w5: public.moved: {swapped}" in ran.err
        assert "public.t (news): NO REPLICA IDENTITY" in forked.airlock(ini, "status", url=url).out
        with pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState):
            rows(url, "UPDATE t SET id = id")
        # Beside a column list a new column is nobody's, and a row that the filter leaves out stays here.
        assert "public.few" not in ran.err
        rows(url, "INSERT INTO few VALUES (5, 1, 1, 1), (6, 1, 1, 1)")
        until(lambda: rows(there, "SELECT id, sent FROM few") == [(6, 1)], "what list and filter let through")
        # The column that went on the publisher first is NULL on a subscriber that still has it.
        rows(url, "INSERT INTO t VALUES (1001)")
        until(
            lambda: rows(there, "SELECT w FROM t WHERE id = 1001") == [(None,)], "the row without the column"
        )
        # Another key stops the apply as it was said, and the same key over there lets it go on.
        rows(url, "UPDATE moved SET n = 1")
        failed = "SELECT apply_error_count > 0 FROM pg_stat_subscription_stats"
        rows(there, "SELECT pg_stat_reset_subscription_stats(NULL)")
        until(lambda: rows(there, failed) == [(True,)], "the apply fails")
        assert rows(there, "SELECT n FROM moved") == [(0,)]
        rows(there, "ALTER TABLE moved DROP CONSTRAINT moved_pkey, ADD PRIMARY KEY (k)")
        until(lambda: rows(there, "SELECT n FROM moved") == [(1,)], "the apply goes on")
        rows(there, "ALTER SUBSCRIPTION feed DISABLE")
        rows(there, "ALTER SUBSCRIPTION feed SET (slot_name = NONE)")
        rows(there, "DROP SUBSCRIPTION feed")
