"""Measure the drill against a bare stairway, and sample rows against a hand-written INSERT, each pair in one run.

python -m bench.drill history 300      # up, down, up of every revision: Alembic alone, then airlock drill
python -m bench.drill rows 1000000     # the same table filled by airlock and by generate_series
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from pathlib import Path

import psycopg2

from tests.airlock.histories import Revision, write_project

ROOT = Path(__file__).parents[1]
ROWS_TABLES = """
CREATE TABLE owner (id uuid PRIMARY KEY, email varchar(320) NOT NULL UNIQUE);
CREATE TABLE task (id bigserial PRIMARY KEY, owner_id uuid NOT NULL REFERENCES owner, title varchar(200) NOT NULL,
  done boolean NOT NULL, created_at timestamptz NOT NULL, amount numeric(10, 2));
CREATE INDEX ON task (owner_id, created_at);
"""
BY_HAND = """
INSERT INTO task (owner_id, title, done, created_at, amount)
SELECT o.id, 'sample ' || i, i % 2 = 0, timestamptz '2020-01-01' + i * interval '1 minute', i % 1000 + 0.5
FROM generate_series(0, {rows} - 1) AS i
JOIN (SELECT id, row_number() OVER () - 1 AS n FROM owner) AS o ON o.n = i % 1000
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
    """Print the seconds of both, and their ratio."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    from airlock.operations.drill import drill
    from airlock.scratch.servers import scratch_server

    with tempfile.TemporaryDirectory() as directory:
        ini = write_project(Path(directory), history(length))
        os.chdir(directory)
        with scratch_server("embedded") as server, server.database() as database:
            os.environ["DATABASE_URL"] = database.url
            config = Config(str(ini))
            revisions = [one.revision for one in ScriptDirectory.from_config(config).walk_revisions()][::-1]
            began, below = time.perf_counter(), "base"
            for revision in revisions:
                for run, target in (
                    (command.upgrade, revision),
                    (command.downgrade, below),
                    (command.upgrade, revision),
                ):
                    run(config, target)
                below = revision
            bare = time.perf_counter() - began
        began = time.perf_counter()
        report = drill(ini)
        drilled = time.perf_counter() - began
    print(
        f"{length} revisions: bare stairway {bare:.1f} s, drill {drilled:.1f} s ({report.verdict}), {drilled / bare:.2f} x"
    )


def measure_rows(count: int) -> None:
    """Print the rows a second of both."""
    from airlock import samples
    from airlock.scratch.servers import scratch_server

    with scratch_server("embedded") as server:
        took = {}
        for who in ("by hand", "airlock"):
            with server.database() as database:
                connection = psycopg2.connect(database.url)
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute(ROWS_TABLES)
                    samples.fill(connection, 1_000, tables=["public.owner"])
                    began = time.perf_counter()
                    if who == "airlock":
                        (made,) = samples.fill(connection, count, tables=["public.task"])
                        assert made.rows == count, made
                    else:
                        cursor.execute(BY_HAND.format(rows=count))
                    took[who] = time.perf_counter() - began
                connection.close()
    for who, seconds in took.items():
        print(f"{count:,} rows {who}: {seconds:.1f} s, {count / seconds:,.0f} rows/s")
    print(f"airlock takes {took['airlock'] / took['by hand']:.2f} x the time")


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
    measures = {"history": measure_history, "rows": measure_rows, "scale": measure_scale}
    asked = [(sys.argv[1], int(sys.argv[2]))] if sys.argv[1:] else [("history", 300), ("rows", 1_000_000)]
    for what, size in asked:
        measures[what](size)
