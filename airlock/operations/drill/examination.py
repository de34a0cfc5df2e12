"""The examination of one revision."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airlock.operations.drill import compare, failures, first_upgrade, interim_writes, second_upgrade
from airlock.operations.drill.gaps import needs
from airlock.operations.drill.kept_values import remember
from airlock.operations.drill.next_start import settle
from airlock.operations.drill.step import StepTaken, take_seen
from airlock.records.drill import (
    IRREVERSIBLE,
    NOT_EXAMINED,
    PROVED,
    REFUSED,
    Kept,
    Loss,
    RevisionProof,
    Timings,
    Touched,
)
from airlock.records.errors import NotExamined

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.operations.drill.gaps import Gap
    from airlock.operations.drill.interim_writes import Meanwhile
    from airlock.operations.drill.kept_values import Remembered
    from airlock.operations.drill.state import Ledger, State
    from airlock.project.project import Project, RevisionFacts
    from airlock.records.difference import Difference
    from airlock.records.drill import Broken, Cut, Held, Stall
    from airlock.samples import Table


@dataclass(frozen=True)
class Options:
    """What a drill does beside the proof."""

    rows: int = 40
    traffic: int = 0
    blocker: bool = False
    crash: bool = False


@dataclass
class Examination:
    """One revision's way up, down and up again. `run` yields the phases; afterwards `proof` tells the verdict."""

    project: Project
    facts: RevisionFacts
    ledger: Ledger
    state: State
    options: Options
    turn: int
    differences: list[Difference] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    losses: tuple[Loss, ...] = ()
    notes: list[str] = field(default_factory=list)
    reason: str = ""
    verdict: str | None = None
    up: StepTaken | None = None
    down: StepTaken | None = None
    again: StepTaken | None = None
    stalls: list[Stall] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    gaps: tuple[Gap, ...] = ()
    beyond_help: frozenset[str] = frozenset()
    stuck: bool = False
    wants_role: str | None = None
    existing: frozenset[str] = frozenset()
    concerned: tuple[Touched, ...] = ()
    required: dict[str, Table] | None = None
    begin: State = field(init=False)

    def __post_init__(self) -> None:
        """Remember where the examination starts."""
        self.begin = self.state

    def run(self) -> Iterator[str]:
        """Go up, write, go down, compare, go up again, compare, and say whether the next can start from there."""
        yield "up"
        before = self.state
        remembered = remember(self.ledger, self.facts.kept) if self.options.traffic else ()
        up = first_upgrade.first_up(self)
        if up is None:
            return
        self.up, before = up, self.state
        self._look_for_unmet(up)
        older = dict(self.ledger.known)
        self.existing = before.tables() - {self.ledger.version_table}
        after = self.ledger.read(before, up.touched)
        self._complain_of_sequences(before, after, "after the upgrade")
        yield "writing"
        touched = self._touched(up, before, after)
        self.concerned = tuple(
            sorted(Touched(name, before.digests[name].count) for name in touched & before.digests.keys())
        )
        written = interim_writes.write(self.ledger, before, after, touched, self.turn, older)
        self.notes += written.notes
        yield "down"
        below = self._down(before, after, written)
        if below is None:
            return
        yield "up again"
        second_upgrade.up_again(self, before, after, below, written)
        if self.again is not None and (self.options.traffic or self.options.crash):
            yield from self._through_more(below, older, remembered)

    def _through_more(
        self, below: State, older: dict[str, Table], remembered: tuple[Remembered, ...]
    ) -> Iterator[str]:
        """Go the same way under traffic, and through crashes; the database ends above the revision again."""
        from airlock.operations.drill.interrupt import cut_everywhere
        from airlock.operations.drill.under_traffic import under_traffic

        try:
            if self.options.traffic:
                yield "traffic"
                under_traffic(
                    self, {name: older[name] for name in older if name in self.existing}, remembered
                )
            if self.options.crash:
                yield "crashes"
                cut_everywhere(self, below, self.state)
        except NotExamined:  # the scratch server does not take so many clients: no revision's fault
            raise
        except Exception as error:  # noqa: BLE001
            self.refuse(f"a step that went through alone fails: {failures.one_line(error)}")
            self.stuck = True
            return
        self.stuck = self.stuck or self.ledger.read() != self.state

    def proof(self) -> RevisionProof:
        """Give the verdict and what it rests on."""
        verdict = (
            REFUSED
            if self.differences or self.broken or any(not cut.converged for cut in self.cuts)
            else self.verdict
        )
        reason = self.reason if verdict in (None, self.verdict) else ""
        if verdict == REFUSED and not reason:
            reason = compare.counted(self.differences, self.broken, self.cuts)
        held: set[Held] = {
            one
            for taken in (self.up, self.down)
            if taken
            for one in taken.held
            if one.object in self.existing
        }
        return RevisionProof(
            self.facts.revision, self.facts.title, verdict or PROVED, reason, tuple(sorted(set(self.differences))),
            tuple(self.kept), self.losses, tuple(dict.fromkeys(self.notes)),
            Timings(*(taken.ms if taken else None for taken in (self.up, self.down, self.again))),
            tuple(sorted(held)), tuple(self.stalls), tuple(self.broken), tuple(self.cuts),
            self.concerned, tuple(one for taken in (self.up, self.down) if taken for one in taken.met),
        )  # fmt: skip

    def refuse(self, reason: str) -> None:
        """Say no, for this reason."""
        self.verdict, self.reason = REFUSED, reason

    def pass_over(self, reason: str) -> None:
        """Say that the revision was not examined, unless more is known already."""
        if self.verdict is None:
            self.verdict, self.reason = NOT_EXAMINED, reason

    def take(self, direction: str, *, counting: bool = True) -> StepTaken:
        """Take the step, and remember the search_path that env.py works under; `counting` what its statements meet."""
        return take_seen(self.ledger, self.project, self.facts.revision, direction, counting=counting)

    def go_on(self, before: State, after: State, now: State, written: Meanwhile) -> None:
        """Let the next revision start here, where the database is as the first upgrade left it; else elsewhere (`stuck`).

        A verdict must not depend on what the examination of another revision left behind.
        """
        exactly = bool(self.differences or self.kept)
        if self.state is not self.begin or not interim_writes.withdrawn(
            self.ledger, written, before, after, now, exactly=exactly
        ):
            self.stuck = True
            if self.options.crash:
                self.state = settle(self.ledger, before, self.ledger.read())
            return
        self.state = settle(self.ledger, before, after)

    def renew(self) -> None:
        """Empty the tables that the step concerns and fill them again: the same rows every time."""
        self.ledger.empty((one.table for one in self.concerned), restart=True)
        emptied = {name for name, one in self.ledger.read().digests.items() if one.count == 0}
        self.ledger.fill(emptied, required=self.required)
        for it in self.concerned:
            if it.table in emptied and it.rows > self.ledger.wanted:
                self.ledger.add(it.table, it.rows, self.required)

    def _touched(self, taken: StepTaken, before: State, after: State) -> frozenset[str]:
        """Name the tables a step concerns: those it locked, or all that changed where locks could not be seen."""
        if taken.touched is not None:
            return taken.touched
        old, new = before.catalogue.objects, after.catalogue.objects
        changed = {name for name in {*old, *new} if old.get(name) != new.get(name)}
        parents = {
            thing.parent for name in changed for thing in (old.get(name), new.get(name)) if thing is not None
        }
        rows = {
            name
            for name, one in after.digests.items()
            if name in before.digests and before.digests[name] != one
        }
        tables = before.tables() | after.tables()
        return frozenset(tables & {*changed, *rows, *(parent for parent in parents if parent is not None)})

    def _down(self, before: State, after: State, written: Meanwhile) -> State | None:
        try:
            self.down = self.take("down")
        except Exception as error:  # noqa: BLE001
            self.did_not_go_down(error)
            self.go_on(before, after, self.ledger.read(), written)
            return None
        below = self.ledger.read(written.state, self.down.touched, before)
        found, notes = compare.structure(before, below)
        found += compare.sequences(before, below)
        found += compare.values(before, below, written.changed, blurred=written.blurred)
        for name in compare.incomparable(before, below, written.blurred):
            self.pass_over(
                f"{name} holds too many rows to tell what was written meanwhile from what was there"
            )
        found, kept = compare.keep(found, self.facts.kept)
        self.differences += found
        self.kept = sorted({*self.kept, *kept}, key=lambda it: it.object)
        self.notes += notes
        self.losses = interim_writes.losses(written, below)
        self.notes += interim_writes.leftovers(before, after, written, below)
        self._look_for_unfilled(before, below)
        self._look_for_unmet(self.down)
        return below

    def did_not_go_down(self, error: Exception) -> None:
        """Tell a refusal of the revision's own from a fault, and from what scratch lacks."""
        refusal = failures.own_refusal(error, self.facts)
        needed = needs(error, self.gaps)
        if refusal is not None:
            # Whatever else was not seen: there is no way back to be proved.
            self.verdict, self.reason = IRREVERSIBLE, f"irreversible: {refusal}"
        elif needed is not None:
            self.pass_over(f"the downgrade fails: {needed}")
        else:
            self.refuse(f"the downgrade fails: {failures.one_line(error)}")

    def _look_for_unmet(self, taken: StepTaken) -> None:
        """Nothing is proved of a data statement that met no row."""
        unmet = [one.problem for one in taken.met if one.problem]
        if unmet:
            self.pass_over("; ".join(dict.fromkeys(unmet)) + ": nothing is proved of it")

    def _look_for_unfilled(self, before: State, below: State) -> None:
        """Nothing is proved about the rows of a table that has none."""
        concerned: set[str] = set()
        for taken in (self.up, self.down):
            if taken is not None:
                concerned |= self._touched(taken, before, below)
        for name in sorted(concerned & before.digests.keys()):
            if before.digests[name].count == 0:
                filled = self.ledger.fills.get(name)
                why = filled.reason if filled is not None and filled.reason else "the history leaves it empty"
                self.pass_over(f"{name} could not be filled: {why}")

    def _complain_of_sequences(self, before: State, after: State, when: str) -> None:
        found = [one for one in compare.sequences(before, after) if "holds up to" in (one.after or "")]
        self.notes += [f"{one.object} {when}: {one.after}" for one in found]
        self.differences += found
