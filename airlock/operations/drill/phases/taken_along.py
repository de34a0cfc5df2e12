"""The way once more, with children of rows that the upgrade takes away, where none of those had any."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airlock.operations.drill.outcome import NOTHING
from airlock.operations.drill.phases.downgrade import Way, go_down, upgraded
from airlock.operations.drill.phases.interim_writes import Meanwhile
from airlock.operations.drill.reach.met_by_either import met_by_either
from airlock.operations.drill.rows import rows_of_statements

if TYPE_CHECKING:
    from airlock.operations.drill.phases.downgrade import Unsure
    from airlock.operations.drill.subject import Subject

_FAR = 900


def with_children(subject: Subject, way: Way, unsure: Unsure) -> tuple[Way, rows_of_statements.Sought]:
    """Give the way as it was, with what its steps met and lost once the rows that went had children; and those. Commits.

    Which rows go is seen, not read: what chose them may be a table of the step's own, a function, or Python.
    """
    ledger, nothing = subject.ledger, rows_of_statements.Sought()
    if way.step is None or way.below is None or not way.outcome.is_clear:
        return way, nothing
    gone, names = _taken_away(way, unsure), way.below.tables()
    made = rows_of_statements.children(ledger, gone, names, subject.turn + _FAR)
    if not made.count:
        return way, nothing
    before = ledger.read(None, None, way.below)
    try:
        step = subject.take("up")
    except Exception:  # noqa: BLE001  a revision may raise anything: such rows cannot have children
        made.remove(ledger)
        return replace(way, below=ledger.read()), nothing
    after = ledger.read(before, step.touched)
    again = go_down(subject, upgraded(subject, step, before, after, Meanwhile(after)), unsure)
    faulty = again.step is None or not again.outcome.is_clear
    if not faulty and not ledger.delete(made.keys):
        return way, made
    up = replace(way.up.step, met=met_by_either(way.up.step.met, step.met))
    down = replace(way.step, met=met_by_either(way.step.met, again.step.met)) if again.step else way.step
    below = again.below if faulty else ledger.read()
    outcome = way.outcome.then(again.outcome if faulty else NOTHING)
    return replace(way, up=replace(way.up, step=up), step=down, below=below, outcome=outcome), made


def _taken_away(way: Way, unsure: Unsure) -> dict[str, set[str]]:
    """Tell which rows the upgrade took away, by table and key; not such as need not have been there."""
    found = {}
    for name, then in way.up.before.digests.items():
        now = way.up.after.digests.get(name)
        if then.rows and now is not None and now.rows is not None and now.key == then.key:
            perhaps = {key for one in unsure.values() for key in one.get(name, ())}
            if gone := then.rows.keys() - now.rows.keys() - perhaps:
                found[name] = gone
    return found
