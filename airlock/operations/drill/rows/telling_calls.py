"""Expressions that treat some rows otherwise than most: what COALESCE falls back for, NULLIF takes out, a range is empty of.

No branch of the statement, and none must be met: rows are made for them where the table lets them be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.recorder.branches import Branch
from airlock.recorder.tokens import NAME, WORD, closing, span, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airlock.recorder.branches import Scope
    from airlock.recorder.row_changes import DataStatement
    from airlock.recorder.tokens import Token

_MOST = 12
_RANGES = frozenset({"INT4RANGE", "INT8RANGE", "NUMRANGE", "DATERANGE", "TSRANGE", "TSTZRANGE"})
_QUERIES = frozenset({"SELECT", "WITH"})
# Before a query that is no value.
_NO_VALUE = frozenset({
    "EXISTS", "IN", "ANY", "ALL", "SOME", "ARRAY", "FROM", "JOIN", "LATERAL", "AS", "USING", "MATERIALIZED", "INTO",
})  # fmt: skip


def told_apart(data: DataStatement) -> tuple[Branch, ...]:
    """List conditions, without a label, of the rows that calls and queries of a data statement treat otherwise."""
    if data.scope is None:
        return ()
    found = dict.fromkeys(_conditions(data.text, tokens(data.text)))
    return tuple(Branch("", one, data.scope) for one in list(found)[:_MOST])


def joins(data: DataStatement) -> bool:
    """Tell whether a statement puts rows of several tables together."""
    return data.scope is not None and is_joined(data.scope)


def is_joined(scope: Scope) -> bool:
    """Tell whether the rows of a scope are put together from several tables."""
    return any(token.text == "," or token.word == "JOIN" for token in tokens(scope.source))


def _conditions(sql: str, some: Sequence[Token]) -> Iterator[str]:
    for at, token in enumerate(some[:-1]):
        if some[at + 1].text == "(" and token.kind == WORD:
            inside = some[at + 2 : closing(some, at + 1)]
            yield from _of_call(token.word, [span(sql, one) for one in _arguments(inside) if _reads(one)])
        elif token.text == "(" and some[at + 1].word in _QUERIES and at and not _is_no_value(some, at):
            # The partner that a row lacks.
            yield f"NOT EXISTS {span(sql, some[at : closing(some, at) + 1])}"


def _is_no_value(some: Sequence[Token], at: int) -> bool:
    before = some[at - 1]
    return before.word in _NO_VALUE or (
        before.text == "," and "FROM" in {one.word for one in some[:at] if one.depth == before.depth}
    )


def _of_call(name: str, given: Sequence[str]) -> Iterator[str]:
    if name == "COALESCE" and given:
        yield f"({given[0]}) IS NULL"
    if len(given) < 2:
        return
    first, second = given[:2]
    if name == "COALESCE":
        yield f"({first}) IS NOT NULL AND ({second}) IS NOT NULL"
    elif name == "NULLIF" or name in _RANGES:
        yield f"({first}) = ({second})"
    elif name in ("GREATEST", "LEAST"):
        yield f"({first}) > ({second})"
        yield f"({first}) < ({second})"


def _arguments(inside: Sequence[Token]) -> list[Sequence[Token]]:
    """Split what stands in parentheses at its own commas."""
    if not inside:
        return []
    depth = min(token.depth for token in inside)
    cuts = [at for at, token in enumerate(inside) if token.text == "," and token.depth == depth]
    return [
        inside[start:end]
        for start, end in zip([0, *(at + 1 for at in cuts)], [*cuts, len(inside)], strict=True)
    ]


def _reads(argument: Sequence[Token]) -> bool:
    """Tell whether an argument may be another one for another row: it names something."""
    return any(
        token.kind in (WORD, NAME) and token.word not in {"NULL", "TRUE", "FALSE", "INTERVAL"}
        for token in argument
    )
