"""Values at the edge of their type, taken out where an upgrade computes past it: `n + 1` of the largest integer.

The revision would fail on such rows of the target too: the proof's note says so. Keys keep theirs, but for a large number.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airlock.database.server_errors import sqlstate
from airlock.drivers import client
from airlock.drivers.spelling import literal, mentions, quoted
from airlock.operations.downgrade.casts import ANY_TEXT
from airlock.operations.drill.failures import TooManyRounds, is_endless
from airlock.samples.digests import key_sql
from airlock.samples.plan import LARGE_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airlock.samples.model import Column, Table

# numeric_value_out_of_range, datetime_field_overflow, interval_field_overflow, and check_violation: a bound of the
# project's own (PostgreSQL manual, "Error Codes").
_PAST_THE_EDGE = frozenset({"22003", "22008", "22015", "23514"})
# program_limit_exceeded: `repeat` or `array_fill` of the largest integer.
_LIMIT = "54000"
# string_data_right_truncation; a text is ordinary up to so many characters.
_TOO_LONG, ORDINARY = "22001", 20
# What Python's dates say past the year 9999.
_OUT_OF_RANGE = re.compile(r"out of range|must be in 1\.\.9999")
# Past those that samples count up to, and none of them when it is tamed.
_LARGE_KEY = ("c > 100000", "c % 50000 + 50000")
# A type's condition for being near its edge, and what such a value becomes.
_TAMED = {
    "smallint": ("abs(c::integer) > 100", "c % 100"),
    "integer": ("abs(c::bigint) > 100000", "c % 1000"),
    "bigint": ("abs(c::numeric) > 100000", "c % 1000"),
    "real": ("abs(c) > 1e15 OR (c <> 0 AND abs(c) < 1e-15)", "sign(c) * 1500"),
    "double precision": ("abs(c) > 1e15 OR (c <> 0 AND abs(c) < 1e-15)", "sign(c) * 1500"),
    "date": ("c > '2100-01-01' OR c < '1950-01-01'", "'2031-01-31'"),
    "timestamp without time zone": ("c > '2100-01-01' OR c < '1950-01-01'", "'2031-01-31 12:00'"),
    "timestamp with time zone": ("c > '2100-01-01' OR c < '1950-01-01'", "'2031-01-31 12:00+00'"),
    # No place on the earth, as a rule.
    "point": ("abs(c[0]) > 180 OR abs(c[1]) > 180", "point(0.123456789, -7.25)"),
    "interval": ("c > '1 year'", "'1 day'"),
}
# Of numbers that a series, a loop or a text is as long as.
_FEW = ("c NOT BETWEEN -20 AND 20", "c % 20")
_WHOLE = frozenset({"smallint", "integer", "bigint"})


def makes_too_much(error: BaseException) -> bool:
    """Tell whether an upgrade made too much of a number: rows of a series, rounds of a loop, a text as long."""
    return sqlstate(error) == _LIMIT or isinstance(error, TooManyRounds) or is_endless(error)


def is_past_the_edge(error: BaseException) -> bool:
    """Tell whether an upgrade failed because a value left the range of its type, or went on up to the largest key or last day."""
    in_python = isinstance(error, OverflowError) or (
        isinstance(error, ValueError) and _OUT_OF_RANGE.search(str(error)) is not None
    )
    return sqlstate(error) in _PAST_THE_EDGE or in_python or makes_too_much(error)


def is_too_long(error: BaseException) -> bool:
    """Tell whether an upgrade failed because a text that it made has no room in its column."""
    return sqlstate(error) == _TOO_LONG


def tame(
    connection: client.Connection,
    tables: Iterable[Table],
    *,
    texts: int = 0,
    source: str = "",
    small: bool = False,
    few: bool = False,
) -> tuple[str, ...]:
    """Replace values near the edge of their type in some tables; commit, and return the columns that were changed.

    Texts longer than `texts`, and than half of their column, are shortened, in place of all others; `small` has numbers of a
    given precision so small that products and sums of them have room in another, `few` whole numbers so small that a series
    may go up to them. Columns are spared that a revision's `source` may give another type by an expression: what it cuts of
    their values would not be seen.
    Columns of keys are left alone, but for the large number of a key of one column; so are those whose CHECKs refuse the
    ordinary value.
    """
    found = tamed(connection, tables, texts=texts, source=source, small=small, few=few)
    return tuple(column for column, _ in found)


def tamed(
    connection: client.Connection,
    tables: Iterable[Table],
    *,
    texts: int = 0,
    source: str = "",
    small: bool = False,
    few: bool = False,
    keys: bool = True,
) -> Iterator[tuple[str, list[str]]]:
    """Replace values as `tame` does, but those of keys where not `keys`; give each column with what undoes it. Commits."""
    for table in tables:
        referring = {name for key in table.foreign_keys for name in key.columns}
        kept = {name for unique in table.uniques for name in unique.columns} | referring
        numbers = {one.columns[0] for one in table.uniques if len(one.columns) == 1} - referring
        for column in table.columns:
            edge = _long(column, texts) if texts else _edge(column, small=small, few=few)
            if keys and column.name in numbers and column.type in LARGE_KEYS and not texts:
                edge = _LARGE_KEY
            elif column.name in kept:
                continue
            if edge is None or column.identity or _is_converted(source, column.name):
                continue
            condition, value = edge
            name = quoted(column.name)
            key = key_sql(table.key) if table.key else "''"
            statement = (
                f"UPDATE {table.sql} AS t SET {name} = x.airlock_tamed FROM (SELECT airlock_home, airlock_place, "
                f"quote_literal(c) AS airlock_own, ({value})::{column.type} AS airlock_tamed FROM "
                f"(SELECT tableoid AS airlock_home, ctid AS airlock_place, {name} AS c FROM {table.rows_sql}) AS y "
                f"WHERE {condition}) AS x WHERE t.ctid = airlock_place AND t.tableoid = airlock_home "
                f"RETURNING {key}, airlock_own"
            )
            try:
                with connection.cursor() as cursor:
                    rows = client.rows(cursor, statement)
            except client.Error:
                continue
            if rows:
                yield (
                    f"{table.label}.{column.name}",
                    [
                        f"UPDATE {table.sql} SET {name} = {own} WHERE {key} = {literal(str(it))}"
                        for it, own in rows
                    ],
                )


def _is_converted(source: str, name: str) -> bool:
    again = re.search(rf"(?i)(?<!\w){re.escape(name)}(?!\w)\W+(?:set\s+data\s+)?type\b[^;]*\busing\b", source)
    return again is not None or ("postgresql_using" in source and mentions(source, name))


def _long(column: Column, most: int) -> tuple[str, str] | None:
    if column.type not in ANY_TEXT:
        return None
    most = min(most, max((column.length or 2 * most) // 2, 1))
    # The end of a sample tells it from others.
    return f"length(c) > {most}", f"{'left' if most == ORDINARY else 'right'}(c, {most})"


def _edge(column: Column, *, small: bool, few: bool) -> tuple[str, str] | None:
    if few and column.type in _WHOLE:
        return _FEW
    if column.type == "numeric" and small:
        return "abs(c) >= 10", "c % 10"
    if column.type == "numeric" and column.length is not None:
        whole = max(column.length - (column.scale or 0), 0)
        return f"abs(c) >= 5 * 10::numeric ^ {whole - 1}", f"trunc(c / 10, {max(column.scale or 0, 0)})"
    return _TAMED.get(column.type)
