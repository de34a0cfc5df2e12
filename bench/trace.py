"""What tracing costs: the same steps with and without a recorder, and how both grow with the history.

    python -m bench.trace [REVISIONS ...]      (default: 100 300)

Each revision makes a table, adds a column to the one before and indexes it, and goes up, down and up again.
Seconds are processor time of this process and of its server (started for each measurement, its start taken off),
so that a busy machine does not disturb them; `wall` is the clock's.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from airlock.catalogue import fingerprint
from airlock.operations.trace.child import connect
from airlock.operations.trace.sample_rows import Samples
from airlock.operations.trace.steps import Tracing
from airlock.project.project import Project
from airlock.recorder import Recorder, installed
from airlock.scratch.servers import scratch_server
from tests.airlock.histories import Revision, write_project


def history(count: int) -> list[Revision]:
    """Make revisions that look like a project's: a table, a column, an index."""
    made = []
    for number in range(count):
        up = [
            f"op.create_table('t{number}', sa.Column('id', sa.BigInteger, primary_key=True), sa.Column('a', sa.Integer))"
        ]
        down = [f"op.drop_table('t{number}')"]
        if number:
            up += [f"op.add_column('t{number - 1}', sa.Column('b', sa.String(50)))"]
            up += [f"op.create_index('ix_{number}', 't{number - 1}', ['a'])"]
            down = [f"op.drop_index('ix_{number}')", f"op.drop_column('t{number - 1}', 'b')", *down]
        made.append(Revision(f"{number:04}", "\n".join(up), "\n".join(down), title=f"Make t{number}"))
    return made


class _Idle(Recorder):
    """A recorder that never records."""

    def begin(self, path: str, shown: str) -> None:
        """Stay idle."""


def measure(ini: Path, kind: type[Recorder] | None, rows: int) -> tuple[float, float]:
    """Take every revision up, down and up again on a new server; return processor and wall seconds."""
    before = _processor()
    wall = 0.0
    with scratch_server() as server, server.database() as database:
        os.environ["DATABASE_URL"] = database.url
        with contextlib.closing(connect(database)) as connection:
            for setting in ("max_parallel_workers_per_gather", "max_parallel_maintenance_workers"):
                connection.cursor().execute(f'ALTER DATABASE "{database.name}" SET {setting} = 0')
            if kind is not None:
                recorder = kind(lambda: connect(database))
                project = Project.open(ini)
                order = tuple(one.revision for one in project.revisions())
                reader = fingerprint.Reader(connection)
                tracing = Tracing(project, recorder, Samples(connection, rows), reader, database.url)
                with contextlib.closing(recorder), installed(recorder):
                    started = time.perf_counter()
                    # Each way up and each way down is one.
                    traced = list(dict.fromkeys(one.revision for one in tracing.run(order, 0)))
                    wall = time.perf_counter() - started
                if traced != list(order):
                    raise SystemExit(f"of {len(order)} revisions {len(traced)} were traced")
    return _processor() - before, wall


def _processor() -> float:
    """Add up this process's time and that of the children it has waited for: a stopped server among them."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def main(lengths: list[int]) -> None:
    """Print one line for each length and number of rows."""
    print("revisions   rows   untraced     traced   ratio   ms/revision traced      wall")
    for rows in (0, 1000):
        for count in lengths:
            with tempfile.TemporaryDirectory() as directory:
                ini = write_project(Path(directory), history(count))
                start = min(measure(ini, None, rows)[0] for _ in range(2))
                plain = measure(ini, _Idle, rows)[0] - start
                spent, wall = measure(ini, Recorder, rows)
                traced = spent - start
            print(
                f"{count:9} {rows:6} {plain:8.2f} s {traced:8.2f} s {traced / plain:7.2f}"
                f" {traced / count * 1000:14.2f} {wall:16.1f} s"
            )


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [100, 300])
