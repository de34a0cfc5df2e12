"""The lease: one holder at a time, directly and behind a pooler; proved to others; noticed when lost."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import psycopg2
import pytest

from airlock.database import lease as leases
from airlock.database.target import parse
from airlock.records.errors import ConnectionLost, LeaseHeld
from tests.airlock.pooler import pgbouncer
from tests.airlock.running import rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import Database, Server


@pytest.fixture(params=["direct", "pooled"])
def address(request: pytest.FixtureRequest, empty_database: Database) -> Iterator[str]:
    """Lend the URL of one database, directly and through PgBouncer in transaction mode."""
    if request.param == "direct":
        yield empty_database.url
    else:
        with pgbouncer(empty_database.url) as url:
            yield url


def take(url: str, wait_s: float = 0.0) -> leases.Lease:
    return leases.take(parse(url), run=leases.new_run(), what="up head", wait_s=wait_s)


def test_only_one_run_holds_the_lease(address: str) -> None:
    """A second run is refused, told who holds it, and gets it when the first has let go."""
    with take(address):
        with pytest.raises(LeaseHeld, match=r"pid \d+, user postgres.* \(up head\)"):
            take(address)
    # A pooler rolls a session back a moment after its client has gone.
    with take(address, wait_s=10):
        pass


def test_a_lease_leaves_nothing_behind_in_a_pooled_session(address: str, empty_database: Database) -> None:
    """After the release no advisory lock is left on any server session."""
    take(address).release()
    deadline = time.monotonic() + 10
    # A session that was closed takes a moment to end.
    while rows(empty_database.url, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") != [(0,)]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.proof
def test_a_waiting_run_takes_over(address: str) -> None:
    """Who waits polls, and gets the lease soon after it is free."""
    first = take(address)
    threading.Timer(0.5, first.release).start()
    with take(address, wait_s=20) as second:
        second.require()


def test_the_proof_is_seen_in_the_same_database_only(
    address: str, server: Server, empty_database: Database
) -> None:
    """Another session of the same database sees the token; a session of another database does not."""
    with take(address) as held:
        assert rows(empty_database.url, held.proof_sql) == [(True,)]
        with server.database() as other:
            assert rows(other.url, held.proof_sql) == [(False,)]


@pytest.mark.proof
def test_losing_the_holders_session_is_noticed(address: str, empty_database: Database) -> None:
    """When the holder's session is ended, the heartbeat says so and nothing may go on."""
    noticed = threading.Event()
    with take(address) as held:
        held.on_loss = noticed.set
        rows(
            empty_database.url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'airlock-lease:%'",
        )
        assert noticed.wait(20)
        with pytest.raises(ConnectionLost, match="The lease was lost"):
            held.require()


ASYNCPG_HOLDS = """
import sys
from airlock.database import lease, target
from tests.airlock.running import rows

with lease.take(target.parse(sys.argv[1]), run="r", wait_s=0):
    query = "SELECT backend_xmin FROM pg_stat_activity WHERE application_name = 'airlock-lease:r'"
    assert rows(sys.argv[1], query) == [(None,)], rows(sys.argv[1], query)
"""


def test_the_holder_has_no_snapshot_from_the_start_by_asyncpg(empty_database: Database) -> None:
    """Its query stays open where libpq's drivers close it: an index built in the first second would wait for ever."""
    done = subprocess.run(
        [sys.executable, "-c", ASYNCPG_HOLDS, empty_database.url],
        env={**os.environ, "AIRLOCK_DRIVER": "asyncpg"}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_holder_blocks_no_concurrent_index_build(address: str, empty_database: Database) -> None:
    """CREATE INDEX CONCURRENTLY waits for snapshots, and the beating holder has none."""
    rows(empty_database.url, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS v")
    with take(address), contextlib.closing(psycopg2.connect(empty_database.url)) as builder:
        builder.autocommit = True
        with builder.cursor() as cursor:
            cursor.execute("SET statement_timeout = '20s'")
            cursor.execute("CREATE INDEX CONCURRENTLY ix ON t (v)")
