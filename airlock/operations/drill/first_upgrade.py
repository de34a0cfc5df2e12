"""The first upgrade: where sample rows are what stops it, rows are made that fit what it demands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.operations.drill import cast_demands, compare, extremes, failures
from airlock.operations.drill.missing_objects import needs

_MOST_LESSONS = 4

if TYPE_CHECKING:
    from airlock.operations.drill.examination import Examination
    from airlock.operations.drill.step import StepTaken


def first_up(one: Examination) -> StepTaken | None:
    """Upgrade; where the sample rows are what refuses, learn what the upgrade demands and make them anew."""
    try:
        return one.take("up")
    except Exception as error:  # noqa: BLE001  a revision may raise anything
        if not failures.is_about_rows(error) or not any(
            digest.count for digest in one.state.digests.values()
        ):
            _cannot_go_up(one, error)
            return None
        first = failures.one_line(error)
        fitted = _on_values_that_fit(one, error) or _off_the_edge(one, error)
        if fitted is not None:
            return fitted
    try:
        return _on_fitting_rows(one, first)
    except Exception as error:  # noqa: BLE001
        if one.verdict is None:
            one.pass_over(f"the upgrade fails on sample rows: {failures.one_line(error)}")
        one.stuck = True
        return None


def _on_values_that_fit(one: Examination, error: Exception) -> StepTaken | None:
    """Give texts and documents the form that the upgrade reads them in, as long as its errors teach another one."""
    source = one.facts.path.read_text()
    for _ in range(_MOST_LESSONS):
        demand = cast_demands.said(error)
        names = {name for name, digest in one.state.digests.items() if digest.count} - {
            one.ledger.version_table
        }
        changed = (
            cast_demands.meet(one.ledger, demand, names & one.state.tables(), source)
            if demand is not None
            else ()
        )
        if not changed:
            return None
        one.state = one.ledger.read()
        try:
            taken = one.take("up")
        except Exception as another:  # noqa: BLE001  a revision may raise anything
            if not failures.is_about_rows(another) or str(another) == str(error):
                return None
            error = another
            continue
        one.notes.append(
            f"{', '.join(changed)} was given values that the upgrade can read ({failures.one_line(error)})"
        )
        return taken
    return None


def _off_the_edge(one: Examination, error: Exception) -> StepTaken | None:
    """Upgrade once more without values at the edge of their type, where it computed past one."""
    if not extremes.is_past_the_edge(error):
        return None
    names = {name for name, digest in one.state.digests.items() if digest.count} - {one.ledger.version_table}
    changed = extremes.tame(one.ledger, names & one.state.tables())
    if not changed:
        return None
    one.state = one.ledger.read()
    try:
        taken = one.take("up")
    except Exception:  # noqa: BLE001  a revision may raise anything; rows that fit are tried next
        return None
    one.notes.append(
        f"the upgrade fails on values at the edge of their type ({failures.one_line(error)}): ordinary ones took their place"
    )
    return taken


def _on_fitting_rows(one: Examination, first: str) -> StepTaken | None:
    names = {name for name, digest in one.state.digests.items() if digest.count}
    one.ledger.empty(names)
    one.take("up")
    above = one.ledger.read()
    # Rows of its own making: the next revision does not start on them.
    one.stuck = True
    one.required = {table.label: table for table in one.ledger.tables(names & above.tables())}
    try:
        one.take("down")
    except Exception as error:  # noqa: BLE001
        one.did_not_go_down(error)
        return None
    below = one.ledger.read()
    found, _ = compare.structure(one.state, below)
    found, one.kept = compare.keep(found, one.facts.kept)
    one.differences += found
    one.ledger.fill(names & below.tables(), required=one.required)
    one.state = one.ledger.read()
    one.notes.append(f"sample rows were made anew to fit what the upgrade demands ({first})")
    return one.take("up")


def _cannot_go_up(one: Examination, error: Exception) -> None:
    role = failures.missing_role(error)
    one.wants_role = role if role not in one.beyond_help else None
    needed = needs(error, one.gaps) or failures.beyond_scratch(error)
    if needed is not None:
        one.pass_over(f"the upgrade fails: {needed}")
    elif role is not None:
        one.pass_over(f"the role {role} cannot be made on the scratch server; try --scratch URL")
    else:
        one.refuse(f"the upgrade fails: {failures.one_line(error)}")
    one.stuck = True
