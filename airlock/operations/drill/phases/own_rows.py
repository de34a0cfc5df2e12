"""The way again on rows made of what the revision's own statements name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airlock.database.server_errors import sqlstate
from airlock.operations.drill import compare, failures
from airlock.operations.drill.outcome import NOTHING, Outcome, not_examined, noted
from airlock.operations.drill.phases import interim_writes, taken_along
from airlock.operations.drill.phases.downgrade import Way, go_down, upgraded
from airlock.operations.drill.reach.met_by_either import met_by_either
from airlock.operations.drill.reach.unreached_writes import conditional_writes
from airlock.operations.drill.rows import (
    cast_demands,
    extremes,
    outside_domain,
    rows_inserted,
    rows_of_statements,
    rows_refused,
    spellings,
)
from airlock.operations.drill.rows.constants_of_statements import all_certain, named
from airlock.operations.drill.rows.constants_read import constants, names_any, python_constants
from airlock.operations.drill.rows.row_at_hand import values_at_hand
from airlock.operations.drill.rows.telling_calls import joins, told_apart
from airlock.operations.drill.step import StepTaken, touched_tables
from airlock.recorder.branches import ANOTHER_VALUE
from airlock.recorder.row_changes import COPY, INSERT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from airlock.operations.drill.phases.downgrade import Unsure
    from airlock.operations.drill.state import State
    from airlock.operations.drill.subject import Subject
    from airlock.recorder.row_changes import DataStatement
    from airlock.samples import Table
    from airlock.samples.constants import Constants

_FAR, _FARTHER = 500, 20_000
_MOST_LESSONS, _MOST_AT_HAND, _MOST_BROUGHT = 3, 30, 50
# integrity_constraint_violation (PostgreSQL manual, "Error Codes"), the class.
_CONSTRAINT = "23"


@dataclass(frozen=True)
class OwnRows:
    """The second way, None where no rows were made for it or they did not go up; `made` are the rows.

    `guards` is what the upgrade says of rows that it refuses itself; `rows_stay` that they cannot be taken back; `unseen` that
    it took none of them, though it refuses none itself: where nothing else is found, nothing is proved.
    """

    outcome: Outcome = NOTHING
    way: Way | None = None
    made: rows_of_statements.Sought | None = None
    guards: str = ""
    rows_stay: bool = False
    unseen: Outcome = NOTHING


@dataclass(frozen=True)
class _Attempt:
    """Which rows are made: `fitting` what tables demand above, also rows `childless`, also for `calls` that tell rows apart.

    `varied` are rows of those that a condition chooses, with rarer values in other columns, `texts` among them, or `usual` ones
    alone; `under_keys` is a value of the one kind that all keys of documents hold.
    """

    fitting: Mapping[str, Table] | None = None
    childless: bool = True
    calls: bool = False
    varied: bool = False
    texts: bool = False
    usual: bool = False
    under_keys: str | int | None = None
    # Rows go, one by one, on which the revision's Python raises.
    picked: bool = False


def _attempts(later: Mapping[str, Table], *, python: bool, documents: bool) -> Iterator[_Attempt]:
    """Give the attempts, of which the first counts whose rows the upgrade takes: each makes fewer kinds of rows."""
    if python:
        yield _Attempt(calls=True, varied=True, texts=True, picked=True)
    yield _Attempt(calls=True, varied=True, texts=True)
    yield _Attempt(calls=True, varied=True, texts=True, usual=True)
    yield _Attempt(calls=True, varied=True)
    yield _Attempt(calls=True)
    yield _Attempt()
    yield _Attempt(later)
    yield _Attempt(later, childless=False)
    # Of what documents hold, Python may take one kind of value alone.
    for value in ("x", 7) if documents else ():
        yield _Attempt(under_keys=value)


def sends_data(way: Way) -> bool:
    """Tell whether rows could be made that what the steps sent tells apart."""
    taken = way.taken()
    return any(one.problem for it in taken for one in it.met) or any(
        data.chooses or any(one.label != ANOTHER_VALUE for one in data.branches) or names_any(data.text)
        or told_apart(data) or joins(data)
        for it in taken for data in it.data_statements
    )  # fmt: skip


def go_again(subject: Subject, first: Way, older: Mapping[str, Table], later: Mapping[str, Table]) -> OwnRows:
    """Go up, write and go down once more; where the upgrade refuses the rows, on fewer, else not at all. Commits.

    `older` and `later` are the tables as they were known before and after the first upgrade.
    """
    start, taken = first.up.before, first.taken()
    big = sorted(
        name for name, one in start.digests.items()
        if one.rows is None and one.count and any(it.touched is None or name in it.touched for it in taken)
    )  # fmt: skip
    if big:
        # Sums tell that a table of many rows is what it was, not which of its rows is not.
        why = f"no rows of its own were made for it: {', '.join(big)} has too many to tell them apart"
        return OwnRows(noted([why]))
    up = first.up.step.data_statements
    down = first.step.data_statements if first.step is not None else ()
    tables = {name for name, one in start.digests.items() if one.rows is not None and one.count}
    python = python_constants(subject.source)
    # What one statement reads as a number must be one in rows made for another, too.
    counted = (key for one in (*up, *down) for key in constants(one.whole).counted)
    python = replace(python, counted=python.counted.union(counted))
    guards = endless = ""
    unseen = NOTHING
    sure, brought = named(up, down), _brought(first, up)
    # What it inserts was hardly there before, also where Python looks for it again: such rows are tried by themselves.
    sure = replace(sure, inserted=sure.inserted | _inserted(subject, first))
    strings = (one for one in python.strings if one in sure.looked_for or one not in sure.inserted)
    python = replace(python, strings=tuple(strings))
    writes = conditional_writes(str(subject.facts.path))
    in_python = any(one.passed_by for it in taken for one in it.met)
    for attempt in _attempts(later, python=bool(writes), documents=bool(python.paths)):
        read = replace(python, under_keys=attempt.under_keys)
        made = rows_of_statements.seek(
            subject.ledger,
            (*up, *down),
            tables,
            read,
            subject.turn,
            sure,
            attempt.fitting,
            childless=attempt.childless,
            parents=in_python,
            calls=attempt.calls,
            varied=attempt.varied,
            texts=attempt.texts,
            brought=brought,
            usual=attempt.usual,
        )
        if made.problem:
            unseen = not_examined(made.problem)
        if not made.count:
            continue
        try:
            before, step = _up(subject, made, start, up)
        except Exception as error:  # noqa: BLE001  a revision may raise anything
            if isinstance(error, failures.TooManyRounds):
                endless = failures.one_line(error)
            elif failures.is_its_own(error, subject.facts.path):
                # With what the upgrade refuses rows that it looks for itself: then its query need not find any.
                guards = failures.one_line(error)
            elif failures.is_about_rows(error):
                unseen = _unseen(error)
            if attempt.picked:
                # Of those that are left when all that it cannot take are gone; fitted are the whole number of them.
                others = _without_rows_at_hand(subject, made, error, start)
            else:
                others = _on_values_that_fit(subject, made, tables, error, start)
                others = others or _without_refused(subject, tables, error, start)
            if others is None:
                if not made.remove(subject.ledger):
                    stays = not_examined("rows that were made for it cannot be taken back")
                    return OwnRows(stays, guards=guards, rows_stay=True)
                continue
            unseen = NOTHING
            before, step = others
        way = _down_again(subject, step, before, first, read, older, made.unsure)
        way, children = taken_along.with_children(subject, way, made.unsure)
        made.take_in(children)
        if guards or attempt.usual:
            # Without values near an edge it goes up, as it does on the rows there are.
            said = (unseen.reason,) if unseen.reason else unseen.notes
            unseen = noted([] if guards else [one.replace("on all rows", "on some rows") for one in said])
        return OwnRows(way.outcome, way, made, guards, unseen=unseen)
    if endless:
        # Rows before the first window, say, were not met, and nothing tells that there are none.
        return OwnRows(not_examined(f"{endless}, up to the key of rows that were made for it"), guards=guards)
    way, children = taken_along.with_children(subject, first, {})
    own = OwnRows() if way is first else OwnRows(way.outcome, way, children)
    return replace(own, guards=guards, unseen=NOTHING if guards else unseen)


def _inserted(subject: Subject, first: Way) -> frozenset[str]:
    """List the values of the rows that the upgrade inserted of its own."""
    up = first.up
    found = rows_inserted.inserted(subject.ledger, up.step, up.before, up.after)
    return frozenset(
        value for one in found for row in one.rows for value in row.values() if value is not None
    )


def _brought(first: Way, up: Collection[DataStatement]) -> dict[str, tuple[str, ...]]:
    """Give values of the small tables that the upgrade made and filled by nothing but what a driver copied, by their names."""
    inserted = {one.relation.lower() for one in up if one.kind != COPY}
    found = {}
    for label, digest in first.up.after.digests.items():
        name = label.rpartition(".")[2].lower()
        if (
            label in first.up.before.digests
            or name in inserted
            or not digest.rows
            or digest.count > _MOST_BROUGHT
        ):
            continue
        values = (value for row in digest.rows.values() for value in row if value is not None)
        found[name] = tuple(dict.fromkeys(values))[:_MOST_BROUGHT]
    return found


def _up(
    subject: Subject, made: rows_of_statements.Sought, start: State, up: Collection[DataStatement] = ()
) -> tuple[State, StepTaken]:
    """Upgrade; again without those of the rows that hold what the upgrade gives to others in a unique key. Commits."""
    while True:
        # Row by row, as before: a few rows more must not turn them into sums.
        before = subject.ledger.read(None, None, start)
        try:
            return before, subject.take("up")
        except Exception as error:
            if not made.give_way(subject.ledger, error, up):
                raise


def _down_again(
    subject: Subject, step: StepTaken, before: State, first: Way, python: Constants, older: Mapping[str, Table],
    unsure: Unsure,
) -> Way:  # fmt: skip
    """Make rows for what the downgrade names too, write as other clients do, go down; count what either way met."""
    ledger = subject.ledger
    after = ledger.read(before, step.touched)
    # Also where only the downgrade writes: it may take rows away that came meanwhile.
    touched = touched_tables(step, before, after)
    if first.step is not None and first.below is not None:
        touched |= touched_tables(first.step, first.up.after, first.below) & before.tables()
    names = {name for name, one in after.digests.items() if one.rows is not None and one.count}
    names &= touched & before.tables()
    data_statements = first.step.data_statements if first.step is not None else ()
    # What copies whole tables back tells no row from another: one made for it would only take a key that was put aside.
    data_statements = tuple(
        one for one in data_statements if one.kind != INSERT or one.branches or names_any(one.whole)
    )
    asked = rows_of_statements.seek(
        ledger,
        data_statements,
        names,
        python,
        subject.turn + _FAR,
        all_certain(data_statements),
        beside=False,
        turning=False,
        calls=False,
    )
    written = interim_writes.write(subject, before, after, touched, subject.turn + _FARTHER, older, step)
    written = _with_rows_asked_for(written, after, asked)
    up = upgraded(subject, step, before, after, written)
    up = replace(up, step=replace(up.step, met=met_by_either(first.up.step.met, up.step.met)))
    way = go_down(subject, up, unsure)
    if way.step is not None and first.step is not None:
        way = replace(way, step=replace(way.step, met=met_by_either(first.step.met, way.step.met)))
    if way.left_out:
        # They are lost; nothing that follows is about them.
        before, after = (compare.without(one, way.left_out.values()) for one in (before, after))
        way = replace(way, up=replace(way.up, before=before, after=after))
    return way


def _with_rows_asked_for(
    written: interim_writes.Meanwhile, after: State, asked: rows_of_statements.Sought
) -> interim_writes.Meanwhile:
    """Count among what was written meanwhile the rows made for the downgrade, of tables that no copy could go into."""
    more = {}
    for name in asked.keys.keys() - written.written.keys():
        now, then = written.state.digests.get(name), after.digests.get(name)
        if now is not None and then is not None and now.rows is not None and then.rows is not None:
            more[name] = frozenset(now.rows.keys() - then.rows.keys())
    return replace(written, written={**written.written, **more}) if more else written


def _unseen(error: Exception) -> Outcome:
    """Say that the upgrade took none of the rows that were made: what becomes of those that it would have taken was not seen.

    Where a constraint refuses one, as it would on the target, that is told and decides nothing.
    """
    said = f"the upgrade fails on all rows that were made for it: {failures.one_line(error)}"
    return noted([said]) if (sqlstate(error) or "").startswith(_CONSTRAINT) else not_examined(said)


def _without_rows_at_hand(
    subject: Subject, made: rows_of_statements.Sought, error: Exception, start: State
) -> tuple[State, StepTaken] | None:
    """Go up without the rows that the revision's Python held when it raised; None where it held none, or raises on."""
    for _ in range(_MOST_AT_HAND):
        if not made.leave_out_at_hand(subject.ledger, values_at_hand(error, str(subject.facts.path))):
            break
        try:
            return _up(subject, made, start)
        except Exception as another:  # noqa: BLE001  a revision may raise anything
            error = another
    return None


def _on_values_that_fit(
    subject: Subject, made: rows_of_statements.Sought, names: set[str], error: Exception, start: State
) -> tuple[State, StepTaken] | None:
    """Go up on values that the upgrade can read and compute with, none at the edge of their type; None where it fails."""
    source = subject.source
    for _ in range(_MOST_LESSONS):
        demand = cast_demands.said(error)
        changed = made.meet(subject.ledger, demand, source) if demand is not None else ()
        if not (
            changed
            or (extremes.is_past_the_edge(error) and made.tame(subject.ledger, names))
            or (
                outside_domain.is_outside(error)
                and made.leave_out(subject.ledger, outside_domain.rarest_first(subject.ledger, names, source))
            )
        ):
            break
        try:
            return _up_on_spellings(subject, made, start, changed, demand.type if demand is not None else "")
        except Exception as another:  # noqa: BLE001  a revision may raise anything
            error = another
    return None


def _up_on_spellings(
    subject: Subject, made: rows_of_statements.Sought, start: State, changed: tuple[str, ...], type_: str
) -> tuple[State, StepTaken]:
    """Upgrade with one value of each column spelled otherwise that was given values to be read, or else without."""
    ledger, source = subject.ledger, subject.source
    keys = {name: each for name, (_, each) in made.keys.items()}
    respelled = spellings.respell(ledger, changed, type_, source, keys) if changed else ()
    try:
        return _up(subject, made, start)
    except Exception:
        if not respelled:
            raise
        spellings.spell_back(ledger, respelled)
    return _up(subject, made, start)


def _without_refused(
    subject: Subject, names: set[str], error: Exception, start: State
) -> tuple[State, StepTaken] | None:
    """Go up on those of the rows that the upgrade does not refuse; None where it does not go so."""
    try:
        before, step, _ = rows_refused.go_up(subject, names, error, start)
    except Exception:  # noqa: BLE001  a revision may raise anything
        return None
    return before, step
