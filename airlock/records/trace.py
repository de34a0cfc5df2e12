"""What was observed of a revision's statements, and the one test of what is dangerous."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from airlock.records import dataclass
from airlock.records.findings import Finding, Id
from airlock.records.locks import Blocks, LockMode, blocks, most

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airlock.records.findings import Safer
    from airlock.records.load import UnderLoad

# Below so few rows PostgreSQL's counters and planner say nothing about what a large table would see.
JUDGED_FROM_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Lock:
    """A mode held on an object that existed before the transaction."""

    object: str
    mode: LockMode

    @property
    def blocks(self) -> Blocks:
        """Say what others cannot do meanwhile. Nobody writes into a materialized view but by what locks it as DDL does."""
        found = blocks(self.mode)
        written = not self.object.startswith("materialized view ")
        return "DDL only" if found == "writes" and not written else found

    @property
    def harms(self) -> bool:
        """Tell whether reads or writes wait for it."""
        return self.blocks in ("reads and writes", "writes")


@dataclass(frozen=True, slots=True)
class Read:
    """Rows that a statement read of a table, by sequence and by index, and how many the table had."""

    object: str
    rows: int
    of: int


@dataclass(frozen=True, slots=True)
class Met:
    """A table that a statement touched while it had too few rows for a judgement, and how many."""

    object: str
    rows: int


@dataclass(frozen=True, slots=True)
class Observation:
    """What one statement did, as the server showed it."""

    locks: tuple[Lock, ...] = ()
    held: tuple[Lock, ...] = ()
    rewrites: tuple[str, ...] = ()
    reads: tuple[Read, ...] = ()
    # Tables that earlier statements of the step have left with too few rows.
    few: tuple[Met, ...] = ()

    @property
    def scans(self) -> tuple[str, ...]:
        """Name the tables of at least 1,000 rows that were read through.

        How many a table had is what it was counted to hold last: a DELETE since then, in this revision or below it, has left
        fewer to be read. So three quarters are all.
        """
        return tuple(
            read.object for read in self.reads if read.of >= JUDGED_FROM_ROWS and 4 * read.rows >= 3 * read.of
        )

    @property
    def blocks(self) -> Blocks:
        """Say what others cannot do while this statement runs."""
        return most(lock.blocks for lock in (*self.locks, *self.held))

    @property
    def dangerous(self) -> bool:
        """Judge: work that grows with the table while an older table is locked against reads or writes."""
        return bool(self.rewrites or self.scans) and any(lock.harms for lock in (*self.locks, *self.held))


@dataclass(frozen=True, slots=True)
class StatementRecord:
    """One statement of a revision (or `times` equal ones at one place), where it was called and what it did."""

    sql: str
    file: str
    line: int
    ms: float
    rows: int
    transactional: bool
    locks: tuple[Lock, ...] = ()
    held: tuple[Lock, ...] = ()
    rewrites: tuple[str, ...] = ()
    scans: tuple[str, ...] = ()
    blocks: Blocks = "nothing"
    dangerous: bool = False
    times: int = 1
    reads: tuple[Read, ...] = ()
    created: tuple[str, ...] = ()
    # Why it is not examined: tables of too few rows, touched under a lock that others feel.
    few: tuple[Met, ...] = ()

    @property
    def findings(self) -> tuple[str, ...]:
        """Name what makes it dangerous: "rewrite phase2.task", "scan phase2.task"; these can be accepted."""
        if not self.dangerous:
            return ()
        scans = tuple(f"scan {name}" for name in self.scans if name not in self.rewrites)
        return (*(f"rewrite {name}" for name in self.rewrites), *scans)

    def as_findings(self) -> tuple[Finding, ...]:
        """Say its findings as sentences at their place."""
        made = []
        for finding in self.findings:
            id_, _, name = finding.partition(" ")
            what = "rewrites" if id_ == "rewrite" else "reads every row of"
            told = f"{what} {name} while {self.blocks} wait"
            kind: Id = "rewrite" if id_ == "rewrite" else "scan"
            made.append(Finding(kind, name, told, self.sql, "", self.file, self.line))
        return tuple(made)


@dataclass(frozen=True, slots=True)
class TracedRevision:
    """One step: a revision in one direction, with what its statements did."""

    revision: str
    title: str
    direction: str
    transactional: bool
    depends_on_rows: bool
    statements: tuple[StatementRecord, ...]
    path: str = ""
    ms: float = 0.0
    # Why it does not go down: its downgrade fails, or the revision says itself that it stays.
    refused: str = ""
    irreversible: str = ""
    accepted: dict[str, str] = field(default_factory=dict)
    # Tables and columns that were there before the step and are not after it.
    drops: tuple[str, ...] = ()
    # What going down takes away: (object, why). Filled for a review only; None where nobody looked.
    losses: tuple[tuple[str, str], ...] | None = None
    # Why the step was not seen, or seen in part; empty where it was.
    unexamined: str = ""
    # Beside what its statements do: whom it breaks (of an upgrade only), and what it holds while it waits.
    findings: tuple[Finding, ...] = ()
    # The revisions that reach the same end without blocking, for each table that something was found of.
    safer: tuple[Safer, ...] = ()
    # Its statements behind a reader, where that was asked for; and why not, or not to the end.
    load: tuple[UnderLoad, ...] = ()
    load_unseen: str = ""

    @property
    def stays(self) -> tuple[str, str] | None:
        """Give the verdict's word and the reason of a step that does not go down."""
        if self.irreversible:
            return "irreversible", self.irreversible
        return ("refused", self.refused) if self.refused else None

    def instead(self, objects: Iterable[str]) -> tuple[Safer, ...]:
        """List the safe form for some tables."""
        names = set(objects)
        return tuple(one for one in self.safer if one.table in names)

    def excuses(self, statement: StatementRecord) -> dict[str, str]:
        """Give the reasons for what makes one of its statements dangerous, by finding, where there are any."""
        found = {one.name: one.accepted(self.accepted) for one in statement.as_findings()}
        return {name: reason for name, reason in found.items() if reason}

    @property
    def every_finding(self) -> tuple[Finding, ...]:
        """List the findings of its statements, then its own."""
        return (*(made for one in self.statements for made in one.as_findings()), *self.findings)


@dataclass(frozen=True, slots=True)
class Unfilled:
    """A table that could not be given sample rows, and why: what would scan it was not seen."""

    table: str
    reason: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """What ended a trace before its end, a signal's name or an error; the revisions of the range that were not seen by then."""

    by: str
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TraceReport:
    """Everything one trace saw, on which server and with how many rows in each table."""

    server_version: str
    rows: int
    revisions: tuple[TracedRevision, ...]
    unfilled: tuple[Unfilled, ...] = ()
    # Roles that the history names and scratch lacked; they were made there, unable to log in.
    roles_made: tuple[str, ...] = ()
    # How long a reader stood before each statement of an upgrade; 0: none did.
    blocker_s: float = 0.0
    stopped: Stopped | None = None

    @property
    def dangerous(self) -> tuple[tuple[TracedRevision, StatementRecord], ...]:
        """List the dangerous statements with their revisions, in order."""
        return tuple(
            (revision, statement)
            for revision in self.revisions
            for statement in revision.statements
            if statement.dangerous
        )

    @property
    def unexamined(self) -> tuple[str, ...]:
        """Say what was not seen and why: whole steps, and statements that met too few rows."""
        return tuple(
            said
            for step in self.revisions
            for said in (
                *((f"{step.revision} ({step.direction}): {step.unexamined}",) if step.unexamined else ()),
                *(
                    f"{step.revision} ({step.direction}), line {one.line}: met "
                    + ", ".join(f"{met.rows} rows of {met.object}" for met in one.few)
                    for one in step.statements
                    if one.few
                ),
            )
        )
