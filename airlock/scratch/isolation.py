"""Run an act in a child process that cannot reach the user's database.

The child's environment names only the scratch database; every SQLAlchemy and driver connection is redirected
to it and must show its marker. The child ends with its parent, however that dies.
"""

from __future__ import annotations

import atexit
import contextlib
import contextvars
import importlib
import logging
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

from airlock.drivers import DRIVERS
from airlock.drivers.libpq_environment import PREFIX
from airlock.records.errors import AirlockError, Terminated
from airlock.records.secrets import scrub
from airlock.scratch import forking
from airlock.scratch.forking import Forked, Forker
from airlock.scratch.programs import NOWHERE, URLS, database_environment, is_url, programs_find
from airlock.scratch.redirect import redirected

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from airlock.scratch.servers import ScratchDatabase

_LENGTH = struct.Struct(">Q")
# The current directory is no import path of Alembic's own either; prepend_sys_path decides.
_MODULE = (
    ("-P", "-m", "airlock.scratch.isolation")
    if sys.version_info >= (3, 11)
    else (
        "-c",
        "import sys, runpy; del sys.path[0]; runpy.run_module('airlock.scratch.isolation', run_name='__main__')",
    )
)
_FORK = "fork"
_TEST = "PYTEST_CURRENT_TEST"


class ChildFailed(Exception):
    """The act raised something that is not an AirlockError; the text is the child's traceback, `line` its gist.

    `revision` is the one that raised it, empty where none did.
    """

    def __init__(self, text: str, line: str, revision: str = "") -> None:
        super().__init__(text)
        self.line = line
        self.revision = revision

    @property
    def told(self) -> str:
        """Say where it was raised, and what."""
        return f"{self.revision}: {self.line}" if self.revision else self.line


class Ended(Exception):
    """The child was ended because nobody wants its records any more."""


class Children:
    """Children that can be ended from another thread than the one that reads them: this one cannot be interrupted.

    Those made while others are in force belong to them: they end with them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: list[Forked | subprocess.Popen[bytes] | Children] = []
        self.ended = False
        if (around := _in_force.get()) is not None:
            around.hold(self)

    @staticmethod
    def wanted_now() -> Children:
        """Give those in force, else new ones."""
        return _in_force.get() or Children()

    @contextlib.contextmanager
    def in_force(self) -> Iterator[None]:
        """Hold each child that is started within, and by the threads of `at_once` within."""
        before = _in_force.set(self)
        try:
            yield
        finally:
            _in_force.reset(before)

    def hold(self, child: Forked | subprocess.Popen[bytes] | Children) -> None:
        """Take a child on; at once to its end where all have been ended."""
        with self._lock:
            self._children.append(child)
            if self.ended:
                child.kill()

    def let_go(self, child: Forked | subprocess.Popen[bytes] | Children) -> None:
        """Forget a child that is about to be waited for."""
        with self._lock:
            self._children.remove(child)

    def end(self) -> None:
        """End all children, and each that comes; their readers get Ended."""
        with self._lock:
            self.ended = True
            for child in self._children:
                child.kill()

    kill = end


_in_force: contextvars.ContextVar[Children | None] = contextvars.ContextVar("children", default=None)
_watching: Callable[[str], None] | None = None


@contextlib.contextmanager
def watched(by: Callable[[str], None]) -> Iterator[None]:
    """Have `by` hear of what takes long as it begins, until the block ends: each step of every child, and what else is told."""
    global _watching  # one command a process shows how far it is, whichever thread reads a child
    before, _watching = _watching, by
    try:
        yield
    finally:
        _watching = before


def tell(what: str) -> None:
    """Say what begins, to whoever watches."""
    if _watching is not None:
        _watching(what)


def ended_by(error: BaseException) -> str:
    """Name what ended a run: a signal, or an error by its line."""
    if isinstance(error, Terminated):
        return error.signal.name
    if isinstance(error, KeyboardInterrupt):
        return "SIGINT"
    return error.line if isinstance(error, ChildFailed) else str(error) or type(error).__name__


def isolated(
    function: str,
    arguments: Mapping[str, Any],
    *,
    scratch: ScratchDatabase,
    environ: Mapping[str, str] | None = None,
) -> Generator[Any]:
    """Run the generator function `module:name` in a child and yield what it yields.

    Arguments and records travel as pickles. The child stands in this process's directory and prints to
    its standard error only. Raises the child's AirlockError as its own class, ChildFailed for anything else, Ended where
    the children in force, which it is one of, have been ended.
    """
    from airlock.scratch import compiled

    reading, writing = os.pipe()
    environment = database_environment(os.environ if environ is None else environ, scratch.url)
    child = _started(function, writing, environment)
    os.close(writing)
    children = Children.wanted_now()
    children.hold(child)
    finished = False
    try:
        with os.fdopen(reading, "rb") as records:
            # A child that is gone already is told below, by how it ended.
            with contextlib.suppress(BrokenPipeError):
                if child.stdin is not None:  # always, with PIPE; for the type checker
                    given = (function, dict(arguments), scratch, compiled.room())
                    _send(child.stdin, (environment, str(Path.cwd()), *given))
            while (message := _receive(records)) is not None:
                kind, value = message
                if kind == "record":
                    yield value
                elif kind == "step":
                    tell(value)
                elif kind == "done":
                    finished = True
                    _forkers.drivers |= value
                elif kind == "refused":
                    raise value
                else:
                    raise ChildFailed(*value)
        if children.ended:
            raise Ended
        if not finished:
            code = child.wait()
            ended = f"the process that ran env.py and the revisions ended with {code} before it was done"
            raise ChildFailed(ended, ended)
    finally:
        children.let_go(child)
        # The child watches its standard input: at its end it stops, whatever it is doing.
        if child.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                child.stdin.close()
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def prepare(*modules: str) -> None:
    """Start importing what the next calls of `isolated` need, while this process does something else."""
    if forking.POSSIBLE:
        _forkers.fitting(database_environment(os.environ, NOWHERE), modules)


def split_off(*modules: str) -> None:
    """Fork from this process the one that the next calls of `isolated` fork from, and have it import `modules`.

    For a command that has just begun: with one thread, no connection, and no code of a project run. What it has imported
    is imported once. Does nothing where there is more than one thread.
    """
    if forking.POSSIBLE and threading.active_count() == 1:
        _forkers.split_off(database_environment(os.environ, NOWHERE), modules)


def _started(function: str, records: int, environment: Mapping[str, str]) -> Forked | subprocess.Popen[bytes]:
    """Start a child that writes to `records`: forked from a process that stands ready, else from nothing."""
    if forking.POSSIBLE:
        for _ in range(2):
            # One that has been killed is replaced once.
            try:
                forker = _forkers.fitting(environment)
                return forker.fork([function.partition(":")[0], *_forkers.drivers], records)
            except OSError:
                _forkers.drop()
    return subprocess.Popen(
        [sys.executable, *_MODULE, str(records)],
        stdin=subprocess.PIPE, stdout=2, pass_fds=(records,), env=environment,
    )  # fmt: skip


class _Forkers:
    """The one process that is forked: another where the environment is another, but for where databases are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now: tuple[int, dict[str, str], Forker] | None = None
        # Those that a child has loaded: the next one most likely wants them too, and is forked with them.
        self.drivers: frozenset[str] = frozenset()

    def fitting(self, environment: Mapping[str, str], modules: Sequence[str] = ()) -> Forker:
        read = _read_at_import(environment)
        with self._lock:
            if self._now is None or self._now[:2] != (os.getpid(), read):
                self._close()
                command = [sys.executable, *_MODULE, _FORK]
                self._now = (os.getpid(), read, Forker.started(command, modules, environment))
            return self._now[2]

    def split_off(self, environment: Mapping[str, str], modules: Sequence[str]) -> None:
        with self._lock:
            self._close()
            forker = Forker.split_off(modules, environment, _main)
            self._now = (os.getpid(), _read_at_import(environment), forker)

    def drop(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        # A forked copy of this process has not started it, and must not wait for it.
        if self._now is not None and self._now[0] == os.getpid():
            self._now[2].close()
        self._now = None


def _read_at_import(environment: Mapping[str, str]) -> dict[str, str]:
    """Pick what modules may read as they are imported, which is as it would be in a process of its own.

    What pytest calls the test that runs is another with each test: nothing that is imported once can go by it.
    """
    return {
        name: value for name, value in environment.items()
        if not name.startswith(PREFIX) and name not in URLS and name != _TEST and not is_url(value)
    }  # fmt: skip


_forkers = _Forkers()
atexit.register(_forkers.drop)


def _send(stream: IO[bytes], value: Any) -> None:
    """Write a record whole. Raises BrokenPipeError where nobody reads."""
    data = pickle.dumps(value)
    left = memoryview(_LENGTH.pack(len(data)) + data)
    while left:
        left = left[stream.write(left) :]
    stream.flush()


def _receive(stream: IO[bytes]) -> Any:
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    data = stream.read(length)
    return pickle.loads(data) if len(data) == length else None  # noqa: S301  our own child wrote it


def _child(descriptor: int) -> int:
    # An interrupt reaches the whole process group; the parent decides, and the end of its pipe tells us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked = _receive(sys.stdin.buffer)
    if asked is None:
        return 1
    environment, directory, function, arguments, scratch, room = asked
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update(environment)
    os.chdir(directory)
    if room:
        from airlock.scratch import compiled

        compiled.keep_in(room)
    threading.Thread(target=_end_with_parent, args=(_kept_from_input(),), daemon=True).start()
    _leave_refusals_to_the_verdict()
    # Unbuffered: what is left in a buffer would be written once more at its end, to a reader that is gone.
    with os.fdopen(descriptor, "wb", buffering=0) as records:
        try:
            module, _, name = function.partition(":")
            with programs_find(scratch.url), redirected(scratch.url, scratch.verify, raw=True):
                run = getattr(importlib.import_module(module), name)
                from airlock.project import environment as steps

                steps.told = lambda step: _send(records, ("step", step))
                steps.in_scratch = True
                steps.compile_once()
                for record in run(**arguments):
                    _send(records, ("record", record))
            _send(records, ("done", frozenset(DRIVERS) & sys.modules.keys()))
        except AirlockError as error:
            _send(records, ("refused", error))
        except BrokenPipeError:
            raise
        except BaseException as error:  # noqa: BLE001  whatever env.py raises goes to the parent, as text
            from airlock.database.missing_settings import missing_setting

            unset = missing_setting(error)
            if unset is not None:
                _send(records, ("refused", unset))
            else:
                _send(records, ("failed", (scrub(traceback.format_exc()), _gist(error), _raised_in())))
    return 0


def _raised_in() -> str:
    """Name the revision that was running; a child that has run none has not loaded what would know."""
    environment = sys.modules.get("airlock.project.environment")
    return str(environment.failed_in()) if environment is not None else ""


def _leave_refusals_to_the_verdict() -> None:
    """Drop what a library logs of a server's refusal (oslo.db: with its traceback): steps are tried there that must fail."""
    from airlock.database.server_errors import sqlstate

    handle = logging.Logger.handle

    def handled(self: logging.Logger, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is None or sqlstate(error) is None:
            handle(self, record)

    setattr(logging.Logger, "handle", handled)  # noqa: B010  mypy forbids assigning to a method


def _gist(error: BaseException) -> str:
    """Say in one line what was raised: the server's own words, or the class and its first line."""
    from airlock.database.server_errors import first_line, sqlstate

    text = first_line(error)
    name = type(error).__name__
    return text if sqlstate(error) or text == name else f"{name}: {text}"


def _kept_from_input() -> int:
    """Give standard input an end, and return the parent's pipe under another number.

    A revision that asks a question (`input()`, psql without a file) would wait on that pipe for ever, and so would we.
    """
    pipe = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return pipe


def _end_with_parent(pipe: int) -> None:
    while os.read(pipe, 1):
        pass
    os._exit(1)


def _main(descriptor: int) -> NoReturn:
    """Run the child and end the process without the interpreter's farewell: threads of env.py may still run."""
    # A child forked by env.py must not inherit the pipe of records.
    os.set_inheritable(descriptor, False)
    code = 1
    try:
        code = _child(descriptor)
    except BrokenPipeError:
        pass  # the reader has gone: there is nobody to tell
    except BaseException:  # noqa: BLE001  what could not be sent is at least seen
        sys.stderr.write(scrub(traceback.format_exc()))
    finally:
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    if sys.argv[1] == _FORK:
        forking.serve(int(sys.argv[2]), sys.argv[3:], _main)
    else:
        _main(int(sys.argv[1]))
