"""Data directories that initdb makes once and later scratch servers copy: initdb is most of what their start costs.

A copy differs from what initdb makes in nothing but time: it gets a system identifier of its own, as by it sessions are
told apart that reach another server. What initdb reads from the machine (binaries, locales, time zone) is in the name
under which a directory is kept, so that a change there makes another.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import struct
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# What initdb takes over from the machine, beside its own binaries: collations, the time zone.
_OF_THE_MACHINE = ("/usr/lib/locale", "/usr/lib/locale/locale-archive", "/etc/localtime", "/etc/timezone")
# XLogLongPageHeaderData: xlp_sysid stands behind the short header.
_SYSTEM_IDENTIFIER_IN_WAL = 24
_SEGMENT_NAME = 24
_AT_ONCE = 1 << 20


def copy_or_make(
    data: Path, bindir: Path, initialise: Callable[[Path, Path], None], server_user: tuple[int, int] | None
) -> None:
    """Copy to `data` what `initialise` makes of an empty directory, which runs where no whole copy is kept yet.

    `server_user` (uid, gid) gets the files where the server runs under another user than this process. Keeps one
    directory a version in the system's temporary directory, closed to others; several processes may do so at once.
    """
    kept = Path(tempfile.gettempdir()) / f"airlock-{os.geteuid()}-initdb-{_digest(bindir)}"
    for _ in range(2):
        try:
            if _is_ours(kept) and _copied(kept, data, server_user):
                _set_system_identifier(data)
                return
        except (OSError, ValueError, LookupError):
            pass  # somebody cleans the temporary directory, or there is no room: as without a copy
        shutil.rmtree(data, ignore_errors=True)
        with contextlib.suppress(OSError):
            _keep(kept, bindir, initialise, server_user)
    initialise(data, bindir)


def _digest(bindir: Path) -> str:
    told = [str(bindir.resolve()), os.environ.get("TZ", ""), os.path.realpath("/etc/localtime")]
    for path in (bindir / "initdb", bindir / "postgres", *map(Path, _OF_THE_MACHINE)):
        try:
            status = path.stat()
            told.append(f"{status.st_mtime_ns} {status.st_size} {status.st_ino}")
        except OSError:
            told.append("none")
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def _is_ours(kept: Path) -> bool:
    """Tell whether a directory is there that nobody else could write: its name can be foretold."""
    try:
        status = kept.lstat()
    except FileNotFoundError:
        return False
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.geteuid()
        and not stat.S_IMODE(status.st_mode) & 0o077
    )


def _keep(
    kept: Path, bindir: Path, initialise: Callable[[Path, Path], None], server_user: tuple[int, int] | None
) -> None:
    """Make a data directory and keep it under its name, in the place of one that is not whole."""
    made = Path(tempfile.mkdtemp(prefix="airlock-initdb-"))
    try:
        with tempfile.TemporaryDirectory(prefix="airlock-initdb-") as room:
            if server_user is not None:
                os.chown(room, *server_user)
            initialise(Path(room) / "data", bindir)
            entries, size = _copy(Path(room) / "data", made / "data", None)
        (made / "whole").write_text(f"{entries} {size}")
        if _is_ours(kept):
            shutil.rmtree(kept, ignore_errors=True)
        made.rename(kept)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _copied(kept: Path, data: Path, server_user: tuple[int, int] | None) -> bool:
    """Copy what is kept; False where a part of it is missing, as when the temporary directory is cleaned by age."""
    whole = (kept / "whole").read_text()
    entries, size = _copy(kept / "data", data, server_user)
    return whole == f"{entries} {size}"


def _copy(source: Path, target: Path, owner: tuple[int, int] | None) -> tuple[int, int]:
    """Copy a tree of plain files, which only their owner may read; return how many entries and bytes it had."""
    target.mkdir(mode=0o700, exist_ok=True)
    if owner is not None:
        os.chown(target, *owner)
    entries = size = 0
    with os.scandir(source) as found:
        # There are a thousand files, most of them small: what is done for each counts, more than what is in them.
        for entry in found:
            there = f"{target}/{entry.name}"
            entries += 1
            if entry.is_dir(follow_symlinks=False):
                below = _copy(Path(entry.path), Path(there), owner)
                entries, size = entries + below[0], size + below[1]
                continue
            content = os.open(entry.path, os.O_RDONLY)
            try:
                copy = os.open(there, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                try:
                    size += _transfer(content, copy)
                    if owner is not None:
                        os.chown(copy, *owner)
                finally:
                    os.close(copy)
            finally:
                os.close(content)
    return entries, size


def _transfer(content: int, copy: int) -> int:
    """Write all of one open file to the other; return how many bytes it had."""
    size = 0
    while data := os.read(content, _AT_ONCE):
        left = memoryview(data)
        while left:
            left = left[os.write(copy, left) :]
        size += len(data)
    return size


def _set_system_identifier(data: Path) -> None:
    """Give a cluster that was never started an identifier of its own, in pg_control and in its first WAL.

    Raises LookupError where pg_control is not what it is from PostgreSQL 14 to 18 (a struct that begins with the
    identifier and ends with the CRC-32C of what stands before, access/xlog_internal.h and catalog/pg_control.h).
    """
    control = data / "global" / "pg_control"
    content = bytearray(control.read_bytes())
    end = _place_of_checksum(content)
    now = time.time_ns()
    # As initdb makes it: seconds, microseconds, process; here more of chance, as two copies are made in a moment.
    identifier = struct.pack("=Q", (now // 1_000_000_000) << 32 | int.from_bytes(os.urandom(4), "big"))
    before, content[:8] = bytes(content[:8]), identifier
    struct.pack_into("=I", content, end, _crc32c(bytes(content[:end])))
    for segment in (data / "pg_wal").iterdir():
        if len(segment.name) == _SEGMENT_NAME and segment.is_file():
            with segment.open("r+b") as wal:
                wal.seek(_SYSTEM_IDENTIFIER_IN_WAL)
                if wal.read(8) != before:
                    raise LookupError(f"{segment.name} does not begin as expected")
                wal.seek(_SYSTEM_IDENTIFIER_IN_WAL)
                wal.write(identifier)
    control.write_bytes(content)


def _place_of_checksum(control: bytes | bytearray) -> int:
    checksum = 0xFFFFFFFF
    for place in range(0, min(len(control), 1024) - 4, 4):
        if place and struct.unpack_from("=I", control, place)[0] == checksum ^ 0xFFFFFFFF:
            return place
        checksum = _crc32c(bytes(control[place : place + 4]), checksum ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    raise LookupError("pg_control holds no checksum where one is known")


def _crc32c(content: bytes, checksum: int = 0) -> int:
    """Compute the CRC-32C (Castagnoli, reflected) that PostgreSQL closes its structs with."""
    checksum ^= 0xFFFFFFFF
    for byte in content:
        checksum ^= byte
        for _ in range(8):
            checksum = checksum >> 1 ^ (0x82F63B78 if checksum & 1 else 0)
    return checksum ^ 0xFFFFFFFF
