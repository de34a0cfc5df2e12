"""The second reader: squawk, a linter of SQL text, over the statements that were really executed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# What squawk claims about locks and scans, and the server can therefore contradict.
ABOUT_LOCKS = frozenset(
    {
        "adding-field-with-default", "adding-foreign-key-constraint", "adding-not-nullable-field",
        "adding-serial-primary-key-field", "changing-column-type", "constraint-missing-not-valid",
        "disallowed-unique-constraint", "require-concurrent-index-creation",
        "require-concurrent-index-deletion", "require-concurrent-partition-detach",
        "require-concurrent-reindex",
    }
)  # fmt: skip
# Taste, and what airlock sees to by itself: it sets the budgets.
_EXCLUDED = (
    "prefer-bigint-over-int", "prefer-bigint-over-smallint", "prefer-identity", "prefer-repack",
    "prefer-robust-stmts", "prefer-text-field", "prefer-timestamp-tz", "require-lock-timeout",
    "require-statement-timeout", "require-timeout-settings",
)  # fmt: skip
# Going down is there to drop what going up made.
_EXCLUDED_DOWN = (
    "ban-drop-table", "ban-drop-column", "ban-drop-not-null", "ban-drop-constraint", "ban-drop-index",
)  # fmt: skip
_PARAMETER = re.compile(r"%\(\w+\)s|%s")


@dataclass(frozen=True)
class Said:
    """One finding: the number of the statement (from nought) and squawk's rule and words."""

    statement: int
    rule: str
    message: str


def find() -> str | None:
    """Find the program: beside this Python, or on the path."""
    beside = Path(sys.executable).with_name("squawk")
    return str(beside) if beside.exists() else shutil.which("squawk")


def version(program: str) -> str:
    """Ask the program for its name and version."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=30)
    return done.stdout.strip() or "squawk"


def read(
    program: str, steps: Mapping[str, tuple[Sequence[str], bool, str]], major: int
) -> dict[str, tuple[Said, ...]]:
    """Read each step's statements: `steps` maps a name to (statements, transactional, direction).

    Statements that squawk cannot parse are left out: it says nothing about them.
    """
    found: dict[str, list[Said]] = {name: [] for name in steps}
    for transactional in (True, False):
        for direction in ("up", "down"):
            chosen = {
                name: statements
                for name, (statements, inside, way) in steps.items()
                if statements and inside == transactional and way == direction
            }
            if chosen:
                for name, said in _run(
                    program, chosen, major, transactional=transactional, direction=direction
                ):
                    found[name].append(said)
    return {name: tuple(said) for name, said in found.items()}


def _run(
    program: str, steps: Mapping[str, Sequence[str]], major: int, *, transactional: bool, direction: str
) -> list[tuple[str, Said]]:
    excluded = _EXCLUDED + (_EXCLUDED_DOWN if direction == "down" else ())
    with tempfile.TemporaryDirectory(prefix="airlock-squawk-") as directory:
        files: dict[str, tuple[str, list[int]]] = {}
        for number, (name, statements) in enumerate(steps.items()):
            text, starts = _script(statements)
            path = Path(directory) / f"{number}.sql"
            path.write_text(text)
            files[str(path)] = (name, starts)
        command = [program, "--reporter", "json", f"--pg-version={major}"]
        command += [f"--exclude={rule}" for rule in excluded]
        command += ["--assume-in-transaction"] if transactional else []
        done = subprocess.run(
            command + list(files), capture_output=True, text=True, check=False, timeout=120, cwd=directory
        )
        try:
            said = json.loads(done.stdout or "[]")
        except json.JSONDecodeError:
            return []
    found = []
    for one in said:
        name, starts = files[one["file"]]
        if one["rule_name"] != "syntax-error":
            # Squawk counts lines from nought.
            number = sum(start <= int(one["line"]) for start in starts) - 1
            found.append((name, Said(max(number, 0), one["rule_name"], " ".join(one["message"].split()))))
    return sorted(found, key=lambda pair: (pair[0], pair[1].statement, pair[1].rule))


def _script(statements: Sequence[str]) -> tuple[str, list[int]]:
    """Put the statements under each other; tell the line at which each starts."""
    lines: list[str] = []
    starts: list[int] = []
    for statement in statements:
        starts.append(len(lines))
        text = _PARAMETER.sub("$1", statement.strip().rstrip(";")) + ";"
        lines.extend(text.splitlines())
    return "\n".join(lines) + "\n", starts
