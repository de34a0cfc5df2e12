"""Measure the drill against a bare stairway, and sample rows against a hand-written INSERT, each pair in one run.

python -m bench.drill history 300      # up, down, up of every revision: Alembic alone, then airlock drill
python -m bench.drill rows 1000000     # a table of five columns filled by airlock and by generate_series
python -m bench.drill wide 1000        # one revision over so many tables with five more indexes each, and over none
python -m bench.drill scale 1000000    # this project's own history with so many rows in every table
"""

from __future__ import annotations

import logging
import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import psycopg2

from airlock.scratch import embedded
from bench.processes import PYTHON, Spent, backend_seconds, median, server_seconds, spent
from bench.upgrade import run
from tests.airlock.histories import Revision, write_project

ROOT = Path(__file__).parents[1]
ROUNDS = 5
# Up, down and up again, one revision after the other, as test suites have it.
STAIRWAY = """
import logging, sys
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
logging.disable(logging.INFO)
config, below = Config(sys.argv[1]), "base"
for one in list(ScriptDirectory.from_config(config).walk_revisions())[::-1]:
    command.upgrade(config, one.revision)
    command.downgrade(config, below)
    command.upgrade(config, one.revision)
    below = one.revision
"""
TABLE = "CREATE TABLE w{} (id bigint PRIMARY KEY, a int, b text, c timestamptz, d numeric)"
INDEXED = ("a", "b", "c", "d", "a, b")
ROWS_TABLE = """
CREATE TABLE task (id bigint PRIMARY KEY, title varchar(200) NOT NULL, done boolean NOT NULL,
  created_at timestamptz NOT NULL, amount numeric(10, 2))
"""
BY_HAND = """
INSERT INTO task SELECT i, 'sample ' || i, i % 2 = 0, timestamptz '2020-01-01' + i * interval '1 minute', i % 1000 + 0.5
FROM generate_series(1, {rows}) AS i
"""


def history(length: int) -> list[Revision]:
    """Make a history of tables with keys, columns with indexes, and CHECKs."""
    found = []
    for number in range(length):
        table = f"t{number // 3}"
        if number % 3 == 0:
            key = f", other_id bigint REFERENCES t{number // 3 - 1} (id)" if number else ""
            columns = f"id bigserial PRIMARY KEY, name varchar(100) NOT NULL, at timestamptz NOT NULL DEFAULT now(), n int{key}"
            up, down = f'op.execute("CREATE TABLE {table} ({columns})")', f'op.drop_table("{table}")'
        elif number % 3 == 1:
            up = f'op.add_column("{table}", sa.Column("extra", sa.Text()))\nop.create_index("ix_{table}", "{table}", ["name"])'
            down = f'op.drop_index("ix_{table}")\nop.drop_column("{table}", "extra")'
        else:
            up = f'op.create_check_constraint("ck_{table}", "{table}", "n <> -125")'
            down = f'op.drop_constraint("ck_{table}", "{table}")'
        found.append(Revision(f"r{number:05d}", up, down, title=f"Step {number}"))
    return found


def measure_history(length: int) -> None:
    """Print the seconds and the processor seconds of both, in turns, and their ratios."""
    taken: dict[str, list[Spent]] = {"stairway": [], "drill": []}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        ini = write_project(directory, history(length))
        for _ in range(ROUNDS):
            with embedded.scratch_cluster(max(embedded.available())) as cluster:
                bare = spent(
                    [sys.executable, "-P", "-c", STAIRWAY, str(ini)], directory, DATABASE_URL=cluster.url()
                )
                taken["stairway"].append(replace(bare, processor=bare.processor + server_seconds(cluster)))
            taken["drill"].append(spent([*PYTHON, "airlock", "drill", "-c", str(ini)], directory))
    bare, drilled = median(taken["stairway"]), median(taken["drill"])
    print(
        f"{length} revisions: bare stairway {bare.seconds:.1f} s, {bare.processor:.1f} of processor time; drill "
        f"{drilled.seconds:.1f} and {drilled.processor:.1f}: {drilled.seconds / bare.seconds:.2f} x the time (at most 0.45), "
        f"{drilled.processor / bare.processor:.2f} x the processor time"
    )


def measure_wide(tables: int) -> None:
    """Print what one revision costs over so many tables, and over none: the start of a drill is in both."""
    taken = {}
    for width in (0, tables):
        up = [line for number in range(width) for line in (TABLE.format(number), *_indexes(number))]
        down = [f"DROP TABLE w{number}" for number in range(width)]
        with tempfile.TemporaryDirectory() as name:
            below = Revision(
                "r0", *("\n".join(f'op.execute("{it}")' for it in ways) or "pass" for ways in (up, down))
            )
            added = Revision(
                "r1", 'op.execute("CREATE TABLE added (id int)")', 'op.execute("DROP TABLE added")'
            )
            ini = write_project(Path(name), [below, added])
            command = [*PYTHON, "airlock", "drill", "r0:r1", "-c", str(ini)]
            taken[width] = median([spent(command, Path(name)) for _ in range(ROUNDS)])
    none, wide = taken.values()
    print(
        f"one revision over {tables:,} tables and {tables * len(INDEXED):,} more indexes: {wide.seconds:.1f} s, "
        f"{wide.processor:.1f} of processor time, largest process {wide.largest_mb:.0f} MB; over none "
        f"{none.seconds:.1f} and {none.processor:.1f}, {none.largest_mb:.0f} MB"
    )


def _indexes(number: int) -> list[str]:
    return [f"CREATE INDEX ON w{number} ({columns})" for columns in INDEXED]


def measure_rows(count: int) -> None:
    """Print the rows a second of both, by the clock and by the server's processor time, in turns."""
    from airlock import samples

    took: dict[str, list[tuple[float, float]]] = {"airlock": [], "by hand": []}
    with embedded.scratch_cluster(max(embedded.available())) as cluster:
        for number in range(ROUNDS * 2):
            who = tuple(took)[number % 2]
            run(cluster.url(), f"CREATE DATABASE rows_{number}")
            connection = psycopg2.connect(cluster.url(f"rows_{number}"))
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(ROWS_TABLE)
                began, before = time.perf_counter(), backend_seconds(connection.info.backend_pid)
                if who == "airlock":
                    (made,) = samples.fill(connection, count, tables=["public.task"])
                    assert made.rows == count, made
                else:
                    cursor.execute(BY_HAND.format(rows=count))
                spent_there = backend_seconds(connection.info.backend_pid) - before
                took[who].append((time.perf_counter() - began, spent_there))
            connection.close()
            run(cluster.url(), f"DROP DATABASE rows_{number}")
    for who, figures in took.items():
        seconds, processor = (statistics.median(values) for values in zip(*figures, strict=True))
        print(
            f"{count:,} rows {who}: {seconds:.1f} s, {count / seconds:,.0f} a second by the clock, "
            f"{count / max(processor, 0.01):,.0f} of the server's processor time (at least 500,000)"
        )


def measure_scale(most: int) -> None:
    """Print what the drill of this project's history takes, and the longest stall, at a hundredth, a tenth, and all rows."""
    from airlock.operations.drill import drill

    os.chdir(ROOT)
    for count in (max(most // 100, 1), max(most // 10, 1), most):
        report = drill(ROOT / "alembic.ini", rows=count, traffic=10)
        stall = report.longest_stall_ms or 0.0
        print(
            f"{count:>9,} rows a table: {report.elapsed_ms / 1000:6.1f} s, longest stall {stall:4.0f} ms ({report.verdict})"
        )


if __name__ == "__main__":
    logging.disable(logging.INFO)
    measures = {
        "history": measure_history, "rows": measure_rows, "wide": measure_wide, "scale": measure_scale,
    }  # fmt: skip
    default = [("history", 300), ("rows", 1_000_000), ("wide", 1_000)]
    asked = [(sys.argv[1], int(sys.argv[2]))] if sys.argv[1:] else default
    for what, size in asked:
        measures[what](size)
