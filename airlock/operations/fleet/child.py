"""One target in a process of its own, forked from one that has read the project and imported its libraries.

env.py finds nothing that another target has left in memory: no pooled connection, no setting read once, no table that
was given another tenant's schema. What it costs is a fork. A child that crashes or is killed takes no other with it.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import signal
import struct
import sys
import sysconfig
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NoReturn

from airlock.database.server_errors import classify, is_drivers
from airlock.operations.upgrade import migrate
from airlock.records.errors import AirlockError, Unreachable
from airlock.records.fleet import TargetSaid
from airlock.records.secrets import remember, scrub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from airlock.operations.downgrade import Counted
    from airlock.operations.fleet.targets import FleetTarget
    from airlock.project.project import Project
    from airlock.records.upgrade import Request

_LENGTH = struct.Struct(">Q")
# A child whose parent is gone rolls back and ends by itself in this time, or is ended.
_FAREWELL_SECONDS = 10.0
_INTERNAL = 70


@dataclass(frozen=True)
class End:
    """How a child's work ended; `libraries` are what env.py has imported, where that was asked."""

    exit_code: int
    message: str
    no_connection_left: bool = False
    libraries: tuple[str, ...] = ()


@dataclass
class Child:
    """A running child, as its parent sees it."""

    one: FleetTarget
    attempt: int
    pid: int
    descriptor: int
    since: float = field(default_factory=time.monotonic)
    asked_to_end: float | None = None
    killed: bool = False
    overdue: bool = False
    _buffer: bytearray = field(default_factory=bytearray)

    def records(self) -> Iterator[Any]:
        """Yield what has come since; raises EOFError where the child has closed its end."""
        data = os.read(self.descriptor, 1 << 16)
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if len(self._buffer) < _LENGTH.size + length:
                break
            record = bytes(self._buffer[_LENGTH.size : _LENGTH.size + length])
            del self._buffer[: _LENGTH.size + length]
            try:
                yield pickle.loads(record)  # noqa: S301  our own child wrote it
            except Exception as error:
                # A signal has cut a record short; what comes behind it cannot be read either.
                self.end(signal.SIGTERM)
                raise EOFError from error
        if not data:
            raise EOFError

    def end(self, number: signal.Signals) -> None:
        """Send the child a signal."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
        self.asked_to_end = self.asked_to_end or time.monotonic()
        self.killed = self.killed or number == signal.SIGKILL

    def reap(self) -> int:
        """Wait for the child's end and return how it ended, as `subprocess` does: a signal's number negative."""
        os.close(self.descriptor)
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


def start(
    one: FleetTarget, attempt: int, project: Project, request: Request, life: tuple[int, int],
    *, closing: Iterable[int], losses: Counted | None, ask_libraries: bool,
) -> Child:  # fmt: skip
    """Fork a child that brings one target to the request's revision, and return at once.

    `life` is a pipe whose writing end only the parent keeps: at its end the child stops. `closing` are descriptors
    that the child must not hold. To be called from a process that has no other thread at work.
    """
    reading, writing = os.pipe()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    pid = os.fork()
    if not pid:
        closed = (reading, life[1], *closing)
        _child(one, project, request, life[0], writing, closed, losses, ask_libraries=ask_libraries)
    os.close(writing)
    return Child(one, attempt, pid, reading)


def _child(
    one: FleetTarget, project: Project, request: Request, life: int, writing: int, closing: Iterable[int],
    losses: Counted | None, *, ask_libraries: bool,
) -> NoReturn:  # fmt: skip
    """Be the child. Whatever happens, the parent's own code must not go on here."""
    try:
        _quieten_signals()
        for descriptor in closing:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        threading.Thread(target=_end_with_parent, args=(life,), daemon=True).start()
        before = set(sys.modules)
        sending = threading.Lock()

        def send(record: Any) -> None:
            # The observer's thread tells who is in the way, the others the rest.
            with sending:
                _send(writing, record)

        remember(one.target.parameters.get("password"))
        remember(one.target.parameters.get("sslpassword"))
        said = _Said(one.name, send)
        sys.stdout = sys.stderr = said
        end = _migrate(one, project, replace(request, x_arguments=one.x_arguments, emit=send), losses)
        said.end()
        if ask_libraries:
            end = replace(end, libraries=tuple(_libraries(set(sys.modules) - before)))
        send(end)
    except BaseException:  # noqa: BLE001  the parent sees a child that ended without a word
        os._exit(1)
    os._exit(0)


def _migrate(one: FleetTarget, project: Project, request: Request, losses: Counted | None) -> End:
    try:
        verdict = migrate(project.with_x_arguments(one.x_arguments), one.target, request, losses)
    except AirlockError as error:
        return End(error.exit_code, scrub(str(error)), isinstance(error, Unreachable) and error.used_up)
    except Exception as error:  # noqa: BLE001  as at the door: one line, no secret
        if is_drivers(error):
            found = classify(error)
            return End(found.exit_code, scrub(str(found)), isinstance(found, Unreachable) and found.used_up)
        return End(_INTERNAL, scrub(f"A fault of airlock itself: {type(error).__name__}: {error}"))
    return End(verdict.exit_code, verdict.message)


def _quieten_signals() -> None:
    """Leave the terminal's signals to the parent, which passes them on once; take its handlers off."""
    signal.set_wakeup_fd(-1)
    os.setpgid(0, 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def _end_with_parent(life: int) -> None:
    with contextlib.suppress(OSError):
        os.read(life, 1)
    # As for a signal from outside: the statement is cancelled, the transaction rolled back, the lease given up.
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_FAREWELL_SECONDS)
    os._exit(1)


def _send(descriptor: int, record: Any) -> None:
    data = pickle.dumps(record)
    left = memoryview(_LENGTH.pack(len(data)) + data)
    # Without a parent nobody reads: the run ends by the pipe of its life, not by this one.
    with contextlib.suppress(BrokenPipeError):
        while left:
            left = left[os.write(descriptor, left) :]


class _Said(io.TextIOBase):
    """What env.py prints, line by line, on its way to the parent."""

    def __init__(self, name: str, send: Callable[[Any], None]) -> None:
        self._name = name
        self._send = send
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                self._send(TargetSaid(self._name, scrub(line.rstrip())))
        return len(text)

    def end(self) -> None:
        """Send what has no line break behind it."""
        if self._rest:
            self.write("\n")


def _libraries(names: Iterable[str]) -> Iterator[str]:
    """Choose the modules that belong to installed libraries: what the project itself imports is each target's own."""
    places = tuple(
        os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("purelib", "platlib", "stdlib")
    )
    for name in sorted(names):
        origin = getattr(getattr(sys.modules.get(name), "__spec__", None), "origin", None)
        if origin and (origin in {"built-in", "frozen"} or os.path.realpath(origin).startswith(places)):
            yield name
