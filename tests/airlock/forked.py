"""Run airlock's commands in processes forked from one that has imported everything: 20 ms each, not 700.

They are processes of their own: they can be killed, they share nothing with pytest, and they end with the
exit code of the command.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.airlock.running import Ran, environment

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

_context: Any = None
# What the commands import when they run, and what their children import, who are forked from them.
COMMANDS = [
    *(f"airlock.commands.{name}" for name in ("upgrade", "downgrade", "status", "fleet", "trace", "drill", "check")),
    *(f"airlock.operations.{name}" for name in ("upgrade", "downgrade", "status", "fleet", "dry_run", "check")),
]  # fmt: skip
CHILDREN = [
    "airlock.operations.built", "airlock.operations.downgrade.rehearse", "airlock.operations.drill.child",
    "airlock.operations.drill.one_run", "airlock.operations.trace.child", "airlock.operations.revision.child",
]  # fmt: skip


def _forkserver() -> Any:
    global _context
    if _context is None:
        _context = multiprocessing.get_context("forkserver")
        _context.set_forkserver_preload(
            ["airlock.cli", "airlock.project.project", *COMMANDS, *CHILDREN]
            + ["sqlalchemy.dialects.postgresql.psycopg2", "psycopg2.extras", "alembic.op"]
        )
    return _context


@dataclasses.dataclass
class Started:
    """A command that runs."""

    process: ForkServerProcess
    directory: tempfile.TemporaryDirectory[str]

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def finish(self, timeout: float = 60) -> Ran:
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            raise AssertionError(f"the command hung: {self._read('err')}")
        try:
            return Ran(self.process.exitcode, self._read("out"), self._read("err"))
        finally:
            self.directory.cleanup()

    def _read(self, name: str) -> str:
        return (Path(self.directory.name) / name).read_text()


def start(ini: Path, *words: str, url: str | None, **more: str) -> Started:
    """Start one command and leave it running."""
    directory = tempfile.TemporaryDirectory(prefix="airlock-test-")
    argv = [words[0], "-c", str(ini), *words[1:]]
    process = _forkserver().Process(target=_main, args=(argv, environment(url, **more), directory.name))
    process.start()
    return Started(process, directory)


def airlock(ini: Path, *words: str, url: str | None, timeout: float = 60, **more: str) -> Ran:
    """Run one command to its end."""
    return start(ini, *words, url=url, **more).finish(timeout)


def _main(argv: list[str], environ: dict[str, str], directory: str) -> None:
    # However the suite was started (nohup, a script's background): these are set as in a terminal.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, name in ((1, "out"), (2, "err")):
        descriptor = os.open(f"{directory}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(descriptor, number)
    os.environ.clear()
    os.environ.update(environ)
    # A test that ran Alembic in pytest's own process has left `.` on its path, and what that meant there is remembered.
    sys.path[:] = [one for one in sys.path if Path(one).is_absolute()]
    for one in [one for one in sys.path_importer_cache if not Path(one).is_absolute()]:
        del sys.path_importer_cache[one]
    # Standard streams of their own: the fork server's may be closed.
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    sys.argv = ["airlock", *argv]
    from airlock.cli import main
    from airlock.database import liveness
    from airlock.scratch.isolation import split_off

    if argv[0] == "downgrade" and "--accept-unknown-loss" not in argv:
        # Its children are forked from a process that would import everything again. Who accepts losses unseen may have none.
        split_off(*CHILDREN[:2])
    if "TEST_SILENCE" in environ:
        liveness.SILENCE_SECONDS, liveness.PROBE_SECONDS = float(environ["TEST_SILENCE"]), 1
    code = main(argv)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
