"""Values that a rule below refuses as they are, and that the way down translates before it lays the rule on.

`open` that becomes NEW and goes back breaks the CHECK below in every row, and no row is in its way: what stands in the way
is a value that both ways' own UPDATEs do not give back, or that the rule refuses when they are through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.drivers.spelling import quoted
from airlock.operations.drill.rows.computed_back import with_value
from airlock.recorder.row_changes import UPDATE
from airlock.recorder.tokens import NAME, WORD, identifier, tokens

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from airlock.operations.downgrade.snapshot import Column
    from airlock.recorder.row_changes import DataStatement

# Each UPDATE with a WHERE doubles it.
_LONGEST = 20_000


def translated(
    condition: str, column: Column, below: Column, up: Sequence[DataStatement], down: Sequence[DataStatement]
) -> str | None:
    """Spell a CHECK's condition of what UPDATEs make of a column, or lose of it; None where they do not tell. Pure.

    `column` is above the step, `below` the same one below it; `up` and `down` are the data statements of both ways, as sent.
    """
    if (column.name, column.type) != (below.name, below.type):
        return None
    names = {column.table, below.table}
    value = quoted(column.name)
    there = _after(column.name, names, down, value)
    if there is None or there == value:
        return None
    again = _after(column.name, names, up, f"({there})")
    if again is None:
        return None
    breaks = with_value(condition, (column.name,), f"({there})")
    return f"CASE WHEN {breaks} THEN true ELSE ({again})::text IS DISTINCT FROM {value}::text END"


def _after(name: str, tables: Collection[str], statements: Sequence[DataStatement], value: str) -> str | None:
    """Spell what a column holds after some statements that held `value` before; None where their text does not tell."""
    for one in statements:
        given = dict(one.given)
        if one.relation not in tables or one.kind == "INSERT":
            continue
        if one.kind != UPDATE or one.around or one.scope is None:
            return None
        if name not in given:
            continue
        where = one.scope.condition
        words = {
            identifier(token) for token in tokens(f"{given[name]} {where}") if token.kind in (WORD, NAME)
        }
        # Of other tables, or of other columns that the statements change: not of this value alone.
        others = {column for other in statements for column, _ in other.given} - {name}
        if one.scope.prefix or one.scope.source != one.scope.mine or words & {"select", *others}:
            return None
        made = with_value(given[name], (name,), value)
        value = (
            f"CASE WHEN {with_value(where, (name,), value)} THEN {made} ELSE {value} END" if where else made
        )
        if len(value) > _LONGEST:
            return None
    return value
