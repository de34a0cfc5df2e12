"""The whole way up from an empty database in one run, as users take it: a step alone may go through where a run does not.

Alembic's migration context remembers each enum type that it has created; dropped by SQL, the type is not created again by a
later create_table of the same run (measured: SQLAlchemy 2.0.36 to 2.1.9, Alembic 1.13 to 1.20). What env.py and its
revisions keep in memory lasts as long as a run, too.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from airlock.operations.drill import failures
from airlock.operations.drill.order import laid_out
from airlock.operations.drill.stepping_over import mark, step_over
from airlock.project import environment
from airlock.project.environment import Hooks
from airlock.project.project import Project
from airlock.records.drill import IRREVERSIBLE, PROVED, REFUSED, RevisionProof
from airlock.scratch.isolation import ChildFailed, isolated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from alembic.runtime.migration import MigrationContext, RevisionStep

    from airlock.project.project import RevisionFacts
    from airlock.scratch.isolation import Leash
    from airlock.scratch.servers import ScratchServer


@dataclass(frozen=True)
class Stopped:
    """Where a run ends before its end, and the server's reason."""

    revision: str
    reason: str


@dataclass
class _Run(Hooks):
    """Take a list of revisions in its order, whatever Alembic would have planned."""

    project: Project
    revisions: Sequence[RevisionFacts]
    at: str = ""

    def plan(self, _steps: list[RevisionStep]) -> list[RevisionStep]:
        return environment.steps_of(self.project, [one.revision for one in self.revisions], "up")

    def before(self, step: RevisionStep, _context: MigrationContext) -> None:
        self.at = step.revision.revision

    def left(self) -> Sequence[RevisionFacts]:
        """List what comes from the revision on at which the run stopped."""
        names = [one.revision for one in self.revisions]
        return self.revisions[names.index(self.at) :] if self.at in names else ()


def stops(server: ScratchServer, arguments: dict[str, Any], leash: Leash) -> dict[str, str]:
    """Run from empty to the end of the range; say at which revisions that stops, and the run after it, and why.

    Makes a scratch database and drops it.
    """
    with server.database() as database:
        try:
            stopped = list(
                isolated("airlock.operations.drill.whole_way:take", arguments, scratch=database, leash=leash)
            )
        except ChildFailed:
            return {}  # the step that takes a process down has its verdict already
    return {one.revision: one.reason for one in stopped}


def judged(stopped: dict[str, str], proofs: Sequence[RevisionProof]) -> tuple[RevisionProof, ...]:
    """Refuse the proved revisions at which a run of the whole way stops.

    Says nothing new of a revision that is refused or not examined already.
    """
    return tuple(
        replace(one, verdict=REFUSED, reason=_sentence(stopped[one.revision]))
        if one.revision in stopped and one.verdict in (PROVED, IRREVERSIBLE)
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
    """Upgrade from empty to the end of the range in one run; yield where it stops, and where the run from there does.

    Runs in an isolated child.
    """
    import logging

    logging.disable(logging.INFO)
    project = Project.open(Path(config), x_arguments)
    order, _ = laid_out(project, from_to, last, start)
    known: set[str] = set()
    while order:
        run = _Run(project, order)
        try:
            environment.run(project, None, order[-1].revision, "up", run)
        except Exception as error:  # noqa: BLE001  a revision may raise anything
            stopped, order = run.at, tuple(run.left())
            if stopped not in known:
                # Users run it again, which begins with this one: it may go through then, or not at all.
                yield Stopped(stopped, failures.one_line(error))
                known.add(stopped)
            else:
                with contextlib.suppress(Exception):
                    _past(project, stopped)
                order = order[1:]
        else:
            return


def _past(project: Project, revision: str) -> None:
    """Get past a revision that does not go through by itself either."""
    try:
        step_over(project, revision, frozenset())
    except Exception:  # noqa: BLE001
        mark(project, revision)
