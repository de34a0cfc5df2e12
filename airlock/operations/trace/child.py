"""The child's side of a trace: env.py under observation, the catalogue before and after, the scripts."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airlock.catalogue import diagram, fingerprint
from airlock.drivers import client
from airlock.operations.older_release.release import Release
from airlock.operations.trace.safer import Planner
from airlock.operations.trace.sample_rows import Samples
from airlock.operations.trace.steps import Stuck, Tracing
from airlock.project import environment, offline
from airlock.project.environment import Hooks
from airlock.project.project import Project
from airlock.recorder import Recorder, installed
from airlock.records.errors import RevisionFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from alembic.runtime.migration import RevisionStep

    from airlock.records.diagram import Diagram
    from airlock.records.difference import Difference
    from airlock.records.trace import TracedRevision
    from airlock.samples import Table
    from airlock.scratch.servers import ScratchDatabase

# Rows that parallel workers read are counted in their own books, not in the statement's.
_QUIET = ("max_parallel_workers_per_gather", "max_parallel_maintenance_workers")


@dataclass(frozen=True)
class Catalogue:
    """What the traced revisions made of the catalogue: every difference, and both ends as a diagram."""

    differences: tuple[Difference, ...]
    before: Diagram
    after: Diagram


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
    """Yield TracedRevision, Unfilled, at last Stuck or, for a `bundle`, Catalogue and Written; to be run by `isolated`.

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
        contextlib.closing(Planner(lambda: connect(database))) as planner,
    ):
        with connection.cursor() as cursor:
            for setting in _QUIET:
                cursor.execute(f'ALTER DATABASE "{database.name}" SET {setting} = 0')
        order = begin.order
        if not begin.order:
            order = _ordered(project, database, from_to, start)
        before = begin.before or (_Look(connection) if bundle else None)
        recorder = Recorder(lambda: connect(database))
        samples = Samples(connection, rows)
        tracing = Tracing(
            project, recorder, samples, fingerprint.Reader(connection), database.url,
            connection if bundle else None, Release(older), planner, begin.required, begin.empty,
        )  # fmt: skip
        stuck: Stuck | None = None
        failed: RevisionFailed | None = None
        with contextlib.closing(recorder), installed(recorder):
            try:
                tracing.run(order, begin.position)
            except Stuck as met:
                stuck = met
            except RevisionFailed as met:
                failed = met
        yield from tracing.traced
        yield from samples.unfilled
        if failed is not None:
            raise failed
        if stuck is not None:
            yield Begin(stuck.position, stuck.order, stuck.required, stuck.empty, before)
            return
        if before is not None:
            yield before.compared(_Look(connection), tracing.version_table)
            yield from _scripts(project, order, (*begin.downs, *_downs(tracing.traced)))


@dataclass(frozen=True)
class Begin:
    """Where a child goes on, in a database that stands before `position` of `order`; empty, it asks Alembic."""

    position: int = 0
    order: tuple[str, ...] = ()
    required: dict[str, Table] | None = None
    empty: str = ""
    before: _Look | None = None
    downs: tuple[str, ...] = ()


def build(
    *,
    config: Path,
    x_arguments: tuple[str, ...],
    from_to: str | None,
    start: tuple[str, ...] | None,
    database: ScratchDatabase,
    order: tuple[str, ...],
    position: int,
) -> Iterator[None]:
    """Bring a database from before `position` to the end of `order`, unseen; at 0, what lies below the range first."""
    logging.disable(logging.INFO)
    project = Project.open(config, x_arguments)
    if position == 0:
        _ordered(project, database, from_to, start)
    for revision in order[position:]:
        environment.run(project, database.url, revision, "up", _One(project, revision))
    yield None


class _One(Hooks):
    """Takes one revision up, whatever Alembic would have planned."""

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


def _ordered(
    project: Project, database: ScratchDatabase, from_to: str | None, start: tuple[str, ...] | None
) -> tuple[str, ...]:
    """Build what lies below the range, and name its revisions in Alembic's order."""
    low, _, high = (from_to or "").partition(":")
    for head in start if start is not None else () if low in ("", "base") else (low,):
        environment.run(project, database.url, head, "up")
    order = _Order()
    environment.run(project, database.url, high or "heads", "up", order)
    return order.taken


def _downs(traced: Sequence[TracedRevision]) -> tuple[str, ...]:
    return tuple(one.revision for one in traced if one.direction == "down" and not one.refused)


def _scripts(project: Project, ups: Sequence[str], downs: Sequence[str]) -> Iterator[Any]:
    yield from offline.scripts(project, ups, "up")
    for revision in downs:
        yield from offline.scripts(project, [revision], "down")


def connect(database: ScratchDatabase) -> Any:
    """Connect as the scratch server's administrator, past every redirect and tap of this process."""
    return client.connect(database.admin_url, autocommit=True)


class _Look:
    """One reading of the whole catalogue."""

    def __init__(self, connection: Any) -> None:
        self.fingerprint = fingerprint.read(connection)
        self.diagram = diagram.read(connection)

    def compared(self, after: _Look, version_table: str) -> Catalogue:
        """Tell what is different afterwards, leaving out Alembic's own table."""
        schemas = {name: one for name, one in after.fingerprint.objects.items() if one.kind == "schema"}
        # Beside a new schema its tables are told too: they are what the reader came for.
        old = fingerprint.Fingerprint(schemas | dict(self.fingerprint.objects))
        made = fingerprint.differences(self.fingerprint, old)
        return Catalogue(
            tuple(
                difference
                for difference in (*made, *fingerprint.differences(old, after.fingerprint))
                if difference.object != version_table
            ),
            self.diagram.without(version_table),
            after.diagram.without(version_table),
        )
