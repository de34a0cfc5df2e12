"""Rows that a condition chooses, with rarer values of their type in the columns that the statement computes with.

Sample rows hold those values, but a condition about another column seldom chooses them: `SET at = at + interval '1 month'
WHERE kind = 'late'` loses the last days of months, and no row of that kind has one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airlock.operations.drill.rows.rows_chosen import conditions, places, words_of
from airlock.recorder.tokens import NUMBER, STRING, tokens
from airlock.samples.builtin_types import NOT_AS_BEFORE
from airlock.samples.values import null_of, values_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airlock.recorder.row_changes import DataStatement
    from airlock.samples import Table
    from airlock.samples.model import Column

_MOST_CONDITIONS, _MOST_COLUMNS, _MOST_MEMBERS = 4, 5, 3
# What stands for a member of an array in a statement.
_MEMBERS = {
    "text": STRING, "character varying": STRING, "citext": STRING, "integer": NUMBER, "bigint": NUMBER, "smallint": NUMBER,
}  # fmt: skip
# Beside the edges: the last of a month with a shorter one behind it, days that are spelled as hours.
_MORE = {
    "date": ("'2023-01-31'",),
    "timestamp without time zone": ("'2023-01-31 23:30:00.5'",),
    "timestamp with time zone": ("'2023-01-31 23:30:00.5+00'",),
    "interval": ("'36:00:00'", "'45 days'"),
}
# Large ones with room above and below: a step that goes past the edge with one says nothing of the rows that there are.
_NUMBERS = {
    "smallint": ("0", "-1", "16387"),
    "integer": ("0", "-1", "1073741827"),
    "bigint": ("0", "-1", "1073741827"),
    "real": ("0", "-1.5", "1234567.9", "0.1", *NOT_AS_BEFORE["real"]),
    "double precision": (
        "0", "-1.5", "'-0'", "0.1", "0.29", "0.30000000000000004", *NOT_AS_BEFORE["double precision"],
    ),
}  # fmt: skip
_SMALL, _SHORT = 3, ("'x'", "''", "' '", "' a B '", "'É'")
_LARGEST = re.compile(r"\(-?[9.]+\)::")
_FEW_TELL = frozenset({"boolean", "uuid"})


def varied(
    cursor: Any,
    table: Table,
    data: DataStatement,
    among: Sequence[str],
    hours: Mapping[str, Sequence[str]],
    *,
    texts: bool,
    usual: bool,
) -> Iterator[tuple[str, dict[str, str]]]:
    """Give the rows to make: the place of one that a condition chooses `among` some, to be copied, and its other value.

    `hours` are those that time zones skip or have twice, by type: of a statement that goes from one to another.
    Of `texts` no values are given where the upgrade was seen to fail on them; `usual` has none that go near an edge: large
    ones, long ones. Reads only.
    """
    words = words_of(data.whole)
    uniques = (name for one in table.uniques for name in one.columns)
    bound = {*uniques, *(name for one in table.foreign_keys for name in one.columns)}
    columns = [
        column
        for column in table.columns
        if (column.name.lower() in words or "*" in data.whole)
        and column.name not in bound
        and not column.handed_out
        and column.type not in _FEW_TELL
        and column.kind == "b"
        and (texts or column.category != "S")
    ][:_MOST_COLUMNS]
    told = 0
    for scope, alias, condition in conditions(data, table) if columns else ():
        if condition == "true" or told == _MOST_CONDITIONS:
            continue
        met = places(cursor, scope, alias, condition, among)
        told += bool(met)
        for column in columns if met else ():
            odd = hours.get(column.type, ()) if "zone" in words or "timezone" in words else ()
            values = (
                *_values(column, table, usual=usual),
                *_members(column, data),
                *(f"{it}::{column.type}" for it in odd),
            )
            yield from ((met[0], {column.name: value}) for value in values)


def _members(column: Column, data: DataStatement) -> Iterator[str]:
    """Give an array the members that the statement names: what removes or replaces them changes no other array."""
    kind = _MEMBERS.get(column.type.removesuffix("[]")) if column.type.endswith("[]") else None
    named = dict.fromkeys(one.text for one in tokens(data.whole) if kind and one.kind == kind)
    yield from (f"ARRAY[{one}, {one}]::{column.type}" for one in [*named][:_MOST_MEMBERS])


def _values(column: Column, table: Table, *, usual: bool) -> Iterator[str]:
    if column.nullable:
        yield null_of(column)
    yield from (f"({value})::{column.type}" for value in _MORE.get(column.type, ()))
    if column.type in _NUMBERS:
        numbers = [
            one for one in _NUMBERS[column.type] if not (usual and len(one.partition(".")[0]) > _SMALL)
        ]
        yield from (f"({value})::{column.type}" for value in numbers)
        return
    if usual and column.category == "S":
        yield from (f"{value}::{column.type}" for value in _SHORT)
        return
    found = values_for(column, table.label)
    if found is not None:
        # Of texts not the longest: what cuts them names a length, and rows are made of that.
        edges = found.edges[:-1] if column.category == "S" else found.edges
        yield from (one for one in edges if column.type != "numeric" or not _LARGEST.match(one))
