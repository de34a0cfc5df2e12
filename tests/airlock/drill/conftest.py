"""One scratch server for the drill's tests, and a drill in this very process: no child to start for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airlock.acts.drill.proving import prove
from airlock.acts.drill.revision import Options
from airlock.instruments import embedded
from airlock.instruments.scratch import scratch_server
from airlock.words.drill import RevisionProof

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airlock.instruments.scratch import ScratchServer

NEWEST = max(embedded.available())
OTHERS = sorted(set(embedded.available()) - {NEWEST})

Examine = "Callable[[Path], RevisionProof]"


@pytest.fixture(
    scope="session", params=[NEWEST, *(pytest.param(other, marks=pytest.mark.proof) for other in OTHERS)]
)
def scratch(request: pytest.FixtureRequest) -> Iterator[ScratchServer]:
    """Serve scratch databases of one major, with a role that projects grant to."""
    with scratch_server(f"embedded:{request.param}") as server:
        server.ensure_roles(("drill_reader",))
        yield server


@pytest.fixture
def examine(scratch: ScratchServer, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], RevisionProof]:
    """Drill a project's last revision, in this process."""

    def examined(ini: Path) -> RevisionProof:
        monkeypatch.chdir(ini.parent)
        with scratch.database() as database:
            monkeypatch.setenv("DATABASE_URL", database.url)
            found = [
                record
                for record in prove(str(ini), (), None, 1, None, 0, database, Options(rows=30), {})
                if isinstance(record, RevisionProof)
            ]
        return found[-1]

    return examined
