"""One line on a terminal: of how far a command is, or counting the seconds of what is running."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING

from airlock.records.secrets import scrub
from airlock.reports.text import duration, shorten

if TYPE_CHECKING:
    from typing import TextIO

_EVERY_SECONDS = 0.5
# Where nobody sees a line being overwritten: a pipeline ends a job that says nothing for long.
LINE_SECONDS = 60.0
_CLEAR = "\r\x1b[K"
_WIDTH = 110


class Overwritten:
    """What overwrites itself on standard error where that is a terminal; elsewhere a line each time that one is due."""

    def __init__(self) -> None:
        self._on_terminal = sys.stderr.isatty()
        self._stands = False

    def show(self, line: str, *, due: bool) -> None:
        """Say how far the command is."""
        self._stands = self._on_terminal
        if self._on_terminal:
            sys.stderr.write(f"{_CLEAR}{shorten(line, _WIDTH)}")
            sys.stderr.flush()
        elif due:
            sys.stderr.write(f"{line}\n")

    def end(self) -> None:
        """Take the line away."""
        if self._stands:
            sys.stderr.write(_CLEAR)
            self._stands = False


class Begun:
    """What began last in scratch or on the target, as `watched` hears of it; where no terminal is, a line a minute."""

    def __init__(self) -> None:
        self._began = self._told = time.monotonic()
        self._line = Overwritten()

    def __call__(self, what: str) -> None:
        """Show that this has begun."""
        now = time.monotonic()
        due = now - self._told >= LINE_SECONDS
        self._line.show(f"{duration((now - self._began) * 1000)}: {what}", due=due)
        if due:
            self._told = now

    def end(self) -> None:
        """Take the line away."""
        self._line.end()


class Live:
    """Redraw a line on `stream` twice a second, from `show` to `clear`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def show(self, line: str) -> None:
        """Begin to count behind this line."""
        self.clear()
        self._stop.clear()
        self._thread = threading.Thread(target=self._count, args=(scrub(line),), daemon=True)
        self._thread.start()

    def clear(self) -> None:
        """Take the line away."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None
            self._draw("")

    def _count(self, line: str) -> None:
        since = time.monotonic()
        self._draw(f"{line} ...")
        while not self._stop.wait(_EVERY_SECONDS):
            self._draw(f"{line}  {duration((time.monotonic() - since) * 1000)} ...")

    def _draw(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(f"{_CLEAR}{line}")
            self._stream.flush()
