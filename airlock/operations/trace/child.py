"""The child's side of a trace: env.py under observation, the catalogue before and after, the scripts."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airlock.catalogue import fingerprint
from airlock.drivers import client
from airlock.operations.drill.failures import missing_shared
from airlock.operations.drill.stepping_over import as_far_as_it_goes
from airlock.operations.older_release.release import Release
from airlock.operations.trace.consequences import Consequences
from airlock.operations.trace.look import Look
from airlock.operations.trace.messages import Begin, Catalogue, Ordered
from airlock.operations.trace.safer import Planner
from airlock.operations.trace.sample_rows import Samples
from airlock.operations.trace.steps import Tracing
from airlock.operations.trace.undoing import Failed, Stuck, WantsShared
from airlock.project import environment, offline
from airlock.project.environment import Hooks
from airlock.project.project import Project
from airlock.recorder import Recorder, installed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from alembic.runtime.migration import RevisionStep

    from airlock.operations.drill.missing_objects import Gap
    from airlock.records.shared import Shared
    from airlock.scratch.servers import ScratchDatabase

# Rows that parallel workers read are counted in their own books, not in the statement's.
_QUIET = ("max_parallel_workers_per_gather", "max_parallel_maintenance_workers")


def observe(
    *,
    config: Path,
    x_arguments: tuple[str, ...],
    from_to: str | None,
    start: tuple[str, ...] | None,
    rows: int,
    database: ScratchDatabase,
    bundle: bool,
    begin: Begin | None = None,
) -> Iterator[Any]:
    """Yield Ordered, TracedRevision, Unfilled, at last Stuck or, for a `bundle`, Catalogue and Written; to be run by `isolated`.

    Every traced revision goes up, down and up again, each step in a transaction of its own; the second
    upgrade is not recorded. Writes to the scratch database only.
    """
    # Every step runs more than once here: Alembic's "Running upgrade" would mislead.
    logging.disable(logging.INFO)
    begin = begin or Begin()
    project = Project.open(config, x_arguments)
    with (
        contextlib.closing(connect(database)) as connection,
        contextlib.closing(connect(database)) as older,
        contextlib.closing(Planner(lambda: connect(database), database.admin_url)) as planner,
    ):
        with connection.cursor() as cursor:
            for setting in _QUIET:
                cursor.execute(f'ALTER DATABASE "{database.name}" SET {setting} = 0')
        order, gaps = begin.order, begin.gaps
        if not begin.order:
            try:
                order, gaps = ordered(project, from_to, start, begin.beyond_help)
            except Exception as error:
                lacks = missing_shared(error)
                if lacks is None or lacks in begin.beyond_help:
                    raise
                yield Begin(lacks=lacks)
                return
            yield Ordered(order)
        before = begin.before or (Look(connection) if bundle else None)
        recorder = Recorder(lambda: connect(database))
        samples = Samples(connection, rows)
        reader = fingerprint.Reader(connection)
        planner.mark = reader.mark
        tracing = Tracing(
            project, recorder, samples, reader,
            connection if bundle else None, Consequences(Release(older, reader), planner), begin.required, begin.empty, gaps,
            begin.beyond_help,
        )  # fmt: skip
        onward: Begin | None = None
        with contextlib.closing(recorder), installed(recorder):
            try:
                yield from tracing.run(order, begin.position)
            except Stuck as met:
                onward = Begin(met.position, met.order, met.required, met.empty, before)
            except Failed as met:
                onward = Begin(
                    met.position, met.order, before=before, fault=met.fault, extension=met.extension
                )
            except WantsShared as met:
                onward = Begin(met.position, met.order, before=before, lacks=met.lacks)
        yield from tracing.untold()
        yield from samples.unfilled
        if onward is None and (tracing.fault or tracing.extension):
            onward = Begin(len(order), order, before=before)
        if onward is not None:
            yield replace(
                onward, fault=tracing.fault or onward.fault, extension=tracing.extension or onward.extension
            )
            return
        if before is not None:
            yield _compared(before, Look(connection), tracing.version_table)
            yield from _scripts(project, order, (*begin.downs, *tracing.downs))


def build(
    *,
    config: Path,
    x_arguments: tuple[str, ...],
    from_to: str | None,
    start: tuple[str, ...] | None,
    order: tuple[str, ...],
    position: int,
    gaps: tuple[Gap, ...],
    beyond_help: frozenset[Shared],
) -> Iterator[Gap]:
    """Bring this process's database from before `position` to the end of `order`, unseen; at 0, first what lies below the range.

    What cannot be applied is applied as far as it goes; yields what is missing of it.
    """
    logging.disable(logging.INFO)
    project = Project.open(config, x_arguments)
    if position == 0:
        _, gaps = ordered(project, from_to, start, beyond_help)
        yield from gaps
    for revision in order[position:]:
        found = _built(project, revision, gaps, beyond_help)
        gaps = (*gaps, *found)
        yield from found


class _One(Hooks):
    """Takes one revision up, whatever Alembic would have planned."""

    wants_steps = False

    def __init__(self, project: Project, revision: str) -> None:
        self.project = project
        self.revision = revision

    def plan(self, _steps: list[RevisionStep]) -> list[RevisionStep]:
        return environment.steps_of(self.project, (self.revision,), "up")


class _Order(Hooks):
    """Keeps what Alembic would take, and takes none of it."""

    taken: tuple[str, ...] = ()

    def plan(self, steps: list[RevisionStep]) -> list[RevisionStep]:
        self.taken = tuple(step.revision.revision for step in steps)
        return []


def ordered(
    project: Project, from_to: str | None, start: tuple[str, ...] | None, beyond_help: frozenset[Shared]
) -> tuple[tuple[str, ...], tuple[Gap, ...]]:
    """Build what lies below the range; name its revisions in Alembic's order, and what below is missing."""
    if from_to is not None:
        # One revision's name, a range that runs downwards: env.py would be asked for something else.
        project.revisions(from_to)
    low, _, high = (from_to or "").partition(":")
    gaps: tuple[Gap, ...] = ()
    for head in start if start is not None else () if low in ("", "base") else (low,):
        try:
            environment.run(project, head, "up")
        except Exception:  # noqa: BLE001  a revision may raise anything
            left = _Order()
            environment.run(project, head, "up", left)
            for revision in left.taken:
                gaps += _built(project, revision, gaps, beyond_help)
    order = _Order()
    environment.run(project, high or "heads", "up", order)
    return order.taken, gaps


def _built(
    project: Project, revision: str, gaps: tuple[Gap, ...], beyond_help: frozenset[Shared]
) -> tuple[Gap, ...]:
    """Apply one revision, as far as it goes; return what is missing of it."""
    try:
        environment.run(project, revision, "up", _One(project, revision))
    except Exception as error:  # noqa: BLE001  a revision may raise anything
        return (as_far_as_it_goes(project, project.revision(revision), gaps, beyond_help, error),)
    return ()


def _scripts(project: Project, ups: Sequence[str], downs: Sequence[str]) -> Iterator[Any]:
    yield from offline.scripts(project, ups, "up")
    for revision in downs:
        yield from offline.scripts(project, [revision], "down")


def connect(database: ScratchDatabase) -> Any:
    """Connect as the scratch server's administrator, past every redirect and tap of this process."""
    return client.connect(database.admin_url, autocommit=True)


def _compared(before: Look, after: Look, version_table: str) -> Catalogue:
    """Tell what is different afterwards, leaving out Alembic's own table."""
    schemas = {name: one for name, one in after.fingerprint.objects.items() if one.kind == "schema"}
    # Beside a new schema its tables are told too: they are what the reader came for.
    old = fingerprint.Fingerprint(schemas | dict(before.fingerprint.objects))
    made = fingerprint.differences(before.fingerprint, old)
    return Catalogue(
        tuple(
            difference
            for difference in (*made, *fingerprint.differences(old, after.fingerprint))
            if difference.object != version_table
        ),
        before.diagram.without(version_table),
        after.diagram.without(version_table),
    )
