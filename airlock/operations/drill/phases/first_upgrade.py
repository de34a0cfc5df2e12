"""The first upgrade: where sample rows are what stops it, rows are made that fit what it demands."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airlock.database.server_errors import sqlstate
from airlock.drivers import client
from airlock.drivers.spelling import bare, mentions
from airlock.operations.drill import compare, failures
from airlock.operations.drill.missing_objects import advice, needs
from airlock.operations.drill.outcome import NOTHING, Outcome, not_examined, noted, refused
from airlock.operations.drill.phases.downgrade import no_way_down
from airlock.operations.drill.rows import (
    cast_demands,
    extremes,
    ordered_bounds,
    outside_domain,
    own_cuts,
    python_breaks,
    rarer_values,
    rows_refused,
    spellings,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from airlock.operations.drill.state import Ledger, State
    from airlock.operations.drill.step import StepTaken
    from airlock.operations.drill.subject import Subject
    from airlock.records.shared import Shared
    from airlock.samples import Table

_MOST_LESSONS = 4
# not_null_violation (PostgreSQL manual, "Error Codes").
_NOT_NULL = "23502"
_CONCURRENTLY = re.compile("(?i)concurrently")
_HALF_BUILT = """SELECT format('%I.%I', n.nspname, c.relname) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT i.indisvalid AND c.relkind = 'i'"""


@dataclass(frozen=True)
class FirstUpgrade:
    """The step, None where it could not be taken, and the state `before` it: another one where rows were made anew.

    `required` is what those rows had to fit; `wants` names the role or tablespace without which nothing was tried.
    """

    before: State
    step: StepTaken | None
    outcome: Outcome = NOTHING
    required: Mapping[str, Table] | None = None
    wants: Shared | None = None


def go_up(subject: Subject, before: State) -> FirstUpgrade:
    """Upgrade; where the sample rows are what refuses, learn what the upgrade demands and make them anew. Commits.

    Never raises what the revision raises: the outcome says it.
    """
    try:
        return FirstUpgrade(before, _take(subject))
    except Exception as error:  # noqa: BLE001  a revision may raise anything
        if not failures.is_about_rows(error) or not any(it.count for it in before.digests.values()):
            return _cannot_go_up(subject, before, error)
        first = failures.one_line(error)
        fitted = (
            _on_values_that_fit(subject, before, error)
            or _with_bounds_in_order(subject, before, error)
            or (outside_domain.is_outside(error) and _inside_the_domain(subject, before, error))
            or _off_the_edge(subject, before, error)
            or _on_usual_values(subject, before, error)
            or _without_refused_rows(subject, before, error)
        )
    return fitted or _on_fitting_rows(subject, before, first)


def _on_values_that_fit(subject: Subject, before: State, error: Exception) -> FirstUpgrade | None:
    """Give texts and documents the form that the upgrade reads them in, as long as its errors teach another one."""
    source = subject.source
    names, said = _filled(subject, before), list[str]()
    for _ in range(_MOST_LESSONS):
        demand = cast_demands.said(error)
        changed = cast_demands.meet(subject.ledger, demand, names, source) if demand is not None else ()
        if not changed:
            return None
        said.append(
            f"{', '.join(changed)} was given values that the upgrade can read ({failures.one_line(error)})"
        )
        try:
            now, taken = _up_on_spellings(subject, changed, demand.type if demand is not None else "")
        except Exception as another:  # noqa: BLE001  a revision may raise anything
            if not failures.is_about_rows(another) or str(another) == str(error):
                return None
            error = another
            continue
        return FirstUpgrade(now, taken, noted(said))
    return None


def _up_on_spellings(subject: Subject, changed: tuple[str, ...], type_: str) -> tuple[State, StepTaken]:
    """Upgrade with one value of each column spelled otherwise, or else without; give the state before."""
    respelled = spellings.respell(subject.ledger, changed, type_, subject.source)
    now = subject.ledger.read()
    try:
        return now, _take(subject)
    except Exception:  # a revision may raise anything
        if not respelled:
            raise
        spellings.spell_back(subject.ledger, respelled)
    now = subject.ledger.read()
    return now, _take(subject)


def _with_bounds_in_order(subject: Subject, before: State, error: Exception) -> FirstUpgrade | None:
    """Upgrade once more on rows whose lower bounds are below the upper ones, where a range was to be made of them."""
    if not ordered_bounds.is_out_of_order(error):
        return None
    ledger = subject.ledger
    tables = ledger.tables(_filled(subject, before))
    changed = ordered_bounds.order(ledger.writing, tables, subject.source)
    why = f"{', '.join(changed)} were put in order, as bounds of a range ({failures.one_line(error)})"
    return _up_now(subject, why) if changed else None


def _inside_the_domain(subject: Subject, before: State, error: Exception) -> FirstUpgrade | None:
    """Upgrade without numbers that it cannot compute with; where that is not all that stops it, without what else does.

    Whatever it goes up on, the numbers that were replaced are told.
    """
    source = subject.source
    gone: FirstUpgrade | None = None

    def goes() -> bool:
        nonlocal gone
        now = subject.ledger.read()
        try:
            gone = FirstUpgrade(now, _take(subject))
        except Exception as another:  # noqa: BLE001  a revision may raise anything
            if not outside_domain.is_outside(another):
                gone = _off_the_edge(subject, before, another)
        return gone is not None

    changed = outside_domain.without(subject.ledger, named(source, _filled(subject, before)), source, goes)
    if gone is None and changed:
        gone = _on_usual_values(subject, before, error) or _without_refused_rows(subject, before, error)
    if gone is None:
        return None
    why = f"the upgrade fails on numbers of {', '.join(changed)} ({failures.one_line(error)}): usual ones took their place"
    return replace(gone, outcome=noted([why]).then(gone.outcome))


def _off_the_edge(subject: Subject, before: State, error: Exception) -> FirstUpgrade | None:
    """Upgrade once more without values at the edge of their type, where it computed past one, or spelled one.

    At first but for those that it converts itself.
    """
    if not (extremes.is_past_the_edge(error) or extremes.is_too_long(error)):
        return None
    why = (
        f"the upgrade fails on values at the edge of their type ({failures.one_line(error)}): "
        "ordinary ones took their place"
    )
    ledger = subject.ledger
    for source, small in ((subject.source, False), ("", False), ("", True)):
        tables = ledger.tables(_filled(subject, before))
        few = small or extremes.makes_too_much(error)
        if not extremes.tame(ledger.writing, tables, source=source, small=small, few=few):
            continue
        now = ledger.read()
        try:
            return FirstUpgrade(now, _take(subject), noted([why]))
        except Exception as another:  # noqa: BLE001  a revision may raise anything
            # A size below 0 is past a limit, too.
            if not (outside_domain.is_outside(another) or extremes.makes_too_much(another)):
                continue
            inside = _inside_the_domain(subject, before, another)
        if inside is not None:
            return replace(inside, outcome=noted([why]).then(inside.outcome))
    return None


def _on_usual_values(subject: Subject, before: State, error: Exception) -> FirstUpgrade | None:
    """Upgrade without what only some values of an extension's type have, as few of them as it takes."""
    source = subject.source
    gone: FirstUpgrade | None = None

    def goes() -> bool:
        nonlocal gone
        gone = _up_now(subject)
        return gone is not None

    names = named(source, _filled(subject, before))
    changed = rarer_values.without(subject.ledger, names, source, goes)
    if not changed and sqlstate(error) in (None, _NOT_NULL):
        # Also a NULL that the upgrade computes: `SET done = (state = 'done')`.
        changed = python_breaks.without(subject.ledger, names, source, goes)
    if not changed or gone is None:
        return None
    why = (
        f"the upgrade fails on some values of {', '.join(changed)} ({failures.one_line(error)}): "
        "usual ones took their place"
    )
    return replace(gone, outcome=noted([why]))


def _without_refused_rows(subject: Subject, before: State, error: Exception) -> FirstUpgrade | None:
    """Upgrade without rows that the upgrade looks for itself, and raises for."""
    try:
        now, taken, said = rows_refused.go_up(subject, _filled(subject, before), error)
    except Exception:  # noqa: BLE001  a revision may raise anything; the caller has another way
        return None
    return FirstUpgrade(now, taken, noted([f"the upgrade refuses rows that it looks for: {said}"]))


def _up_now(subject: Subject, why: str = "") -> FirstUpgrade | None:
    """Upgrade on the rows that there are now, and say `why` they are others; None where it raises: there are other rows."""
    now = subject.ledger.read()
    with contextlib.suppress(Exception):  # a revision may raise anything
        return FirstUpgrade(now, _take(subject), noted([why] if why else ()))
    return None


def _take(subject: Subject) -> StepTaken:
    """Take the step; where it raises, drop its indexes that CONCURRENTLY has left half built: another try would find them."""
    try:
        return subject.take("up")
    except Exception:  # a revision may raise anything
        if _CONCURRENTLY.search(subject.source):
            with subject.ledger.writing.cursor() as cursor:
                for (name,) in client.rows(cursor, _HALF_BUILT):
                    if mentions(subject.source, bare(name)):
                        cursor.execute(f"DROP INDEX {name}")
        raise


def _filled(subject: Subject, state: State) -> set[str]:
    """Name the tables that hold rows, but for Alembic's own."""
    held = {name for name, digest in state.digests.items() if digest.count}
    return (held & state.tables()) - {subject.ledger.version_table}


def _on_fitting_rows(subject: Subject, before: State, first: str) -> FirstUpgrade:
    """Upgrade without rows, learn what the tables then demand, go down, and upgrade on rows that meet it."""
    ledger, outcome = subject.ledger, NOTHING
    required: Mapping[str, Table] | None = None
    try:
        filled = {name for name, digest in before.digests.items() if digest.count}
        try:
            names = emptied(ledger, named(subject.source, filled))
            _take(subject)
        except Exception:  # noqa: BLE001  a revision may raise anything; rows of any other table may be what it refuses
            names = emptied(ledger, filled)
            _take(subject)
        above = ledger.read()
        required = {table.label: table for table in ledger.tables(names & above.tables())}
        try:
            subject.take("down")
        except Exception as error:  # noqa: BLE001  a revision may raise anything
            return FirstUpgrade(before, None, no_way_down(subject, error), required)
        below = ledger.read()
        found, _ = compare.structure(before, below)
        found, kept = compare.keep(found, subject.facts.kept)
        outcome = Outcome(tuple(found), tuple(kept))
        try:
            fitting, step, required = own_cuts.go_up(subject, names & below.tables(), required)
        except Exception as error:
            # What it puts together in Python, or copies into another column: no demand of the tables tells its length.
            if not extremes.is_too_long(error):
                raise
            first = failures.one_line(error)
            fitting, step, required = own_cuts.go_up(subject, names & below.tables(), required, ordinary=True)
    except Exception as error:  # noqa: BLE001  a revision may raise anything
        lacking = needs(error, subject.gaps) or failures.beyond_scratch(error)
        why = not_examined(
            f"the upgrade fails: {lacking}"
            if lacking
            else f"the upgrade fails on sample rows: {failures.one_line(error)}"
        )
        return FirstUpgrade(before, None, outcome.then(why), required)
    why = noted([f"sample rows were made anew to fit what the upgrade demands ({first})"])
    return FirstUpgrade(fitting, step, outcome.then(why), required)


def named(source: str, tables: Collection[str]) -> set[str]:
    """Tell which tables a revision names: its rows of others need not be made anew."""
    found = {name for name in tables if mentions(source, bare(name))}
    return found or set(tables)


def emptied(ledger: Ledger, names: Collection[str]) -> set[str]:
    """Empty some tables, and those that refer to them; return which have no rows now."""
    ledger.empty(names)
    return {name for name, digest in ledger.read().digests.items() if not digest.count} - {
        ledger.version_table
    }


def _cannot_go_up(subject: Subject, before: State, error: Exception) -> FirstUpgrade:
    lacks = failures.missing_shared(error)
    needed = needs(error, subject.gaps) or failures.beyond_scratch(error)
    if needed is not None:
        outcome = not_examined(f"the upgrade fails: {needed}")
    elif lacks is not None:
        outcome = not_examined(lacks.beyond_help)
    else:
        outcome = refused(f"the upgrade fails: {failures.one_line(error)}{advice(error)}")
    return FirstUpgrade(before, None, outcome, wants=lacks if lacks not in subject.beyond_help else None)
