"""The SELECTs of a statement: what each chooses, tells apart, and how many rows it takes at most."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.recorder.branches import BEYOND, Branch, Scope, branches, members, operands
from airlock.recorder.tokens import NUMBER, clause_end, span, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airlock.recorder.tokens import Token


@dataclass(frozen=True, slots=True)
class Select:
    """One SELECT: its first token, its scope, the tokens of its WHERE and of what it selects, and its LIMIT."""

    first: Token
    scope: Scope
    where: Sequence[Token]
    listed: Sequence[Token]
    limit: int | None = None

    def branches(self, sql: str) -> Iterator[Branch]:
        """Find what it tells apart; with a LIMIT also that there are more rows than it takes."""
        if not self.scope.source:
            return
        yield from operands(sql, self.where, self.scope)
        yield from members(sql, self.where, self.scope)
        yield from branches(sql, self.listed, self.scope)
        # LIMIT 1 asks for one row, whichever; a larger one goes through them all where there are fewer.
        if self.limit is not None and self.limit > 1:
            every = self.scope.counting(())
            yield Branch(f"{BEYOND} {self.limit}", f"({every}) > {self.limit}", self.scope)


def selects(sql: str, some: Sequence[Token], prefix: str) -> Iterator[Select]:
    """Find every SELECT among some tokens."""
    for place, token in enumerate(some):
        if token.word != "SELECT":
            continue
        end = clause_end(some, place)
        inside = some[place:end]
        marks = clauses(inside, ("FROM", "WHERE"), 1)
        source = between(inside, marks, ("FROM",), ("WHERE",))
        where = between(inside, marks, ("WHERE",), ())
        listed = inside[1 : min(marks.values(), default=len(inside))]
        scope = Scope(prefix, span(sql, source), span(sql, where), "")
        yield Select(token, scope, where, listed, _limit(some[end:], token.depth))


def _limit(some: Sequence[Token], depth: int) -> int | None:
    """Read LIMIT, or FETCH FIRST, among the tokens behind a SELECT's last condition."""
    for at, token in enumerate(some):
        if token.depth < depth or token.text == ";":
            return None
        if token.depth != depth or token.word not in {"LIMIT", "FETCH"}:
            continue
        number = some[at + 1 : at + 3][-1 if token.word == "FETCH" else 0 :][:1]
        if number and number[0].kind == NUMBER and number[0].text.isdigit():
            return int(number[0].text)
    return None


def clauses(inside: Sequence[Token], words: Sequence[str], start: int) -> dict[str, int]:
    """Find where clauses begin at the statement's own depth; IS DISTINCT FROM begins none."""
    depth, found = inside[0].depth, {}
    for place in range(start, len(inside)):
        token = inside[place]
        if (
            token.depth == depth
            and token.word in words
            and token.word not in found
            and inside[place - 1].word != "DISTINCT"
        ):
            found[token.word] = place
    return found


def between(
    inside: Sequence[Token], marks: dict[str, int], opening: Sequence[str], closing: Sequence[str]
) -> Sequence[Token]:
    """Give what stands in one clause, up to the next."""
    start = next((marks[word] for word in opening if word in marks), None)
    if start is None:
        return ()
    end = min((marks[word] for word in closing if word in marks and marks[word] > start), default=len(inside))
    return inside[start + 1 : end]


def takes_none(some: Sequence[Token], condition: str) -> bool:
    """Tell whether a query is written for its columns alone: `WHERE false`, `WHERE 1 = 0`, `LIMIT 0`."""
    depth = min((token.depth for token in some), default=0)
    for token, after in itertools.pairwise(some):
        if token.depth == depth and token.word in {"LIMIT", "FIRST"} and after.text == "0":
            return True
    asked = [token.text.lower() for token in tokens(condition) if token.text not in "()"]
    if len(asked) == 3 and asked[1] == "=" and asked[0].isdigit() and asked[2].isdigit():
        return asked[0] != asked[2]
    return asked == ["false"]
