"""Which data statements of a step met a row: of one that met none, nothing is proved.

A WHERE that no sample row satisfies makes an UPDATE, DELETE, MERGE or INSERT … SELECT do nothing, on the way up and on the
way down, and every comparison agrees. Statements are seen where they pass SQLAlchemy, with the driver's count of rows.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from airlock.recorder.source import call_site, command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MOST = 100
_WRITES = frozenset({"UPDATE", "DELETE", "MERGE", "INSERT"})
_INSIDE = re.compile(r"\b(?:UPDATE|DELETE\s+FROM|MERGE\s+INTO|INSERT\s+INTO)\b", re.IGNORECASE)
_SELECTS = re.compile(r"\bSELECT\b", re.IGNORECASE)
_CHOOSES = re.compile(r"\b(?:WHERE|USING|JOIN)\b", re.IGNORECASE)


@dataclass
class Reach:
    """The rows that each data statement of a step has met, by the line that sent it.

    A statement that is sent again and again (in batches, until it finds nothing) counts as one.
    """

    path: Path
    rows: dict[tuple[int, str], int] = field(default_factory=dict)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Count while the block runs; statements that the revision's file does not send are nobody's here."""

        def after(_connection: Any, cursor: Any, statement: str, *_rest: Any) -> None:
            if not chooses_rows(statement):
                return
            line = call_site(str(self.path))
            met = getattr(cursor, "rowcount", -1)
            if line and isinstance(met, int) and met >= 0:
                place = (line, " ".join(statement.split()))
                self.rows[place] = self.rows.get(place, 0) + met

        event.listen(Engine, "after_cursor_execute", after)
        try:
            yield
        finally:
            event.remove(Engine, "after_cursor_execute", after)

    def unmet(self) -> tuple[str, ...]:
        """Say of each statement that met no row where it stands and what it is, without its literals."""
        return tuple(
            f"{self.path.name}:{line}: {_shape(sql)} met no row"
            for (line, sql), met in sorted(self.rows.items())
            if met == 0
        )


def chooses_rows(statement: str) -> bool:
    """Tell whether a statement writes rows that it finds by a condition or a query: one that could find none."""
    word = command(statement)
    if word == "WITH":
        return bool(_INSIDE.search(statement))
    if word == "INSERT":
        return bool(_SELECTS.search(statement))
    return word in _WRITES and bool(_CHOOSES.search(statement))


def _shape(sql: str) -> str:
    text = re.sub(r"'(?:[^']|'')*'", "'…'", sql)
    return text if len(text) <= _MOST else f"{text[: _MOST - 1]}…"
