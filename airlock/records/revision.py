"""What `airlock revision` wrote, and what it says about it."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from airlock.records import dataclass

if TYPE_CHECKING:
    from airlock.records.difference import Difference
    from airlock.records.trace import TraceReport


@dataclass(frozen=True, slots=True)
class Remark:
    """A difference that is said, not written, or written and worth saying; and why."""

    object: str
    text: str


@dataclass(frozen=True, slots=True)
class Likely:
    """A column or table out and one in, of the same type or columns: perhaps one renamed."""

    kind: str
    old: str
    new: str

    @property
    def option(self) -> str:
        """Spell the value of `--rename` that says so."""
        if self.kind == "label":
            # A label may hold a dot.
            return f"{self.old}:{self.new}"
        if self.kind == "table" and self.old.rpartition(".")[0] != self.new.rpartition(".")[0]:
            return f"{self.old}:{self.new}"
        return f"{self.old}:{self.new.rpartition('.')[2]}"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where new revisions go, in the words of `alembic revision`: what is not said, Alembic decides.

    `head` is what the first of them revises: a head, its branch's label, `base` for a branch of its own.
    """

    head: str | None = None
    branch_label: str | None = None
    version_path: str | None = None
    depends_on: tuple[str, ...] = ()
    rev_id: str | None = None

    def behind(self, revision: str) -> Placement:
        """Say where what is written next goes: behind a revision of the same call, into the same directory."""
        return Placement(head=revision, version_path=self.version_path)


UNPLACED = Placement()


@dataclass(frozen=True, slots=True)
class WrittenRevision:
    """One file that was written; `open` are the lines that a person has to fill in."""

    revision: str
    title: str
    path: str
    open: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proof:
    """The drill's verdict on one new revision, in its words."""

    revision: str
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True)
class Revised:
    """Everything one call wrote and found out.

    `left` is what would be written again by a second call (nothing, unless something is at fault), `differences`
    where the migrated catalogue is not the models' own. `kept` is False where the files were removed again, because
    what they hold failed.
    """

    server_version: str
    written: tuple[WrittenRevision, ...]
    remarks: tuple[Remark, ...] = ()
    left: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    trace: TraceReport | None = None
    proofs: tuple[Proof, ...] = ()
    unproved: str = ""
    excused: dict[str, dict[str, str]] = field(default_factory=dict)
    kept: bool = True
    # The revision that they are written in place of; empty where they lead to the models.
    instead_of: str = ""
    # What the server does not make of the models, each in one line.
    unmade: tuple[str, ...] = ()

    @property
    def dangerous(self) -> tuple[tuple[str, str, str], ...]:
        """List (revision, direction, finding) that no `accepted` excuses."""
        if self.trace is None:
            return ()
        return tuple(
            (step.revision, step.direction, finding)
            for step, statement in self.trace.dangerous
            for finding in statement.findings
            if finding not in step.excuses(statement)
        )

    @property
    def unexamined(self) -> tuple[str, ...]:
        """Say what of the models was not compared, what the trace of what was written did not see, and why."""
        return (*self.unmade, *(self.trace.unexamined if self.trace is not None else ()))

    @property
    def failed(self) -> bool:
        """Tell whether what was written failed its trace, its drill or the comparison afterwards."""
        return bool(
            self.dangerous or self.left or self.unproved or any(not one.is_note for one in self.differences)
            or any(one.verdict == "refused" for one in self.proofs)
        )  # fmt: skip

    @property
    def sound(self) -> bool:
        """Tell whether nothing dangerous, nothing unproved and no difference is left."""
        return not (
            self.dangerous or self.left or self.unproved or any(not one.is_note for one in self.differences)
        ) and all(one.verdict == "proved" for one in self.proofs)
