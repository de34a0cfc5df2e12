"""Where in a revision a statement was called from."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


def frames() -> Iterator[FrameType]:
    """Walk from the caller's frame outwards, on through each greenlet that waits for the one below it.

    SQLAlchemy runs what a coroutine awaits (`op.run_async`) in a greenlet of its own: the coroutine's frames are its
    parent's, and no `f_back` leads there.
    """
    frame: FrameType | None = sys._getframe(1)
    greenlet = sys.modules.get("greenlet")
    waiting = greenlet.getcurrent().parent if greenlet is not None else None
    while frame is not None:
        yield frame
        frame = frame.f_back
        if frame is None and waiting is not None:
            frame, waiting = waiting.gr_frame, waiting.parent


def call_site(path: str) -> int:
    """Find the line of the innermost frame running in the file `path`; 0 where there is none.

    The innermost, because a revision's own functions are nearer to the statement than `upgrade()` is.
    """
    return next((frame.f_lineno for frame in frames() if frame.f_code.co_filename == path), 0)
