"""`airlock upgrade` against bare Alembic on the same project and server, in turns, as ratios.

    python -m bench.upgrade

At head: whole processes, because imports are most of it. From empty: 300 revisions, against Alembic with
transaction_per_migration=True. Waiting: what eight runners that wait for the lease ask of the server.
"""

from __future__ import annotations

import compileall
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg2

import airlock
from airlock.scratch import embedded

ROUNDS, BIG_ROUNDS, REVISIONS = 9, 3, 300
ENV = """\
import os

from alembic import context
from sqlalchemy import create_engine, pool

engine = create_engine(os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg2://"), poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
"""
REVISION = """\
from alembic import op

revision = "r{number:03}"
down_revision = {below}


def upgrade():
    op.execute("CREATE TABLE t{number:03} (id integer PRIMARY KEY, said text)")


def downgrade():
    op.execute("DROP TABLE t{number:03}")
"""


def write(directory: Path, revisions: int) -> Path:
    """Write a project of so many revisions, each with one table."""
    versions = directory / "alembic" / "versions"
    versions.mkdir(parents=True)
    (directory / "alembic" / "env.py").write_text(ENV)
    for number in range(revisions):
        below = repr(f"r{number - 1:03}") if number else "None"
        (versions / f"r{number:03}.py").write_text(REVISION.format(number=number, below=below))
    ini = directory / "alembic.ini"
    ini.write_text("[alembic]\nscript_location = %(here)s/alembic\n")
    return ini


def timed(command: list[str], url: str) -> float:
    """Run a command and return its seconds."""
    since = time.perf_counter()
    subprocess.run(command, env={**os.environ, "DATABASE_URL": url}, check=True, capture_output=True)
    return time.perf_counter() - since


def commands(ini: Path) -> dict[str, list[str]]:
    """Name the two contestants."""
    python = [sys.executable, "-P", "-m"]
    return {
        "bare": [*python, "alembic", "-c", str(ini), "upgrade", "head"],
        "airlock": [*python, "airlock", "upgrade", "-c", str(ini)],
    }


def at_head(ini: Path, url: str) -> dict[str, float]:
    """Take turns at a database that has nothing to do; the median of each."""
    found: dict[str, list[float]] = {"bare": [], "airlock": []}
    timed(commands(ini)["bare"], url)
    for _ in range(ROUNDS):
        for name, command in commands(ini).items():
            found[name].append(timed(command, url))
    return {name: statistics.median(values) for name, values in found.items()}


def from_empty(ini: Path, cluster: embedded.Cluster) -> dict[str, float]:
    """Take turns at empty databases; the best of each, since the server's own work varies."""
    found: dict[str, list[float]] = {"bare": [], "airlock": []}
    for turn in range(BIG_ROUNDS):
        for name, command in commands(ini).items():
            run(cluster.url(), f"CREATE DATABASE {name}_{turn}")
            found[name].append(timed(command, cluster.url(f"{name}_{turn}")))
    return {name: min(values) for name, values in found.items()}


def waiting(ini: Path, url: str, runners: int = 8, seconds: float = 5.0) -> float:
    """Let runners wait for a lease that is held, and count the transactions a second that the server sees."""
    from airlock.database import lease
    from airlock.database.target import parse

    query = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
    waiters = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'airlock-lease:%'"
    with lease.take(parse(url), run=lease.new_run(), wait_s=0):
        started = [
            subprocess.Popen(
                [*commands(ini)["airlock"], "--wait", "60s"], env={**os.environ, "DATABASE_URL": url},
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            for _ in range(runners)
        ]  # fmt: skip
        while run(url, waiters) != [(runners + 1,)]:
            time.sleep(0.2)
        # The server books a session's transactions about once a second.
        time.sleep(2)
        before = int(str(run(url, query)[0][0]))
        time.sleep(seconds)
        after = int(str(run(url, query)[0][0]))
    for process in started:
        process.wait()
    return (after - before) / seconds


def run(url: str, statement: str) -> list[tuple[object, ...]]:
    """Ask or tell the server something, in autocommit."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def main() -> None:
    """Measure and print the ratios."""
    # As pip leaves a package, Alembic among them: compiled. A checkout may be kept from it (PYTHONDONTWRITEBYTECODE).
    compileall.compile_dir(Path(airlock.__file__).parent, quiet=1)
    with tempfile.TemporaryDirectory() as small, tempfile.TemporaryDirectory() as big:
        with embedded.scratch_cluster(max(embedded.available())) as cluster:
            run(cluster.url(), "CREATE DATABASE small")
            head = at_head(write(Path(small), 1), cluster.url("small"))
            print(f"at head:        airlock {head['airlock'] * 1000:.0f} ms, alembic {head['bare'] * 1000:.0f} ms, "
                  f"ratio {head['airlock'] / head['bare']:.2f} (at most 1.2)")  # fmt: skip
            empty = from_empty(write(Path(big), REVISIONS), cluster)
            print(f"{REVISIONS} revisions:  airlock {empty['airlock']:.2f} s, alembic {empty['bare']:.2f} s, "
                  f"ratio {empty['airlock'] / empty['bare']:.2f} (at most 1.2)")  # fmt: skip
            load = waiting(Path(small) / "alembic.ini", cluster.url("small"))
            print(f"8 runners wait: {load:.0f} transactions a second")


if __name__ == "__main__":
    main()
