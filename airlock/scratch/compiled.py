"""What children compile of the project and its packages, kept for the next child where Python keeps nothing itself.

A container often has packages without bytecode, and may not write any: PYTHONDONTWRITEBYTECODE, a read-only file system.
Each child then compiles everything that env.py imports, half of what a large application's start takes. What one has
compiled lies in a temporary directory of this process's, closed to others, until it ends; nothing is written beside sources.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import marshal
import os
import shutil
import sys
import tempfile
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType

_room: tuple[int, str] | None = None


def room() -> str:
    """Give the directory in which this process's children keep what they compile; empty where there can be none."""
    global _room  # one a process, whichever thread asks first
    if _room is None or _room[0] != os.getpid():
        try:
            _room = (os.getpid(), tempfile.mkdtemp(prefix="airlock-compiled-"))
        except OSError:
            _room = (os.getpid(), "")
        atexit.register(_clear, *_room)
    return _room[1]


def keep_in(directory: str) -> None:
    """Have modules that this process imports from now on read from a directory, and kept there, where nothing else does.

    Python's own bytecode is read where it is there, and written where that may be. A file that has changed is compiled
    anew: by its time in nanoseconds, size and number, closer than Python looks at it.
    """
    compiled_anew = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, fullname: str) -> CodeType | None:
        source = self.get_filename(fullname)
        try:
            # Under the name that Python has now: hooks that change what is compiled (beartype's, typeguard's) put another there.
            beside = Path(compiled_anew.__globals__["cache_from_source"](source))
            status = Path(source).stat()
        except (OSError, NotImplementedError):
            return compiled_anew(self, fullname)
        if _read_or_written(beside):
            return compiled_anew(self, fullname)
        asked = (str(beside), type(self).__qualname__, status.st_mtime_ns, status.st_size, status.st_ino)
        kept = Path(directory) / hashlib.sha256(repr(asked).encode()).hexdigest()
        with contextlib.suppress(OSError, EOFError, ValueError, TypeError):
            found: CodeType = marshal.loads(kept.read_bytes())  # noqa: S302  closed to others: a child of ours wrote it
            return found
        code = compiled_anew(self, fullname)
        if code is not None:
            _write(kept, marshal.dumps(code))
        return code

    setattr(SourceFileLoader, "get_code", get_code)  # noqa: B010  mypy forbids assigning to a method


def _read_or_written(beside: Path) -> bool:
    """Tell whether there is bytecode where Python looks for it, or Python will write it there."""
    if beside.exists():
        return True
    place = beside.parent if beside.parent.is_dir() else beside.parent.parent
    return not sys.dont_write_bytecode and os.access(place, os.W_OK)


def _write(kept: Path, data: bytes) -> None:
    """Write a file whole or not at all: another child may read it at once."""
    partial = kept.with_suffix(f".{os.getpid()}")
    try:
        partial.write_bytes(data)
        partial.replace(kept)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink()


def _clear(owner: int, directory: str) -> None:
    # A forked copy of the process has not made it.
    if directory and owner == os.getpid():
        shutil.rmtree(directory, ignore_errors=True)
