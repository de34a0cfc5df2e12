"""The way up without a look: every revision as an examination leaves it behind, whatever became of those below.

An examination starts from what lies below the revision, never from what another examination left. Where one leaves the
database otherwise than its first upgrade did, the next gets another database, which was only ever upgraded.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airlock.operations.drill import failures
from airlock.operations.drill.missing_objects import Gap
from airlock.operations.drill.next_start import settle
from airlock.operations.drill.step import take_seen
from airlock.operations.drill.stepping_over import as_far_as_it_goes, mark

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airlock.operations.drill.state import Ledger, State
    from airlock.project.project import Project, RevisionFacts
    from airlock.records.rows import Fill


@dataclass(frozen=True)
class Ascent:
    """What is known of the way up to a database: how many revisions it `stands` above empty, and what they left.

    `killers` are revisions that end the process they run in, `beyond_help` roles that the scratch server does not take.
    """

    stands: int = 0
    fills: Mapping[str, Fill] = field(default_factory=dict)
    search_path: str | None = None
    gaps: tuple[Gap, ...] = ()
    killers: frozenset[str] = frozenset()
    beyond_help: frozenset[str] = frozenset()

    def at(self, stands: int, ledger: Ledger, gaps: tuple[Gap, ...]) -> Ascent:
        """Note how far the database has come since."""
        return replace(
            self, stands=stands, fills=dict(ledger.fills), search_path=ledger.search_path, gaps=gaps
        )


class MissingRole(Exception):
    """The history names a role that the scratch server lacks; nothing of the revision is applied."""

    def __init__(self, role: str) -> None:
        super().__init__(role)
        self.role = role


def ascend(
    project: Project, facts: RevisionFacts, ledger: Ledger, state: State, way: Ascent
) -> tuple[State, Gap | None]:
    """Apply one revision unexamined; return where the next starts, and what of this one could not be applied.

    Sample rows that it refuses give way to others that are made above it. Raises MissingRole.
    """
    if facts.revision in way.killers:
        mark(project, facts.revision)
        return state, Gap(facts.revision, "it ends the process that runs it", facts.path.read_text())
    gap: Gap | None = None
    try:
        taken = take_seen(ledger, project, facts.revision, "up")
    except Exception as error:  # noqa: BLE001  a revision may raise anything
        _ask_for_role(error, way)
        if failures.is_about_rows(error) and any(digest.count for digest in state.digests.values()):
            try:
                return _without_rows(project, facts, ledger), None
            except Exception as second:  # noqa: BLE001
                _ask_for_role(second, way)
                error = second
        try:
            gap = as_far_as_it_goes(project, facts, way.gaps, way.beyond_help, error)
        except Exception as third:
            _ask_for_role(third, way)
            raise
        above = ledger.read()
    else:
        above = ledger.read(state, taken.touched)
    return settle(ledger, state, above), gap


def _ask_for_role(error: BaseException, way: Ascent) -> None:
    role = failures.missing_role(error)
    if role is not None and role not in way.beyond_help:
        raise MissingRole(role) from error


def _without_rows(project: Project, facts: RevisionFacts, ledger: Ledger) -> State:
    ledger.empty({name for name, digest in ledger.read().digests.items() if digest.count})
    take_seen(ledger, project, facts.revision, "up")
    above = ledger.read()
    ledger.fill(above.tables())
    return ledger.read()
