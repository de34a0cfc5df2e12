"""The child's side of a drill: every revision up, written to, down, and up again, compared at each turn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic.runtime.migration import MigrationStep

from airlock.catalogue.fingerprint.model import plain
from airlock.operations.drill.examination import Examination, Options
from airlock.operations.drill.state import Ledger
from airlock.project import environment
from airlock.project.environment import Hooks
from airlock.project.project import Project, RevisionFacts
from airlock.records.drill import DrillProgress, RevisionProof
from airlock.records.errors import NotExamined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alembic.runtime.migration import MigrationContext, RevisionStep

    from airlock.records.rows import Fill, Rate
    from airlock.scratch.servers import ScratchDatabase


@dataclass(frozen=True)
class Stuck:
    """The database is not fit for the next revision: it must be built anew, to stand after so many of the range."""

    position: int


@dataclass(frozen=True)
class WantsRole:
    """The history names a role that the scratch server lacks."""

    role: str
    position: int


@dataclass(frozen=True)
class Finished:
    """The child is through; `fills` are the tables' sample rows, `dead_end` the revision nothing gets past."""

    fills: tuple[Fill, ...]
    rows_made: int
    fill_ms: float
    rates: tuple[Rate, ...] = ()
    dead_end: str | None = None


@dataclass
class Build(Hooks):
    """Apply a list of revisions in its order, whatever Alembic would have planned."""

    project: Project
    revisions: Sequence[RevisionFacts]
    search_path: str | None = None

    def plan(self, _steps: list[RevisionStep]) -> list[RevisionStep]:
        script: Any = self.project.script
        return [
            MigrationStep.upgrade_from_script(script.revision_map, script.get_revision(one.revision))
            for one in self.revisions
        ]

    def begun(self, _step: RevisionStep, context: MigrationContext) -> None:
        if context.connection is not None:
            row = context.connection.exec_driver_sql("SHOW search_path").fetchone()
            self.search_path = row[0] if row else None


class _Lay(Hooks):
    """Keep what env.py lays down before the first revision: its schema and its version table."""

    def start(self, context: MigrationContext, _heads: tuple[str, ...]) -> None:
        connection: Any = context.connection
        # Inside env.py's own `engine.begin()` its end commits, and nobody else may.
        if not context._in_external_transaction and connection.in_transaction():
            connection.commit()


def chosen(project: Project, from_to: str | None, last: int | None, start: tuple[str, ...] | None) -> tuple[
    tuple[RevisionFacts, ...], tuple[RevisionFacts, ...]
]:  # fmt: skip
    """Split the history into what is built without a look and what is examined, both in upgrade order."""
    everything = project.revisions()
    examined = project.revisions(from_to)
    if start is not None:
        held = set(start)
        for one in reversed(everything):
            if one.revision in held:
                held |= {*one.down_revisions, *one.depends_on}
        known = {one.revision for one in everything if one.revision in held}
        examined = tuple(one for one in examined if one.revision not in known)
    if last is not None:
        examined = examined[-last:] if last > 0 else ()
    names = {one.revision for one in examined}
    final = max((place for place, one in enumerate(everything) if one.revision in names), default=-1)
    before = tuple(one for one in everything[: final + 1] if one.revision not in names)
    return before, examined


def prove(
    config: str,
    x_arguments: Sequence[str],
    from_to: str | None,
    last: int | None,
    start: tuple[str, ...] | None,
    position: int,
    database: ScratchDatabase,
    options: Options,
    made: dict[str, str],
) -> Iterator[DrillProgress | RevisionProof | Stuck | WantsRole | Finished]:
    """Examine the revisions of a range from `position` on. Runs in an isolated child."""
    import logging

    from airlock.operations.drill import failures

    # env.py usually has Alembic announce every step; three times each would bury the progress line.
    logging.disable(logging.INFO)
    project = Project.open(Path(config), x_arguments)
    before, examined = chosen(project, from_to, last, start)
    build = Build(project, (*before, *examined[:position]))
    try:
        if build.revisions:
            yield DrillProgress(position, len(examined), build.revisions[-1].revision, "building")
            ran = environment.run(project, None, build.revisions[-1].revision, "up", build)
        else:
            ran = environment.run(project, None, None, "up", _Lay())
    except Exception as error:
        role = failures.missing_role(error)
        if role is None:
            raise NotExamined(f"The history does not build in scratch: {failures.one_line(error)}") from error
        yield WantsRole(role, position)
        return
    table = ran.version_table
    label = f"{plain(ran.version_table_schema or 'public')}.{plain(table)}"
    ledger = Ledger.open(database, label, options.rows)
    ledger.search_path = build.search_path
    ledger.made = dict(made)
    try:
        yield from _examine(project, examined, position, ledger, options, table)
    finally:
        ledger.close()


def _examine(
    project: Project,
    examined: Sequence[RevisionFacts],
    position: int,
    ledger: Ledger,
    options: Options,
    version_table: str,
) -> Iterator[DrillProgress | RevisionProof | Stuck | WantsRole | Finished]:
    state = ledger.read()
    named = [name for name in state.tables() if name.endswith(f".{plain(version_table)}")]
    if ledger.version_table not in named and len(named) == 1:
        ledger.version_table = named[0]  # the search_path put it elsewhere than in public
        state = ledger.read()
    if state.digests:
        yield DrillProgress(position, len(examined), "", "filling tables")
        ledger.fill(state.tables())
        state = ledger.read()
    for number in range(position, len(examined)):
        one = Examination(project, examined[number], ledger, state, options, turn=number + 1)
        for phase in one.run():
            yield DrillProgress(number + 1, len(examined), examined[number].revision, phase)
        if one.wants_role is not None:
            yield WantsRole(one.wants_role, number)
            return
        yield one.proof()
        if one.dead_end:
            yield _finished(ledger, examined[number].revision)
            return
        if one.stuck:
            yield Stuck(number + 1)
            return
        state = one.state
    yield _finished(ledger)


def _finished(ledger: Ledger, dead_end: str | None = None) -> Finished:
    rates = tuple(sorted(ledger.rates.values()))
    return Finished(tuple(sorted(ledger.fills.values())), ledger.rows_made, ledger.fill_ms, rates, dead_end)


__all__ = ["Finished", "Stuck", "WantsRole", "chosen", "prove"]
