"""The way up without a look: every revision as an examination leaves it behind, whatever became of those below.

An examination starts from what lies below the revision, never from what another examination left. Where one leaves the
database otherwise than its first upgrade did, the next gets another database, which was only ever upgraded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.operations.drill import failures
from airlock.operations.drill.missing_objects import Gap
from airlock.operations.drill.phases.first_upgrade import emptied, named
from airlock.operations.drill.phases.next_start import settle
from airlock.operations.drill.step import take_seen
from airlock.operations.drill.stepping_over import as_far_as_it_goes, mark

if TYPE_CHECKING:
    from airlock.operations.drill.messages import Ascent
    from airlock.operations.drill.state import Ledger, State
    from airlock.project.project import Project, RevisionFacts
    from airlock.records.shared import Shared


class MissingShared(Exception):
    """The history names a role or a tablespace that the scratch server lacks; nothing of the revision is applied."""

    def __init__(self, lacks: Shared) -> None:
        super().__init__(lacks)
        self.lacks = lacks


def ascend(
    project: Project, facts: RevisionFacts, ledger: Ledger, state: State, way: Ascent
) -> tuple[State, Gap | None]:
    """Apply one revision unexamined; return where the next starts, and what of this one could not be applied.

    Sample rows that it refuses give way to others that are made above it. Raises MissingShared.
    """
    if facts.revision in way.killers:
        mark(project, facts.revision)
        return state, Gap(facts.revision, "it ends the process that runs it", facts.path.read_text())
    gap: Gap | None = None
    try:
        taken = take_seen(ledger, project, facts.revision, "up")
    except Exception as error:  # noqa: BLE001  a revision may raise anything
        _ask_for_it(error, way)
        if failures.is_about_rows(error) and any(digest.count for digest in state.digests.values()):
            try:
                return _without_rows(project, facts, ledger), None
            except Exception as second:  # noqa: BLE001
                _ask_for_it(second, way)
                error = second
        try:
            gap = as_far_as_it_goes(project, facts, way.gaps, way.beyond_help, error, lambda: _empty(ledger))
        except Exception as third:
            _ask_for_it(third, way)
            raise
        above = ledger.read()
    else:
        above = ledger.read(state, taken.touched)
    return settle(ledger, state, above), gap


def _ask_for_it(error: BaseException, way: Ascent) -> None:
    lacks = failures.missing_shared(error)
    if lacks is not None and lacks not in way.beyond_help:
        raise MissingShared(lacks) from error


def _without_rows(project: Project, facts: RevisionFacts, ledger: Ledger) -> State:
    filled = {name for name, digest in ledger.read().digests.items() if digest.count}
    try:
        # What stays has rows of below it: a later revision may do something with those only.
        emptied(ledger, named(facts.path.read_text(), filled))
        take_seen(ledger, project, facts.revision, "up")
    except Exception:  # noqa: BLE001  a revision may raise anything; rows of any other table may be what it refuses
        _empty(ledger)
        take_seen(ledger, project, facts.revision, "up")
    above = ledger.read()
    ledger.fill(above.tables())
    return ledger.read()


def _empty(ledger: Ledger) -> None:
    ledger.empty({name for name, digest in ledger.read().digests.items() if digest.count})
