"""Generator functions that the isolation tests run in the child process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from airlock.project.environment import Hooks, run
from airlock.project.project import Project
from airlock.records.errors import Refused


def upgrade(ini: str, target: str = "head") -> Iterator[object]:
    """Upgrade and yield what the hooks saw."""
    os.chdir(Path(ini).parent)
    seen: list[str] = []

    class Seen(Hooks):
        def before(self, step, context):  # type: ignore[no-untyped-def]
            seen.append(f"before {step.revision.revision}")

        def done(self, step, context):  # type: ignore[no-untyped-def]
            seen.append(f"done {step.revision.revision}")

        def after(self, step, context):  # type: ignore[no-untyped-def]
            seen.append(f"after {step.revision.revision}")

    environment = run(Project.open(Path(ini)), target, "up", Seen())
    yield from seen
    yield environment


ACTS: list[int] = []


def tell_of_itself() -> Iterator[object]:
    """Yield what differs from process to process, and what lies before this one: its parent's parent."""
    import importlib
    import random
    import signal
    import sys

    ACTS.append(1)
    drivers = sorted({"psycopg2", "psycopg", "asyncpg"} & sys.modules.keys())
    for name in os.environ.get("DRIVERS", "").split():
        importlib.import_module(name)
    parents = Path(f"/proc/{os.getppid()}/status").read_text()
    forked = next(line.split()[1] for line in parents.splitlines() if line.startswith("PPid:"))
    sys.stderr.write("heard\n")
    yield {
        "acts": len(ACTS), "chance": random.random(), "forked": int(forked), "directory": str(Path.cwd()),
        "database": os.environ["DATABASE_URL"], "said": os.environ.get("SAID"), "port": os.environ.get("PGPORT"),
        "path": list(sys.path), "open": len(list(Path("/proc/self/fd").iterdir())),
        "drivers": drivers,
        "streams": [one.fileno() for one in (sys.stdin, sys.stdout, sys.stderr)],
        "signals": [signal.getsignal(one) == signal.SIG_DFL for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)],
    }  # fmt: skip


def load_env(directory: str) -> Iterator[object]:
    """Yield whether an env.py that is run again is compiled again: as it was, and with another text."""
    import sys

    from alembic.util import load_python_file

    sys.dont_write_bytecode = True
    file, found = Path(directory, "env.py"), []
    for text in ("def f(): return 1", "def f(): return 1", "def f(): return 2"):
        file.write_text(text)
        found.append(load_python_file(directory, "env.py").f)
    yield [one() for one in found], found[0].__code__ is found[1].__code__


def ask() -> Iterator[object]:
    """Yield what a program reads that a revision starts; then ask a question, as a revision may that somebody runs by hand."""
    import subprocess

    yield subprocess.run(["cat"], check=True, capture_output=True).stdout
    input("sure? ")


def log_exceptions() -> Iterator[object]:
    """Log what the server refuses, as oslo.db does, and what Python refuses."""
    import logging

    import psycopg2

    log = logging.getLogger("shop")
    try:
        psycopg2.connect("").cursor().execute("SELECT 1 / 0")
    except psycopg2.DataError:
        log.exception("caught DivisionByZero")
    try:
        ACTS[100]
    except IndexError:
        log.exception("caught IndexError")
    yield "done"


WORKED_S = 3.0


def work() -> Iterator[object]:
    """Use so much processor time."""
    import time

    until = time.process_time() + WORKED_S
    while time.process_time() < until:
        pass
    yield 1


def refuse() -> Iterator[object]:
    """Yield once, then refuse."""
    yield 1
    raise Refused("No.", then="something else")


def fail() -> Iterator[object]:
    """Raise what no one expects, with a password in it."""
    yield 1
    raise RuntimeError("postgresql://someone:hunter22@db/x")


def ask_for_nothing_there() -> Iterator[object]:
    """Let the server refuse a statement of SQLAlchemy's."""
    import sqlalchemy as sa

    yield 1
    engine = sa.create_engine(os.environ["DATABASE_URL"])
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1 FROM nowhere"))


def sleep() -> Iterator[object]:
    """Say the pid, then hang."""
    import time

    yield os.getpid()
    time.sleep(600)
    yield 0


def talk() -> Iterator[object]:
    """Say more than a pipe holds, for ever."""
    while True:
        yield "x" * 300_000


def whisper() -> Iterator[object]:
    """Say a little, for ever."""
    while True:
        yield "x"


def leave() -> Iterator[object]:
    """End the process from within, as a crashing extension would."""
    yield 1
    os._exit(7)


def terminate() -> Iterator[object]:
    """Be terminated by somebody."""
    import signal

    yield 1
    os.kill(os.getpid(), signal.SIGTERM)
    yield 2


def import_from(place: str, module: str) -> Iterator[object]:
    """Import a module of a directory; yield its VALUE, and whether it was compiled for that."""
    import importlib
    import sys
    from importlib.machinery import SourceFileLoader

    compiled: list[object] = []
    of_python = SourceFileLoader.source_to_code

    def source_to_code(self, data, path, *, _optimize=-1):  # type: ignore[no-untyped-def]
        compiled.append(path)
        return of_python(self, data, path, _optimize=_optimize)

    setattr(SourceFileLoader, "source_to_code", source_to_code)  # noqa: B010
    sys.path.insert(0, place)
    value = importlib.import_module(module).VALUE
    yield value, bool(compiled)
