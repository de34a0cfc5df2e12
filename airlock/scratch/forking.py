"""Child processes forked from one that has imported what they need: a start of 20 ms instead of half a second.

The process that is forked runs no code of a project: it imports airlock's own modules, Alembic, SQLAlchemy and such
drivers as its forks have wanted, opens no connection and starts no thread. So each fork stands where a process of its
own would stand behind its imports. Between it and the forks stands one more process for each, which waits for it and
tells how it ended. It is started by itself; or, by a command that has just begun and run no code of a project, it is
split off, with what has been imported by then.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from airlock.drivers import DRIVERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# Elsewhere libraries of the system are known to break in a fork that does not exec.
POSSIBLE = sys.platform == "linux" and hasattr(socket, "send_fds")
_NUMBER = struct.Struct(">q")
_LENGTH = struct.Struct(">H")
_MOST_NAME = 1_000
_MOMENT_S = 1.0


class Forked:
    """One forked child: what `subprocess.Popen` tells of a child of one's own."""

    def __init__(self, stdin: int, status: int) -> None:
        self.stdin = os.fdopen(stdin, "wb")
        self._status = status
        self._pid = self._told()
        self._code: int | None = None

    @property
    def began(self) -> bool:
        """Tell whether there is a child at all."""
        return self._pid is not None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; return its exit code, or minus the signal. Raises TimeoutExpired."""
        if self._code is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a forked child", timeout or 0)
            code = self._told()
            # Whoever would have told is gone: so, soon, is the child, whose input nobody holds.
            self._code = -signal.SIGKILL if code is None else code
            os.close(self._status)
        return self._code

    def kill(self) -> None:
        """End it at once, where it is still there."""
        if self._code is None and self._pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def _told(self) -> int | None:
        data = b""
        while len(data) < _NUMBER.size:
            more = os.read(self._status, _NUMBER.size - len(data))
            if not more:
                return None
            data += more
        return int(_NUMBER.unpack(data)[0])


class Forker:
    """The process that is forked, seen from its parent. It ends with its parent, or when it is closed."""

    def __init__(self, ours: socket.socket, wait: Callable[[], object]) -> None:
        self._socket = ours
        self._wait = wait
        self._lock = threading.Lock()

    @classmethod
    def started(
        cls, command: Sequence[str], modules: Sequence[str], environment: Mapping[str, str]
    ) -> Forker:
        """Start it by itself."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [*command, str(theirs.fileno()), *modules], stdin=subprocess.DEVNULL, stdout=2,
                pass_fds=(theirs.fileno(),), env=dict(environment),
            )  # fmt: skip
        return cls(ours, process.wait)

    @classmethod
    def split_off(
        cls, modules: Sequence[str], environment: Mapping[str, str], act: Callable[[int], NoReturn]
    ) -> Forker:
        """Fork it from this process, which has one thread, no connection, and has run no code of a project."""
        ours, theirs = socket.socketpair()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        pid = os.fork()
        if pid == 0:
            try:
                ours.close()
                _be_as_started(theirs.fileno(), environment)
                serve(theirs.detach(), modules, act)
            finally:
                os._exit(0)
        theirs.close()

        def wait() -> None:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)

        return cls(ours, wait)

    def fork(self, modules: Sequence[str], records: int) -> Forked:
        """Fork a child that has imported `modules` (airlock's own, drivers) and writes to the descriptor `records`.

        Raises OSError where the process is gone.
        """
        reading, writing = os.pipe()
        told, telling = os.pipe()
        name = " ".join(modules).encode()[:_MOST_NAME]
        try:
            with self._lock:
                socket.send_fds(
                    self._socket, [_LENGTH.pack(len(name)) + name], [reading, records, telling, 2]
                )
        except OSError:
            os.close(writing)
            os.close(told)
            raise
        finally:
            os.close(reading)
            os.close(telling)
        child = Forked(writing, told)
        if not child.began:
            child.stdin.close()
            os.close(told)
            raise ConnectionResetError("the process that is forked has ended")
        return child

    def close(self) -> None:
        """Let it end; its children go on."""
        self._socket.close()
        self._wait()


def serve(descriptor: int, modules: Sequence[str], act: Callable[[int], NoReturn]) -> None:
    """Fork for whoever holds the other end of a socket, until it is closed; each child runs `act` on its records.

    `modules` are imported before anybody asks.
    Standard input, records, the way to tell how it ended, and standard error come with each request.
    """
    # An interrupt reaches the whole process group; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, _reap)
    for name in modules:
        _import_known(name)
    with socket.socket(fileno=descriptor) as requests:
        while True:
            asked, descriptors, _, _ = socket.recv_fds(requests, _LENGTH.size, 4)
            if len(asked) < _LENGTH.size or len(descriptors) < 4:
                _wait_a_moment()
                return
            name = requests.recv(_LENGTH.unpack(asked)[0], socket.MSG_WAITALL).decode()
            for module in name.split():
                _import_known(module)
            gc.freeze()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                requests.close()
                _between(descriptors, act)
            for one in descriptors:
                os.close(one)


def _be_as_started(descriptor: int, environment: Mapping[str, str]) -> None:
    """Be as a process of one's own is (`python -P`): streams, signals, environment, import path, no open file but one."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    for one in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if one > 2 and one != descriptor:
            with contextlib.suppress(OSError):
                os.close(one)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]


def _reap(*_: object) -> None:
    """Wait for those who have ended: waited for, not ignored, what they used is counted as this process's (`time`)."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _wait_a_moment() -> None:
    """Wait for those whose child has ended: they are about to end. Others may go on, and are not waited for."""
    until = time.monotonic() + _MOMENT_S
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < until:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.002)


def _import_known(module: str) -> None:
    """Import a module of airlock's, or a driver that is there; what is a project's is imported by the fork that wants it."""
    if module.startswith("airlock."):
        importlib.import_module(module)
    elif module in DRIVERS:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)


def _between(descriptors: Sequence[int], act: Callable[[int], NoReturn]) -> NoReturn:
    """Fork the child that acts, tell its process id, wait, and tell how it ended."""
    reading, records, telling, errors = descriptors
    try:
        pid = os.fork()
        if pid == 0:
            os.dup2(reading, 0)
            os.dup2(errors, 1)
            os.dup2(errors, 2)
            for one in (reading, telling, errors):
                os.close(one)
            act(records)
        for one in (reading, records, errors):
            os.close(one)
        os.write(telling, _NUMBER.pack(pid))
        _, status = os.waitpid(pid, 0)
        os.write(telling, _NUMBER.pack(os.waitstatus_to_exitcode(status)))
    finally:
        os._exit(0)
