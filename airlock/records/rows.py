"""What became of sample rows, and where rows are not what they were."""

from __future__ import annotations

from airlock.records import dataclass


@dataclass(frozen=True, order=True, slots=True)
class Fill:
    """One table's sample rows: how many are there, how many were wanted, and why fewer.

    `made` were added now, in `ms` milliseconds.
    """

    table: str
    rows: int
    wanted: int
    reason: str | None = None
    made: int = 0
    ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Strangers:
    """Rows written meanwhile, by what some columns hold: the key's, else one that got values of their own."""

    columns: tuple[str, ...]
    keys: tuple[str, ...]


@dataclass(frozen=True, order=True, slots=True)
class Rate:
    """What `rows` sample rows of one table took, and as many by a hand-written INSERT; or why there is none."""

    table: str
    rows: int
    ms: float
    by_hand_ms: float | None = None
    reason: str | None = None

    @property
    def a_second(self) -> float:
        """Give the sample rows a second."""
        return self.rows / max(self.ms / 1000, 0.001)

    @property
    def by_hand_a_second(self) -> float | None:
        """Give the hand-written rows a second."""
        return None if self.by_hand_ms is None else self.rows / max(self.by_hand_ms / 1000, 0.001)

    @property
    def ratio(self) -> float | None:
        """Give how many times as long as by hand sample rows take."""
        return None if self.by_hand_ms is None else self.ms / max(self.by_hand_ms, 0.001)


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
