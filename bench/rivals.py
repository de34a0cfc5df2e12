"""What others notice of the same faults: exit codes beside the drill, a linter of SQL text beside the trace.

    python -m bench.rivals

Two tables, on one embedded server. First, the tiny projects of tests/projects: how many faulty downgrades the
stairway notices (up, down, up again by exit code: what pytest-alembic's up-down test and most pipelines do), and how
many `airlock drill` refuses; and how many sound ones each of them complains about. Second, every kind of statement of
tests/airlock/trace/kinds.py: of those that PostgreSQL was seen to do dangerously (work that grows with the table under
a lock that blocks others), how many squawk warns of; and how many of the harmless ones.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config

from airlock.operations.drill.child import prove
from airlock.operations.drill.messages import Options
from airlock.operations.review import squawk
from airlock.records.drill import REFUSED, RevisionProof
from airlock.reports.text import table
from airlock.scratch import embedded
from airlock.scratch.servers import ScratchServer, scratch_server
from tests.airlock.drill.projects import FAULTY, SOUND, UNMET, TinyProject
from tests.airlock.trace.kinds import KINDS
from tests.airlock.trace.test_kinds import _copy, _Lazy, _observe


def stairway_complains(ini: Path, server: ScratchServer) -> bool:
    """Go up, down and up again by plain Alembic; tell whether any of the three fails."""
    with server.database() as database:
        os.environ["DATABASE_URL"] = database.url
        config = Config(str(ini), output_buffer=io.StringIO())
        try:
            command.upgrade(config, "base_tables")
            for go, target in (
                (command.upgrade, "head"),
                (command.downgrade, "base_tables"),
                (command.upgrade, "head"),
            ):
                go(config, target)
        except BaseException:  # noqa: BLE001  whatever it raises is a complaint
            return True
    return False


def drill_refuses(ini: Path, server: ScratchServer) -> bool:
    """Drill the last revision and tell whether it is refused."""
    with server.database() as database:
        os.environ["DATABASE_URL"] = database.url
        records = prove(str(ini), (), None, 1, None, 0, database, Options(rows=30), {})
        return [record for record in records if isinstance(record, RevisionProof)][-1].verdict == REFUSED


def downgrades() -> None:
    """Print the first table."""
    counts = {name: [0, 0] for name in ("stairway (exit codes)", "airlock drill")}
    cases: list[tuple[TinyProject, bool]] = [(project, False) for project in FAULTY]
    cases += [(project, True) for project in (*FAULTY, *SOUND, *UNMET)]
    with scratch_server("embedded") as server, tempfile.TemporaryDirectory() as directory:
        server.ensure_roles(("drill_reader",))
        for number, (project, sound) in enumerate(cases):
            ini = project.write(Path(directory) / str(number), sound=sound)
            with contextlib.chdir(ini.parent), contextlib.redirect_stderr(io.StringIO()):
                counts["stairway (exit codes)"][sound] += stairway_complains(ini, server)
                counts["airlock drill"][sound] += drill_refuses(ini, server)
    faulty = len(FAULTY)
    rows = [
        [name, f"{found} of {faulty}", f"{wrong} of {len(cases) - faulty}"]
        for name, (found, wrong) in counts.items()
    ]
    sys.stdout.write(table(["reader", "faulty downgrades noticed", "sound ones refused"], rows) + "\n\n")


def statements() -> None:
    """Print the second table."""
    program = squawk.find()
    if program is None:
        sys.stdout.write("squawk is not installed: the second table was not made.\n")
        return
    major = max(embedded.available())
    kinds = [kind for kind in KINDS if kind.since <= major]
    read = squawk.read(program, {kind.name: ([kind.sql], not kind.outside, "up") for kind in kinds}, major)
    found = {True: [0, 0], False: [0, 0]}
    with contextlib.ExitStack() as stack:
        url = _Lazy(stack)[major]
        for kind in kinds:
            with _copy(url) as copy:
                dangerous = _observe(kind, copy).dangerous
            found[dangerous][0] += bool(read[kind.name])
            found[dangerous][1] += 1
    rows = [
        ["squawk", *(f"{found[kind][0]} of {found[kind][1]}" for kind in (True, False))],
        ["airlock trace", f"{found[True][1]} of {found[True][1]}", f"0 of {found[False][1]}"],
    ]
    sys.stdout.write(table(["reader", "dangerous statements flagged", "harmless ones flagged"], rows) + "\n")
    sys.stdout.write(
        "Dangerous is what PostgreSQL was seen to do: the trace is the measure here, not a competitor.\n"
    )


if __name__ == "__main__":
    logging.disable()
    downgrades()
    statements()
