"""What a drill's parent and its children tell each other: records alone, so that the parent loads nothing else."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING

from airlock.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airlock.operations.drill.missing_objects import Gap
    from airlock.records.rows import Fill, Rate
    from airlock.records.shared import Shared

# From so many rows on their making is compared with a hand-written INSERT, and no two parts of a range run at once.
WORTH_COMPARING = 10_000


@dataclass(frozen=True)
class Options:
    """What a drill does beside the proof."""

    rows: int = 40
    traffic: int = 0
    blocker: bool = False
    crash: bool = False


@dataclass(frozen=True)
class Ascent:
    """What is known of the way up to a database: how many revisions it `stands` above empty, and what they left.

    `killers` are revisions that end the process they run in, `beyond_help` what of `Shared` the scratch server does not take.
    """

    stands: int = 0
    fills: Mapping[str, Fill] = field(default_factory=dict)
    search_path: str | None = None
    gaps: tuple[Gap, ...] = ()
    killers: frozenset[str] = frozenset()
    beyond_help: frozenset[Shared] = frozenset()

    def at(
        self, stands: int, fills: Mapping[str, Fill], search_path: str | None, gaps: tuple[Gap, ...]
    ) -> Ascent:
        """Note how far the database has come since."""
        return replace(self, stands=stands, fills=dict(fills), search_path=search_path, gaps=gaps)


@dataclass(frozen=True)
class WantsShared:
    """The history names what the scratch server lacks; `position` of the range's revisions are examined."""

    lacks: Shared
    position: int


@dataclass(frozen=True)
class At:
    """The child is about to apply, unexamined, the revision that stands above so many of the whole history."""

    stands: int


@dataclass(frozen=True)
class Finished:
    """The child is through; `fills` are the tables' sample rows.

    `position`: so many of the range are examined, and the next wants another database; None at the range's end.
    """

    fills: tuple[Fill, ...]
    rows_made: int
    fill_ms: float
    rates: tuple[Rate, ...]
    position: int | None


@dataclass(frozen=True)
class Climbed:
    """How far a database has come that is only ever upgraded."""

    way: Ascent


@dataclass(frozen=True)
class Stopped:
    """Where a run ends before its end, and the server's reason."""

    revision: str
    reason: str
