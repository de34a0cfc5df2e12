"""Run airlock's commands as processes, on databases made for a test."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psycopg2

if TYPE_CHECKING:
    from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def verdict(self) -> dict[str, Any]:
        last = self.events[-1]
        assert last["event"] == "verdict"
        return last

    @property
    def error(self) -> str:
        lines = [line for line in self.err.splitlines() if line.startswith("airlock: ")]
        assert len(lines) == 1, self.err
        return lines[0]


# Another installation's console script, for the suites that are held against it: other versions, other drivers.
INSTALLED = os.environ.get("AIRLOCK_INSTALLED")
AIRLOCK = [INSTALLED] if INSTALLED else [sys.executable, "-P", "-m", "airlock"]


def command(ini: Path, *words: str) -> list[str]:
    return [*AIRLOCK, words[0], "-c", str(ini), *words[1:]]


def environment(url: str | None, **more: str) -> dict[str, str]:
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("PG", "DATABASE_URL"))
    }
    return {**environ, **({"DATABASE_URL": url} if url is not None else {}), **more}


def airlock(ini: Path, *words: str, url: str | None, timeout: float = 60, **more: str) -> Ran:
    """Run one command to its end."""
    done = subprocess.run(
        command(ini, *words),
        env=environment(url, **more),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def start(ini: Path, *words: str, url: str, **more: str) -> subprocess.Popen[str]:
    """Start one command and leave it running."""
    return subprocess.Popen(
        command(ini, *words),
        env=environment(url, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], timeout: float = 60) -> Ran:
    """Wait for a started command."""
    out, err = process.communicate(timeout=timeout)
    return Ran(process.returncode, out, err)


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """Ask a database, in a connection of its own."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()
