"""What a step means for others, asked of the server around it: whom it breaks, and how to reach its end without blocking."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airlock.operations.trace.judging import placed, wanting

if TYPE_CHECKING:
    from airlock.operations.older_release.release import Release
    from airlock.operations.trace.safer import Planner
    from airlock.records.trace import TracedRevision


@dataclass(frozen=True)
class Consequences:
    """Looks before each upgrade, and tells after it; each asks the scratch database on connections of its own."""

    release: Release
    planner: Planner

    def look(self, *, except_for: str) -> None:
        """Keep what stands below a step; `except_for` is the version table."""
        with self.planner.looking():
            self.release.look(except_for=except_for)

    def of_upgrade(self, step: TracedRevision, *, except_for: str) -> TracedRevision:
        """Put to an upgrade what it breaks of the release below, and the safe form; it is committed by now."""
        broken = self.release.broken(except_for=except_for, locked=_locked(step))
        found = tuple(placed(one, step) for one in broken)
        step = replace(step, findings=(*found, *step.findings))
        return replace(step, safer=self.planner.safer(wanting(step)))

    def of_downgrade(self, step: TracedRevision) -> TracedRevision:
        """Put the safe form to a downgrade; its revision stands applied again."""
        return replace(step, safer=self.planner.back(wanting(step)))


def _locked(step: TracedRevision) -> set[str] | None:
    """Name what a step locked; None where not all of that was seen: outside its transaction, or nothing of it."""
    if not step.statements or not step.transactional:
        return None
    return {lock.object for one in step.statements for lock in (*one.locks, *one.held)}
