"""The child that takes the traced revisions up once more, each statement behind a reader."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airlock.operations.drill.failures import one_line
from airlock.operations.older_release.release import client_statements
from airlock.operations.trace.blocker import Load
from airlock.operations.trace.child import connect, ordered
from airlock.operations.trace.sample_rows import Samples
from airlock.project import environment
from airlock.project.environment import Hooks
from airlock.project.project import Project
from airlock.recorder import flush, installed, tap
from airlock.samples import read_tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from alembic.runtime.migration import MigrationContext, RevisionStep

    from airlock.records.load import UnderLoad
    from airlock.records.trace import StatementRecord
    from airlock.scratch.servers import ScratchDatabase

# (revision, what was seen of its upgrade, why it was not or not to the end)
Seen = tuple[str, "tuple[UnderLoad, ...]", str]


def observe(
    *,
    config: Path,
    x_arguments: tuple[str, ...],
    from_to: str | None,
    start: tuple[str, ...] | None,
    rows: int,
    database: ScratchDatabase,
    seconds: float,
    records: Mapping[str, tuple[StatementRecord, ...]],
) -> Iterator[Seen]:
    """Upgrade step by step on sample rows, with a reader of `seconds` before each statement; yield what was seen.

    `records` are the statements that the trace saw of each upgrade. What fails behind its reader goes up again alone; what
    fails alone as well ends the run. Writes to the scratch database only.
    """
    logging.disable(logging.INFO)
    project = Project.open(config, x_arguments)
    order, _ = ordered(project, from_to, start, frozenset())
    with contextlib.closing(connect(database)) as connection:
        load = Load(lambda: connect(database), seconds)
        step = _Loaded(load, Samples(connection, rows), records)
        with installed(load):
            for revision in order:
                step.revision, why = revision, ""
                try:
                    environment.run(project, "heads", "up", step)
                except Exception as error:  # noqa: BLE001  a revision may raise anything
                    seen, why = load.end(), one_line(error)
                    if seen and seen[-1].gave_up:
                        seen, why = (*seen[:-1], replace(seen[-1], gave_up=why)), ""
                    yield revision, seen, why
                    if not _alone(project, step):
                        return
                else:
                    yield revision, load.end(), ""


def _alone(project: Project, step: _Loaded) -> bool:
    """Take the step without readers, and where rows are what refuses it, without rows."""
    step.loaded = False
    try:
        for empty in (False, True):
            if empty:
                step.samples.empty(except_for=step.version_table)
            with contextlib.suppress(Exception):
                environment.run(project, "heads", "up", step)
                return True
        return False
    finally:
        step.loaded = True


class _Loaded(Hooks):
    """Takes one revision up, whatever Alembic would have planned, its tables filled."""

    def __init__(
        self, load: Load, samples: Samples, records: Mapping[str, tuple[StatementRecord, ...]]
    ) -> None:
        self.load = load
        self.samples = samples
        self.records = records
        self.revision = ""
        self.version_table = ""
        self.loaded = True
        self._path = ""

    def plan(self, steps: list[RevisionStep]) -> list[RevisionStep]:
        return [one for one in steps if one.revision.revision == self.revision]

    def before(self, step: RevisionStep, context: MigrationContext) -> None:  # noqa: ARG002
        schema = environment.schema_of_version_table(context)
        self.version_table = f"{schema or 'public'}.{context.version_table}"
        if self.loaded:
            self.samples.fill(except_for=self.version_table)

    def begun(self, step: RevisionStep, context: MigrationContext) -> None:
        records = self.records.get(step.revision.revision, ())
        if not self.loaded or not records:
            return
        driver: Any = context.connection
        tap(driver.connection.dbapi_connection, self.load)
        tables = {
            one.label: one for one in read_tables(self.samples.connection, exclude=(self.version_table,))
        }
        locked = {lock.object for one in records for lock in one.locks} & tables.keys()
        with self.samples.connection.cursor() as cursor:
            cursor.execute("BEGIN")
            clients = {name: client_statements(cursor, tables[name]) for name in sorted(locked)}
            cursor.execute("ROLLBACK")
        self.load.begin(step.revision.path, records, tables, clients)

    def done(self, step: RevisionStep, context: MigrationContext) -> None:  # noqa: ARG002
        self.load.active = False
        driver: Any = context.connection
        flush(driver.connection.dbapi_connection)
