"""The whole way up from an empty database in one run, as users take it: a step alone may go through where a run does not.

Alembic's migration context remembers each enum type that it has created; dropped by SQL, the type is not created again by a
later create_table of the same run (measured: SQLAlchemy 2.0.36 to 2.1.9, Alembic 1.13 to 1.20). What env.py and its
revisions keep in memory lasts as long as a run, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from airlock.operations.drill import failures
from airlock.operations.drill.child import Build, chosen
from airlock.project import environment
from airlock.project.project import Project
from airlock.records.drill import PROVED, REFUSED, RevisionProof
from airlock.scratch.isolation import ChildFailed, isolated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from alembic.runtime.migration import MigrationContext, RevisionStep

    from airlock.scratch.servers import ScratchServer


@dataclass(frozen=True)
class Stopped:
    """Where a run from empty ends before its end, and the server's reason."""

    revision: str
    reason: str


@dataclass
class _Watched(Build):
    at: str = ""

    def before(self, step: RevisionStep, _context: MigrationContext) -> None:
        self.at = step.revision.revision


def judged(
    server: ScratchServer, arguments: dict[str, Any], proofs: Sequence[RevisionProof]
) -> tuple[RevisionProof, ...]:
    """Refuse the proved revision at which one run from empty to the end of the range stops.

    Makes a scratch database and drops it. Says nothing new of a revision that is refused or not examined already.
    """
    with server.database() as database:
        try:
            stopped = list(isolated("airlock.operations.drill.whole_way:take", arguments, scratch=database))
        except ChildFailed:
            return tuple(proofs)  # the step that takes a process down has its verdict already
    found = {one.revision: one.reason for one in stopped}
    return tuple(
        replace(one, verdict=REFUSED, reason=_sentence(found[one.revision]))
        if one.revision in found and one.verdict == PROVED
        else one
        for one in proofs
    )


def _sentence(reason: str) -> str:
    return (
        f"a run from an empty database to the end fails here ({reason}), although the step alone goes through: "
        "a run remembers what it has made, enum types above all, and does not see what SQL has dropped"
    )


def take(
    config: str,
    x_arguments: Sequence[str],
    from_to: str | None,
    last: int | None,
    start: tuple[str, ...] | None,
) -> Iterator[Stopped]:
    """Upgrade from empty to the end of the range in one run; yield where it stops. Runs in an isolated child."""
    import logging

    logging.disable(logging.INFO)
    project = Project.open(Path(config), x_arguments)
    before, examined = chosen(project, from_to, last, start)
    run = _Watched(project, (*before, *examined))
    try:
        environment.run(project, None, run.revisions[-1].revision, "up", run)
    except Exception as error:  # noqa: BLE001  a revision may raise anything
        yield Stopped(run.at, failures.one_line(error))
