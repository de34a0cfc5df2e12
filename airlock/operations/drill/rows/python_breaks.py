"""Values on which a revision's Python breaks, taken out where an upgrade does not go through with them.

A NULL, an empty text, a number below 1, a document that is no object: a project's rows may have none where its code expects
none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.drivers.spelling import mentions, quoted
from airlock.operations.drill.rows.values_replaced import Unusual, one_replaced, replaced
from airlock.samples.builtin_types import BY_TYPE
from airlock.samples.values import document, null_of, values_for

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from airlock.operations.drill.state import Ledger
    from airlock.samples.model import Column

_MOST_ALONE = 8
_DOCUMENTS = frozenset({"json", "jsonb"})


def without(ledger: Ledger, names: Collection[str], source: str, goes: Callable[[], bool]) -> tuple[str, ...]:
    """Replace them in the columns that a revision's `source` names until `goes` is true; return the columns, else ().

    NULLs of one column by themselves at first; then all of them, and then all others. Commits.
    """
    found = tuple(_unexpected(ledger, names, source))
    nulls = [one for one in found if one.value]
    alone = one_replaced(ledger, nulls[:_MOST_ALONE], goes)
    if alone:
        return alone
    changed: dict[str, None] = {}
    for some in (nulls, [one for one in found if not one.value]):
        more = replaced(ledger, some)
        changed |= more
        if more and goes():
            return tuple(changed)
    return ()


def _unexpected(ledger: Ledger, names: Collection[str], source: str) -> Iterator[Unusual]:
    for table in ledger.tables(names):
        kept = {name for unique in table.uniques for name in unique.columns}
        kept |= {name for key in table.foreign_keys for name in key.columns}
        for column in table.columns:
            if column.name in kept or column.identity or not mentions(source, column.name):
                continue
            known = values_for(column, table.label)
            if known is None:
                continue
            name, usual = quoted(column.name), known.generators[0].at("1")
            if _is_open(column):
                usual = f"({BY_TYPE[column.type].generators[0].at('1')})::{column.type}"
            for where, value in _conditions(column, name):
                yield Unusual(table.sql, name, where, usual, value, f"{table.label}.{column.name}")


def _conditions(column: Column, name: str) -> Iterator[tuple[str, str]]:
    if column.nullable:
        yield f"{name} IS NULL", null_of(column)
    if _is_open(column):
        yield f"jsonb_typeof({name}::jsonb) <> 'object'", ""
    if column.category == "N" and not column.is_array:
        yield f"{name}::numeric < 1", ""
    if column.category == "S":
        yield f"btrim({name}::text) = ''", ""


def _is_open(column: Column) -> bool:
    return column.type in _DOCUMENTS and not document(column)
