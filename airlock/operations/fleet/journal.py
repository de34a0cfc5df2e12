"""The journal of a run over many targets: which of them are done, in a file that survives the run.

One JSON document a line, appended before a target is begun and after it has ended. The first line says which run it
is. A run that is begun again reads what is done and leaves it alone; what was begun and not ended is begun again: its
lease and its version rows say what is left of it. No URL and no password is written.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airlock.records.errors import LeaseHeld, Usage
from airlock.records.secrets import scrub

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from airlock.operations.fleet.targets import FleetTarget
    from airlock.records.fleet import TargetDone

_FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """What an earlier run has done to one target."""

    revisions: int
    version_table: str
    place: str


class Journal:
    """The open journal of one run; no other run may have it open.

    `done` maps the identity of each target that is done to what was done; `set_aside` names where a journal of another run
    went.
    """

    def __init__(self, path: Path, direction: str, to: tuple[str, ...]) -> None:
        self.path = path
        self.done: dict[str, Entry] = {}
        self.set_aside: Path | None = None
        try:
            # A lock of the process, not of the file's description: a child that outlives us does not hold it.
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Usage(f"--journal cannot be written: {error.strerror}.") from error
        try:
            self._begin({"fleet": _FORMAT, "direction": direction, "to": list(to)})
        except BaseException:
            os.close(self._descriptor)
            raise

    @property
    def descriptor(self) -> int:
        """Give the file's descriptor, for a child to close."""
        return self._descriptor

    def begun(self, one: FleetTarget, attempt: int) -> None:
        """Write that a target is about to be touched."""
        self._append({"begun": one.name, "id": one.identity, "attempt": attempt})

    def ended(self, one: FleetTarget, outcome: TargetDone) -> None:
        """Write how a target has ended."""
        said: dict[str, Any] = {
            "id": one.identity,
            "from": outcome.before,
            "to": outcome.after,
            "ms": round(outcome.ms),
        }
        said |= {"revisions": outcome.revisions, "version_table": outcome.version_table, "place": one.place}
        if outcome.exit_code == 0:
            self._append({"done": one.name, **said})
            self.done[one.identity] = Entry(outcome.revisions, outcome.version_table, one.place)
        else:
            self._append(
                {"failed": one.name, **said, "exit_code": outcome.exit_code, "message": outcome.message}
            )

    def finish(self) -> None:
        """Write that every target is done: the next run begins a journal of its own."""
        self._append({"finished": len(self.done)})

    def close(self) -> None:
        """Close the file and let another run have it."""
        with contextlib.suppress(OSError):
            os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self, header: dict[str, Any]) -> None:
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LeaseHeld(
                f"Another run writes the journal {self.path.name}.",
                standing="Nothing changed.",
                then="again when it has ended, or --journal with another file",
            ) from None
        lines = _documents(self._read())
        if lines and lines[0].get("fleet") is None:
            raise Usage(f"{self.path.name} is no journal of a fleet.", then="--journal with another file")
        same = bool(lines) and {name: lines[0].get(name) for name in header} == header
        if same and not any("finished" in line for line in lines):
            for line in lines:
                if "done" in line:
                    entry = Entry(int(line["revisions"]), str(line["version_table"]), str(line["place"]))
                    self.done[str(line["id"])] = entry
            self._append({"resumed": len(self.done)})
            return
        if lines:
            self._set_aside(finished=any("finished" in line for line in lines))
        self._append(header)

    def _set_aside(self, *, finished: bool) -> None:
        """Keep the journal of an earlier run beside the new one, where it had not come to its end."""
        if not finished:
            aside = self.path.with_name(f"{self.path.name}.{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
            try:
                aside.write_bytes(self._read())
            except OSError as error:
                raise Usage(f"{aside.name} cannot be written: {error.strerror}.") from error
            self.set_aside = aside
        os.ftruncate(self._descriptor, 0)

    def _read(self) -> bytes:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        pieces = []
        while piece := os.read(self._descriptor, 1 << 20):
            pieces.append(piece)
        return b"".join(pieces)

    def _append(self, document: dict[str, Any]) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = scrub(json.dumps({**document, "at": now}, ensure_ascii=False)) + "\n"
        data = memoryview(line.encode("utf-8", "replace"))
        try:
            # A line that a full disk has cut is ended first: it must not swallow this one.
            if self._cut():
                os.write(self._descriptor, b"\n")
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            raise Usage(
                f"The journal {self.path.name} cannot be written: {error.strerror}.",
                then="the same again, with room for it",
            ) from error

    def _cut(self) -> bool:
        end = os.fstat(self._descriptor).st_size
        return end > 0 and os.pread(self._descriptor, 1, end - 1) != b"\n"


def _documents(data: bytes) -> list[dict[str, Any]]:
    """Read the lines that are whole; one that a kill or a full disk has cut says nothing."""
    found = []
    for line in data.split(b"\n"):
        try:
            document = json.loads(line)
        except ValueError:
            continue
        if isinstance(document, dict):
            found.append(document)
    return found
