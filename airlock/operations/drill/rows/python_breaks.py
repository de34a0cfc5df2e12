"""Values on which a revision's Python breaks, taken out where an upgrade does not go through with them.

A NULL, an empty text, a number below 1, a document that is no object: a project's rows may have none where its code expects
none. As few as it takes are replaced, since what is left of them shows what a revision loses.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.drivers import client
from airlock.drivers.spelling import mentions, quoted
from airlock.samples.builtin_types import BY_TYPE
from airlock.samples.values import document, null_of, values_for

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from airlock.operations.drill.state import Ledger
    from airlock.samples.model import Column

_MOST_ALONE = 8
_DOCUMENTS = frozenset({"json", "jsonb"})


@dataclass(frozen=True, slots=True)
class _Unexpected:
    """What a condition finds in a column, the usual value that takes its place, and the value itself where it is but one."""

    table: str
    column: str
    where: str
    usual: str
    value: str
    label: str


def without(ledger: Ledger, names: Collection[str], source: str, goes: Callable[[], bool]) -> tuple[str, ...]:
    """Replace them in the columns that a revision's `source` names until `goes` is true; return the columns, else ().

    NULLs of one column by themselves at first; then all of them, and then all others. Commits.
    """
    found = tuple(_unexpected(ledger, names, source))
    nulls = [one for one in found if one.value]
    for one in nulls[:_MOST_ALONE]:
        places = _replace(ledger, one, one.usual, one.where)
        if places and goes():
            return (one.label,)
        if places:
            _replace(ledger, one, one.value, f"ctid = ANY (ARRAY[{', '.join(places)}]::tid[])")
    changed: dict[str, None] = {}
    for some in (nulls, [one for one in found if not one.value]):
        more = dict.fromkeys(one.label for one in some if _replace(ledger, one, one.usual, one.where))
        changed |= more
        if more and goes():
            return tuple(changed)
    return ()


def _unexpected(ledger: Ledger, names: Collection[str], source: str) -> Iterator[_Unexpected]:
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
                yield _Unexpected(table.sql, name, where, usual, value, f"{table.label}.{column.name}")


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


def _replace(ledger: Ledger, one: _Unexpected, value: str, where: str) -> list[str]:
    """Set the column in the rows of a condition; return where those rows are now, none where a CHECK refuses it."""
    with contextlib.suppress(client.Error), ledger.writing.cursor() as cursor:
        cursor.execute(f"UPDATE {one.table} SET {one.column} = {value} WHERE {where} RETURNING ctid::text")
        return [f"'{place}'" for (place,) in cursor.fetchall()]
    return []
