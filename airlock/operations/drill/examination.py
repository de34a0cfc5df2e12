"""The examination of one revision."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airlock.operations.downgrade import snapshot
from airlock.operations.drill import (
    cast_demands,
    compare,
    failures,
    first_upgrade,
    freedoms,
    interim_writes,
    rows_of_statements,
    second_upgrade,
)
from airlock.operations.drill.constants_of_statements import COMPUTED, WRITTEN, all_certain, named
from airlock.operations.drill.kept_values import remember
from airlock.operations.drill.missing_objects import needs
from airlock.operations.drill.next_start import settle
from airlock.operations.drill.reach import met_by_either
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
    from collections.abc import Collection, Iterator, Mapping

    from airlock.operations.drill.interim_writes import Meanwhile
    from airlock.operations.drill.kept_values import Remembered
    from airlock.operations.drill.missing_objects import Gap
    from airlock.operations.drill.state import Ledger, State
    from airlock.project.project import Project, RevisionFacts
    from airlock.records.difference import Difference
    from airlock.records.drill import Broken, Condition, Cut, Held, Stall
    from airlock.samples import Table


_MOST_LESSONS = 3


@dataclass(frozen=True)
class Options:
    """What a drill does beside the proof."""

    rows: int = 40
    traffic: int = 0
    blocker: bool = False
    crash: bool = False


@dataclass(frozen=True)
class _Way:
    """One way up, between and down: the states at its turns, and what was written at the top."""

    before: State
    after: State
    written: Meanwhile
    below: State


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
    conditions: tuple[Condition, ...] = ()
    gaps: tuple[Gap, ...] = ()
    beyond_help: frozenset[str] = frozenset()
    stuck: bool = False
    wants_role: str | None = None
    existing: frozenset[str] = frozenset()
    concerned: tuple[Touched, ...] = ()
    required: dict[str, Table] | None = None
    guards: str = ""
    first: _Way | None = None
    made: rows_of_statements.Sought = field(default_factory=rows_of_statements.Sought)
    later: dict[str, Table] = field(default_factory=dict)
    unsure: Mapping[str, Mapping[str, Collection[str]]] = field(default_factory=dict)
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
        older = dict(self.ledger.known)
        self.existing = before.tables() - {self.ledger.version_table}
        after = self.ledger.read(before, up.touched)
        self._complain_of_sequences(before, after, "after the upgrade")
        yield "writing"
        touched = self._touched(up, before, after)
        self.concerned = tuple(
            sorted(Touched(name, before.digests[name].count) for name in touched & before.digests.keys())
        )
        if up.acts:
            self.later = {table.label: table for table in self.ledger.tables(touched & after.tables())}
        written = interim_writes.write(self.ledger, before, after, touched, self.turn, older)
        self.notes += written.notes
        yield "down"
        below = self._down(before, after, written)
        if below is None:
            return
        if not self.differences and self.verdict is None and self._sends_data():
            yield "on rows of its own"
            way = self._on_rows_of_its_own(_Way(before, after, written, below), older)
            if way is None:
                return
            before, after, written, below = way.before, way.after, way.written, way.below
        self._look_for_unmet()
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
            conditions=self.conditions,
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
        begin = self.state
        if self.first is not None:
            begin = self.first.before
            if self._took_back_its_own(written):
                before, after, written = self.first.before, self.first.after, self.first.written
                now = self.ledger.read()
            else:
                begin = now
        if begin is not self.begin or not interim_writes.withdrawn(
            self.ledger, written, before, after, now, exactly=exactly
        ):
            self.stuck = True
            if self.options.crash:
                self.state = settle(self.ledger, before, self.ledger.read())
            return
        self.state = settle(self.ledger, before, after)
        if self.up is not None and self.up.acts:
            # What it inserts may have got other keys the last time.
            self.state = self.ledger.read()

    def _took_back_its_own(self, written: Meanwhile) -> bool:
        """Delete the rows that were made of constants, and those written meanwhile on the way with them. Commits."""
        if self.options.traffic or self.options.crash:
            return False
        keys: dict[str, tuple[Collection[str], set[str]]] = dict(self.made.keys)
        for name, found in written.written.items():
            if found:
                columns = written.told_by.get(name) or written.state.digests[name].key
                earlier = keys.get(name, (columns, set()))
                if tuple(earlier[0]) != tuple(columns):
                    return False
                keys[name] = (columns, earlier[1] | set(found))
        return all(columns for columns, _ in keys.values()) and self.ledger.delete(keys)

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

    def _down(
        self,
        before: State,
        after: State,
        written: Meanwhile,
        unsure: Mapping[str, Mapping[str, Collection[str]]] | None = None,
    ) -> State | None:
        # Read only where there is something to tell.
        above = snapshot.take(self.ledger.reading) if freedoms.grants(before, after) else None
        error: Exception | None = None
        for _ in range(_MOST_LESSONS):
            try:
                self.down = self.take("down")
            except Exception as another:  # noqa: BLE001
                error = another
                if not self._rewritten(another, written):
                    break
            else:
                error = None
                break
        if error is not None or self.down is None:
            self.did_not_go_down(error or RuntimeError("no way down"))
            self.go_on(before, after, self.ledger.read(), written)
            return None
        if above is not None:
            under = snapshot.take(self.ledger.reading)
            self.conditions = freedoms.conditions(self.facts.revision, above, under)
        below = self.ledger.read(written.state, self.down.touched, before)
        found, notes = compare.structure(before, below)
        found += compare.sequences(before, below)
        found += self._values(before, below, written, unsure or {})
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
        return below

    def _values(
        self,
        before: State,
        below: State,
        written: Meanwhile,
        unsure: Mapping[str, Mapping[str, Collection[str]]],
    ) -> list[Difference]:
        """Compare values; what only rows lose that need not have been there before is no fault, and not proved."""
        found = compare.values(before, below, written.changed, blurred=written.blurred)
        if not found or not unsure:
            return found
        for strengths in ((COMPUTED,), (WRITTEN, COMPUTED)):
            left_out = compare.without(before, [unsure.get(one, {}) for one in strengths])
            if not compare.values(left_out, below, written.changed, blurred=written.blurred):
                break
        else:
            return found
        said = ", ".join(
            sorted({f"{one.object}: {one.kind} was {one.before}, is {one.after}" for one in found})
        )
        if strengths == (COMPUTED,):
            self.notes.append(f"only while no row holds what the upgrade makes of others: {said}")
        else:
            self.pass_over(f"proved only while no row holds already what the upgrade writes: {said}")
        self.unsure = unsure
        return []

    def _rewritten(self, error: Exception, written: Meanwhile) -> bool:
        """Give rows written meanwhile the values that the downgrade can read, where it is they that stop it."""
        demand = cast_demands.said(error)
        if demand is None or self.ledger.read().catalogue != written.state.catalogue:
            return False
        names = {name for name, keys in written.written.items() if keys}
        changed = cast_demands.meet(self.ledger, demand, names, self.facts.path.read_text(), written.written)
        if changed:
            written.state = self.ledger.read(written.state, names)
            self.notes.append(
                f"{', '.join(changed)}, written meanwhile, got values that the downgrade can read"
            )
        return bool(changed)

    def _sends_data(self) -> bool:
        """Tell whether rows could be made that what the step sent tells apart."""
        taken = [one for one in (self.up, self.down) if one is not None]
        return any(one.problem for it in taken for one in it.met) or any(
            act.chooses or act.branches or rows_of_statements.names_any(act.text)
            for it in taken
            for act in it.acts
        )

    def _on_rows_of_its_own(self, way: _Way, older: dict[str, Table]) -> _Way | None:
        """Go the way again on rows made of what the statements name; None where it does not go down.

        Where the upgrade refuses those rows, fewer are tried, then none.
        """
        first, losses = (self.up, self.down), self.losses
        big = sorted(
            name for name, one in way.before.digests.items()
            if one.rows is None and one.count and any(it.touched is None or name in it.touched for it in first if it is not None)
        )  # fmt: skip
        if big:
            # Sums tell that a table of many rows is what it was, not which of its rows is not.
            self.notes.append(
                f"no rows of its own were made for it: {', '.join(big)} has too many to tell them apart"
            )
            return way
        down = self.down.acts if self.down is not None else ()
        up = self.up.acts if self.up is not None else ()
        acts, sure = (*up, *down), named(up, down)
        tables = {name for name, one in way.before.digests.items() if one.rows is not None and one.count}
        python = rows_of_statements.python_constants(self.facts.path.read_text())
        for fitting in (None, self.later):
            made = rows_of_statements.seek(self.ledger, acts, tables, python, self.turn, sure, fitting)
            if not made.count:
                continue
            # Row by row, as before: a few rows more must not turn them into sums.
            before = self.ledger.read(None, None, way.before)
            self.state = before
            try:
                self.up = self.take("up")
            except Exception as error:  # noqa: BLE001  a revision may raise anything
                self._refused_by_itself(error)
                if not made.remove(self.ledger):
                    self.stuck = True
                    self.pass_over("rows that were made for it cannot be taken back")
                    return None
                continue
            break
        else:
            self.up, self.down = first
            self.state = way.before
            return way
        self.first, self.made = way, made
        after = self.ledger.read(before, self.up.touched)
        touched = self._touched(self.up, before, after)
        names = {name for name, one in after.digests.items() if one.rows is not None and one.count}
        names &= touched & before.tables()
        rows_of_statements.seek(
            self.ledger, down, names, python, self.turn + 500, all_certain(down), beside=False
        )
        written = interim_writes.write(self.ledger, before, after, touched, self.turn + 20_000, older)
        below = self._down(before, after, written, made.unsure)
        self.losses = losses
        for then, now in zip(first, (self.up, self.down), strict=True):
            if then is not None and now is not None and now is not then:
                now.met = met_by_either(then.met, now.met)
        if below is None:
            return None
        if self.unsure:
            # They are lost; nothing that follows is about them.
            before, after = (compare.without(one, self.unsure.values()) for one in (before, after))
        return _Way(before, after, written, below)

    def _refused_by_itself(self, error: Exception) -> None:
        """Remember that the upgrade looks for rows to refuse them: then its query need not find any."""
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        raised = place is not None and place.tb_frame.f_code.co_filename == str(self.facts.path)
        if raised or failures.sqlstate(error) == "P0001":
            self.guards = failures.one_line(error)

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

    def _look_for_unmet(self) -> None:
        """Nothing is proved of a data statement that met no row."""
        met = [one for taken in (self.up, self.down) if taken is not None for one in taken.met if one.problem]
        if self.guards:
            self.notes.append(f"the upgrade refuses rows that it looks for: {self.guards}")
            met = [one for one in met if not (one.reads and one.direction == "up")]
        if met:
            self.pass_over("; ".join(dict.fromkeys(one.problem for one in met)) + ": nothing is proved of it")

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
