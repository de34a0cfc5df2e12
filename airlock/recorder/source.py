"""Where in a revision a statement was called from, and what kind of statement its text names."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

_COMMENTS = re.compile(r"\s+|--[^\n]*(?:\n|$)|/\*.*?\*/", re.DOTALL)


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


def command(sql: str) -> str:
    """Tell the first word of a statement in capitals, past comments and white space."""
    word = re.compile(r"\w+").match(sql, start(sql))
    return word.group().upper() if word else ""


def start(sql: str) -> int:
    """Tell where a statement begins, past comments and white space."""
    place = 0
    while (skipped := _COMMENTS.match(sql, place)) is not None and skipped.end() > place:
        place = skipped.end()
    return place


def identifiers(sql: str) -> frozenset[str]:
    """List every word of the text that could be a relation's name, as written and in lower case."""
    words = set(re.findall(r"\w+", sql)) | set(re.findall(r'"((?:[^"]|"")+)"', sql))
    return frozenset(words | {word.lower() for word in words})
