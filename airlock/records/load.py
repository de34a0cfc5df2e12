"""What a statement does to others while a long reader stands in its way: how long it waits, and who waits behind it."""

from __future__ import annotations

from airlock.records import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """A statement of the release below that came while the step's waited, and how long it had no answer.

    `answered`: it got one before the step's statement ended, or as soon as it did; else it waits for the commit.
    """

    table: str
    sql: str
    ms: float
    answered: bool


@dataclass(frozen=True, slots=True)
class UnderLoad:
    """One statement behind a reader: its time alone, its time then, and the queue; `gave_up` where it ended in an error.

    `sql` and `line` are those of the trace's own record.
    """

    sql: str
    line: int
    alone_ms: float
    ms: float
    waited: bool
    queue: tuple[Waiting, ...] = ()
    gave_up: str = ""

    @property
    def ratio(self) -> float:
        """Tell how many times as long it took as alone, which is how much longer others were kept out."""
        return self.ms / max(self.alone_ms, 0.1)
