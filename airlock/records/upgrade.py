"""What a run of upgrade or downgrade tells: one stream of events, the verdict last.

Every event has the name it carries in JSON (`event`). None holds a URL, a password or a bound value.
"""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from airlock.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

UP = "up"
DOWN = "down"


@dataclass(frozen=True)
class Leased:
    """The lease is ours."""

    event: ClassVar[str] = "lease"
    run: str
    database: str
    server_version: str
    user: str
    pooled: bool
    waited_ms: float


@dataclass(frozen=True)
class Waiting:
    """Another run holds the lease; we poll."""

    event: ClassVar[str] = "waiting"
    holder: str


@dataclass(frozen=True)
class OrphansEnded:
    """Sessions that a killed run had left at work were terminated."""

    event: ClassVar[str] = "orphans"
    pids: tuple[int, ...]


@dataclass(frozen=True)
class Planned:
    """Where the database stands, in which version table it says so, and the revisions to come, in order."""

    event: ClassVar[str] = "plan"
    direction: str
    current: tuple[str, ...]
    revisions: tuple[str, ...]
    version_table: str = ""


@dataclass(frozen=True)
class StepBegun:
    """A revision is about to be applied or undone."""

    event: ClassVar[str] = "begin"
    revision: str
    direction: str
    title: str


@dataclass(frozen=True)
class StepDone:
    """A revision's last transaction has ended and its version row is written."""

    event: ClassVar[str] = "step"
    revision: str
    direction: str
    title: str
    ms: float
    transactional: bool


@dataclass(frozen=True)
class Blocked:
    """Sessions stand in the way of a revision, as seen while it waits."""

    event: ClassVar[str] = "blocked"
    revision: str
    direction: str
    blockers: tuple[str, ...]
    waited_for: str


@dataclass(frozen=True)
class Retrying:
    """A revision was undone for want of a lock and will be tried again."""

    event: ClassVar[str] = "retry"
    revision: str
    direction: str
    reason: str
    attempt: int
    sleep_ms: float


@dataclass(frozen=True)
class Noted:
    """Something a reader should know that changes nothing."""

    event: ClassVar[str] = "note"
    message: str


@dataclass(frozen=True)
class Repaired:
    """`--repair` did something: the statement it ran, or what it cleared."""

    event: ClassVar[str] = "repair"
    what: str


@dataclass(frozen=True)
class Rehearsal:
    """A revision as it went in scratch (`--dry-run`): its statements, each with its milliseconds."""

    event: ClassVar[str] = "rehearsal"
    revision: str
    direction: str
    title: str
    ms: float
    statements: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Loss:
    """What a downgrade takes away: rows of an object, counted; or something that was not counted (rows None)."""

    object: str
    rows: int | None
    why: str


@dataclass(frozen=True)
class LossesCounted:
    """The losses of a downgrade, counted on the target before anything was touched."""

    event: ClassVar[str] = "losses"
    losses: tuple[Loss, ...]
    rows: int
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exported:
    """One file of `--export`: what a downgrade takes away, kept as CSV."""

    event: ClassVar[str] = "export"
    object: str
    file: str
    rows: int


@dataclass(frozen=True)
class Verdict:
    """The end: from where to where, with which exit code, and the longest anybody waited for us."""

    event: ClassVar[str] = "verdict"
    direction: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    exit_code: int
    longest_block_ms: float
    revisions: int
    ms: float
    message: str = ""


Event = (
    Leased | Waiting | OrphansEnded | Planned | StepBegun | StepDone | Blocked | Retrying | Noted | Repaired
    | Rehearsal | LossesCounted | Exported | Verdict
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """What the command line asks of a run; times in seconds.

    Only the drill, in scratch, lets a downgrade go without counting what it loses.
    """

    target: str
    direction: str
    lock_s: float = 1.0
    statement_s: float | None = None
    wait_s: float = 600.0
    repair: bool = False
    config: Path = Path("alembic.ini")
    x_arguments: tuple[str, ...] = ()
    scratch: str = "embedded"
    accept_loss: int | None = None
    accept_unknown_loss: bool = False
    export: str | None = None
    count_losses: bool = True
    # Which of env.py's runs of the migrations is meant, where it has one for each tenant.
    turn: int = 0
    emit: Callable[[Event], None] = field(default=lambda _event: None, compare=False)
