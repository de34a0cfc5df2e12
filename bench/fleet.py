"""`airlock fleet upgrade` against as many runs of `alembic upgrade head`, by the same number of workers.

    python -m bench.fleet [TARGETS] [WORKERS]

Databases of one server, each with one revision pending. The same statements over plain connections tell what the SQL
itself costs; these runs, and Alembic's, know nothing of each other, so a tenth of them says what all would take. Memory is
the largest process of the run, for a tenth of the targets and for all. Beside the seconds stands the processor time of
both sides, which others on the machine hardly change.
"""

from __future__ import annotations

import compileall
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2

import airlock
from airlock.scratch import embedded
from bench.upgrade import commands, run, write

if TYPE_CHECKING:
    from collections.abc import Callable

TARGETS, WORKERS = 1000, 4
TEMPLATE = "bench_template"
PENDING = (
    "CREATE TABLE t001 (id integer PRIMARY KEY, said text)",
    "UPDATE alembic_version SET version_num = 'r001'",
)


def databases(cluster: embedded.Cluster, prefix: str, many: int) -> list[str]:
    """Clone the template so often; return the names."""
    names = [f"{prefix}_{number:05}" for number in range(many)]
    for name in names:
        run(cluster.url(), f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
    return names


def together(work: Callable[[str], object], names: list[str], workers: int) -> float:
    """Do the same for every database, so many at a time; return the seconds."""
    since = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, names))
    return time.perf_counter() - since


def plain(cluster: embedded.Cluster) -> Callable[[str], None]:
    """Make the function that runs the pending revision's statements over a plain connection, in one transaction."""

    def work(name: str) -> None:
        connection = psycopg2.connect(cluster.url(name))
        with connection, connection.cursor() as cursor:
            for statement in PENDING:
                cursor.execute(statement)
        connection.close()

    return work


def bare(ini: Path, cluster: embedded.Cluster) -> Callable[[str], object]:
    """Make the function that runs `alembic upgrade head`, a process a target."""

    def work(name: str) -> object:
        environ = {**os.environ, "DATABASE_URL": cluster.url(name)}
        return subprocess.run(commands(ini)["bare"], env=environ, check=True, capture_output=True)

    return work


def fleet(ini: Path, cluster: embedded.Cluster, names: list[str], workers: int) -> tuple[float, float, float]:
    """Upgrade all in one run; return its seconds, those of a processor that it took, the MB of its largest process."""
    listed = ini.parent / f"{names[0]}.targets"
    listed.write_text("\n".join(names))
    command = [
        sys.executable,
        "-P",
        "-m",
        "airlock",
        "fleet",
        "upgrade",
        "-c",
        str(ini),
        "--targets",
        str(listed),
    ]
    environ = {**os.environ, "DATABASE_URL": cluster.url()}
    since = time.perf_counter()
    with (ini.parent / "said").open("w") as said:
        process = subprocess.Popen(
            [*command, "--concurrency", str(workers), "--waves", "100%"],
            env=environ,
            stdout=said,
            stderr=said,
        )
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - since
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit((ini.parent / "said").read_text()[-2000:])
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def busy(cluster: embedded.Cluster) -> float:
    """Tell the processor seconds of the server and all its sessions so far, those that have ended too (Linux)."""
    server = (cluster.data / "postmaster.pid").read_text().split()[0]
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            # Fields of proc(5) from the state on: the parent is the second, user and system time the twelfth and on.
            if path.parent.name == server:
                ticks += sum(map(int, fields[11:15]))
            elif fields[1] == server:
                ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def main(targets: int, workers: int) -> None:
    """Measure and print."""
    compileall.compile_dir(Path(airlock.__file__).parent, quiet=1)
    with (
        tempfile.TemporaryDirectory() as directory,
        embedded.scratch_cluster(max(embedded.available())) as cluster,
    ):
        ini = write(Path(directory), 2)
        run(cluster.url(), f"CREATE DATABASE {TEMPLATE}")
        environ = {**os.environ, "DATABASE_URL": cluster.url(TEMPLATE)}
        command = [sys.executable, "-P", "-m", "alembic", "-c", str(ini), "upgrade", "r000"]
        subprocess.run(command, env=environ, check=True, capture_output=True)
        tenth = max(1, targets // 10)
        _, _, small = fleet(ini, cluster, databases(cluster, "few", tenth), workers)
        names = databases(cluster, "fleet", targets)
        since = busy(cluster)
        ours, processor, large = fleet(ini, cluster, names, workers)
        served = busy(cluster) - since
        print(f"memory:    {small:.0f} MB for {tenth} targets, {large:.0f} MB for {targets}", flush=True)
        names = databases(cluster, "plain", tenth)
        since = busy(cluster)
        own = together(plain(cluster), names, workers) * targets / tenth
        served_plain = (busy(cluster) - since) * targets / tenth
        print(
            f"a target:  {ours / targets * 1000:.0f} ms, its SQL {own / targets * 1000:.1f} ms, "
            f"over it {(ours - own) / targets * 1000:.0f} ms (at most 40)"
        )
        print(
            f"processor: {processor / targets * 1000:.0f} ms a target on our side, {served / targets * 1000:.0f} ms on the "
            f"server's, {served_plain / targets * 1000:.0f} ms there for its SQL alone",
            flush=True,
        )
        theirs = together(bare(ini, cluster), databases(cluster, "bare", tenth), workers) * targets / tenth
    print(
        f"{targets} targets, {workers} workers: airlock fleet {ours:.1f} s, alembic {theirs:.1f} s "
        f"(from {tenth} runs), ratio {ours / theirs:.2f} (at most 0.2)"
    )


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    main(*(given + [TARGETS, WORKERS][len(given) :]))
