"""Where the arms of an OR stand in a body: in the condition of an IF, and in each WHERE of its statements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.recorder.tokens import ENDS, alternatives, clause_end, closing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airlock.recorder.tokens import Token

_QUERIES = frozenset({"SELECT", "WITH", "VALUES", "TABLE"})
# A parenthesis behind one of these holds a condition, not arguments.
_BEFORE_CONDITION = frozenset({"AND", "OR"})
_ENDS = ENDS | {"ON", "WHEN", "LOOP"}


def in_queries(some: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """Find the arms in every WHERE among some tokens, those of inner queries too; one inside another comes after it."""
    for place, token in enumerate(some):
        if token.word != "WHERE" or (place + 1 < len(some) and some[place + 1].word == "CURRENT"):
            continue
        yield from in_condition(some[place + 1 : clause_end(some, place, _ENDS)])


def in_condition(some: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """Find the arms of each OR in a condition, only where its truth is that of the whole: not under a NOT, no arguments."""
    if not some:
        return
    depth = min(token.depth for token in some)
    pieces = alternatives(some)
    for piece in pieces:
        if len(pieces) > 1 and piece:
            yield piece
        for opening, end in _groups(piece, depth):
            yield from in_condition(piece[opening + 1 : end])


def _groups(piece: Sequence[Token], depth: int) -> Iterator[tuple[int, int]]:
    """Find the parentheses that are a whole operand of AND, or all of a piece."""
    for place, token in enumerate(piece):
        if (
            token.text != "("
            or token.depth != depth
            or (place and piece[place - 1].word not in _BEFORE_CONDITION)
        ):
            continue
        end = closing(piece, place)
        after = piece[end + 1] if end + 1 < len(piece) else None
        if (after is None or after.word == "AND") and piece[place + 1].word not in _QUERIES:
            yield place, end
