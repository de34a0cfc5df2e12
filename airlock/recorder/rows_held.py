"""How many rows a step's tables hold while it writes: a statement behind a DELETE meets fewer than were made for it.

The catalogue's count (pg_class.reltuples) is that of the last ANALYZE. What the statements of a step insert and delete is
added to it from the row counters. What a text removes from the whole of a table is gone from every database; what it
removes by a condition, or through a trigger or a key, may be all of the sample and next to nothing elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.recorder.tokens import NAME, WORD, identifier, statements, tokens
from airlock.records.trace import JUDGED_FROM_ROWS, Met

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airlock.recorder.relations import Relation

_CHOOSING = frozenset({"WHERE", "USING", "WITH"})


class RowsHeld:
    """Follow the rows of each table through one step, by its number in pg_class; reads nothing itself."""

    def __init__(self) -> None:
        self._counted: dict[int, int] = {}
        self._held: dict[int, int] = {}
        self._everywhere: set[int] = set()

    def few(self, known: Mapping[int, Relation]) -> tuple[Met, ...]:
        """List the tables that were filled when the step began and hold too few rows by now, sorted by name."""
        for oid, relation in known.items():
            if relation.kind in "rm":
                self._counted.setdefault(oid, relation.rows)
                self._held.setdefault(oid, relation.rows)
        return tuple(
            Met(known[oid].shown, max(self._held[oid], 0))
            for oid in sorted(self._shrunk() & known.keys(), key=lambda oid: known[oid].shown)
            if oid not in self._everywhere
        )

    def change(
        self, changes: Mapping[int, int], emptied: Iterable[int], known: Mapping[int, Relation], sql: str
    ) -> None:
        """Count what a statement inserted less what it deleted, and the tables that were `emptied` with their files."""
        before = self._shrunk()
        for oid, change in changes.items():
            if oid in self._held:
                self._held[oid] += change
        gone = set(emptied) & self._held.keys()
        self._held.update(dict.fromkeys(gone, 0))
        if new := self._shrunk() - before:
            named = _emptied_by(sql)
            self._everywhere |= {oid for oid in new if oid in known and known[oid].name in named}

    def shrunk(self) -> tuple[int, ...]:
        """Give the numbers of tables that wanted no rows when the step began and want some now."""
        return tuple(sorted(self._shrunk()))

    def _shrunk(self) -> set[int]:
        return {
            oid
            for oid, rows in self._held.items()
            if rows < JUDGED_FROM_ROWS and self._counted[oid] >= JUDGED_FROM_ROWS
        }


def _emptied_by(sql: str) -> frozenset[str]:
    """Name the tables of which the statements of a text leave no row anywhere, whatever they held."""
    names: set[str] = set()
    for one in statements(sql):
        words = tokens(one)
        first = words[0].word
        if first == "TRUNCATE" or (first == "DELETE" and not any(token.word in _CHOOSING for token in words)):
            names |= {identifier(token) for token in words if token.kind in (WORD, NAME)}
    return frozenset(names)
