"""Where what env.py and its revisions print goes."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from airlock.records.secrets import scrub

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class _Said:
    """What env.py prints, warns and logs: to standard error, without a password, and never a reason to stop.

    A reader that went away would raise into env.py, and end a run half way through the history.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(scrub(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def close(self) -> None:
        """Stay open: the stream is not env.py's."""


@contextlib.contextmanager
def to_standard_error() -> Iterator[None]:
    """Send both standard streams of env.py to standard error: standard output carries airlock's data alone."""
    said: Any = _Said(sys.stderr)
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        yield
