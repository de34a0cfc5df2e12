"""Values that a statement computes: what it compares a column with, of the row's own others, and the numbers next to the largest.

`due = issued + 14` is true of no row that holds constants, and `version <= max(version) - 3` tells rows of one group apart
whose numbers follow each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.drivers.spelling import quoted
from airlock.operations.drill.rows.rows_chosen import conditions, parts, words_of
from airlock.recorder.tokens import NAME, WORD, identifier, tokens

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from airlock.recorder.row_changes import DataStatement
    from airlock.recorder.tokens import Token
    from airlock.samples import Table
    from airlock.samples.model import Column

# Before what is computed of the row itself, which is then given it.
SAME = "the same as "
_LIKE = frozenset({"LIKE", "ILIKE"})
_ORDERED = frozenset({"max", "min", "lag", "lead", "first_value", "last_value", "by"})
_COUNTED = frozenset({"smallint", "integer", "bigint", "date"})
_MOST_NEXT = 8


def equal_to(table: Table, data: DataStatement) -> Iterator[tuple[str, str]]:
    """Give columns with what a condition wants them to equal, or to be like, where that is computed of the row's own columns."""
    names = {one.name.lower(): one for one in table.columns}
    found: dict[tuple[str, str], None] = {}
    for _, alias, condition in conditions(data, table):
        for part in parts(condition):
            for column, value in _sides(part, alias, names):
                found[column, f"{SAME}({value})::{names[column.lower()].full}"] = None
    yield from found


def _sides(part: str, alias: str, names: Collection[str]) -> Iterator[tuple[str, str]]:
    some = tokens(part)
    depth = min((one.depth for one in some), default=0)
    signs = [
        at for at, one in enumerate(some) if one.depth == depth and (one.text == "=" or one.word in _LIKE)
    ]
    if len(signs) != 1 or any(one.word in ("SELECT", "NOT", "OR") for one in some):
        return
    left, right = some[: signs[0]], some[signs[0] + 1 :]
    both = ((left, right), (right, left)) if some[signs[0]].text == "=" else ((left, right),)
    for one, other in both:
        column = _column(one, alias, names)
        if column is not None and len(other) > 1 and _column(other, alias, names) is None:
            value = _of_the_row(part, other, alias)
            if words_of(value) & set(names):
                yield column, value


def _column(some: Sequence[Token], alias: str, names: Collection[str]) -> str | None:
    """Tell which column of the table some tokens are, alone or behind its alias."""
    if len(some) == 3 and some[1].text == "." and some[0].text.lower() == alias.lower():
        some = some[2:]
    if len(some) != 1 or some[0].kind not in (WORD, NAME):
        return None
    return found if (found := identifier(some[0])) in names else None


def _of_the_row(part: str, some: Sequence[Token], alias: str) -> str:
    """Spell an expression with the table called `t`."""
    start, spelled = some[0].start, ""
    for at, token in enumerate(some[:-1]):
        if token.text.lower() == alias.lower() and some[at + 1].text == ".":
            spelled += f"{part[start : token.start]}t"
            start = token.end
    return spelled + part[start : some[-1].end]


def next_to_the_largest(
    table: Table, columns: Sequence[Column], text: str, numbers: Collection[str]
) -> list[dict[str, str]]:
    """Give the largest value of each column that a text orders rows by, and those before it: for rows alike in all else."""
    some = tokens(text)
    ordered = set()
    for at, token in enumerate(some):
        if token.text.lower() in _ORDERED and token.kind == WORD:
            behind = [one for one in some[at + 1 : at + 5] if one.text not in ("(", ".")]
            ordered |= {identifier(one) for one in behind[:2] if one.kind in (WORD, NAME)}
    small = [int(one) for one in numbers if one.isdigit() and int(one) <= _MOST_NEXT]
    referring = {name for key in table.foreign_keys for name in key.columns}
    return [
        {one.name: f"(SELECT max(x.{quoted(one.name)}) FROM {table.sql} AS x) - {less}"}
        for one in columns
        if one.type in _COUNTED
        and one.name in ordered
        and one.name not in table.alone | referring
        and not one.handed_out
        for less in range(max([2, *small]) + 2)
    ]
