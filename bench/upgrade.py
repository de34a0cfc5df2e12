"""`airlock upgrade` against bare Alembic on the same project and server, in turns, as ratios.

    python -m bench.upgrade            head, 300 revisions, waiting runners
    python -m bench.upgrade kinds 100  so many revisions through each kind of env.py, as it is
    python -m bench.upgrade scale 100 1000 10000    so many revisions from empty, each: what one costs

At head: whole processes, because imports are most of it. From empty: 300 revisions, against Alembic with
transaction_per_migration=True. Waiting: what eight runners that wait for the lease ask of the server. Kinds: each env.py
as others have it, so bare Alembic takes all revisions in one transaction and airlock in one for each; seconds, and the
processor time of the client alone, which others on the machine do not change.
"""

from __future__ import annotations

import compileall
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg2

import airlock
from airlock.scratch import embedded
from bench import processes

ROUNDS, BIG_ROUNDS, REVISIONS = 9, 5, 300
_SHORT = 1_000
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
_ENGINE = """\
import asyncio
import os

from alembic import context
from sqlalchemy import create_engine, pool
from sqlalchemy.ext.asyncio import create_async_engine

URL = os.environ["DATABASE_URL"]


def made(driver):
    return URL.replace("postgresql://", f"postgresql+{driver}://")


def go(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


"""
_ASYNC = """\
async def main():
    engine = create_async_engine(made("asyncpg"), poolclass=pool.NullPool)
    async with engine.WAY() as connection:
        await connection.run_sync(go)
    await engine.dispose()


asyncio.run(main())
"""
_SYNC = """\
with create_engine(made("DRIVER"), poolclass=pool.NullPool).WAY() as connection:
    go(connection)
"""
# Alembic's and Flask-Migrate's templates ask an engine for a connection; many projects write begin().
KINDS = {
    "connect, psycopg2": _ENGINE + _SYNC.replace("WAY", "connect").replace("DRIVER", "psycopg2"),
    "connect, psycopg": _ENGINE + _SYNC.replace("WAY", "connect").replace("DRIVER", "psycopg"),
    "begin, psycopg2": _ENGINE + _SYNC.replace("WAY", "begin").replace("DRIVER", "psycopg2"),
    "connect, asyncpg": _ENGINE + _ASYNC.replace("WAY", "connect"),
    "begin, asyncpg": _ENGINE + _ASYNC.replace("WAY", "begin"),
    "multidb": _ENGINE + _SYNC.replace("WAY", "connect").replace("DRIVER", "psycopg2").replace(
        "    go(connection)", "    transaction = connection.begin()\n    go(connection)\n    transaction.commit()"
    ),
}  # fmt: skip
REVISION = """\
from alembic import op

revision = "r{number:03}"
down_revision = {below}


def upgrade():
    op.execute("CREATE TABLE t{number:03} (id integer PRIMARY KEY, said text)")


def downgrade():
    op.execute("DROP TABLE t{number:03}")
"""


def write(directory: Path, revisions: int, env: str = ENV) -> Path:
    """Write a project of so many revisions, each with one table."""
    versions = directory / "alembic" / "versions"
    versions.mkdir(parents=True)
    (directory / "alembic" / "env.py").write_text(env)
    for number in range(revisions):
        below = repr(f"r{number - 1:03}") if number else "None"
        (versions / f"r{number:03}.py").write_text(REVISION.format(number=number, below=below))
    ini = directory / "alembic.ini"
    ini.write_text("[alembic]\nscript_location = %(here)s/alembic\n")
    return ini


def kinds(cluster: embedded.Cluster, revisions: int) -> None:
    """Take turns through each kind of env.py; print the best of each, seconds and processor seconds, as ratios."""
    for number, (kind, env) in enumerate(KINDS.items()):
        with tempfile.TemporaryDirectory() as directory:
            ini = write(Path(directory), revisions, env)
            best: dict[str, list[float]] = {"bare": [1e9, 1e9], "airlock": [1e9, 1e9]}
            for turn in range(BIG_ROUNDS):
                for name, command in commands(ini).items():
                    database = f"kind_{number}_{name}_{turn}"
                    run(cluster.url(), f"CREATE DATABASE {database}")
                    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
                    seconds = timed(command, cluster.url(database))
                    now = resource.getrusage(resource.RUSAGE_CHILDREN)
                    cpu = now.ru_utime + now.ru_stime - spent.ru_utime - spent.ru_stime
                    best[name] = [min(best[name][0], seconds), min(best[name][1], cpu)]
            (bare, bare_cpu), (ours, our_cpu) = best["bare"], best["airlock"]
            print(f"{kind:18} {revisions} revisions: airlock {ours:.2f} s, alembic {bare:.2f} s, ratio {ours / bare:.2f};"
                  f" processor {our_cpu:.2f} and {bare_cpu:.2f} s, ratio {our_cpu / bare_cpu:.2f}", flush=True)  # fmt: skip


def scale(cluster: embedded.Cluster, lengths: list[int]) -> None:
    """Take turns at empty databases for each length, one turn where it is long; print the client's processor time."""
    for length in lengths:
        found: dict[str, list[processes.Spent]] = {"bare": [], "airlock": []}
        with tempfile.TemporaryDirectory() as directory:
            ini = write(Path(directory), length)
            for turn in range(BIG_ROUNDS if length <= _SHORT else 1):
                for name, command in commands(ini).items():
                    database = f"scale_{length}_{name}_{turn}"
                    run(cluster.url(), f"CREATE DATABASE {database}")
                    url = cluster.url(database)
                    found[name].append(processes.spent(command, Path(directory), DATABASE_URL=url))
        bare, ours = processes.median(found["bare"]), processes.median(found["airlock"])
        print(f"{length:>6,} revisions: airlock {ours.processor:.2f} s, alembic {bare.processor:.2f} s of processor time, "
              f"ratio {ours.processor / bare.processor:.2f}; {ours.processor / length * 1000:.2f} and "
              f"{bare.processor / length * 1000:.2f} ms a revision, {ours.largest_mb:.0f} and {bare.largest_mb:.0f} MB",
              flush=True)  # fmt: skip


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
    if sys.argv[1:2] == ["kinds"]:
        with embedded.scratch_cluster(max(embedded.available())) as cluster:
            kinds(cluster, int(sys.argv[2]) if len(sys.argv) > 2 else REVISIONS)
        return
    if sys.argv[1:2] == ["scale"]:
        with embedded.scratch_cluster(max(embedded.available())) as cluster:
            scale(cluster, [int(one) for one in sys.argv[2:]] or [100, REVISIONS, 1_000])
        return
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
