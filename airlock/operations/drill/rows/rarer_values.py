"""Values that not every column of an extension's type, of arrays or of rows, holds: taken out where an upgrade stops.

A path of one label, a network in place of an address, an array with a NULL or with one value twice, a composite value without
one part: a project's rows may have none. The proof's note names their columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.drivers.spelling import mentions, quoted
from airlock.operations.drill.rows.values_replaced import Unusual, one_replaced, replaced
from airlock.samples.extension_types import rarer_values_of
from airlock.samples.values import values_for

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from airlock.operations.drill.state import Ledger
    from airlock.samples.model import Column

# Tried by themselves; of more it is not told which of them it was.
_MOST_ALONE = 12


@dataclass(frozen=True, slots=True)
class _Rarer:
    """One such value; `named` where the revision names its column, `takes_turns` in an array or a composite value."""

    value: Unusual
    named: bool
    takes_turns: bool


def without(ledger: Ledger, names: Collection[str], source: str, goes: Callable[[], bool]) -> tuple[str, ...]:
    """Replace rarer values in some tables by a usual one until `goes` is true; return the columns, () where it never was.

    One value by itself at first, of the columns that the `source` of a revision names; then, of arrays and composite values,
    one more after the other; then all. Commits.
    """
    found = tuple(_rarer(ledger, names, source))
    named = [one for one in found if one.named][:_MOST_ALONE][::-1]
    alone = one_replaced(ledger, (one.value for one in named), goes)
    if alone:
        return alone
    changed: dict[str, None] = {}
    for one in named:
        more = replaced(ledger, [one.value]) if one.takes_turns else {}
        changed |= more
        if more and goes():
            return tuple(changed)
    changed |= replaced(ledger, (one.value for one in found))
    return tuple(changed) if changed and goes() else ()


def _rarer(ledger: Ledger, names: Collection[str], source: str) -> Iterator[_Rarer]:
    """List them; of arrays and composite values in the order in which an upgrade is least likely to fail on them."""
    for table in ledger.tables(names):
        kept = {name for unique in table.uniques for name in unique.columns}
        for column in table.columns:
            made_of_others = column.is_array or column.kind == "c"
            has_rarer = (
                (made_of_others and mentions(source, column.name)) or _has_rarer(column)
            ) and column.name not in kept
            known = values_for(column, table.label) if has_rarer else None
            if known is not None:
                usual = known.generators[0].at("1")
                edges = known.edges
                if made_of_others:
                    # An array that is empty stops nothing; NULLs do.
                    edges = (*edges[:1], *reversed(edges[1:])) if column.is_array else edges[::-1]
                for edge in edges:
                    name, label = quoted(column.name), f"{table.label}.{column.name}"
                    value = Unusual(table.sql, name, f"{name}::text = ({edge})::text", usual, edge, label)
                    yield _Rarer(value, mentions(source, column.name), made_of_others)


def _has_rarer(column: Column) -> bool:
    return bool(column.forms or rarer_values_of(column.full.removesuffix("[]")))
