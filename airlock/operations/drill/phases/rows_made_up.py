"""Rows that a downgrade makes up: a partner for each old row, also for those that had none, or the other way round."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from airlock.operations.drill import comparisons
from airlock.operations.drill.phases.trigger_rows import writers
from airlock.records.difference import Difference

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from airlock.operations.drill.phases.interim_writes import Meanwhile
    from airlock.operations.drill.state import Ledger, State
    from airlock.samples import Table


def made_up(
    ledger: Ledger, before: State, written: Meanwhile, below: State, unsure: Collection[Mapping[str, Collection[str]]]
) -> list[Difference]:  # fmt: skip
    """Find rows that were not there before the upgrade and refer to nothing but rows that were, and that nobody touched.

    What others wrote meanwhile may have become rows of any table: a row is passed over where one of the rows that it refers
    to holds, or is named by, a value of theirs, and so are tables that triggers write to. Where nobody wrote anything, every
    row of a table that was away above counts.
    """
    more = {
        name: now.rows.keys() - then.rows.keys() - written.written.get(name, frozenset()) - _above(written, name)
        for name, then in before.digests.items()
        if (now := below.digests.get(name)) is not None and now is not then and now.key == then.key
        and now.rows is not None and then.rows is not None and name not in written.blurred
    }  # fmt: skip
    left = {name: _by_values(name, keys, written, below) for name, keys in more.items() if keys}
    more = {name: set(keys) for name, keys in left.items() if keys}
    if not more or not comparisons.ROWS:
        return []
    others = {*_values(written), *(key for _, key, _ in written.changed)}
    others |= {key for one in unsure for keys in one.values() for key in keys}
    names = {table.oid: table.label for table in ledger.tables(below.tables())}
    found = []
    for table in ledger.tables(more):
        if any(writers(below.catalogue, table.label)):
            continue
        away = not others and table.label not in written.state.digests
        rows = [
            key
            for key in more[table.label]
            if away or _refers_to_old_alone(table, key, names, before, below, others)
        ]
        if rows:
            said = f"{len(rows)} more, one of them {min(rows)}, which the downgrade made for what had none"
            found.append(Difference(table.label, "rows", f"{before.digests[table.label].count} rows", said))
    return found


def _above(written: Meanwhile, name: str) -> AbstractSet[str]:
    """Give the keys of what stood there already when the downgrade began."""
    there = written.state.digests.get(name)
    return there.rows.keys() if there is not None and there.rows is not None else frozenset()


def _by_values(name: str, keys: AbstractSet[str], written: Meanwhile, below: State) -> AbstractSet[str]:
    """Leave out as many rows as were written meanwhile with the same values, where another key told rows above."""
    above, now = written.state.digests.get(name), below.digests[name]
    if above is None or above.key == now.key or above.rows is None or now.rows is None:
        return keys
    common = [one for one in now.columns if one in above.columns]
    places = [above.columns.index(one) for one in common], [now.columns.index(one) for one in common]
    theirs = Counter(
        tuple(above.rows[key][at] for at in places[0])
        for key in written.written.get(name, ())
        if key in above.rows
    )
    left = set()
    for key in sorted(keys):
        values = tuple(now.rows[key][at] for at in places[1])
        if theirs[values]:
            theirs[values] -= 1
        else:
            left.add(key)
    return left


def _values(written: Meanwhile) -> Iterator[str]:
    """Give what rows written meanwhile hold."""
    for name, keys in written.written.items():
        rows = written.state.digests[name].rows
        for key in keys:
            yield key
            yield from (value for value in (rows or {}).get(key, ()) if value is not None)


def _refers_to_old_alone(
    table: Table, key: str, names: Mapping[int, str], before: State, below: State, others: Collection[str]
) -> bool:  # fmt: skip
    now = below.digests[table.label]
    row = dict(zip(now.columns, (now.rows or {})[key], strict=True))
    referring = False
    for one in table.foreign_keys:
        values = [row.get(name) for name in one.columns]
        if None in values:
            continue
        target = before.digests.get(names.get(one.target, ""))
        if target is None or target.rows is None or len(values) > 1 or target.key != one.target_columns:
            return False
        if values[0] in others or values[0] not in target.rows:
            return False
        referring = True
    return referring
