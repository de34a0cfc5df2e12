"""Signals as something to select on: no thread, because a process that forks must not have one."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from airlock.database.signals import SIGNALS, written_into

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def signal_socket() -> Iterator[socket.socket]:
    """Lend a socket on which the number of each signal arrives as a byte, until the block ends."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    try:
        with written_into(writer, _nothing):
            yield reader
    finally:
        reader.close()
        writer.close()


def arrived(reader: socket.socket) -> int:
    """Read the last of the signals that have arrived; 0 for none of ours."""
    with contextlib.suppress(BlockingIOError):
        ours = [number for number in reader.recv(64) if number in SIGNALS]
        return ours[-1] if ours else 0
    return 0


def _nothing(_number: int, _frame: object) -> None:
    """Be a handler: without one the interpreter writes no byte."""
