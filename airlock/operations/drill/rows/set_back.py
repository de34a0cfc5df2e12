"""Values that a downgrade sets back in columns that stand above as well, and that rows written meanwhile keep out.

A new row may have the value of a unique column that another one had below, and the partner that a row had below may be gone.
The server refuses the step then; nothing is lost.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from airlock.drivers import client
from airlock.drivers.spelling import bare, mentions, quoted
from airlock.operations.drill import failures
from airlock.operations.drill.rows.filled_back import ROW, Unfilled, stopped_by
from airlock.operations.drill.rows.guarded_back import counted
from airlock.operations.drill.rows.rows_chosen import alias_in
from airlock.recorder.row_changes import UPDATE, data_statements
from airlock.records.drill import FAILS, GOES_DOWN, Condition, Tried
from airlock.samples.digests import key_sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airlock.operations.drill.state import Ledger
    from airlock.recorder.row_changes import DataStatement
    from airlock.samples import Table

# not_null_violation, foreign_key_violation, unique_violation (PostgreSQL manual, "Error Codes").
_NULL, _NO_PARTNER, _TAKEN = "23502", "23503", "23505"
STATES = frozenset({_NULL, _NO_PARTNER, _TAKEN})
_WHY = {
    _NULL: "rows of whose value the downgrade makes none, where there must be one",
    _NO_PARTNER: "rows whose partner, which the downgrade sets back, is gone",
    _TAKEN: "rows with a value that the downgrade sets back in another one, where it is unique",
}


def kept_out(
    ledger: Ledger,
    error: BaseException,
    written: Mapping[str, frozenset[str]],
    told_by: Mapping[str, Sequence[str]],
) -> Unfilled | None:
    """Find the rows written meanwhile on which an UPDATE of the downgrade fails, by a key that stands above too, else None.

    The database must stand above the step, which has failed with `error`; `written` are keys by table, told by `told_by`
    where not by the table's own key.
    """
    stop = stopped_by(error)
    spelled = {_NULL: _made_none, _NO_PARTNER: _alone, _TAKEN: _taken}.get(stop.state)
    for table in ledger.tables({name for name, keys in written.items() if keys}):
        if spelled is None or (table.schema, table.name) != stop.place:
            continue
        by = tuple(told_by.get(table.label) or table.key)
        named = stop.column if stop.state == _NULL else stop.constraint
        columns, counting = spelled(ledger, table, named, key_sql(by))
        if not counting:
            return None
        rows: list[Any] = []
        with contextlib.suppress(client.Error), ledger.writing.cursor() as cursor:
            rows = client.rows(cursor, f"SELECT airlock_key FROM ({counting}) AS airlock_rows")
        keys = frozenset(str(row[0]) for row in rows) & written[table.label]
        sql = f"SELECT count(*) FROM ({counting}) AS airlock_found"
        mine, told = {table.label: table}, {table.label: by}
        if not keys or counted(ledger, sql, mine, told, {table.label: keys}) != 0:
            return None
        tried = Tried(f"key {min(keys)}", GOES_DOWN, FAILS, failures.one_line(error))
        return Unfilled(table, keys, Condition(f"{table.label}.{columns}", _WHY[stop.state], sql, tried))
    return None


def _set(ledger: Ledger, table: Table, columns: Sequence[str]) -> Iterator[tuple[DataStatement, str, str]]:
    """Give what UPDATEs of the table set in these columns, each with its statement."""
    for query in ledger.asked:
        for one in data_statements(query):
            if (
                one.kind == UPDATE
                and one.relation == table.name
                and one.scope is not None
                and not one.scope.prefix
            ):
                yield from ((one, bare(name), value) for name, value in one.given if bare(name) in columns)


def _made_none(ledger: Ledger, table: Table, column: str, key: str) -> tuple[str, str]:
    """Spell the rows of whose value in a column, itself, an UPDATE makes NULL: `SET doc = doc -> 'data'`.

    Not what it takes from another column: a copy put aside, which no new row has.
    """
    found = list(_set(ledger, table, (column,)))
    if column not in table.every_column or not all(mentions(value, column) for _, _, value in found):
        return "", ""
    return column, _chosen(table, key, [(one, f"({value}) IS NULL") for one, _, value in found])


def _taken(ledger: Ledger, table: Table, name: str, key: str) -> tuple[str, str]:
    """Spell the rows that would be alike in the columns of a unique key, by what one UPDATE of the table alone sets there."""
    plain_keys = (it for it in table.uniques if not (it.expressions or it.partial or it.exclusion))
    columns = next((it.columns for it in plain_keys if it.name == name), ())
    found = list(_set(ledger, table, columns))
    if len(found) != 1:
        return "", ""
    ((one, column, value),) = found
    if one.scope is None or one.scope.source != one.scope.mine:
        return "", ""
    then = f"CASE WHEN {one.scope.condition or 'true'} THEN {value} ELSE {quoted(column)} END"
    now, turned = (
        f"ROW({', '.join(then if it == column and set_ else quoted(it) for it in columns)})"
        for set_ in (False, True)
    )
    some = " AND ".join(f"{quoted(it)} IS NOT NULL" for it in columns)
    rows = f"SELECT {key} AS airlock_key, {now} AS airlock_now, {turned} AS airlock_then FROM {one.scope.source} WHERE {some}"
    # A key that is looked at row by row is in the way as well where its own row will get another value.
    alike = (
        f"SELECT a.airlock_key FROM airlock_rows AS a JOIN airlock_rows AS b ON a.{it} = b.airlock_then "
        "AND a.airlock_key <> b.airlock_key"
        for it in ("airlock_then", "airlock_now")
    )
    return column, f"WITH airlock_rows AS ({rows}) {' UNION '.join(alike)}"


def _alone(ledger: Ledger, table: Table, name: str, key: str) -> tuple[str, str]:
    """Spell the rows in which an UPDATE sets a foreign key's column to what no row over there has."""
    found = next((it for it in table.foreign_keys if it.name == name and len(it.columns) == 1), None)
    if found is None:
        return "", ""
    with ledger.writing.cursor() as cursor:
        named = client.rows(
            cursor,
            "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            f"WHERE c.oid = {found.target}",
        )
    if not named:
        return "", ""
    there = f"SELECT p.{quoted(found.target_columns[0])} FROM {named[0][0]} AS p"
    missing = [(one, f"({value}) NOT IN ({there})") for one, _, value in _set(ledger, table, found.columns)]
    return found.columns[0], _chosen(table, key, missing)


def _chosen(table: Table, key: str, asked: Sequence[tuple[DataStatement, str]]) -> str:
    """Spell the rows that one of some UPDATEs chooses, and of which its condition holds; nothing where that cannot be told."""
    found = []
    for one, condition in asked:
        alias = alias_in(one.scope, table) if one.scope is not None else None
        if one.scope is None or alias is None:
            return ""
        parts = [f"{alias}.ctid = {ROW}.ctid", condition]
        if one.scope.condition:
            parts.insert(0, f"({one.scope.condition})")
        found.append(f"EXISTS (SELECT FROM {one.scope.source} WHERE {' AND '.join(parts)})")
    if not found:
        return ""
    return f"SELECT {key} AS airlock_key FROM {table.rows_sql} AS {ROW} WHERE {' OR '.join(found)}"
