"""Where the database stands, against where this code expects it to stand."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alembic.script import ScriptDirectory
from sqlalchemy import String, column, select, table
from sqlalchemy.exc import ProgrammingError

from app.access import either
from app.database_url import ROOT
from app.naming import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.orm import Session

_VERSIONS = select(column("version_num", String)).select_from(table("alembic_version", schema=SCHEMA))
_UNDEFINED_TABLE = "42P01"


@dataclass(frozen=True)
class Expected:
    """The head, or heads, of the history that was delivered with this code, and every revision it knows."""

    heads: frozenset[str]
    known: frozenset[str]

    def difference(self, current: Collection[str]) -> str | None:
        """Say in one line how a database that is at `current` differs; None where it is as expected."""
        here = frozenset(current)
        if here == self.heads:
            return None
        stands, wanted = _spell(here), _spell(self.heads)
        if here - self.known:
            return f"The database is ahead of this code: it is at {stands}, this code expects {wanted}."
        return f"The database is behind this code: it is at {stands}, this code expects {wanted}. Try: make migrate"


@functools.cache
def expected() -> Expected:
    """Read the history in `alembic/`, once per process; asks no database."""
    script = ScriptDirectory(ROOT / "alembic")
    return Expected(
        heads=frozenset(script.get_heads()),
        known=frozenset(revision.revision for revision in script.walk_revisions()),
    )


@either
def current(session: Session) -> tuple[str, ...]:
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
