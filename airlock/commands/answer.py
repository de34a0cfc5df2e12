"""How a command that ends in one document gives it: to `--log`, and as JSON or lines to standard output."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.records.errors import Usage
from airlock.records.secrets import scrub

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable


def answer(arguments: argparse.Namespace, document: dict[str, Any], lines: Iterable[str]) -> None:
    """Append the document to the run's log, print it where `--json` asks for it, the lines elsewhere.

    Nothing leaves unscrubbed. Raises Usage where the log cannot be written.
    """
    if arguments.log is not None:
        _append(Path(arguments.log), {"event": arguments.command, "at": _now(), **document})
    if arguments.json:
        lines = (json.dumps(document, indent=2, ensure_ascii=False),)
    try:
        sys.stdout.writelines(f"{scrub(line)}\n" for line in lines)
        # What cannot be written is an error of this command, not of the interpreter's end.
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has had enough; the exit code is the verdict's all the same.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def made_directory(out: str) -> Path:
    """Make the directory that `--out` names, before the work begins. Raises Usage where nothing can be written into it."""
    directory = Path(out)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Asked by writing: of a file system that is read-only or full, the modes say nothing.
        with tempfile.TemporaryFile(dir=directory) as probe:
            probe.write(b"airlock")
    except OSError as error:
        raise _unwritable(error) from error
    return directory


def write_reports(directory: Path, contents: Iterable[tuple[str, Iterable[str]]]) -> int:
    """Write files into the directory that `--out` names, scrubbed, over those of an earlier run; return how many.

    A file comes in pieces, none of which ends within a secret. Raises Usage.
    """
    count = 0
    try:
        for name, pieces in contents:
            with (directory / name).open("w", encoding="utf-8") as stream:
                stream.writelines(scrub(piece) for piece in pieces)
            count += 1
    except OSError as error:
        raise _unwritable(error) from error
    return count


def _unwritable(error: OSError) -> Usage:
    return Usage(
        f"--out cannot be written: {error.strerror}.", then="--out with a directory that can be, and has room"
    )


def _append(log: Path, document: dict[str, Any]) -> None:
    try:
        with log.open("a", encoding="utf-8") as stream:
            stream.write(scrub(json.dumps(document, ensure_ascii=False)) + "\n")
    except OSError as error:
        raise Usage(f"--log cannot be written: {error.strerror}.") from error


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
