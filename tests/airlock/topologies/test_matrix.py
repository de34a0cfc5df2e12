"""The same scenes wherever a database stands: one primary with a synchronous standby, and what stands before it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
from typing import TYPE_CHECKING

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from tests.airlock import forked
from tests.airlock.histories import Revision, write_project
from tests.airlock.pooler import pgbouncer
from tests.airlock.running import Ran, rows
from tests.airlock.topologies.standing import cluster, haproxy, pgpool, standby_of, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airlock.scratch import embedded

pytestmark = pytest.mark.proof

# What `ran` holds afterwards tells how often a revision went through.
FIRST = Revision(
    "w1",
    'op.execute("CREATE TABLE t (id int PRIMARY KEY)"); op.execute("CREATE TABLE ran (step text)")',
    'op.execute("DROP TABLE t, ran")',
)
SECOND = Revision(
    "w2",
    'op.execute("ALTER TABLE t ADD COLUMN w integer"); op.execute("INSERT INTO ran VALUES (\'w2\')")',
    'op.execute("ALTER TABLE t DROP COLUMN w")',
)
NOWHERE = "postgresql://postgres@127.0.0.1:1/postgres"
SLOW = dataclasses.replace(SECOND, up=SECOND.up + '; op.execute("SELECT pg_sleep(30)")')


@dataclasses.dataclass(frozen=True)
class Pair:
    """A primary and the standby that confirms its commits."""

    primary: embedded.Cluster
    standby: embedded.Cluster


@contextlib.contextmanager
def itself(pair: Pair) -> Iterator[str]:
    yield pair.primary.url()


@contextlib.contextmanager
def publisher(pair: Pair) -> Iterator[str]:
    """Publish every table there is and will be, which a slot keeps the log of."""
    rows(pair.primary.url(), "SELECT pg_create_logical_replication_slot('feed', 'pgoutput')")
    try:
        yield pair.primary.url()
    finally:
        rows(pair.primary.url(), "SELECT pg_drop_replication_slot('feed')")


def bouncer(**settings: str) -> Callable[[Pair], contextlib.AbstractContextManager[str]]:
    return lambda pair: pgbouncer(pair.primary.url(), **settings)


@contextlib.contextmanager
def proxy(pair: Pair) -> Iterator[str]:
    with haproxy(f"{pair.primary.socket_directory}/.s.PGSQL.5432", "60s") as port:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"


def balancer(**settings: str) -> Callable[[Pair], contextlib.AbstractContextManager[str]]:
    kept = "'airlock.*:primary'"
    return lambda pair: pgpool(pair.primary, pair.standby, app_name_redirect_preference_list=kept, **settings)


TOPOLOGIES: dict[str, Callable[[Pair], contextlib.AbstractContextManager[str]]] = {
    "a server with a synchronous standby": itself,
    "a publisher": publisher,
    "PgBouncer, session mode": bouncer(pool_mode="session"),
    "PgBouncer, transaction mode": bouncer(server_reset_query="DISCARD ALL", server_reset_query_always="1"),
    "HAProxy": proxy,
    "Pgpool-II": balancer(disable_load_balance_on_write="'off'", statement_level_load_balance="on"),
}


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    settings = {"wal_level": "logical", "synchronous_standby_names": "standby", "synchronous_commit": "local"}
    with cluster(**settings) as primary, standby_of(primary, hot_standby_feedback="on") as standby:
        until(lambda: rows(standby.url(), "SELECT 1"), "the standby")
        rows(primary.url(), "ALTER SYSTEM SET synchronous_commit = on")
        yield Pair(primary, standby)


@pytest.fixture(scope="module", params=TOPOLOGIES, ids=str)
def place(request: pytest.FixtureRequest, pair: Pair) -> Iterator[str]:
    """Set one topology up for its scenes; lend the URL of a database that is in nobody's way."""
    with TOPOLOGIES[request.param](pair) as url:
        yield url


@dataclasses.dataclass(frozen=True)
class Scene:
    """A database by its two ways: as a run is given it, and the server's own."""

    url: str
    direct: str
    directory: Path

    def run(self, revisions: list[Revision], *words: str) -> Ran:
        return forked.airlock(write_project(self.directory, revisions), *words, url=self.url, timeout=90)

    def standing(self) -> tuple[list[str], int, int]:
        """Tell the version row, whether `t.w` is there, and how often w2 has gone through."""
        version = [row[0] for row in rows(self.direct, "SELECT version_num FROM alembic_version")]
        ((columns,),) = rows(
            self.direct,
            "SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'w' AND NOT attisdropped",
        )
        ((times,),) = rows(self.direct, "SELECT count(*) FROM ran")
        return version, columns, times


@pytest.fixture
def scene(place: str, pair: Pair, tmp_path: Path) -> Iterator[Scene]:
    """Make a database whose table `t` stands at w1."""
    name = f"d{abs(hash(str(tmp_path))) % 10**8}"
    rows(pair.primary.url(), f"CREATE DATABASE {name}")
    direct = pair.primary.url(name)
    rows(direct, "CREATE PUBLICATION everything FOR ALL TABLES")
    made = Scene(make_url(place).set(database=name).render_as_string(), direct, tmp_path)
    assert forked.airlock(write_project(tmp_path, [FIRST]), "upgrade", url=direct).code == 0
    # Pgpool-II connects to both, and calls a database that the standby has not replayed yet an unknown message kind.
    until(lambda: rows(pair.standby.url(name), "SELECT count(*) FROM t"), "the standby has the table")
    yield made
    rows(pair.primary.url(), f"DROP DATABASE {name} WITH (FORCE)")


def test_a_lock_conflict_and_the_way_back(scene: Scene) -> None:
    """Exit 21 names who holds the table, and the same run goes through when it is free; down, 1 tells what would be lost.

    Each time nothing is changed; accepted, that much is lost.
    """
    with contextlib.closing(psycopg2.connect(scene.direct, application_name="report")) as reader:
        with reader.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM t")
        ran = scene.run([FIRST, SECOND], "upgrade", "--lock-timeout", "200ms", "--wait", "500ms")
        assert ran.code == 21, ran.err
        assert (
            f"t is held by pid {reader.info.backend_pid} (postgres, report, idle in transaction" in ran.error
        )
        assert scene.standing() == (["w1"], 0, 0)
    assert scene.run([FIRST, SECOND], "upgrade").code == 0
    assert scene.standing() == (["w2"], 1, 1)
    rows(scene.direct, "INSERT INTO t SELECT g, g FROM generate_series(1, 7) AS g")
    down = ("downgrade", "w1", "--scratch", scene.direct)
    ran = scene.run([FIRST, SECOND], *down)
    assert ran.code == 1, ran.err
    assert "--accept-loss 7" in ran.error
    assert scene.standing() == (["w2"], 1, 1)
    assert scene.run([FIRST, SECOND], *down, "--accept-loss", "7").code == 0
    assert scene.standing() == (["w1"], 0, 1)


def test_status_and_a_kill(scene: Scene) -> None:
    """Status tells who is at it, and waits for nobody; the runner is killed, and the next one does the whole once."""
    started = forked.start(write_project(scene.directory, [FIRST, SLOW]), "upgrade", url=scene.url)
    sleeping = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(30)%' AND state = 'active'"
    until(lambda: rows(scene.direct, sleeping), "the revision sleeps")
    # The table is locked against everybody; drift is another test's, and needs a server more.
    ran = scene.run([FIRST, SLOW], "status", "--scratch", NOWHERE)
    assert ran.code in (0, 3), ran.err
    assert "current    w1\n" in ran.out and "lease      held by pid " in ran.out
    assert "published  3 tables" in ran.out
    assert rows(scene.direct, sleeping), "status has waited for the revision"
    os.kill(started.pid, signal.SIGKILL)
    assert started.finish().code == -signal.SIGKILL
    ran = scene.run([FIRST, SECOND], "upgrade", "--wait", "30s")
    assert ran.code == 0, ran.err
    assert scene.standing() == (["w2"], 1, 1)


def test_eight_runners(scene: Scene) -> None:
    """One of them does it, the others find nothing to do."""
    ini = write_project(scene.directory, [FIRST, SECOND])
    runs = [forked.start(ini, "upgrade", "--wait", "60s", url=scene.url) for _ in range(8)]
    ended = [run.finish(90) for run in runs]
    assert [ran.code for ran in ended] == [0] * 8, [ran.err for ran in ended]
    assert sorted("1 revision" in ran.out for ran in ended) == [False] * 7 + [True]
    assert scene.standing() == (["w2"], 1, 1)
