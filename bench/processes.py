"""What a command takes with all that it starts, and what a server takes: read from the kernel's books.

Processor time is nearly the same on a busy machine; the clock is not.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airlock.scratch import embedded

PYTHON = (sys.executable, "-P", "-m")
# A process of its own inherits whatever is orphaned below it (PR_SET_CHILD_SUBREAPER), scratch servers too, waits for all
# of it, and tells the largest: the record of this process would hold the largest of all rounds.
_WATCH = """
import ctypes, os, resource, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
try:
    while True:
        os.wait()
except ChildProcessError:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(code, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""


@dataclass(frozen=True)
class Spent:
    """Seconds of the clock, seconds of processor time of all processes, megabytes of the largest."""

    seconds: float
    processor: float
    largest_mb: float


def spent(command: Sequence[str], directory: Path, *, codes: Sequence[str] = ("0",), **environ: str) -> Spent:
    """Run a command to the end of all its processes. Raises SystemExit with its last words on any other exit code."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-P", "-c", _WATCH, *command],
        cwd=directory, env={**os.environ, **environ}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    code, processor, largest = done.stdout.split()
    if code not in codes:
        raise SystemExit(f"{' '.join(command)}: {code}\n{done.stderr}")
    return Spent(time.perf_counter() - began, float(processor), float(largest))


def median(rounds: Sequence[Spent]) -> Spent:
    """Take the median of each figure."""
    return Spent(*(statistics.median(values) for values in zip(*map(astuple, rounds), strict=True)))


def server_seconds(cluster: embedded.Cluster) -> float:
    """Add up the processor time of a server's processes, those that have ended too."""
    postmaster = (cluster.data / "postmaster.pid").read_text().split()[0]
    total = sum(int(one) for one in _fields(postmaster)[11:15])
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found = _fields(entry.name)
            except OSError:
                continue  # it has just ended
            if found[1] == postmaster:
                total += sum(int(one) for one in found[11:13])
    return total / os.sysconf("SC_CLK_TCK")


def backend_seconds(pid: int) -> float:
    """Read the processor time of one session."""
    return sum(int(one) for one in _fields(str(pid))[11:13]) / os.sysconf("SC_CLK_TCK")


def _fields(pid: str) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
