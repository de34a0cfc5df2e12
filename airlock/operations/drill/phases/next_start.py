"""Where the next revision starts: every table with rows in it, and every column with values.

A verdict must not depend on what the examination of another revision left behind: the next revision goes on in the same
database only where that is as the first upgrade left it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airlock.operations.drill.phases import interim_writes

if TYPE_CHECKING:
    from collections.abc import Collection

    from airlock.operations.drill.phases.downgrade import Upgraded
    from airlock.operations.drill.rows.rows_of_statements import Sought
    from airlock.operations.drill.state import Ledger, State
    from airlock.operations.drill.subject import Subject

# As many as it takes for every column to get its edges and its NULL.
_ROWS = 23


@dataclass(frozen=True, slots=True)
class Start:
    """The state that the database is in, and whether it is `fit` for the next revision."""

    state: State
    fit: bool


def leave(
    subject: Subject, begin: State, first: Upgraded, now: State, *, exactly: bool, made: Sought | None,
    last: Upgraded,
) -> Start:  # fmt: skip
    """Take back what the examination wrote, and tell where the next revision starts. Commits.

    `begin` is where the examination began, `now` how the database stands. `made` are the rows of a second way, `last`
    what lay above the last one. Unless `exactly` that is asked for, what an upgrade computes anew each time may differ.
    """
    ledger = subject.ledger
    fit = first.before is begin
    if fit and made is not None:
        fit = _took_back(subject, made, last.written)
        now = ledger.read() if fit else now
    above = (
        interim_writes.withdrawn(ledger, first.written, first.before, first.after, now, exactly=exactly)
        if fit
        else None
    )
    if above is None:
        state = last.before
        if subject.options.crash:
            state = settle(ledger, state, ledger.read())
        return Start(state, fit=False)
    state = settle(ledger, first.before, above)
    if last.step.data_statements:
        # What it inserts may have got other keys the last time.
        state = ledger.read()
    return Start(state, fit=True)


def _took_back(subject: Subject, made: Sought, written: interim_writes.Meanwhile) -> bool:
    """Delete the rows that were made of constants, and those written meanwhile on the way with them. Commits."""
    if subject.options.traffic or subject.options.crash:
        return False
    keys: dict[str, tuple[Collection[str], set[str]]] = dict(made.keys)
    for name, found in written.written.items():
        if found:
            columns = written.told_by.get(name) or written.state.digests[name].key
            earlier = keys.get(name, (columns, set()))
            if tuple(earlier[0]) != tuple(columns):
                return False
            keys[name] = (columns, earlier[1] | set(found))
    return all(columns for columns, _ in keys.values()) and subject.ledger.delete(keys)


def settle(ledger: Ledger, before: State, above: State) -> State:
    """Fill what is new or was emptied, give values to new columns; return the state in which the next revision starts.

    `before` is the state below the step, `above` the one it left. Writes sample rows, and commits.
    """
    written, ledger.strangers = set(ledger.strangers), {}
    summed = {name for name in written & above.digests.keys() if above.digests[name].rows is None}
    if summed:
        above = ledger.read(above, summed)
    emptied = {name for name, it in above.digests.items() if it.count == 0 and name != ledger.version_table}
    new = above.tables() - before.catalogue.objects.keys()
    # A table that took no row once is asked again only where it has another partition now.
    parts = bool(above.partitions() - before.partitions())
    wanting: Collection[str] = {
        name for name in emptied | new
        if name not in ledger.fills or ledger.fills[name].rows or name in new
        or (parts and above.catalogue.objects[name].kind == "partitioned table")
    }  # fmt: skip
    ledger.fill(wanting)
    added = {name: above.digests[name].count for name in uniform(before, above) - emptied - new}
    for name, count in sorted(added.items()):
        ledger.add(name, count + min(_ROWS, ledger.wanted))
    filled = {*wanting, *added}
    if filled:
        above = ledger.read(above, None if ledger.stirs(filled) else filled)
    # A step and its way back are told by the key from before; the next starts with the key that there is.
    other = {
        name for name, it in above.digests.items()
        if name in ledger.known and ledger.known[name].key and tuple(it.key) != tuple(ledger.known[name].key)
    }  # fmt: skip
    return replace(above, digests={**above.digests, **ledger.digest(other)}) if other else above


def uniform(before: State, above: State) -> set[str]:
    """Name the tables with a new column that holds one value in all rows: nobody would see that value lost."""
    found = set()
    for name, now in above.digests.items():
        then = before.digests.get(name)
        if then is None:
            continue
        for place, column in enumerate(now.columns):
            if column not in then.columns and (
                now.rows is None or len({row[place] for row in now.rows.values()}) <= 1
            ):
                found.add(name)
    return found
