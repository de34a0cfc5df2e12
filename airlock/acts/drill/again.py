"""The second upgrade: what it must do alike; and the rows that the next revision starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.acts.drill import comparisons, failures, judge

if TYPE_CHECKING:
    from collections.abc import Collection

    from airlock.acts.drill.ledger import State
    from airlock.acts.drill.meanwhile import Meanwhile
    from airlock.acts.drill.revision import Examination


def up_again(one: Examination, before: State, after: State, below: State, written: Meanwhile) -> None:
    """Upgrade again; what came out of the first upgrade must come out of the second, and nothing twice."""
    try:
        one.again = one.take("up")
    except Exception as error:  # noqa: BLE001
        one.stuck = True
        if not comparisons.AGAIN:
            return
        one.refuse(f"the upgrade fails after its own downgrade: {failures.one_line(error)}")
        return
    above = one.ledger.read(below, one.again.touched, after)
    if comparisons.AGAIN:
        found, _ = judge.structure(after, above)
        found += judge.values(
            judge.of_before(before, after),
            above,
            written.changed,
            steady=judge.steady(before, after),
            blurred=written.blurred,
        )
        doubled = judge.rows_more(written.state, above, "rows after a second upgrade", written.blurred)
        if any(table.has_triggers or table.has_rules for table in one.ledger.known.values()):
            # They may be what a trigger logs, or a rule writes, at every step.
            one.notes += [
                f"{it.object}: {it.before} after the upgrade, {it.after} after another" for it in doubled
            ]
        else:
            found += doubled
        found, _ = judge.keep(found, one.facts.kept)
        one.differences += [it for it in found if it not in one.differences]
    settle(one, before, above)


def settle(one: Examination, before: State, above: State) -> None:
    """Fill what is new or was emptied, and read where the next revision starts."""
    written, one.ledger.strangers = set(one.ledger.strangers), {}
    summed = {name for name in written & above.digests.keys() if above.digests[name].rows is None}
    if summed:
        above = one.ledger.read(above, summed)
    emptied = {
        name for name, it in above.digests.items() if it.count == 0 and name != one.ledger.version_table
    }
    new = above.tables() - before.tables()
    wanting: Collection[str] = {
        name
        for name in emptied | new
        if name not in one.ledger.fills or one.ledger.fills[name].rows or name in new
    }
    if wanting:
        one.ledger.fill(wanting)
        above = one.ledger.read(above, wanting)
    one.state = above
