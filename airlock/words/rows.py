"""What became of sample rows, and where rows are not what they were."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True, slots=True)
class Fill:
    """One table's sample rows: how many are there, how many were wanted, and why fewer."""

    table: str
    rows: int
    wanted: int
    reason: str | None = None

    @property
    def is_filled(self) -> bool:
        """Tell whether there are rows enough to prove anything with."""
        return self.rows > 0


@dataclass(frozen=True, order=True, slots=True)
class RowDifference:
    """Rows of one table that are not what they were: missing (`column` None), or changed in one column.

    `key`, `before` and `after` show one of them.
    """

    table: str
    column: str | None
    rows: int
    key: str | None = None
    before: str | None = None
    after: str | None = None
