"""Where the database stands, against where this code expects it to stand."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alembic.script import ScriptDirectory
from sqlalchemy import String, column, select, table
from sqlalchemy.exc import ProgrammingError

from app.access import either
from app.api import compatibility
from app.database_url import ROOT
from app.naming import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.orm import Session

_VERSIONS = select(column("version_num", String)).select_from(table("alembic_version", schema=SCHEMA))
_UNDEFINED_TABLE = "42P01"


@dataclass(frozen=True)
class Standing:
    """Where a database stands. `fault` is why requests cannot be served, `doubt` what could not be told; one line each."""

    heads: tuple[str, ...]
    fault: str | None = None
    doubt: str | None = None


@dataclass(frozen=True)
class Expected:
    """The head, or heads, of the history that was delivered with this code, and every revision it knows."""

    heads: frozenset[str]
    known: frozenset[str]

    def behind(self, current: Collection[str]) -> str | None:
        """Say in one line what a database at `current` lacks; None where it is as expected, or ahead."""
        here = frozenset(current)
        if here == self.heads or here - self.known:
            return None
        return (
            f"The database is behind this code: it is at {_spell(here)}, this code expects {_spell(self.heads)}. "
            "Try: make migrate"
        )

    def ahead(self, current: Collection[str]) -> str | None:
        """Say in one line that newer code has migrated a database at `current`; None where it has not."""
        if not frozenset(current) - self.known:
            return None
        return f"The database is ahead of this code: it is at {_spell(current)}, this code expects {_spell(self.heads)}"


@functools.cache
def expected() -> Expected:
    """Read the history in `alembic/`, once per process; asks no database."""
    script = ScriptDirectory(ROOT / "alembic")
    return Expected(
        heads=frozenset(script.get_heads()),
        known=frozenset(revision.revision for revision in script.walk_revisions()),
    )


@either
def look(session: Session, wanted: Expected) -> Standing:
    """Read where the database stands, and where it is ahead whether this code's statements still run there."""
    current = _current(session)
    behind = wanted.behind(current)
    if behind is not None:
        return Standing(current, fault=behind)
    ahead = wanted.ahead(current)
    if ahead is None:
        return Standing(current)
    lost, untold = compatibility.judge(session)
    if lost:
        return Standing(current, fault=f"{ahead}, whose statements do not run there: {lost[0]}.")
    return Standing(current, doubt=f"{ahead}; served all the same: {'; '.join(untold)}." if untold else None)


def _current(session: Session) -> tuple[str, ...]:
    """Read which revisions the database is at: none where it was never migrated."""
    try:
        return tuple(sorted(session.execute(_VERSIONS).scalars()))
    except ProgrammingError as error:
        code = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
        if code != _UNDEFINED_TABLE:
            raise
        session.rollback()
        return ()


def _spell(revisions: Collection[str]) -> str:
    return ", ".join(sorted(revisions)) or "no revision"
