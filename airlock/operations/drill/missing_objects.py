"""What a scratch database lacks because a revision could not be applied in it, and which failures come of that."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.exc import NoReferenceError, NoSuchTableError

from airlock.database.server_errors import sqlstate
from airlock.drivers.spelling import mentions
from airlock.operations.drill import failures
from airlock.project.settings import BEFORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airlock.project.project import RevisionFacts

# Undefined table, column, object (type, role, operator class), function, schema, foreign key's table.
_MISSING = frozenset({"42P01", "42703", "42704", "42883", "3F000", "42P10"})
# Undefined table, undefined schema: what a history may find there that another tool has made.
_NOT_MADE = frozenset({"42P01", "3F000"})
# What an extension brings is named by its own names: types and operator classes, functions and operators, schemas.
_OF_EXTENSIONS = frozenset({"42704", "42883", "3F000"})
_NAMES = re.compile(r'"([^"]+)"|\b([A-Za-z_][\w.]*)\(')
# What SQLAlchemy and Alembic's batch say of an object that they look up before the server is asked.
_LOOKED_UP = re.compile(r"(?<![\w'])'([^']+)'|^([\w.]+)$")
_ONE_LETTER = (
    r"(?i)(?:[\"'.]|\b(?:table|type|domain|view|index|function|schema|sequence|column|add|exists)\s+){}(?!\w)"
)


@dataclass(frozen=True)
class Gap:
    """One revision that is not applied, or not whole: why, and the text of what is missing of it.

    `extension` where what it brings cannot be read from its text. `root` is the revision below that it needs itself, at the
    end of all such needs; `reason` is then that one's.
    """

    revision: str
    reason: str
    text: str
    extension: bool = False
    root: str = ""

    @property
    def told(self) -> str:
        """Say why it is not applied, by the one reason at the root."""
        return f"it needs {self.root}: {self.reason}" if self.root else self.reason


def gap_of(
    facts: RevisionFacts, error: BaseException, below: Sequence[Gap], left_out: Sequence[str] = ()
) -> Gap:
    """Describe what a revision did not bring: the statements left out, else all of it."""
    needed = _needed(error, below)
    reason = needed.reason if needed else failures.beyond_scratch(error) or failures.one_line(error)
    extension = failures.lacks_extension(error) or any("extension" in it.lower() for it in left_out)
    text = "\n".join(left_out) if left_out else facts.path.read_text()
    return Gap(facts.revision, reason, text, extension, (needed.root or needed.revision) if needed else "")


def needs(error: BaseException, gaps: Sequence[Gap]) -> str | None:
    """Say which revision that could not be applied an error comes of; None where it comes of none."""
    gap = _needed(error, gaps)
    if gap is None:
        return None
    said = failures.one_line(error)
    return f"{said}: it needs {gap.revision}, which cannot be applied in scratch ({gap.told})"


def advice(error: BaseException) -> str:
    """Say what to do where an upgrade does not find a table or a schema; nothing where something stands below it already.

    To be put behind the error's own words.
    """
    unmade = sqlstate(error) in _NOT_MADE or isinstance(error, NoSuchTableError)
    if not unmade or os.environ.get(BEFORE):
        return ""
    return "; what something else than the history makes is for --before FILE, SQL that scratch begins with"


def _needed(error: BaseException, gaps: Sequence[Gap]) -> Gap | None:
    state = sqlstate(error)
    names = _absent(error, state, failures.one_line(error))
    for gap in reversed(gaps):
        if (gap.extension and state in _OF_EXTENSIONS) or any(_speaks_of(gap.text, name) for name in names):
            return gap
    return None


def _speaks_of(text: str, name: str) -> bool:
    """Tell whether a revision's text names an object; one letter where it is quoted, or said to be an object."""
    return (
        mentions(text, name) if len(name) > 1 else bool(re.search(_ONE_LETTER.format(re.escape(name)), text))
    )


def _absent(error: BaseException, state: str | None, said: str) -> set[str]:
    """Name what an error does not find: by the server's words, or by those of who looks it up before the server is asked."""
    if state in _MISSING:
        found = _NAMES.findall(said)
    elif state is None and (
        isinstance(error, (NoSuchTableError, NoReferenceError)) or str(error).startswith("No such constraint")
    ):
        found = _LOOKED_UP.findall(str(error))
    else:
        return set()
    return {part for pair in found for part in (pair[0] or pair[1]).split(".") if part}
