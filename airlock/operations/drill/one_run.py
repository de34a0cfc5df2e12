"""The child's side of the whole way up: one run from an empty database, and further runs from where one stops."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airlock.operations.drill import failures
from airlock.operations.drill.messages import Stopped
from airlock.operations.drill.order import laid_out
from airlock.operations.drill.stepping_over import mark, step_over
from airlock.project import environment
from airlock.project.environment import Hooks
from airlock.project.project import Project

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alembic.runtime.migration import MigrationContext, RevisionStep

    from airlock.project.project import RevisionFacts


@dataclass
class _Run(Hooks):
    """Take a list of revisions in its order, whatever Alembic would have planned."""

    project: Project
    revisions: Sequence[RevisionFacts]
    at: str = ""
    wants_steps = False

    def plan(self, _steps: list[RevisionStep]) -> list[RevisionStep]:
        return environment.steps_of(self.project, [one.revision for one in self.revisions], "up")

    def before(self, step: RevisionStep, _context: MigrationContext) -> None:
        self.at = step.revision.revision

    def left(self) -> Sequence[RevisionFacts]:
        """List what comes from the revision on at which the run stopped."""
        names = [one.revision for one in self.revisions]
        return self.revisions[names.index(self.at) :] if self.at in names else ()


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
    logging.disable(logging.INFO)
    project = Project.open(Path(config), x_arguments)
    order, _ = laid_out(project, from_to, last, start)
    known: set[str] = set()
    while order:
        run = _Run(project, order)
        try:
            environment.run(project, order[-1].revision, "up", run)
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
