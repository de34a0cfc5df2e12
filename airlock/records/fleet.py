"""What a run over many targets tells, and what the command line asks of it.

A target has a name that may be printed. None of the records holds a URL, a password or a bound value.
"""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from airlock.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from airlock.records.upgrade import Event


@dataclass(frozen=True)
class FleetBegun:
    """What is about to be done: so many targets in these waves, so many of them done by an earlier run."""

    event: ClassVar[str] = "fleet"
    direction: str
    to: tuple[str, ...]
    targets: int
    done_before: int
    waves: tuple[int, ...]
    concurrency: int
    journal: str


@dataclass(frozen=True)
class WaveBegun:
    """A wave begins; `targets` of it are left to do."""

    event: ClassVar[str] = "wave"
    number: int
    of: int
    targets: int


@dataclass(frozen=True)
class TargetBegun:
    """The journal says so already; nothing of the target has been touched yet."""

    event: ClassVar[str] = "target_begin"
    target: str
    attempt: int


@dataclass(frozen=True)
class TargetEvent:
    """Something that the run of one target tells, as `airlock upgrade` tells it."""

    event: ClassVar[str] = "target_event"
    target: str
    told: Event


@dataclass(frozen=True)
class TargetSaid:
    """A line that env.py or a revision has printed."""

    event: ClassVar[str] = "target_said"
    target: str
    line: str


@dataclass(frozen=True)
class TargetRetrying:
    """The server had no connection left for a target; it is tried again, and holds no place meanwhile."""

    event: ClassVar[str] = "target_retry"
    target: str
    reason: str
    attempt: int
    sleep_ms: float


@dataclass(frozen=True)
class TargetDone:
    """The end of one target: from where to where, with the exit code that a run of its own would have had.

    `version_table` tells the schemas of one database apart.
    """

    event: ClassVar[str] = "target"
    target: str
    direction: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    revisions: int
    exit_code: int
    ms: float
    longest_block_ms: float = 0.0
    version_table: str = ""
    message: str = ""


@dataclass(frozen=True)
class FleetProgress:
    """How far the run is; `left_ms` is None until there is something to reckon from."""

    event: ClassVar[str] = "progress"
    done: int
    failed: int
    targets: int
    running: tuple[str, ...]
    ms: float
    left_ms: float | None


@dataclass(frozen=True)
class FleetStopped:
    """No further target is begun; those that run may end."""

    event: ClassVar[str] = "stop"
    reason: str


@dataclass(frozen=True)
class FleetNoted:
    """Something a reader should know that changes nothing."""

    event: ClassVar[str] = "note"
    message: str


@dataclass(frozen=True)
class TargetLoss:
    """What a downgrade takes from one object, over all targets; `uncounted` targets could not tell."""

    object: str
    rows: int
    targets: int
    uncounted: int
    why: str


@dataclass(frozen=True)
class FleetLosses:
    """The losses of a downgrade, counted on every target before the first was touched."""

    event: ClassVar[str] = "losses"
    losses: tuple[TargetLoss, ...]
    rows: int
    targets: int
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class FleetVerdict:
    """The end: how many targets are where they should be, how many were there before, failed, were not begun."""

    event: ClassVar[str] = "verdict"
    direction: str
    to: tuple[str, ...]
    targets: int
    changed: int
    unchanged: int
    done_before: int
    failed: int
    not_begun: int
    revisions: int
    exit_code: int
    longest_block_ms: float
    ms: float
    failures: tuple[TargetDone, ...] = ()
    message: str = ""


FleetEvent = (
    FleetBegun | WaveBegun | TargetBegun | TargetEvent | TargetSaid | TargetRetrying | TargetDone | FleetProgress
    | FleetStopped | FleetNoted | FleetLosses | FleetVerdict
)  # fmt: skip


@dataclass(frozen=True)
class FleetRequest:
    """What the command line asks of a run over many targets; times in seconds.

    `waves` are cumulative: a number of targets, or a share of all of them (0 < share <= 1, as float).
    """

    waves: tuple[int | float, ...] = (1, 0.1, 1.0)
    concurrency: int = 4
    max_failures: int = 1
    target_s: float | None = None
    journal: Path = Path("airlock-fleet.journal")
    emit: Callable[[FleetEvent], None] = field(default=lambda _event: None, compare=False)


@dataclass(frozen=True)
class Standing:
    """Where one target stands; `reason` is why that could not be read, `exit_code` of what was raised then."""

    target: str
    current: tuple[str, ...] | None
    behind: tuple[str, ...] = ()
    half_applied: str | None = None
    lease: str | None = None
    fault: str = ""
    reason: str = ""
    exit_code: int = 0


@dataclass(frozen=True)
class FleetStatus:
    """Where every target stands, in the order of the list."""

    heads: tuple[str, ...]
    targets: tuple[Standing, ...]
