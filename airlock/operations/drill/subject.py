"""What the phases of one revision's examination are about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.operations.drill.reach.modules_called import source
from airlock.operations.drill.step import StepTaken, take_seen

if TYPE_CHECKING:
    from airlock.operations.drill.messages import Options
    from airlock.operations.drill.missing_objects import Gap
    from airlock.operations.drill.state import Ledger
    from airlock.project.project import Project, RevisionFacts
    from airlock.records.shared import Shared


@dataclass(frozen=True)
class Subject:
    """A revision, the scratch database that it goes through, and what is known of both before it does.

    `turn` tells the rows of one examination from those of others; `gaps` is what lower revisions could not make,
    `beyond_help` the roles and tablespaces that the scratch server does not take.
    """

    project: Project
    facts: RevisionFacts
    ledger: Ledger
    options: Options
    turn: int
    gaps: tuple[Gap, ...] = ()
    beyond_help: frozenset[Shared] = frozenset()

    @property
    def source(self) -> str:
        """Give the text of the revision, and behind it what it names of the project's modules."""
        return source(self.facts.path)

    def take(self, direction: str, *, counting: bool = True) -> StepTaken:
        """Take the step, and remember the search_path that env.py works under; `counting` what its statements meet."""
        return take_seen(self.ledger, self.project, self.facts.revision, direction, counting=counting)
