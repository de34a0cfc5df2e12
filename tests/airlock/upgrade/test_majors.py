"""The runner's core on every PostgreSQL that can be started here: up, crashed at statements, status, losses, down."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from airlock.scratch import embedded
from tests.airlock import forked
from tests.airlock.running import rows
from tests.airlock.upgrade import crashing
from tests.airlock.upgrade.test_crashes import UP, Journey, converge, state
from tests.servers import Database, Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.proof

MAJORS = sorted(embedded.available())
# Every major takes its own third of the statements; any three of them take all.
EVERY = 3


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return crashing.write(tmp_path_factory.mktemp("crashing"))


@pytest.fixture(scope="module", params=MAJORS)
def of_major(request: pytest.FixtureRequest) -> Iterator[Server]:
    with embedded.scratch_cluster(request.param) as cluster:
        started = Server(cluster.url(), f"embedded {request.param}")
        try:
            assert started.major == request.param
            yield started
        finally:
            started.close()


@pytest.fixture
def at_head(project: Path, of_major: Server) -> Iterator[Database]:
    with of_major.database("template0") as database:
        ran = forked.airlock(project, *UP, url=database.url)
        assert ran.code == 0, ran.err
        yield database


def test_a_rerun_converges_on_every_major(
    project: Path, of_major: Server, at_head: Database, tmp_path: Path
) -> None:
    """Killed right behind a statement, a rerun ends in the same catalogue and rows, or says exit 41."""
    log = tmp_path / "statements"
    with of_major.database("template0") as database:
        forked.airlock(project, *UP, url=database.url, CRASH_LOG=str(log), CRASH_DATABASE=database.name)
    journey = Journey(UP, "template0", log.read_text().splitlines(), state(at_head.url))
    for at in range(1 + MAJORS.index(of_major.major) % EVERY, len(journey.statements) + 1, EVERY):
        with of_major.database("template0") as database:
            crashed = forked.airlock(
                project, *UP, url=database.url, CRASH="send", CRASH_AT=str(at), CRASH_DATABASE=database.name
            )
            assert crashed.code == -signal.SIGKILL
            converge(project, journey, database.url)


def test_status_and_losses_on_every_major(project: Path, of_major: Server, at_head: Database) -> None:
    """Status finds no drift from what the history makes on that major; the way down counts, refuses, and then goes."""
    words = ("--scratch", of_major.admin_url)
    status = forked.airlock(project, "status", *words, url=at_head.url)
    assert status.code == 0 and f"PostgreSQL {of_major.major}." in status.out, status.err
    assert "drift      none" in status.out
    refused = forked.airlock(project, "downgrade", "base", "--json", *words, url=at_head.url)
    (losses,) = [event for event in refused.events if event["event"] == "losses"]
    assert (refused.code, losses["rows"]) == (1, 41), refused.err
    accepted = ("--accept-loss", "41", "--accept-unknown-loss")
    gone = forked.airlock(project, "downgrade", "base", *accepted, *words, url=at_head.url)
    assert gone.code == 0, gone.err
    assert rows(at_head.url, "SELECT count(*), min(balance), max(balance) FROM closed") == [(20, 100, 100)]
    assert rows(at_head.url, "TABLE alembic_version") == []
