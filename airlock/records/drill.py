"""What a drill tells."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from airlock.records import dataclass, errors

if TYPE_CHECKING:
    from airlock.records.difference import Difference
    from airlock.records.rows import Fill, Rate

PROVED, REFUSED, NOT_EXAMINED = "proved", "refused", "not examined"
# The revision itself says that there is no way back.
IRREVERSIBLE = "irreversible"
# The worst first.
VERDICTS = (REFUSED, NOT_EXAMINED, IRREVERSIBLE, PROVED)
# What a step does in scratch with a row that breaks a condition, or with none.
FAILS, LOSES, GOES_DOWN = "fails", "loses it", "goes down"


@dataclass(frozen=True, slots=True)
class Kept:
    """Something that the downgrade leaves behind on purpose, with the revision's own sentence."""

    object: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Tried:
    """How a step went down in scratch: with no row that breaks a condition, and with one, `row`; `said` is its error."""

    row: str
    with_none: str
    with_one: str
    said: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a proof holds for: as long as `sql` counts no row on the target; `why` says which rows those are.

    `tried` is what became of the step in scratch, both ways; where it was not tried, `not_tried` says why. The query is
    asked above the upgrade; `before_upgrade` that it is asked below it, where the values still are what they were.
    """

    object: str
    why: str
    sql: str
    tried: Tried | None = None
    not_tried: str = ""
    before_upgrade: bool = False


@dataclass(frozen=True, order=True, slots=True)
class Loss:
    """What was written between up and down and did not survive: no fault, but worth knowing."""

    object: str
    rows: int
    why: str


@dataclass(frozen=True, slots=True)
class Timings:
    """How long the step took: up, down, and up again; None where it did not run."""

    up: float | None = None
    down: float | None = None
    again: float | None = None


@dataclass(frozen=True, order=True, slots=True)
class Held:
    """A lock that the step held on a relation that existed before, at its end."""

    object: str
    mode: str
    direction: str


@dataclass(frozen=True, slots=True)
class Stall:
    """How long one client's statements took while a step ran, in milliseconds."""

    direction: str
    statements: int
    p50: float
    p99: float
    longest: float


@dataclass(frozen=True, order=True, slots=True)
class Broken:
    """A statement of the schema before the step that fails on the schema after it."""

    direction: str
    statement: str
    error: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class Cut:
    """One crash: where the step was cut, and how the rerun ended."""

    direction: str
    statement: int
    sql: str
    outcome: str
    converged: bool


@dataclass(frozen=True, order=True, slots=True)
class Touched:
    """A table that the step locked or changed, and the rows that it held before the step."""

    table: str
    rows: int


@dataclass(frozen=True, slots=True)
class Way:
    """One branch of a CASE, arm of an OR or member of a list, and how many rows went that way; None where it cannot be told."""

    text: str
    rows: int | None


@dataclass(frozen=True, slots=True)
class Met:
    """The rows that one data statement of a step met; `problem` says why nothing is proved of it."""

    direction: str
    place: str
    sql: str
    changed: int | None
    left: int | None = None
    ways: tuple[Way, ...] = ()
    problem: str = ""
    reads: bool = False
    passed_by: bool = False
    # A body that was entered so many times: it changes nothing by itself.
    entered: bool = False


@dataclass(frozen=True, slots=True)
class RevisionProof:
    """One revision's verdict and everything it rests on."""

    revision: str
    title: str
    verdict: str
    reason: str = ""
    differences: tuple[Difference, ...] = ()
    kept: tuple[Kept, ...] = ()
    losses: tuple[Loss, ...] = ()
    notes: tuple[str, ...] = ()
    ms: Timings = field(default_factory=Timings)
    held: tuple[Held, ...] = ()
    stalls: tuple[Stall, ...] = ()
    broken: tuple[Broken, ...] = ()
    cuts: tuple[Cut, ...] = ()
    touched: tuple[Touched, ...] = ()
    met: tuple[Met, ...] = ()
    conditions: tuple[Condition, ...] = ()

    @property
    def rows_touched(self) -> int:
        """Give the rows of all the tables that the step locked or changed."""
        return sum(one.rows for one in self.touched)

    def longest_stall(self, direction: str) -> float | None:
        """Give the longest that a client waited in one direction, None where there was no traffic."""
        return max((stall.longest for stall in self.stalls if stall.direction == direction), default=None)


@dataclass(frozen=True, slots=True)
class DrillProgress:
    """Where the drill is: revision `number` of `total`, in which phase."""

    number: int
    total: int
    revision: str
    phase: str


@dataclass(frozen=True, slots=True)
class CutShort:
    """What ended a drill before its end, a signal's name or an error; the revisions left; whether the whole way up was run."""

    by: str
    left: tuple[str, ...]
    whole_way: bool


@dataclass(frozen=True, slots=True)
class DrillReport:
    """The whole drill. Never better than its worst revision."""

    server_version: str
    revisions: tuple[RevisionProof, ...]
    fills: tuple[Fill, ...] = ()
    roles: tuple[str, ...] = ()
    rows: int = 0
    traffic: int = 0
    crash: bool = False
    elapsed_ms: float = 0.0
    rows_made: int = 0
    fill_ms: float = 0.0
    rates: tuple[Rate, ...] = ()
    cut_short: CutShort | None = None

    @property
    def verdict(self) -> str:
        """Give the worst verdict of all; what was cut short is not proved, whatever its revisions are."""
        verdicts = {revision.verdict for revision in self.revisions}
        if self.cut_short is not None:
            verdicts.add(NOT_EXAMINED)
        return next((one for one in VERDICTS if one in verdicts), PROVED)

    @property
    def exit_code(self) -> int:
        """Give the exit code that the worst verdict stands for."""
        codes = {
            PROVED: errors.DONE,
            NOT_EXAMINED: errors.NOT_EXAMINED,
            IRREVERSIBLE: errors.NOT_EXAMINED,
        }
        return codes.get(self.verdict, errors.REFUSED)

    @property
    def longest_stall_ms(self) -> float | None:
        """Give the longest time that any client waited, None where there was no traffic."""
        found = [stall.longest for revision in self.revisions for stall in revision.stalls]
        return max(found) if found else None
