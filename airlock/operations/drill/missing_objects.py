"""What a scratch database lacks because a revision could not be applied in it, and which failures come of that."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.exc import NoReferenceError, NoSuchTableError

from airlock.database.server_errors import sqlstate
from airlock.drivers.spelling import mentions
from airlock.operations.drill import failures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airlock.project.project import RevisionFacts

# Undefined table, column, object (type, role, operator class), function, schema, foreign key's table.
_MISSING = frozenset({"42P01", "42703", "42704", "42883", "3F000", "42P10"})
# What an extension brings is named by its own names: types and operator classes, functions and operators, schemas.
_OF_EXTENSIONS = frozenset({"42704", "42883", "3F000"})
_NAMES = re.compile(r'"([^"]+)"|\b([A-Za-z_][\w.]*)\(')
# What SQLAlchemy and Alembic's batch say of an object that they look up before the server is asked.
_LOOKED_UP = re.compile(r"(?<![\w'])'([^']+)'|^([\w.]+)$")


@dataclass(frozen=True)
class Gap:
    """One revision that is not applied, or not whole: why, and the text of what is missing of it.

    `extension` where what it brings cannot be read from its text.
    """

    revision: str
    reason: str
    text: str
    extension: bool = False


def gap_of(
    facts: RevisionFacts, error: BaseException, below: Sequence[Gap], left_out: Sequence[str] = ()
) -> Gap:
    """Describe what a revision did not bring: the statements left out, else all of it."""
    reason = needs(error, below) or failures.beyond_scratch(error) or failures.one_line(error)
    extension = failures.lacks_extension(error) or any("extension" in it.lower() for it in left_out)
    text = "\n".join(left_out) if left_out else facts.path.read_text()
    return Gap(facts.revision, reason, text, extension)


def needs(error: BaseException, gaps: Sequence[Gap]) -> str | None:
    """Say which revision that could not be applied an error comes of; None where it comes of none."""
    state, said = sqlstate(error), failures.one_line(error)
    names = _absent(error, state, said)
    for gap in reversed(gaps):
        if (gap.extension and state in _OF_EXTENSIONS) or any(mentions(gap.text, name) for name in names):
            return f"{said}: it needs {gap.revision}, which cannot be applied in scratch ({gap.reason})"
    return None


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
    return {part for pair in found for part in (pair[0] or pair[1]).split(".") if len(part) > 1}
