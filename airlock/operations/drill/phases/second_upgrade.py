"""The second upgrade: what it must do alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.operations.drill import compare, comparisons, handed_out
from airlock.operations.drill.outcome import NOTHING, Outcome, failed
from airlock.operations.drill.phases import interim_writes

if TYPE_CHECKING:
    from airlock.operations.drill.phases.downgrade import Upgraded
    from airlock.operations.drill.state import State
    from airlock.operations.drill.step import StepTaken
    from airlock.operations.drill.subject import Subject
    from airlock.records.difference import Difference


@dataclass(frozen=True)
class SecondUpgrade:
    """The step and the state `above` it, both None where it could not be taken again."""

    step: StepTaken | None
    above: State | None
    outcome: Outcome = NOTHING


def go_up_again(subject: Subject, first: Upgraded, below: State) -> SecondUpgrade:
    """Upgrade again; what came out of the first upgrade must come out of the second, and nothing twice. Commits.

    Never raises what the revision raises: the outcome says it.
    """
    written = first.written
    try:
        step = subject.take("up", counting=False)
    except Exception as error:  # noqa: BLE001  a revision may raise anything
        why = failed("the upgrade fails after its own downgrade", error)
        return SecondUpgrade(None, None, why if comparisons.AGAIN else NOTHING)
    above = subject.ledger.read(below, step.touched, first.after)
    if not comparisons.AGAIN:
        return SecondUpgrade(step, above)
    found, _ = compare.structure(
        compare.without_objects_made(first.before, first.after), compare.without_objects_made(below, above)
    )
    numbers = handed_out.pairs(first.before, first.after, below)
    found = handed_out.without_renumbered(found, numbers, first.after, above)
    values = _values(first, above)
    if values and not found:
        alone = _without_rows_written(subject, first)
        if alone is not None and not _values(first, alone[1]):
            # The newest of a group is another one where a newer is there: what was written meanwhile came of it.
            step, above = alone
            values = []
    found += values
    doubled = compare.rows_more(written.state, above, "rows after a second upgrade", written.blurred)
    # What the downgrade took away entirely cannot be doubled: there may just be more rows to make it of.
    left = interim_writes.left(first.before, first.after, written, below)
    doubled = [it for it in doubled if it.object in left]
    notes = []
    if any(table.has_triggers or table.has_rules for table in subject.ledger.known.values()):
        # They may be what a trigger logs, or a rule writes, at every step.
        notes = [f"{it.object}: {it.before} after the upgrade, {it.after} after another" for it in doubled]
    else:
        found += doubled
    found, _ = compare.keep(found, subject.facts.kept)
    return SecondUpgrade(step, above, Outcome(tuple(found), notes=tuple(notes)))


def _values(first: Upgraded, above: State) -> list[Difference]:
    return compare.values(
        compare.of_before(first.before, first.after),
        above,
        first.written.changed,
        steady=compare.steady(first.before, first.after),
        blurred=first.written.blurred,
    )


def _without_rows_written(subject: Subject, first: Upgraded) -> tuple[StepTaken, State] | None:
    """Go down and up once more without the rows that were written meanwhile; None where there are none, or it does not go."""
    ledger, keys = subject.ledger, interim_writes.keys_written(first.written)
    if not keys:
        return None
    try:
        subject.take("down", counting=False)
        deleted = ledger.delete(keys)
        step = subject.take("up", counting=False)
    except Exception:  # noqa: BLE001  a revision may raise anything; what was found before stands
        return None
    return (step, ledger.read(first.after)) if deleted else None
