"""Rows that are there, given other values where no second row can be made.

Of '' a unique column holds one, and `if not row.slug` takes it as it takes NULL: that row is to be among those which a statement,
or a branch, chooses. A table whose triggers let no new row in is to have one that a statement leaves. And of the rows that a
statement puts together with those of another table some are to hold 0, less than that, nothing.
"""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Any

from airlock.drivers import client
from airlock.drivers.spelling import literal, quoted
from airlock.operations.drill.rows import python_conditions
from airlock.operations.drill.rows.constants_of_statements import CERTAIN, of_strength
from airlock.operations.drill.rows.constants_read import constants
from airlock.operations.drill.rows.rows_chosen import at_places, conditions, words_of
from airlock.operations.drill.rows.telling_calls import is_joined
from airlock.samples.constants import Constants, candidates
from airlock.samples.digests import key_sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airlock.operations.drill.rows.constants_of_statements import Named
    from airlock.operations.drill.rows.python_conditions import Held
    from airlock.recorder.branches import Scope
    from airlock.recorder.row_changes import DataStatement
    from airlock.samples import Table
    from airlock.samples.model import Column

_MOST, _MOST_COLUMNS = 12, 3
# By the category of a type: what a row holds that may be given another value, and which ones.
_EDGES = {"N": ("{} > 0", ("0", "-1")), "S": ("{} <> ''", ("''",))}


def turn(
    cursor: Any, table: Table, data: DataStatement, together: Iterable[Held], made: Sequence[str]
) -> list[str]:
    """Have such rows be chosen by a statement, and come into the branches that `together` tells of; return how to undo it.

    Of rows that were `made`, which are known by their places, none is changed. Writes nothing where a row is chosen already,
    where none is, or where a constraint wants it as it is.
    """
    free = _free(table, made)
    undoing = _chosen(cursor, table, data, free)
    for one in together:
        for values in python_conditions.spelled(table, one):
            for name in values.keys() & table.alone:
                others = {quoted(it): value for it, value in values.items() if it != name}
                if others:
                    where = f"{quoted(name)} = {values[name]} AND {free}"
                    undoing += _turned(cursor, table, where, others, f"ROW ({', '.join(others.values())})")
    return undoing


def _free(table: Table, made: Sequence[str]) -> str:
    return f"NOT {at_places(table.sql, made)}" if made else "true"


def _chosen(cursor: Any, table: Table, data: DataStatement, free: str) -> list[str]:
    """Give the row that holds '' in a unique column what a chosen row holds in the columns that the condition names."""
    read = words_of(data.whole)
    empty = [
        quoted(one.name)
        for one in table.columns
        if one.name in table.alone and one.category == "S" and one.name.lower() in read
    ]
    asked = _asked(table, data) if empty else None
    if asked is None:
        return []
    scope, alias, condition = asked
    given = [quoted(one.name) for one in _free_to_change(table, condition)]
    theirs = ", ".join(f"{alias}.{one}" for one in given)
    chosen = f"{scope.prefix} SELECT {theirs} FROM {scope.source} WHERE ({condition})"
    return [
        undo
        for name in (empty if given else ())
        for undo in _turned(
            cursor, table, f"{name} = '' AND {free} AND EXISTS ({chosen}) AND NOT EXISTS ({chosen} AND {alias}.{name} = '')",
            given, f"({chosen} LIMIT 1)",
        )
    ]  # fmt: skip


def _asked(table: Table, data: DataStatement) -> tuple[Scope, str, str] | None:
    """Find the first condition that the statement has on rows of the table."""
    return next((one for one in conditions(data, table) if one[0].condition), None)


def _free_to_change(table: Table, condition: str) -> list[Column]:
    """List the columns that a condition names and no key or sequence holds."""
    words, unique = words_of(condition), {name for one in table.uniques for name in one.columns}
    return [
        one
        for one in table.columns
        if one.name.lower() in words and one.name not in unique and not one.handed_out
    ]


def complete(cursor: Any, table: Table, data: DataStatement, sure: Named) -> list[str]:
    """Have a row be chosen where none is, and one be left where all are, by a value that the condition tells apart.

    For a table that took no row made for that; by no value that may be the upgrade's own. Returns how to undo it.
    """
    asked = _asked(table, data)
    if asked is None:
        return []
    scope, _, condition = asked
    columns = _free_to_change(table, condition)
    named = of_strength(constants(condition), sure, CERTAIN, Constants())
    undoing: list[str] = []
    for wanted in (f"({condition})", f"({condition}) IS NOT TRUE", f"({condition}) IS FALSE"):
        question = f"{scope.prefix} SELECT EXISTS (SELECT FROM {scope.source} WHERE {wanted})"
        # What names a column that is yet to come cannot be asked.
        if client.in_savepoint(cursor, functools.partial(client.rows, cursor, question)) != [(False,)]:
            continue
        tries = ((one, value) for one in columns for value in candidates(one, named)[:_MOST])
        undoing += next(filter(None, (_until(cursor, table, *one, question) for one in tries)), [])
    return undoing


def hold_edges(cursor: Any, table: Table, data: DataStatement) -> list[str]:
    """Have 0, a number below it, an empty text and NULL held by a row each that the statement joins; return how to undo it.

    Of each column that it names, where no such row holds it already and another is left that holds more.
    """
    words, undoing = words_of(data.whole), []
    referring = {name for key in table.foreign_keys for name in key.columns}
    unique = {name for one in table.uniques for name in one.columns}
    columns = [
        one
        for one in table.columns
        if one.name.lower() in words and one.name not in unique | referring and not one.handed_out
    ]
    scopes = dict.fromkeys((scope, alias) for scope, alias, _ in conditions(data, table) if is_joined(scope))
    for (scope, alias), one in itertools.product(scopes, columns[:_MOST_COLUMNS]):
        name = f"{alias}.{quoted(one.name)}"
        usual, edges = _EDGES.get(one.category, ("{} IS NOT NULL", ()))
        # A row that meets several partners is one row: another is to be left as it is.
        source = f"{scope.prefix} SELECT DISTINCT {alias}.ctid FROM {scope.source} WHERE {scope.condition or 'true'}"
        for edge in (*edges, *(["NULL"] if one.nullable else [])):
            others = f"{source} AND {usual.format(name)}"
            question = (
                f"SELECT (SELECT count(*) FROM ({others} LIMIT 2) AS o) = 2 "
                f"AND NOT EXISTS ({source} AND {name} IS NOT DISTINCT FROM {edge})"
            )
            if client.in_savepoint(cursor, functools.partial(client.rows, cursor, question)) == [(True,)]:
                first = f"ctid = (SELECT min(ctid) FROM ({others}) AS o)"
                undoing += _turned(cursor, table, first, [quoted(one.name)], f"ROW ({edge})")
    return undoing


def _until(cursor: Any, table: Table, column: Column, value: str, question: str) -> list[str]:
    """Give the first row, which was not made for it, a value, where that answers the question; else leave all in place."""
    first = f"ctid = (SELECT min(ctid) FROM {table.sql})"
    cursor.execute("SAVEPOINT airlock_until")
    undoing = _turned(cursor, table, first, [quoted(column.name)], f"ROW ({value})")
    answers = client.in_savepoint(cursor, functools.partial(client.rows, cursor, question)) if undoing else []
    if answers != [(True,)]:
        # Rows are copied in the order in which they lie.
        cursor.execute("ROLLBACK TO SAVEPOINT airlock_until")
        undoing = []
    cursor.execute("RELEASE SAVEPOINT airlock_until")
    return undoing


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
