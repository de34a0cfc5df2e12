"""One scratch server for the drill's tests, and a drill in this very process: no child to start for each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airlock.operations.drill.child import prove
from airlock.operations.drill.messages import Options
from airlock.records.drill import RevisionProof
from airlock.scratch import embedded
from airlock.scratch.servers import scratch_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.scratch.servers import ScratchServer

NEWEST = max(embedded.available())
OTHERS = sorted(set(embedded.available()) - {NEWEST})

Examine = Callable[[Path], RevisionProof]


@contextlib.contextmanager
def _serving(major: int) -> Iterator[ScratchServer]:
    with scratch_server(f"embedded:{major}") as server:
        server.ensure_roles(("drill_reader",))
        yield server


@pytest.fixture(scope="session")
def scratch() -> Iterator[ScratchServer]:
    """Serve scratch databases of the newest major, with a role that projects grant to."""
    with _serving(NEWEST) as server:
        yield server


@pytest.fixture(scope="session")
def older_scratch(request: pytest.FixtureRequest) -> Iterator[ScratchServer]:
    """Serve scratch databases of another major, the parameter."""
    with _serving(request.param) as server:
        yield server


def _examiner(server: ScratchServer, monkeypatch: pytest.MonkeyPatch) -> Examine:
    def examined(ini: Path) -> RevisionProof:
        monkeypatch.chdir(ini.parent)
        with server.database() as database:
            monkeypatch.setenv("DATABASE_URL", database.url)
            found = [
                record
                for record in prove(str(ini), (), None, 1, None, 0, database, Options(rows=30), {})
                if isinstance(record, RevisionProof)
            ]
        return found[-1]

    return examined


@pytest.fixture
def examine(scratch: ScratchServer, monkeypatch: pytest.MonkeyPatch) -> Examine:
    """Drill a project's last revision, in this process."""
    return _examiner(scratch, monkeypatch)


@pytest.fixture
def examine_older(older_scratch: ScratchServer, monkeypatch: pytest.MonkeyPatch) -> Examine:
    """Drill a project's last revision on another major."""
    return _examiner(older_scratch, monkeypatch)
