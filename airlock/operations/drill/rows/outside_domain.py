"""Numbers that a division or a function does not take, replaced where an upgrade fails on them: `a / 0`, `ln(0)`, `sqrt(-1)`.

The revision would fail on such rows of the target too: the proof's note names their columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.database.server_errors import sqlstate
from airlock.drivers.spelling import mentions, quoted
from airlock.operations.drill.rows.values_replaced import Unusual, one_replaced, replaced
from airlock.samples.values import values_for

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from airlock.operations.drill.state import Ledger

# division_by_zero, the arguments of logarithm, power, width_bucket, substring, ntile and nth_value, LIMIT and OFFSET,
# array_subscript_error (PostgreSQL manual, "Error Codes").
_STATES = frozenset({
    "22012", "2201E", "2201F", "2201G", "22011", "22014", "22016", "2201W", "2201X", "2202E",
})  # fmt: skip
_ZERO = "0"
# The rarest in a project's rows first.
_BELOW = ("= 0", "< 0", "< 1")


def is_outside(error: BaseException) -> bool:
    """Tell whether a step failed because a number lay outside of what it computes with."""
    return isinstance(error, ZeroDivisionError) or sqlstate(error) in _STATES


def without(ledger: Ledger, names: Collection[str], source: str, goes: Callable[[], bool]) -> tuple[str, ...]:
    """Replace them in the columns that a revision's `source` names until `goes` is true, if it ever is; return the columns.

    The zeros of one column by themselves at first; then all zeros, with them what is negative, and what is below 1. Commits.
    """
    found = tuple(_numbers(ledger, names, source))
    alone = one_replaced(ledger, (one for one in found if one.value), goes)
    if alone:
        return alone
    changed: dict[str, None] = {}
    for below in _BELOW:
        more = replaced(ledger, (one for one in found if one.where.endswith(below)))
        changed |= more
        if more and goes():
            break
    return tuple(changed)


def rarest_first(ledger: Ledger, names: Collection[str], source: str) -> Iterator[list[Unusual]]:
    """Tell of all zeros in columns that `source` names, then of what is negative there, then of what is below 1."""
    found = tuple(_numbers(ledger, names, source))
    yield from ([one for one in found if one.where.endswith(below)] for below in _BELOW)


def _numbers(ledger: Ledger, names: Collection[str], source: str) -> Iterator[Unusual]:
    for table in ledger.tables(names):
        kept = {name for unique in table.uniques for name in unique.columns}
        kept |= {name for key in table.foreign_keys for name in key.columns}
        for column in table.columns:
            is_number = column.category == "N" and not column.is_array and not column.identity
            known = values_for(column, table.label) if is_number and column.name not in kept else None
            if known is None or not mentions(source, column.name):
                continue
            name, usual = quoted(column.name), known.generators[0].at("1")
            for below in _BELOW:
                value = _ZERO if below == "= 0" else ""
                yield Unusual(
                    table.sql, name, f"{name} {below}", usual, value, f"{table.label}.{column.name}"
                )
