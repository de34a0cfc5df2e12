"""What a DBA is asked to approve: everything that was seen of the revisions, and the answer."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from airlock.records import dataclass
from airlock.records.diagram import Diagram

if TYPE_CHECKING:
    from airlock.records.difference import Difference
    from airlock.records.findings import Finding, Safer
    from airlock.records.trace import StatementRecord, Stopped, TracedRevision, Unfilled


# The two losses whose size a target's statistics tell.
TABLE_DROPPED = "the table is dropped: its rows"
COLUMN_DROPPED = "the column is dropped: its values"


@dataclass(frozen=True, slots=True)
class Second:
    """What the second reader, a linter of SQL text, says of one statement."""

    statement: int
    rule: str
    message: str
    about_locks: bool


@dataclass(frozen=True, slots=True)
class TableSize:
    """How large a table is on the target, as its statistics tell."""

    table: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Danger:
    """One dangerous statement: what it does, on how much, and whether somebody took it on."""

    revision: str
    title: str
    direction: str
    statement: StatementRecord
    findings: tuple[str, ...]
    accepted: tuple[tuple[str, str], ...]
    sizes: tuple[TableSize, ...] = ()
    expected_ms: float | None = None
    # How the same end is reached without blocking, for its tables.
    instead: tuple[Safer, ...] = ()

    @property
    def excused(self) -> bool:
        """Tell whether the revision gives a reason for every finding."""
        return {finding for finding, _ in self.accepted} >= set(self.findings)


@dataclass(frozen=True, slots=True)
class Loss:
    """What going down takes away, and how much of it the target holds (None: no target was read)."""

    object: str
    why: str
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """One direction as a file for psql, and what has to be said about it."""

    name: str
    sql: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class ReviewedRevision:
    """One revision: what it says of itself, what was seen, what a linter thinks."""

    revision: str
    title: str
    path: str
    why: str
    locks: str
    undo: str
    up: TracedRevision
    down: TracedRevision | None
    scripts: tuple[Script, ...] = ()
    seconds_up: tuple[Second, ...] = ()
    seconds_down: tuple[Second, ...] = ()
    losses: tuple[Loss, ...] = ()
    kept: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Review:
    """The bundle's contents."""

    server_version: str
    rows: int
    target: str | None
    revisions: tuple[ReviewedRevision, ...]
    dangers: tuple[Danger, ...]
    differences: tuple[Difference, ...] = ()
    diagram: Diagram = field(default_factory=Diagram)
    unfilled: tuple[Unfilled, ...] = ()
    linter: str = ""
    # How long a reader stood before each statement of an upgrade; 0: none did.
    blocker_s: float = 0.0
    stopped: Stopped | None = None

    @property
    def refusals(self) -> tuple[Danger, ...]:
        """List what is dangerous and not excused."""
        return tuple(danger for danger in self.dangers if not danger.excused)

    @property
    def steps(self) -> tuple[TracedRevision, ...]:
        """List every step that was traced: each revision up, then down."""
        return tuple(step for one in self.revisions for step in (one.up, one.down) if step is not None)

    @property
    def told(self) -> tuple[tuple[TracedRevision, Finding], ...]:
        """List what was found beside dangerous statements: whom a step breaks, what it holds while it waits."""
        return tuple((step, finding) for step in self.steps for finding in step.findings)

    @property
    def unexamined(self) -> tuple[tuple[TracedRevision, str], ...]:
        """List the steps that were not seen, or in part, with the reason."""
        return tuple((step, step.unexamined) for step in self.steps if step.unexamined)

    @property
    def unseen(self) -> tuple[Unfilled, ...]:
        """List the unfilled tables that some statement locked: how much it would read there was not seen."""
        locked = {
            lock.object for step in self.steps for statement in step.statements for lock in statement.locks
        }
        return tuple(one for one in self.unfilled if one.table in locked)

    @property
    def verdict(self) -> str:
        """Answer in one of three words: refused, not examined, or "nothing dangerous seen"."""
        if self.refusals:
            return "refused"
        seen = not (self.unseen or self.unexamined or self.stopped)
        return "nothing dangerous seen" if seen else "not examined"
