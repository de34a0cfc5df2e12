"""Between what a statement tells rows apart: WHEN and ELSE of a CASE, arms of an OR, members of an IN list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.recorder.tokens import NUMBER, STRING, alternatives, closing, span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airlock.recorder.tokens import Token

_MOST_MEMBERS = 40
_QUERIES = frozenset({"SELECT", "WITH", "VALUES", "TABLE"})
# A parenthesis behind one of these holds a condition, not arguments.
_BEFORE_CONDITION = frozenset({"AND", "OR", "WHERE", "ON", "WHEN"})


@dataclass(frozen=True, slots=True)
class Scope:
    """Rows that a condition can be asked of: a WITH before, a FROM, a WHERE; `mine` is the written table there."""

    prefix: str
    source: str
    condition: str
    mine: str

    def counting(self, conditions: Sequence[str]) -> str:
        """Spell the query that counts the chosen rows, and those of them that satisfy each condition."""
        counted = ["count(*)", *(f"count(*) FILTER (WHERE {one})" for one in conditions)]
        where = f" WHERE {self.condition}" if self.condition else ""
        return f"{self.prefix} SELECT {', '.join(counted)} FROM {self.source}{where}"  # noqa: S608 - the revision's own SQL


# The label of what is no branch as it is written: the rows that an UPDATE gives another value than they have.
ANOTHER_VALUE = "another value"
# Before the number of a LIMIT: the rows that it leaves out.
BEYOND = "more than LIMIT"


@dataclass(frozen=True, slots=True)
class Branch:
    """One way that rows can go: as it is written, and the condition that tells its rows in a scope."""

    label: str
    condition: str
    scope: Scope


def branches(sql: str, some: Sequence[Token], scope: Scope, under: tuple[str, ...] = ()) -> Iterator[Branch]:
    """Find the branches of each CASE among some tokens, in the order in which CASE tries them.

    Those of a CASE inside another's branch are asked of the rows that get there. Queries inside are passed over.
    """
    place = 0
    while place < len(some):
        token = some[place]
        if token.text == "(" and place + 1 < len(some) and some[place + 1].word in _QUERIES:
            place = closing(some, place)
        elif token.word == "CASE":
            end = closing(some, place)
            yield from _case(sql, some[place + 1 : end], scope, under)
            place = end
        place += 1


def _case(sql: str, inside: Sequence[Token], scope: Scope, under: tuple[str, ...]) -> Iterator[Branch]:
    if not inside:
        return
    depth = inside[0].depth
    marks = [
        at
        for at, token in enumerate(inside)
        if token.depth == depth and token.word in {"WHEN", "THEN", "ELSE"}
    ]
    if not marks:
        return
    subject = span(sql, inside[: marks[0]])
    earlier: tuple[str, ...] = ()
    for number, at in enumerate(marks):
        end = marks[number + 1] if number + 1 < len(marks) else len(inside)
        part = inside[at + 1 : end]
        if inside[at].word == "WHEN":
            said = span(sql, part)
            condition = f"(({subject}) = ({said}))" if subject else f"({said})"
            here = (*under, *(f"{one} IS NOT TRUE" for one in earlier), condition)
            label = f"CASE {subject} WHEN {said}" if subject else f"WHEN {said}"
            yield Branch(label, " AND ".join(here), scope)
            if not subject:
                yield from _either(sql, part, scope, here[:-1])
            earlier = (*earlier, condition)
        elif inside[at].word == "THEN":
            yield from branches(
                sql, part, scope, (*under, *(f"{one} IS NOT TRUE" for one in earlier[:-1]), *earlier[-1:])
            )
        else:
            here = (*under, *(f"{one} IS NOT TRUE" for one in earlier))
            yield Branch(f"ELSE {span(sql, part)}", " AND ".join(here), scope)
            yield from branches(sql, part, scope, here)


def _either(sql: str, part: Sequence[Token], scope: Scope, under: tuple[str, ...]) -> Iterator[Branch]:
    """Find the arms and members of a WHEN that has several."""
    for one in (*_arms(sql, part, scope, under), *members(sql, part, scope)):
        condition = one.condition if one.label.startswith("OR ") else " AND ".join((*under, one.condition))
        yield Branch(one.label, condition, scope)


def operands(sql: str, where: Sequence[Token], scope: Scope) -> Iterator[Branch]:
    """Find the arms of each OR in a condition; those under a NOT are passed over."""
    yield from _arms(sql, where, scope, ())


def _arms(sql: str, some: Sequence[Token], scope: Scope, under: tuple[str, ...]) -> Iterator[Branch]:
    if not some:
        return
    depth = min(token.depth for token in some)
    pieces = alternatives(some)
    for piece in pieces:
        text = span(sql, piece)
        here = (*under, f"({text})") if len(pieces) > 1 else under
        if len(pieces) > 1:
            yield Branch(f"OR {text}", " AND ".join(here), scope)
        for opening, end in _groups(piece, depth):
            yield from _arms(sql, piece[opening + 1 : end], scope, here)


def _groups(piece: Sequence[Token], depth: int) -> Iterator[tuple[int, int]]:
    """Find the parentheses that hold a condition: no arguments, no list, no query, not negated."""
    for place, token in enumerate(piece):
        if token.text != "(" or token.depth != depth or place + 1 >= len(piece):
            continue
        before = piece[place - 1] if place else None
        if before is not None and before.word not in _BEFORE_CONDITION:
            continue
        if piece[place + 1].word not in _QUERIES:
            yield place, closing(piece, place)


def members(sql: str, some: Sequence[Token], scope: Scope) -> Iterator[Branch]:
    """Find the members of each IN list of literals; those of NOT IN and of conditions under NOT are passed over."""
    for place, token in enumerate(some):
        if token.word != "IN" or place + 1 >= len(some) or some[place + 1].text != "(" or place == 0:
            continue
        if some[place - 1].word == "NOT":
            continue
        end = closing(some, place + 1)
        listed = [one for one in some[place + 2 : end] if one.text != ","]
        if not 2 <= len(listed) <= _MOST_MEMBERS or any(one.kind not in (STRING, NUMBER) for one in listed):
            continue
        start = _start_of_operand(some, place)
        if start is None:
            continue
        subject = span(sql, some[start:place])
        for one in listed:
            yield Branch(f"{subject} IN ({one.text})", f"({subject}) = ({one.text})", scope)


def _start_of_operand(some: Sequence[Token], place: int) -> int | None:
    """Find where the left side of an IN begins; None where a NOT or a query stands around it."""
    depth, start = some[place].depth, place
    while (
        start and some[start - 1].depth >= depth and some[start - 1].word not in {*_BEFORE_CONDITION, "NOT"}
    ):
        if some[start - 1].depth == depth and some[start - 1].text == "(":
            break
        start -= 1
    around = some[start - 1] if start else None
    if around is not None and around.word == "NOT":
        return None
    opened = depth
    for token in reversed(some[:start]):
        if token.depth < opened and token.text == "(":
            opened = token.depth
        if token.word in _QUERIES and token.depth <= depth:
            return None
    if any(some[at].text == "(" and at and some[at - 1].word in {"NOT", "EXISTS"} for at in range(start)):
        return None
    return start if start < place else None
