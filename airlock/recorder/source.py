"""Where in a revision a statement was called from."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


def call_site(path: str) -> int:
    """Find the line of the innermost frame running in the file `path`; 0 where there is none.

    The innermost, because a revision's own functions are nearer to the statement than `upgrade()` is.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == path:
            return frame.f_lineno
        frame = frame.f_back
    return 0
