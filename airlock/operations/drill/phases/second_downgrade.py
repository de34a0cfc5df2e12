"""The second downgrade: behind an upgrade that came again, with old rows that others have changed or deleted meanwhile.

Taken where a downgrade writes rows itself: one that brings back what it had put aside brings back what others had deleted.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock import samples
from airlock.drivers import client
from airlock.drivers.spelling import bare, mentions, quoted
from airlock.operations.drill import compare, failures
from airlock.operations.drill.outcome import NOTHING, Outcome, not_examined
from airlock.operations.drill.phases import older_rows
from airlock.operations.drill.phases.downgrade import values_of_usual_rows
from airlock.operations.drill.step import touched_tables
from airlock.recorder import row_changes
from airlock.records.drill import Loss
from airlock.samples.digests import key_sql

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from airlock.operations.drill.phases.downgrade import Way
    from airlock.operations.drill.state import Ledger, State
    from airlock.operations.drill.subject import Subject
    from airlock.recorder.row_changes import DataStatement
    from airlock.samples import Table

    # Table, key, and the column that was changed, or samples.GONE.
    Altered = set[tuple[str, str, str]]

UNDONE = "what others changed is as it was before"
BACK = "what others deleted is there again"
_WRITES = frozenset({row_changes.INSERT, row_changes.UPDATE, row_changes.MERGE, row_changes.COPY})
_UPSERT = re.compile(r"\bDO\s+UPDATE\b", re.IGNORECASE)
_MOST_TRIED = 6
_FARTHEST = 40_000


@dataclass(frozen=True)
class SecondDowngrade:
    """What it lost of what others had done meanwhile, and where old rows are not what they were."""

    outcome: Outcome = NOTHING
    losses: tuple[Loss, ...] = ()


def writes_rows(way: Way) -> bool:
    """Tell whether a downgrade writes rows itself."""
    return way.step is not None and any(one.kind in _WRITES for one in way.step.data_statements)


def go_down_again(subject: Subject, way: Way, above: State, older: Mapping[str, Table]) -> SecondDowngrade:
    """Change and delete old rows, write some as the release below does, go down, compare with what was there before. Commits.

    `above` is the state behind the second upgrade. Never raises what the revision raises: the outcome says it. The database
    stands below the revision afterwards.
    """
    before, data_statements = way.up.before, way.step.data_statements if way.step is not None else ()
    altered = _alter(subject.ledger, before, above, data_statements)
    concerned = touched_tables(way.up.step, before, way.up.after)
    if way.step is not None and way.below is not None:
        concerned |= touched_tables(way.step, way.up.after, way.below)
    there = concerned & before.digests.keys() & above.digests.keys()
    rows = older_rows.write(subject.ledger, before, above, there, older, subject.turn + _FARTHEST)
    over = subject.ledger.read(above, {*(name for name, _, _ in altered), *(one.table for one in rows)})
    try:
        step = subject.take("down", counting=False)
    except Exception as error:  # noqa: BLE001  a revision may raise anything
        why = f"the second downgrade fails, on rows that others changed: {failures.one_line(error)}"
        return SecondDowngrade(not_examined(why))
    below = subject.ledger.read(over, step.touched, before)
    changed = {*way.up.written.changed, *altered, *_following(altered, above, data_statements)}
    found, _ = compare.structure(before, below)
    values, rare = values_of_usual_rows(
        subject, before, lambda usual: compare.values(usual, below, changed, blurred=way.up.written.blurred)
    )
    found += values
    found += older_rows.lost(rows, over, below)
    found, _ = compare.keep(found, subject.facts.kept)
    undone = _undone(altered, before, over, below)
    return SecondDowngrade(Outcome(tuple(found)).then(rare, _set_back(undone, before, way)), undone)


def _alter(ledger: Ledger, before: State, above: State, data_statements: Iterable[DataStatement]) -> Altered:
    """Change some old rows and delete another in each table that the downgrade writes to.

    Where triggers are, where rows refer to the table, or where others inherit from it, nothing is deleted: that would change
    more than one row. Nor is what may refer to a large object: whoever deletes the row unlinks that too.
    """
    names = {data.relation.lower() for data in data_statements if data.kind in _WRITES}
    altered: Altered = set()
    for table in ledger.tables(before.tables() & above.tables()):
        then, now = before.digests.get(table.label), above.digests.get(table.label)
        if table.name.lower() not in names or table.has_triggers or table.has_rules or not table.key:
            continue
        if then is None or now is None or then.rows is None or now.rows is None or then.key != now.key:
            continue
        referred, inherits = _ties(ledger, table)
        if inherits:
            continue
        old = [key for key in then.rows if key in now.rows]
        # Some of all, and the last ones: rows that were made for what the statements ask.
        apart = max(len(old) // _MOST_TRIED, 1)
        old = [*old[:-_MOST_TRIED:apart], *old[-_MOST_TRIED:]]
        common = {*then.columns} & {*now.columns}
        for key in old[:-1]:
            column = _change(ledger, table, key, common)
            if column:
                altered.add((table.label, key, column))
        refers = referred or any(column.type == "oid" for column in table.columns)
        for key in () if refers else reversed(old):
            if (table.label, key) not in {(name, other) for name, other, _ in altered} and _delete(
                ledger, table, key
            ):
                altered.add((table.label, key, samples.GONE))
                break
    return altered


def _following(altered: Altered, above: State, data_statements: Iterable[DataStatement]) -> Altered:
    """List the other values of a changed row that the downgrade sets by what was changed there.

    Those that stand above (`SET v = -v WHERE owed`), and those that it computes anew (`SET due_days = due - issued`).
    """
    updates = [one for one in data_statements if one.kind in (row_changes.UPDATE, row_changes.MERGE)]
    return {
        (table, key, other)
        for table, key, column in altered
        if column != samples.GONE
        for one in updates
        if one.relation.lower() == bare(table).lower() and mentions(one.whole, column)
        for other in (
            *(name for name in above.digests[table].columns if mentions(one.whole, name)),
            *(name for name, made in one.given if mentions(made, column)),
        )
    }


def _undone(altered: Altered, before: State, over: State, below: State) -> tuple[Loss, ...]:
    """Tell which changes and deletions the downgrade has undone."""
    found: Counter[tuple[str, str]] = Counter()
    for table, key, column in sorted(altered):
        now, then = below.digests.get(table), over.digests[table]
        if now is None or now.rows is None or then.rows is None or key not in now.rows:
            continue
        if column == samples.GONE:
            found[table, BACK] += 1
            continue
        original = before.digests[table]
        said, was, wanted = (
            one.rows[key][one.columns.index(column)]
            if one.rows and key in one.rows and column in one.columns
            else None
            for one in (now, original, then)
        )
        # What the downgrade computes from what is there is no loss.
        if said == was != wanted:
            found[f"{table}.{column}", UNDONE] += 1
    return tuple(Loss(name, rows, why) for (name, why), rows in found.items())


def _set_back(undone: Iterable[Loss], before: State, way: Way) -> Outcome:
    """Nothing is proved where an UPDATE undoes changes to a column that the upgrade has left alone: who writes it is not known.

    So does a MERGE, and an INSERT that updates what is there. What brings a copy of whole rows back is told as a loss alone.
    """
    steady = compare.steady(before, way.up.after)
    updates = {
        one.relation.lower()
        for one in (way.step.data_statements if way.step is not None else ())
        if one.kind in (row_changes.UPDATE, row_changes.MERGE)
        or (one.kind == row_changes.INSERT and _UPSERT.search(one.text) is not None)
    }
    names = sorted({
        one.object
        for one in undone
        if one.why == UNDONE and one.object in steady
        and one.object.split(".")[-2].strip('"').lower() in updates
    })  # fmt: skip
    if not names:
        return NOTHING
    said = ", ".join(names)
    return not_examined(
        f"proved only while nobody changes {said} meanwhile: the downgrade sets it back to what it was"
    )


def _ties(ledger: Ledger, table: Table) -> tuple[bool, bool]:
    """Tell whether rows refer to a table, and whether it inherits or is inherited from: its rows are others' too."""
    with ledger.writing.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND confrelid = c.oid), "
            "EXISTS (SELECT FROM pg_inherits WHERE c.oid IN (inhrelid, inhparent)) "
            "FROM pg_class AS c WHERE c.oid = %s::regclass",
            (table.sql,),
        )
        referred, inherits = cursor.fetchone()
        return bool(referred), bool(inherits)


def _change(ledger: Ledger, table: Table, key: str, common: Collection[str]) -> str:
    """Give one column of one row the value that another row has there; name the column, nothing where none can be."""
    for column in table.columns:
        if column.name in table.tied or column.name not in common or column.identity or column.type == "oid":
            continue
        name = quoted(column.name)
        other = (
            f"(SELECT b.{name} FROM {table.sql} AS b WHERE b.{name}::text IS DISTINCT FROM t.{name}::text "
            f"AND b.{name} IS NOT NULL LIMIT 1)"
        )
        where = f"{key_sql(table.key)} = %s AND {other} IS NOT NULL"
        if _done(ledger, f"UPDATE {table.sql} AS t SET {name} = {other} WHERE {where}", key):
            return column.name
    return ""


def _delete(ledger: Ledger, table: Table, key: str) -> bool:
    return _done(ledger, f"DELETE FROM {table.sql} WHERE {key_sql(table.key)} = %s", key)


def _done(ledger: Ledger, statement: str, key: str) -> bool:
    """Tell whether a statement changed one row; it is a transaction of its own, undone where that is not so."""
    connection = ledger.writing
    try:
        with client.transaction(connection), connection.cursor() as cursor:
            cursor.execute(statement, (key,))
            alone = bool(cursor.rowcount == 1)
            if alone:
                connection.commit()
    except client.Error:
        return False
    return alone
