"""SIGKILL, a terminated session, a restarted server: at every statement, and a rerun makes it good."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from airlock.instruments import embedded, fingerprint
from tests.airlock import forked
from tests.airlock.histories import Revision, write_project
from tests.airlock.running import rows
from tests.airlock.upgrade import crashing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import Database, Server

pytestmark = pytest.mark.proof


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return crashing.write(tmp_path_factory.mktemp("crashing"))


def state(url: str) -> tuple[fingerprint.Fingerprint, Any]:
    """Read what a run leaves: the catalogue, the rows, the version."""
    with contextlib.closing(psycopg2.connect(url)) as connection:
        catalogue = fingerprint.read(connection)
    return catalogue, [
        rows(url, query)
        for query in (
            "SELECT * FROM account ORDER BY id",
            "SELECT * FROM audit",
            "SELECT version_num, obj_description('alembic_version'::regclass) FROM alembic_version",
        )
    ]


@pytest.fixture(scope="module")
def reference(
    project: Path, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[str], Any]:
    """Run the history once, undisturbed: every statement that went over the wire, and the end state."""
    log = tmp_path_factory.mktemp("log") / "statements"
    with server.database("template0") as database:
        ran = forked.airlock(project, "upgrade", url=database.url, CRASH_LOG=str(log))
        assert ran.code == 0, ran.err
        return log.read_text().splitlines(), state(database.url)


def changing(statements: list[str]) -> list[int]:
    """List the points at which a statement that changes something, or a commit, is about to be sent."""
    return [
        at for at, said in enumerate(statements, 1) if not said.upper().startswith(("SELECT", "SET", "SHOW"))
    ]


def marks(statement: str) -> bool:
    return "half applied" in statement


def converge(project: Path, url: str, expected: Any) -> str:
    """Run again and say how it ended; the end state must be the undisturbed one, or exit 41 must name the revision."""
    again = forked.airlock(project, "upgrade", url=url)
    if again.code == 41:
        assert crashing.NOT_RESUMABLE in again.err.splitlines()[-1]
        (audited,) = rows(url, "SELECT count(*) FROM audit")
        assert audited[0] <= 1
        return "half applied"
    assert again.code == 0, again.err
    assert state(url) == expected
    return "converged"


@pytest.mark.parametrize("crash", ["kill", "terminate"])
def test_a_rerun_converges_from_every_statement(
    crash: str, project: Path, reference: tuple[list[str], Any], server: Server
) -> None:
    """Killed before any statement or commit, a rerun ends in the same catalogue and rows, nothing applied twice."""
    statements, expected = reference
    ends: dict[int, str] = {}
    points = range(1, len(statements) + 1) if crash == "kill" else changing(statements)
    for at in points:
        with server.database("template0") as database:
            crashed = forked.airlock(project, "upgrade", url=database.url, CRASH=crash, CRASH_AT=str(at))
            if crash == "kill":
                assert crashed.code == -signal.SIGKILL
            else:
                assert crashed.code in {0, 41, 50}, crashed.err
                assert "Traceback" not in crashed.err
            ends[at] = converge(project, database.url, expected)
    half = [statements[at - 1] for at, end in ends.items() if end == "half applied"]
    # From the commit that carries the mark to the commit that carries the version row, and nowhere else.
    assert half, "the revision that is neither transactional nor resumable was never caught"
    assert len(half) < len(ends) / 3, half


@pytest.fixture(scope="module")
def restartable() -> Iterator[embedded.Cluster]:
    """Serve PostgreSQL from a data directory that may be stopped and started."""
    directory = Path(tempfile.mkdtemp(prefix="airlock-restart-"))
    directory.chmod(0o755)
    cluster = embedded.Cluster(
        directory / "data", embedded.binaries(max(embedded.available())), {"fsync": "off"}
    )
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop("immediate")
        shutil.rmtree(directory, ignore_errors=True)


def test_a_rerun_converges_after_an_immediate_restart(
    project: Path, reference: tuple[list[str], Any], restartable: embedded.Cluster
) -> None:
    """The server restarted anywhere from the first revision that leaves its transaction, a rerun makes it good."""
    statements, expected = reference
    url = restartable.url()
    outside = [at for at in changing(statements) if at > statements.index(next(filter(marks, statements)))]
    for at in outside:
        rows(url, "DROP DATABASE IF EXISTS crashed WITH (FORCE)")
        rows(url, "CREATE DATABASE crashed TEMPLATE template0")
        crashed = forked.airlock(
            project, "upgrade", url=restartable.url("crashed"), CRASH="restart", CRASH_AT=str(at),
            CRASH_DATA=str(restartable.data), CRASH_BIN=str(restartable.bindir),
        )  # fmt: skip
        assert crashed.code in {41, 50}, (at, statements[at - 1], crashed.err)
        converge(project, restartable.url("crashed"), expected)


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
