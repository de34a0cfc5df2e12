"""Signals as something to select on: no thread, because a process that forks must not have one."""

from __future__ import annotations

import contextlib
import signal
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def signal_socket() -> Iterator[socket.socket]:
    """Lend a socket on which the number of each signal arrives as a byte, until the block ends.

    SIGHUP is let be where whoever started us has it ignored (`nohup`).
    """
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    before = {
        number: signal.signal(number, _nothing)
        for number in _SIGNALS
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
    }
    old = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(old)
        for number, handler in before.items():
            signal.signal(number, handler)
        reader.close()
        writer.close()


def arrived(reader: socket.socket) -> int:
    """Read the last of the signals that have arrived; 0 for none of ours."""
    with contextlib.suppress(BlockingIOError):
        ours = [number for number in reader.recv(64) if number in _SIGNALS]
        return ours[-1] if ours else 0
    return 0


def _nothing(_number: int, _frame: object) -> None:
    """Be a handler: without one the interpreter writes no byte."""
