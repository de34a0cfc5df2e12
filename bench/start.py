"""What a command costs that has nothing to do, beside bare Alembic and a bare connection: processor time, in turns.

    python -m bench.start

Processor time of whole processes (user and system), as it is nearly the same on a busy machine. Each pair stands in one
run, medians of five.
"""

from __future__ import annotations

import compileall
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import airlock
from airlock.scratch import embedded
from bench.upgrade import commands, run, write

ROUNDS = 5
BARE_CONNECT = "import os, psycopg2, alembic.script; psycopg2.connect(os.environ['DATABASE_URL']).close()"
ROOT = Path(__file__).parents[1]


def processor_seconds(command: list[str], directory: Path, **environ: str) -> float:
    """Run a command and all that it starts and waits for; return the seconds of processor time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env={**os.environ, **environ}, check=True, capture_output=True, cwd=directory)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    compileall.compile_dir(Path(airlock.__file__).parent, quiet=1)
    python = [sys.executable, "-P", "-m", "airlock"]
    with (
        tempfile.TemporaryDirectory() as directory,
        embedded.scratch_cluster(max(embedded.available())) as cluster,
    ):
        ini = write(Path(directory), 1)
        run(cluster.url(), "CREATE DATABASE small")
        contestants = {
            "alembic upgrade head": commands(ini)["bare"],
            "airlock upgrade": commands(ini)["airlock"],
            "bare connection, import alembic.script": [sys.executable, "-P", "-c", BARE_CONNECT],
            "airlock status --no-drift": [*python, "status", "--no-drift", "-c", str(ini)],
        }
        found: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(ROUNDS + 1):
            for name, command in contestants.items():
                found[name].append(
                    processor_seconds(command, Path(directory), DATABASE_URL=cluster.url("small"))
                )
        # The first round also lays the version table, and compiles what was not.
        took = {name: statistics.median(values[1:]) for name, values in found.items()}
    for name, seconds in took.items():
        print(f"{name:40} {seconds * 1000:6.0f} ms")
    print(
        f"upgrade at head: {took['airlock upgrade'] / took['alembic upgrade head']:.2f} x alembic (at most 0.7)"
    )
    status = took["airlock status --no-drift"] / took["bare connection, import alembic.script"]
    print(f"status without drift: {status:.2f} x a connection and Alembic's script (at most 1.3)")
    for name in ("drill", "trace", "check"):
        seconds = statistics.median(processor_seconds([*python, name], ROOT) for _ in range(ROUNDS))
        print(f"airlock {name:32} {seconds:6.2f} s of processor time, this repository")


if __name__ == "__main__":
    main()
