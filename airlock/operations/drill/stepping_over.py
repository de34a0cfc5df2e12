"""Take an upgrade that fails as far as it goes, so that what stands above it can still be looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from alembic.runtime.migration import MigrationStep
from sqlalchemy.exc import ResourceClosedError

from airlock.drivers.engine_events import listening
from airlock.operations.drill import failures
from airlock.operations.drill.missing_objects import gap_of
from airlock.project import environment
from airlock.project.environment import Hooks

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from alembic.runtime.migration import MigrationContext, RevisionStep

    from airlock.operations.drill.missing_objects import Gap
    from airlock.project.project import Project, RevisionFacts
    from airlock.records.shared import Shared

_SAVE = "SAVEPOINT airlock_over"
_BACK = "ROLLBACK TO SAVEPOINT airlock_over"


@dataclass
class _One(Hooks):
    """One revision's upgrade, whatever Alembic would have planned; `bare` writes its version row and nothing else."""

    project: Project
    revision: str
    bare: bool = False
    active: bool = False
    wants_steps = False

    def plan(self, _steps: list[RevisionStep]) -> list[RevisionStep]:
        script: Any = self.project.script
        step = MigrationStep.upgrade_from_script(script.revision_map, script.get_revision(self.revision))
        if self.bare:
            step.migration_fn = _nothing
        return [step]

    def begun(self, _step: RevisionStep, _context: MigrationContext) -> None:
        self.active = True

    def done(self, _step: RevisionStep, _context: MigrationContext) -> None:
        self.active = False


def _nothing(**_arguments: Any) -> None:
    """Do nothing in place of an upgrade."""


@dataclass
class _Forgiving:
    """Lets statements fail one by one: each stands behind a savepoint, where there is a transaction."""

    one: _One
    beyond_help: frozenset[Shared]
    left_out: list[tuple[str, BaseException]] = field(default_factory=list)

    def listening(self) -> AbstractContextManager[None]:
        return listening(
            {
                "do_execute": self._with_parameters,
                "do_execute_no_params": self._without,
                "do_executemany": self._many,
            }
        )

    def _with_parameters(self, cursor: Any, statement: str, parameters: Any, _context: Any) -> bool | None:
        return self._try(cursor, statement, lambda: cursor.execute(statement, parameters))

    def _without(self, cursor: Any, statement: str, _context: Any) -> bool | None:
        return self._try(cursor, statement, lambda: cursor.execute(statement))

    def _many(self, cursor: Any, statement: str, parameters: Any, _context: Any) -> bool | None:
        return self._try(cursor, statement, lambda: cursor.executemany(statement, parameters))

    def _try(self, cursor: Any, statement: str, send: Callable[[], object]) -> bool | None:
        if not self.one.active:
            return None
        try:
            cursor.execute(_SAVE)
            saved = True
        except Exception:  # noqa: BLE001  outside a transaction nothing is to be saved
            saved = False
        try:
            send()
        except Exception as error:
            lacks = failures.missing_shared(error)
            if lacks is not None and lacks not in self.beyond_help:
                raise
            self.left_out.append((statement, error))
            if saved:
                cursor.execute(_BACK)
        return True


def step_over(
    project: Project, revision: str, beyond_help: frozenset[Shared]
) -> tuple[tuple[str, BaseException], ...]:
    """Upgrade by one revision without the statements that fail, and return those with their errors.

    Commits. Raises what the revision raises by itself, and the error of a missing role or tablespace that may still be made (not
    `beyond_help`): then nothing is applied.
    """
    one = _One(project, revision)
    forgiving = _Forgiving(one, beyond_help)
    with forgiving.listening():
        environment.run(project, revision, "up", one)
    return tuple(forgiving.left_out)


def mark(project: Project, revision: str) -> None:
    """Write a revision's version row as if it were applied, and nothing else. Commits."""
    environment.run(project, revision, "up", _One(project, revision, bare=True))


def as_far_as_it_goes(
    project: Project,
    facts: RevisionFacts,
    below: tuple[Gap, ...],
    beyond_help: frozenset[Shared],
    error: BaseException,
    empty: Callable[[], None] | None = None,
) -> Gap:
    """Apply a revision that fails with `error` as far as it goes, at least its version row; return what is missing of it.

    What its own code raises on rows ends it before its other statements are sent: where that is so, `empty` takes the
    rows away and it is applied once more.

    Commits. Raises the error of a missing role or tablespace that may still be made (not `beyond_help`): then nothing is applied.
    """
    try:
        left_out = step_over(project, facts.revision, beyond_help)
    except Exception as again:
        lacks = failures.missing_shared(again)
        if lacks is not None and lacks not in beyond_help:
            raise
        if empty is not None and failures.is_about_rows(again):
            empty()
            return as_far_as_it_goes(project, facts, below, beyond_help, error)
        mark(project, facts.revision)
        # The rows of a statement that was left out were asked for: why it was left out is the reason.
        return gap_of(facts, error if isinstance(again, ResourceClosedError) else again, below)
    return gap_of(facts, error, below, tuple(statement for statement, _ in left_out))
