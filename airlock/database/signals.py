"""SIGINT, SIGTERM and SIGHUP that act at once, although a Python handler waits until libpq returns.

The interpreter's C handler writes the signal's number into a pipe the moment it arrives; a thread reads it
and has the server cancel the statement. Then libpq returns, and the Python handler gets its turn.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from airlock.records.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_INSISTING_SECONDS = 2.0


class Stopped(BaseException):
    """Raised in the main thread by the first signal, while `armed`; not an Exception, so that env.py cannot eat it."""


class Watch:
    """What the watcher knows: the number of the first signal, and an event to wait on instead of sleeping."""

    def __init__(self) -> None:
        self.number = 0
        self.arrived = threading.Event()
        self.armed = False
        self.on_signal: Callable[[], None] = lambda: None

    def check(self) -> None:
        """Raise Interrupted where a signal has arrived. To be called where nothing is half done."""
        if self.number:
            raise Interrupted(self.number)

    @contextlib.contextmanager
    def arm(self) -> Iterator[None]:
        """Let the handler raise Stopped inside the block (env.py's own Python code), and only there."""
        self.check()
        self.armed = True
        try:
            yield
        finally:
            self.armed = False

    def arrive(self, number: int) -> None:
        """Note the first signal, wake whoever waits, and have the statement cancelled. From the watcher's thread."""
        if number in SIGNALS and not self.number:
            self.number = number
            self.arrived.set()
            self.on_signal()


@contextlib.contextmanager
def watching() -> Iterator[Watch]:
    """Watch for the signals until the block ends; outside the main thread, do nothing.

    A second signal, two seconds later, ends the process at once: whoever insists shall be obeyed.
    """
    watch = Watch()
    if threading.current_thread() is not threading.main_thread():
        yield watch
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    thread = threading.Thread(target=_read, args=(reader, watch), name="airlock-signals", daemon=True)
    thread.start()
    try:
        with written_into(writer, _handler(watch)):
            yield watch
    finally:
        writer.close()
        thread.join(timeout=1)
        reader.close()


@contextlib.contextmanager
def written_into(writer: socket.socket, handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Have each signal's number written into a socket the moment it arrives, until the block ends; then Python's handler.

    SIGHUP, a terminal that has gone, is let be where whoever started us has it ignored (`nohup`).
    """
    before = {
        number: signal.signal(number, handler)
        for number in SIGNALS
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
    }
    old_fd = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(old_fd)
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _read(reader: socket.socket, watch: Watch) -> None:
    first: float | None = None
    while data := reader.recv(64):
        for number in data:
            watch.arrive(number)
            # A terminal and `make` may both deliver one Ctrl-C: only a later one insists.
            if first is not None and time.monotonic() - first > _INSISTING_SECONDS:
                os._exit(128 + number)
            first = first if first is not None or number not in SIGNALS else time.monotonic()


def _handler(watch: Watch) -> Callable[[int, Any], None]:
    def handle(number: int, _frame: object) -> None:
        # The watcher has noted it already, or is about to; noting is idempotent.
        watch.arrive(number)
        if watch.armed:
            watch.armed = False
            raise Stopped

    return handle
