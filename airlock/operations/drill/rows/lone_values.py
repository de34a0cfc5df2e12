"""The one row that may hold a value of a unique column: it is to be among those that a statement, or a branch, chooses.

`if not row.slug` takes '' as it takes NULL, and of '' there is no second row that some condition could choose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airlock.drivers import client
from airlock.drivers.spelling import literal, quoted
from airlock.operations.drill.rows import python_conditions
from airlock.operations.drill.rows.rows_chosen import conditions, words_of
from airlock.samples.digests import key_sql

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airlock.operations.drill.rows.python_conditions import Held
    from airlock.recorder.row_changes import DataStatement
    from airlock.samples import Table


def turn(cursor: Any, table: Table, data: DataStatement, together: Iterable[Held]) -> list[str]:
    """Have such rows be chosen by a statement, and come into the branches that `together` tells of; return how to undo it.

    Writes nothing where a row is chosen already, where none is, or where a constraint wants it as it is.
    """
    undoing = _chosen(cursor, table, data)
    for one in together:
        for values in python_conditions.spelled(table, one):
            for name in values.keys() & _alone(table):
                others = {quoted(it): value for it, value in values.items() if it != name}
                if others:
                    where = f"{quoted(name)} = {values[name]}"
                    undoing += _turned(cursor, table, where, others, f"ROW ({', '.join(others.values())})")
    return undoing


def _chosen(cursor: Any, table: Table, data: DataStatement) -> list[str]:
    """Give the row that holds '' in a unique column what a chosen row holds in the columns that the condition names."""
    read = words_of(data.whole)
    empty = [
        quoted(one.name)
        for one in table.columns
        if one.name in _alone(table) and one.category == "S" and one.name.lower() in read
    ]
    asked = next((one for one in conditions(data, table) if one[0].condition), None) if empty else None
    if asked is None:
        return []
    scope, alias, condition = asked
    words, unique = words_of(condition), {name for one in table.uniques for name in one.columns}
    given = [
        quoted(one.name)
        for one in table.columns
        if one.name.lower() in words and one.name not in unique and not one.identity and one.sequence is None
    ]
    theirs = ", ".join(f"{alias}.{one}" for one in given)
    chosen = f"{scope.prefix} SELECT {theirs} FROM {scope.source} WHERE ({condition})"
    return [
        undo
        for name in (empty if given else ())
        for undo in _turned(
            cursor, table, f"{name} = '' AND EXISTS ({chosen}) AND NOT EXISTS ({chosen} AND {alias}.{name} = '')",
            given, f"({chosen} LIMIT 1)",
        )
    ]  # fmt: skip


def _turned(cursor: Any, table: Table, where: str, given: Iterable[str], values: str) -> list[str]:
    """Give values to the row that a condition chooses; return the statement that gives it its own again."""
    listed = ", ".join(given)
    spelled = " || ', ' || ".join(f"quote_nullable({one}::text)" for one in given)
    key = key_sql(table.key)

    def send() -> list[str]:
        own = client.rows(cursor, f"SELECT {key}, {spelled} FROM {table.sql} WHERE {where}")
        cursor.execute(f"UPDATE {table.sql} SET ({listed}) = {values} WHERE {where}")
        return [
            f"UPDATE {table.sql} SET ({listed}) = ROW ({old}) WHERE {key} = {literal(str(it))}"
            for it, old in own
        ]

    return (client.in_savepoint(cursor, send) if table.key else None) or []


def _alone(table: Table) -> set[str]:
    return {one.columns[0] for one in table.uniques if len(one.columns) == 1 and not one.expressions}
