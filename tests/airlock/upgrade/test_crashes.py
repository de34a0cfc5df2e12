"""SIGKILL, a terminated session, a restarted server: at every statement, and a rerun makes it good."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from airlock.catalogue import fingerprint
from airlock.scratch import embedded, memory
from tests.airlock import forked
from tests.airlock.histories import Revision, write_project
from tests.airlock.running import rows
from tests.airlock.upgrade import crashing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import Database, Server

pytestmark = pytest.mark.proof

# Which statements a crash comes at: from the first number on, one in so many. A death at each; the others cut the same
# transactions at the same places, so they take turns.
AT = {"kill": (1, 1), "send": (2, 2), "stop": (1, 2), "terminate": (2, 2), "restart": (1, 3)}


# A server that is not there to count losses in: they are accepted unseen, in a tenth of the time.
UP = ("upgrade",)
DOWN = ("downgrade", "base", "--accept-unknown-loss", "--scratch", "embedded:9")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return crashing.write(tmp_path_factory.mktemp("crashing"))


@pytest.fixture(scope="module")
def at_head(project: Path, server: Server) -> Iterator[Database]:
    """Make a database at head, for downgrades to start from."""
    with server.database("template0") as database:
        assert forked.airlock(project, *UP, url=database.url).code == 0
        yield database


@dataclasses.dataclass(frozen=True)
class Journey:
    """One way through the history, undisturbed: where it starts, every statement on the wire, what it leaves."""

    words: tuple[str, ...]
    template: str
    statements: list[str]
    end: Any


@pytest.fixture(scope="module", params=[UP, DOWN], ids=["up", "down"])
def journey(
    request: pytest.FixtureRequest,
    project: Path,
    server: Server,
    at_head: Database,
    tmp_path_factory: pytest.TempPathFactory,
) -> Journey:
    words: tuple[str, ...] = request.param
    log = tmp_path_factory.mktemp("log") / "statements"
    template = "template0" if words == UP else at_head.name
    with server.database(template) as database:
        ran = forked.airlock(
            project, *words, url=database.url, CRASH_LOG=str(log), CRASH_DATABASE=database.name
        )
        assert ran.code == 0, ran.err
        return Journey(words, template, log.read_text().splitlines(), state(database.url))


def state(url: str) -> tuple[fingerprint.Fingerprint, Any]:
    """Read what a run leaves: the catalogue, the rows, the version."""
    with contextlib.closing(psycopg2.connect(url)) as connection:
        catalogue = fingerprint.read(connection)
    tables = rows(url, "SELECT format('%I', tablename) FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    comment = rows(url, "SELECT obj_description('alembic_version'::regclass)")
    return catalogue, [comment, *(rows(url, f"TABLE {table} ORDER BY 1") for (table,) in tables)]


def converge(project: Path, journey: Journey, url: str) -> str:
    """Run again and say how it ended; the end state must be the undisturbed one, or exit 41 must name the revision."""
    again = forked.airlock(project, *journey.words, url=url)
    if again.code == 41:
        assert crashing.NOT_RESUMABLE in again.err.splitlines()[-1]
        said = [word for (word,) in rows(url, "SELECT said FROM audit")]
        assert len(said) == len(set(said)), "something was applied twice"
        return "half applied"
    assert again.code == 0, again.err
    assert state(url) == journey.end
    return "converged"


def expect_half_applied_but_seldom(ends: list[str]) -> None:
    """Hold the exit 41s to the stretch between two commits: the one with the mark, the one with the version row."""
    half = ends.count("half applied")
    assert half, "the revision that is neither transactional nor resumable was never caught"
    assert half < len(ends) / 3, ends


def moments(crash: str, journey: Journey) -> range:
    """List the statements that a crash comes at."""
    first, step = AT[crash]
    return range(first, len(journey.statements) + 1, step)


@pytest.mark.parametrize("crash", ["kill", "send", "stop", "terminate"])
def test_a_rerun_converges_from_every_statement(
    crash: str, journey: Journey, project: Path, server: Server
) -> None:
    """Killed before or behind any statement, told to stop, or its session ended: a rerun makes the same of it."""
    ends = []
    for at in moments(crash, journey):
        with server.database(journey.template) as database:
            crashed = forked.airlock(
                project, *journey.words, url=database.url,
                CRASH=crash, CRASH_AT=str(at), CRASH_DATABASE=database.name,
            )  # fmt: skip
            if crash == "terminate":
                assert crashed.code in {41, 50}, (at, journey.statements[at - 1], crashed.err)
                assert "Traceback" not in crashed.err
            elif crash == "stop":
                assert crashed.code == 128 + signal.SIGTERM, crashed.err
            else:
                assert crashed.code == -signal.SIGKILL
            ends.append(converge(project, journey, database.url))
    expect_half_applied_but_seldom(ends)


@pytest.fixture(scope="module")
def restartable(project: Path) -> Iterator[embedded.Cluster]:
    """Serve PostgreSQL from a data directory that may be stopped and started, with a database at head."""
    directory = Path(
        tempfile.mkdtemp(prefix="airlock-restart-", dir=os.environ.get(memory.SCRATCH_DIRECTORY))
    )
    directory.chmod(0o755)
    cluster = embedded.Cluster(
        directory / "data", embedded.binaries(max(embedded.available())), {"fsync": "off"}
    )
    cluster.start()
    try:
        rows(cluster.url(), "CREATE DATABASE at_head")
        assert forked.airlock(project, *UP, url=cluster.url("at_head")).code == 0
        yield cluster
    finally:
        cluster.stop("immediate")
        shutil.rmtree(directory, ignore_errors=True)


def test_a_rerun_converges_after_an_immediate_restart(
    journey: Journey, project: Path, restartable: embedded.Cluster
) -> None:
    """The server restarted before a statement or a commit, a rerun makes it good."""
    ends = []
    for at in moments("restart", journey):
        rows(restartable.url(), "DROP DATABASE IF EXISTS crashed WITH (FORCE)")
        template = "template0" if journey.words == UP else "at_head"
        rows(restartable.url(), f"CREATE DATABASE crashed TEMPLATE {template}")
        crashed = forked.airlock(
            project, *journey.words, url=restartable.url("crashed"), CRASH="restart", CRASH_AT=str(at),
            CRASH_DATABASE="crashed", CRASH_DATA=str(restartable.data), CRASH_BIN=str(restartable.bindir),
        )  # fmt: skip
        assert crashed.code in {41, 50}, (at, journey.statements[at - 1], crashed.err)
        ends.append(converge(project, journey, restartable.url("crashed")))
    expect_half_applied_but_seldom(ends)


SLOW = [
    Revision("s1", 'op.execute("CREATE TABLE account AS SELECT 1 AS id, 100 AS balance")'),
    Revision(
        "s2",
        """
        with op.get_context().autocommit_block():
            op.execute("UPDATE account SET balance = balance + 10 WHERE balance = 100 AND pg_sleep(3) IS NOT NULL")
        """,
        extra="resumable = True",
    ),
]


def test_an_orphan_of_a_killed_run_is_ended_before_anything_else(
    tmp_path: Path, empty_database: Database
) -> None:
    """A statement that outlives its runner is terminated, not waited for: it would be applied twice."""
    ini = write_project(tmp_path, SLOW)
    first = forked.start(ini, "upgrade", url=empty_database.url)
    working = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'airlock-worker:%' AND query LIKE 'UPDATE%'"
    deadline = time.monotonic() + 30
    while not rows(empty_database.url, working):
        assert time.monotonic() < deadline
    first.process.kill()
    first.finish()
    again = forked.airlock(ini, "upgrade", "--json", url=empty_database.url)
    assert again.code == 0, again.err
    assert [event["event"] for event in again.events if event["event"] == "orphans"] == ["orphans"]
    assert rows(empty_database.url, "SELECT balance FROM account") == [(110,)]
