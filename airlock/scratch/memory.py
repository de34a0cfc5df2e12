"""Where scratch servers lie: in memory where the machine has plenty, else in the system's temporary directory.

In memory a database is made in a tenth of the time, and nothing waits for another process's disk. What is in a tmpfs is
memory that nobody else gets: it is taken only where there is much more than a history with sample rows needs.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from airlock.records.errors import Usage

# The variable by which a user says where, whatever the machine has.
SCRATCH_DIRECTORY = "AIRLOCK_SCRATCH_DIRECTORY"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  (each directory there is made by mkdtemp)
# Of sample rows in each table: what more makes belongs on a disk.
MOST_ROWS = 2_000
# What the server says of a file system that is full (ENOSPC), and what helps.
FULL = "No space left on device"
MORE_SPACE = f"{SCRATCH_DIRECTORY}=/a/directory/on/a/larger/disk, and again"
# A server takes 100 MB with the databases of an ordinary history, and there may be four.
_LEAST_ROOM = 2 << 30
_LEAST_AVAILABLE = 4 << 30


@dataclass(frozen=True)
class Machine:
    """What there is, in bytes: `room` in /dev/shm (None: no tmpfs that everybody may write to), `available` memory."""

    room: int | None
    available: int

    @property
    def has_plenty(self) -> bool:
        """Tell whether scratch servers may take of it."""
        return self.room is not None and self.room >= _LEAST_ROOM and self.available >= _LEAST_AVAILABLE


def directory(*, in_memory: bool) -> Path | None:
    """Say where a scratch server's files go: AIRLOCK_SCRATCH_DIRECTORY, /dev/shm, or None, the temporary directory.

    Raises Usage where the variable names no directory that can be written to.
    """
    said = os.environ.get(SCRATCH_DIRECTORY)
    if said:
        if not Path(said).is_dir() or not os.access(said, os.W_OK | os.X_OK):
            raise Usage(
                f"{SCRATCH_DIRECTORY} names no directory that can be written to: {said}.",
                then=f"make it, or unset {SCRATCH_DIRECTORY}",
            )
        return Path(said)
    return SHARED_MEMORY if in_memory and look().has_plenty else None


def look(root: Path = Path("/")) -> Machine:
    """Read what the machine below `root` has. What it does not tell (another system than Linux) it has not."""
    shared = root / SHARED_MEMORY.relative_to("/")
    try:
        available = _meminfo(root / "proc/meminfo")
        mounts = (root / "proc/self/mounts").read_text()
        left = [one for one in (_left(group) for group in _groups(root)) if one is not None]
    except (OSError, ValueError, LookupError):
        return Machine(None, 0)
    # The last one covers those before it.
    kinds = [
        fields[2] for fields in map(str.split, mounts.splitlines()) if fields[1:2] == [str(SHARED_MEMORY)]
    ]
    room = None
    # Everybody: as root the server runs as another user.
    if kinds[-1:] == ["tmpfs"] and os.access(shared, os.W_OK) and shared.stat().st_mode & 0o003 == 0o003:
        free = os.statvfs(shared)
        room = free.f_bavail * free.f_frsize
    return Machine(room, min([available, *left]))


def _meminfo(file: Path) -> int:
    for line in file.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise LookupError("MemAvailable")


def _groups(root: Path) -> list[Path]:
    """List the directories of the control groups that limit this process's memory: its own, and all above."""
    found: list[Path] = []
    for line in (root / "proc/self/cgroup").read_text().splitlines():
        _, controllers, name = line.split(":", 2)
        if not controllers:
            mount = root / "sys/fs/cgroup"
        elif "memory" in controllers.split(","):
            mount = root / "sys/fs/cgroup/memory"
        else:
            continue
        # In a container the name may be the host's, and the container's own group lies at the mount.
        own = mount / name.lstrip("/")
        found += [place for place in (own, *own.parents) if place.is_relative_to(mount)]
    return found


def _left(group: Path) -> int | None:
    """Say what a control group may still take; None where it says no limit. What caches hold can be had back."""
    for limit, used, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        with contextlib.suppress(FileNotFoundError):
            most = (group / limit).read_text().strip()
            if most == "max":
                return None
            taken = int((group / used).read_text())
            counts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            return int(most) - taken + int(counts.get(cache, 0))
    return None
