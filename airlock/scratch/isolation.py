"""Run an act in a child process that cannot reach the user's database.

The child's environment names only the scratch database; every SQLAlchemy and driver connection is redirected
to it and must show its marker. The child ends with its parent, however that dies.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
import traceback
from typing import IO, TYPE_CHECKING, Any, NoReturn

from airlock.records.errors import AirlockError
from airlock.records.secrets import scrub
from airlock.scratch.programs import database_environment, programs_find
from airlock.scratch.redirect import redirected

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

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


class ChildFailed(Exception):
    """The act raised something that is not an AirlockError; the text is the child's traceback, `line` its gist."""

    def __init__(self, text: str, line: str) -> None:
        super().__init__(text)
        self.line = line


def isolated(
    function: str,
    arguments: Mapping[str, Any],
    *,
    scratch: ScratchDatabase,
    environ: Mapping[str, str] | None = None,
) -> Generator[Any]:
    """Run the generator function `module:name` in a child and yield what it yields.

    Arguments and records travel as pickles. The child stands in this process's directory and prints to
    its standard error only. Raises the child's AirlockError as its own class, ChildFailed for anything else.
    """
    reading, writing = os.pipe()
    environment = database_environment(os.environ if environ is None else environ, scratch.url)
    child = subprocess.Popen(
        [sys.executable, *_MODULE, str(writing)],
        stdin=subprocess.PIPE, stdout=2, pass_fds=(writing,), env=environment,
    )  # fmt: skip
    os.close(writing)
    finished = False
    try:
        with os.fdopen(reading, "rb") as records:
            # A child that is gone already is told below, by how it ended.
            with contextlib.suppress(BrokenPipeError):
                if child.stdin is not None:  # always, with PIPE; for the type checker
                    _send(child.stdin, (function, dict(arguments), scratch))
            while (message := _receive(records)) is not None:
                kind, value = message
                if kind == "record":
                    yield value
                elif kind == "done":
                    finished = True
                elif kind == "refused":
                    raise value
                else:
                    raise ChildFailed(*value)
        if not finished:
            code = child.wait()
            ended = f"the child process of {function} ended with {code} before it was done"
            raise ChildFailed(ended, ended)
    finally:
        # The child watches its standard input: at its end it stops, whatever it is doing.
        if child.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                child.stdin.close()
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


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
    function, arguments, scratch = asked
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Unbuffered: what is left in a buffer would be written once more at its end, to a reader that is gone.
    with os.fdopen(descriptor, "wb", buffering=0) as records:
        try:
            module, _, name = function.partition(":")
            with programs_find(scratch.url), redirected(scratch.url, scratch.verify, raw=True):
                for record in getattr(importlib.import_module(module), name)(**arguments):
                    _send(records, ("record", record))
            _send(records, ("done", None))
        except AirlockError as error:
            _send(records, ("refused", error))
        except BrokenPipeError:
            raise
        except BaseException as error:  # noqa: BLE001  whatever env.py raises goes to the parent, as text
            _send(records, ("failed", (scrub(traceback.format_exc()), _gist(error))))
    return 0


def _gist(error: BaseException) -> str:
    """Say in one line what was raised: the server's own words, or the class and its first line."""
    from airlock.database.server import first_line, sqlstate

    text = first_line(error)
    name = type(error).__name__
    return text if sqlstate(error) or text == name else f"{name}: {text}"


def _end_with_parent() -> None:
    # Past sys.stdin: the interpreter cannot end while a thread holds its lock.
    while os.read(0, 1):
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
    _main(int(sys.argv[1]))
