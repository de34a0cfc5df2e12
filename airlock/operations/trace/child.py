"""The child's side of a trace: env.py under observation, the catalogue before and after, the scripts."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airlock.catalogue import diagram, fingerprint
from airlock.operations.trace.sample_rows import Samples
from airlock.project import environment, offline
from airlock.project.project import Project
from airlock.recorder import Recorder, installed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airlock.records.diagram import Diagram
    from airlock.records.difference import Difference
    from airlock.scratch.servers import ScratchDatabase
from airlock.operations.trace.steps import Tracing

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
) -> Iterator[Any]:
    """Yield TracedRevision, Unfilled and, for a `bundle`, Catalogue and Written; to be run by `isolated`.

    Every traced revision goes up, down and up again, each step in a transaction of its own; the second
    upgrade is not recorded. Writes to the scratch database only.
    """
    # Every step runs more than once here: Alembic's "Running upgrade" would mislead.
    logging.disable(logging.INFO)
    project = Project.open(config, x_arguments)
    low, _, high = (from_to or "").partition(":")
    target = high or "heads"
    with contextlib.closing(connect(database)) as connection:
        with connection.cursor() as cursor:
            for setting in _QUIET:
                cursor.execute(f'ALTER DATABASE "{database.name}" SET {setting} = 0')
        for head in start if start is not None else () if low in ("", "base") else (low,):
            environment.run(project, database.url, head, "up")
        before = _Look(connection) if bundle else None
        recorder = Recorder(lambda: connect(database))
        samples = Samples(connection, rows)
        tracing = Tracing(project, recorder, samples, connection if bundle else None)
        with contextlib.closing(recorder), installed(recorder):
            tracing.run(database.url, target)
        yield from tracing.traced
        yield from samples.unfilled
        if before is not None:
            yield before.compared(_Look(connection), tracing.version_table)
            ups = [one.revision for one in tracing.traced if one.direction == "up"]
            downs = [one.revision for one in tracing.traced if one.direction == "down" and not one.refused]
            yield from offline.scripts(project, ups, "up")
            for revision in downs:
                yield from offline.scripts(project, [revision], "down")


def connect(database: ScratchDatabase) -> Any:
    """Connect as the scratch server's administrator, past every redirect and tap of this process."""
    import psycopg2

    driver: Any = psycopg2._psycopg
    connection = driver._connect(database.admin_url)
    connection.autocommit = True
    return connection


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
