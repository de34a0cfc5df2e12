"""Fleets for tests: many databases of one server, made in milliseconds, and a history that shows what ran twice."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tests.airlock import forked
from tests.airlock.histories import Revision
from tests.airlock.running import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.airlock.forked import Started
    from tests.airlock.running import Ran
    from tests.servers import Server

# Each revision adds a row: a second run of it would add another.
HISTORY = [
    Revision("f1", 'op.execute("CREATE TABLE ran (revision text)")', 'op.execute("DROP TABLE ran")'),
    Revision(
        "f2",
        "op.execute(\"INSERT INTO ran VALUES ('f2')\")",
        "op.execute(\"DELETE FROM ran WHERE revision = 'f2'\")",
    ),
]


@contextlib.contextmanager
def databases(server: Server, many: int, template: str = "template0") -> Iterator[list[str]]:
    """Make databases whose names sort as they are numbered; drop them when the block ends."""
    prefix = f"fleet_{secrets.token_hex(3)}"
    names = [f"{prefix}_{number:04}" for number in range(many)]
    strategy = " STRATEGY FILE_COPY" if server.major >= 15 else ""
    try:
        for name in names:
            server.run(f'CREATE DATABASE "{name}" TEMPLATE "{template}"{strategy}')
        yield names
    finally:
        for name in names:
            server.run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def query(names: list[str]) -> str:
    """Write the query that lists these databases."""
    prefix = names[0].rpartition("_")[0]
    return f"SELECT datname FROM pg_database WHERE datname LIKE '{prefix}%' ORDER BY datname"


def fleet(ini: Path, act: str, targets: str, *words: str, url: str | None, **more: str) -> Ran:
    """Run one act to its end."""
    # A revision stands before the options, as in the manual.
    place = 1 if words and not words[0].startswith("--") else 0
    said = (act, *words[:place], "--targets", targets, *words[place:])
    return forked.airlock(ini, "fleet", *said, url=url, timeout=240, **more)


def ran(server: Server, names: list[str]) -> list[list[tuple[Any, ...]]]:
    """Read what each database says has run in it."""
    with ThreadPoolExecutor(4) as pool:
        return list(
            pool.map(
                lambda name: (
                    rows(server.url(name), "SELECT revision FROM ran ORDER BY 1")
                    + rows(server.url(name), "SELECT version_num FROM alembic_version")
                ),
                names,
            )
        )


def journal(ini: Path, name: str = "airlock-fleet.journal") -> list[dict[str, Any]]:
    """Read the journal's whole lines."""
    found = []
    for line in (ini.parent / name).read_text().splitlines():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found


def until(started: Started, seen: Callable[[], bool]) -> None:
    """Wait for something to be seen while a command runs; fail where it ends first."""
    while not seen():
        assert started.process.is_alive(), started.finish().err
        time.sleep(0.02)


def lines(ini: Path) -> list[dict[str, Any]]:
    """Read the journal's lines, none before it is there."""
    return journal(ini) if (ini.parent / "airlock-fleet.journal").exists() else []
