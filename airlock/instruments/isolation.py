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
from typing import IO, TYPE_CHECKING, Any

from airlock.instruments.redirect import database_environment, redirected
from airlock.words.errors import AirlockError
from airlock.words.secrets import scrub

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from airlock.instruments.scratch import ScratchDatabase

_LENGTH = struct.Struct(">Q")


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
        # -P: the current directory is no import path of Alembic's own either; prepend_sys_path decides.
        [sys.executable, "-P", "-m", "airlock.instruments.isolation", str(writing)],
        stdin=subprocess.PIPE, stdout=2, pass_fds=(writing,), env=environment,
    )  # fmt: skip
    os.close(writing)
    finished = False
    try:
        with os.fdopen(reading, "rb") as records:
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
    data = pickle.dumps(value)
    stream.write(_LENGTH.pack(len(data)) + data)
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
    function, arguments, scratch = _receive(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with os.fdopen(descriptor, "wb") as records:
        try:
            module, _, name = function.partition(":")
            with redirected(scratch.url, scratch.verify, raw=True):
                for record in getattr(importlib.import_module(module), name)(**arguments):
                    _send(records, ("record", record))
            _send(records, ("done", None))
        except AirlockError as error:
            _send(records, ("refused", error))
        except BrokenPipeError:
            return 1
        except BaseException as error:  # noqa: BLE001  whatever env.py raises goes to the parent, as text
            _send(records, ("failed", (scrub(traceback.format_exc()), _gist(error))))
    return 0


def _gist(error: BaseException) -> str:
    """Say in one line what was raised: the server's own words, or the class and its first line."""
    from airlock.instruments.server import first_line, sqlstate

    text = first_line(error)
    name = type(error).__name__
    return text if sqlstate(error) or text == name else f"{name}: {text}"


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    # A child forked by env.py must not inherit the pipe of records.
    os.set_inheritable(int(sys.argv[1]), False)
    code = _child(int(sys.argv[1]))
    sys.stderr.flush()
    os._exit(code)
