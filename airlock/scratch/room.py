"""End the statements by which a scratch server is about to fill what it lies in: memory, or a disk.

A series up to the last day of a sample row writes gigabytes in a minute. A full disk stops whoever else writes there;
where memory is full, the kernel ends processes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from typing import TYPE_CHECKING

from airlock.scratch import memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Bytes that others must be left, and that the server must have taken before it is held for the cause.
LEAST_LEFT = 2 << 30
MOST_TAKEN = 1 << 30
# A server writes about 500 MB in a second.
_LOOK_SECONDS = 0.5


@contextlib.contextmanager
def kept_for_others(data: Path, end_statements: Callable[[], None]) -> Iterator[None]:
    """Call `end_statements`, in a thread, whenever the server on this data directory leaves others too little."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_LOOK_SECONDS):
            if left(data) < LEAST_LEFT and taken(data) > MOST_TAKEN:
                end_statements()

    thread = threading.Thread(target=watch, name="airlock-room", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def left(data: Path) -> int:
    """Tell how many bytes the file system of a directory has left; in memory, how many are left of that, if fewer."""
    try:
        free = shutil.disk_usage(data).free
    except OSError:
        return LEAST_LEFT
    return min(free, memory.look().available) if memory.SHARED_MEMORY in data.parents else free


def taken(data: Path) -> int:
    """Add up the bytes of all files below a directory; what goes meanwhile counts for nothing."""
    total = 0
    for directory, _, names in os.walk(data):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(directory, name)).st_blocks * 512  # noqa: PTH118  thousands of files
    return total
