"""The examination of one revision: its phases in a row, and the record that is built of what they return."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airlock.operations.drill import compare
from airlock.operations.drill.outcome import Outcome, not_examined, noted
from airlock.operations.drill.phases import (
    conditions_tried,
    downgrade,
    extension_rows,
    first_upgrade,
    interim_writes,
    interrupt,
    keys_again,
    like_inserted,
    moved_values,
    next_start,
    older_rows,
    own_rows,
    second_downgrade,
    second_upgrade,
    sequences_behind,
    stored_views,
    under_traffic,
)
from airlock.operations.drill.phases.interrupt import Crashes
from airlock.operations.drill.phases.kept_values import remember
from airlock.operations.drill.phases.under_traffic import UnderTraffic
from airlock.operations.drill.step import touched_tables
from airlock.records.drill import PROVED, REFUSED, Condition, RevisionProof, Timings, Touched

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator, Mapping

    from airlock.operations.drill.phases.downgrade import Way
    from airlock.operations.drill.phases.first_upgrade import FirstUpgrade
    from airlock.operations.drill.phases.kept_values import Remembered
    from airlock.operations.drill.state import State
    from airlock.operations.drill.step import StepTaken
    from airlock.operations.drill.subject import Subject
    from airlock.records.drill import Loss
    from airlock.records.shared import Shared
    from airlock.samples import Table


@dataclass(frozen=True)
class Examined:
    """One revision's proof, and the state that its database is in: `fit` for the next revision, or not.

    `wants` names a role or a tablespace that the scratch server lacks; then nothing was tried.
    """

    proof: RevisionProof
    state: State
    fit: bool
    wants: Shared | None = None


@dataclass(frozen=True)
class _Phases:
    """What the phases returned, as far as the examination got.

    `first` is the first way, `way` the one that counts; `concerned` are the tables that the upgrade concerns, `undone` what
    the second downgrade took back of others' changes, `conditions` what the proof holds for.
    """

    first: Way | None = None
    way: Way | None = None
    again: StepTaken | None = None
    concerned: tuple[Touched, ...] = ()
    undone: tuple[Loss, ...] = ()
    conditions: tuple[Condition, ...] = ()
    traffic: UnderTraffic = field(default_factory=UnderTraffic)
    crashes: Crashes = field(default_factory=Crashes)

    def taken(self) -> tuple[StepTaken | None, StepTaken | None]:
        """Give the steps that the proof tells of: the last that were taken up and down."""
        if self.first is None or self.way is None:
            return None, None
        return self.way.up.step, self.way.step or self.first.step


def examine(subject: Subject, begin: State) -> Iterator[str | Examined]:
    """Go through the phases, in the order that this package's docstring tells, and say whether the next can start from there.

    Yields the name of each phase as it begins, and at the end what came out of them. Writes and commits in the scratch
    database. Raises NotExamined where the scratch server does not take as many clients as traffic wants.
    """
    yield "up"
    ledger, options = subject.ledger, subject.options
    remembered = remember(ledger, subject.facts.kept) if options.traffic else ()
    views = stored_views.shown(subject)
    upgrade = first_upgrade.go_up(subject, begin)
    if upgrade.step is None:
        proof = _proof(subject, upgrade.outcome, _Phases())
        yield Examined(proof, begin, fit=False, wants=upgrade.wants)
        return
    # Of rows that were made anew for the upgrade nothing was asked below it; what is refreshed is locked.
    views = views if upgrade.before is begin and upgrade.step.concerns(views) else {}
    views_above = stored_views.shown(subject) if views else {}
    before, older = upgrade.before, dict(ledger.known)
    after = ledger.read(before, upgrade.step.touched)
    touched = touched_tables(upgrade.step, before, after)
    concerned = tuple(sorted(Touched(it, before.digests[it].count) for it in touched & before.digests.keys()))
    yield "writing"
    later = (
        {it.label: it for it in ledger.tables(touched & after.tables())}
        if upgrade.step.data_statements
        else {}
    )
    written = interim_writes.write(subject, before, after, touched, subject.turn, older, upgrade.step)
    yield "down"
    first = way = downgrade.go_down(
        subject, downgrade.upgraded(subject, upgrade.step, before, after, written)
    )
    outcome = upgrade.outcome.then(
        sequences_behind.held_against(upgrade.step, before, after), noted(written.notes), first.outcome
    )
    if first.below is not None and views:
        stale = stored_views.left_stale(subject, views, views_above, stored_views.shown(subject))
        outcome = outcome.then(stale)
    own = own_rows.OwnRows()
    if outcome.is_clear and own_rows.sends_data(first):
        yield "on rows of its own"
        own = own_rows.go_again(subject, first, older, later)
        outcome, way = outcome.then(own.outcome), own.way or first
    again, others = second_upgrade.SecondUpgrade(None, None), tuple[Condition, ...]()
    if way.below is not None and not own.rows_stay:
        outcome = outcome.then(_unmet(way, own.guards))
        if outcome.is_clear:
            others, said = extension_rows.left_alone(subject, way)
            outcome = outcome.then(said)
        yield "up again"
        again = second_upgrade.go_up_again(subject, way.up, way.below)
        outcome = outcome.then(again.outcome)
    now = ledger.read() if way.below is None else again.above
    conditions, outcome = _tried(subject, first, way, again.above, older, outcome)
    start, down_again = next_start.Start(begin, fit=False), second_downgrade.SecondDowngrade()
    alone = not (options.traffic or options.crash)
    lost = older_rows.may_be_lost((*first.losses, *way.losses))
    if outcome.is_clear and alone and again.above is not None and (lost or second_downgrade.writes_rows(way)):
        yield "down again"
        down_again = second_downgrade.go_down_again(subject, way, again.above, older)
        outcome = outcome.then(down_again.outcome)
    elif now is not None:
        exactly = bool(outcome.differences or outcome.kept)
        start = next_start.leave(subject, begin, first.up, now, exactly=exactly, made=own.made, last=way.up)
    phases = _Phases(
        first, way, again.step, concerned, undone=down_again.losses, conditions=(*others, *conditions)
    )
    phases, fit = yield from _under_strain(subject, phases, start, older, remembered, upgrade)
    outcome = outcome.then(phases.traffic.outcome, phases.crashes.outcome, own.unseen)
    yield Examined(_proof(subject, outcome, phases), start.state, fit)


def _tried(
    subject: Subject, first: Way, way: Way, above: State | None, older: Mapping[str, Table], outcome: Outcome
) -> tuple[tuple[Condition, ...], Outcome]:
    """Try, `above` the second upgrade and undone again, what rows of others may do to the downgrade; None: it did not go up.

    Gives the conditions that the proof holds for, and the outcome with what was found.
    """
    counting = way if way.narrows else first
    conditions = (
        # The first way's, where both have tried one with a row.
        *{one.sql: one for one in (*way.conditions, *first.conditions)}.values(),
        *conditions_tried.try_out(subject, counting, None if outcome.refuses else above),
    )
    if above is None or not outcome.is_clear:
        return conditions, outcome
    moved = moved_values.not_brought_back(subject, way.up.before, above, older)
    taken, said = keys_again.taken_again(subject, way, above, older)
    more, untold = like_inserted.taken_with_them(subject, way, above)
    return (*conditions, *taken, *more), outcome.then(moved, said, untold)


def _under_strain(
    subject: Subject,
    phases: _Phases,
    start: next_start.Start,
    older: Mapping[str, Table],
    remembered: Collection[Remembered],
    upgrade: FirstUpgrade,
) -> Generator[str, None, tuple[_Phases, bool]]:
    """Go both ways under traffic and through crashes, where that is asked for; tell whether the next can start from `start`."""
    options, fit, way = subject.options, start.fit, phases.way
    if phases.again is not None and options.traffic:
        yield "traffic"
        tables = {name: older[name] for name in older if name in upgrade.before.tables()}
        traffic = under_traffic.go_both_ways(subject, tables, remembered)
        phases = replace(phases, traffic=traffic)
        fit = fit and traffic.whole
    again = phases.again is not None and phases.traffic.whole
    if options.crash and again and way is not None and way.below is not None:
        yield "crashes"
        ends = way.below, start.state
        crashes = interrupt.cut_everywhere(subject, way, ends, phases.concerned, upgrade.required)
        phases = replace(phases, crashes=crashes)
        fit = fit and crashes.whole
    if fit and (options.traffic or options.crash):
        fit = subject.ledger.read() == start.state
    return phases, fit


def _proof(subject: Subject, outcome: Outcome, phases: _Phases) -> RevisionProof:
    """Build the record: the verdict and what it rests on."""
    first, way, cuts = phases.first, phases.way, phases.crashes.cuts
    existing = first.up.before.tables() - {subject.ledger.version_table} if first else frozenset()
    taken = [one for one in phases.taken() if one is not None]
    faulty = outcome.differences or phases.traffic.broken or not all(cut.converged for cut in cuts)
    verdict = REFUSED if faulty else outcome.verdict or PROVED
    reason = outcome.reason if verdict == outcome.verdict else ""
    if verdict == REFUSED and not reason:
        reason = compare.counted(outcome.differences, phases.traffic.broken, cuts)
    return RevisionProof(
        subject.facts.revision, subject.facts.title, verdict, reason, tuple(sorted(outcome.differences)),
        outcome.kept, (*_losses(first, way), *phases.undone), outcome.notes,
        Timings(*(one.ms if one else None for one in (*phases.taken(), phases.again))),
        tuple(sorted({one for it in taken for one in it.held if one.object in existing})),
        phases.traffic.stalls, phases.traffic.broken, cuts, phases.concerned, tuple(one for it in taken for one in it.met),
        conditions=phases.conditions,
    )  # fmt: skip


def _losses(first: Way | None, way: Way | None) -> tuple[Loss, ...]:
    """Give the losses of the first way, and of the other one those in tables that nobody had written to on the first."""
    if first is None or way is None or way is first:
        return first.losses if first else ()
    written = {name for name, keys in first.up.written.written.items() if keys}
    more = (
        one
        for one in way.losses
        if not any(one.object == name or one.object.startswith(f"{name}.") for name in written)
    )
    return (*first.losses, *more)


def _unmet(way: Way, guards: str) -> Outcome:
    """Nothing is proved of a data statement that met no row; a query for rows that the upgrade refuses need not."""
    met = [one for taken in way.taken() for one in taken.met if one.problem]
    if guards:
        met = [one for one in met if not (one.reads and one.direction == "up")]
    said = noted([f"the upgrade refuses rows that it looks for: {guards}"] if guards else ())
    if not met:
        return said
    problems = "; ".join(dict.fromkeys(one.problem for one in met))
    return said.then(not_examined(f"{problems}: nothing is proved of it"))
