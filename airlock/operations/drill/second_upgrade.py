"""The second upgrade: what it must do alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.operations.drill import compare, comparisons, failures, interim_writes

if TYPE_CHECKING:
    from airlock.operations.drill.examination import Examination
    from airlock.operations.drill.interim_writes import Meanwhile
    from airlock.operations.drill.state import State


def up_again(one: Examination, before: State, after: State, below: State, written: Meanwhile) -> None:
    """Upgrade again; what came out of the first upgrade must come out of the second, and nothing twice."""
    try:
        one.again = one.take("up", counting=False)
    except Exception as error:  # noqa: BLE001
        one.stuck = True
        if not comparisons.AGAIN:
            return
        one.refuse(f"the upgrade fails after its own downgrade: {failures.one_line(error)}")
        return
    above = one.ledger.read(below, one.again.touched, after)
    if comparisons.AGAIN:
        found, _ = compare.structure(after, above)
        found += compare.values(
            compare.of_before(before, after),
            above,
            written.changed,
            steady=compare.steady(before, after),
            blurred=written.blurred,
        )
        doubled = compare.rows_more(written.state, above, "rows after a second upgrade", written.blurred)
        # What the downgrade took away entirely cannot be doubled: there may just be more rows to make it of.
        left = interim_writes.left(before, after, written, below)
        doubled = [it for it in doubled if it.object in left]
        if any(table.has_triggers or table.has_rules for table in one.ledger.known.values()):
            # They may be what a trigger logs, or a rule writes, at every step.
            one.notes += [
                f"{it.object}: {it.before} after the upgrade, {it.after} after another" for it in doubled
            ]
        else:
            found += doubled
        found, _ = compare.keep(found, one.facts.kept)
        one.differences += [it for it in found if it not in one.differences]
    one.go_on(before, after, above, written)
