"""PostgreSQL's tokens: enough of its lexer to tell words from literals and comments, and one statement from the next.

What stands in a literal, a dollar-quoted body, a quoted name or a comment is never taken for a word of the statement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.drivers.spelling import command

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

WORD, NAME, STRING, NUMBER, OTHER = "word", "name", "string", "number", "other"

_SPACE = re.compile(r"\s+|--[^\n]*")
_DOLLAR = re.compile(r"\$(?:[A-Za-z_\x80-\uffff][\w\x80-\uffff]*)?\$")
_PREFIXED = re.compile(r"(?:[bBxXnN]|[uU]&)?'")
_ESCAPED = re.compile(r"[eE]'(?:[^'\\]|\\.|'')*'", re.DOTALL)
_PLAIN = re.compile(r"(?:[bBxXnN]|[uU]&)?'(?:[^']|'')*'")
_QUOTED = re.compile(r'(?:[uU]&)?"(?:[^"]|"")*"')
_WORD = re.compile(r"[^\W\d][\w$]*")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+")
_OPERATOR = re.compile(r"::|\$\d+|[-+*/<>=~!@#%^&|`?]+|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Token:
    """One token, where it stands, and how deep in parentheses, brackets and CASE … END."""

    kind: str
    text: str
    start: int
    end: int
    depth: int

    @property
    def word(self) -> str:
        """Give a plain word in capitals, anything else as nothing."""
        return self.text.upper() if self.kind == WORD else ""


def tokens(sql: str) -> tuple[Token, ...]:
    """Read a text into tokens; an opening token has the depth outside it, and so has its closing one."""
    return tuple(_deepened(sql))


def _deepened(sql: str) -> Iterator[Token]:
    depth, previous = 0, ""
    for kind, start, end in _lexed(sql):
        text = sql[start:end]
        word = text.upper() if kind == WORD else ""
        if text in (")", "]") or word == "END":
            depth = max(depth - 1, 0)
        yield Token(kind, text, start, end, depth)
        # END CASE closes PL/pgSQL's statement.
        if text in ("(", "[") or (word == "CASE" and previous != "END"):
            depth += 1
        previous = word


def _lexed(sql: str) -> Iterator[tuple[str, int, int]]:
    place, size = 0, len(sql)
    while place < size:
        if (space := _SPACE.match(sql, place)) is not None:
            place = space.end()
        elif sql.startswith("/*", place):
            place = _comment_end(sql, place)
        else:
            kind, end = _one(sql, place)
            yield kind, place, end
            place = end


def _one(sql: str, place: int) -> tuple[str, int]:
    if (opening := _DOLLAR.match(sql, place)) is not None:
        closing = sql.find(opening.group(), opening.end())
        return STRING, len(sql) if closing < 0 else closing + len(opening.group())
    if (found := _ESCAPED.match(sql, place) or _PLAIN.match(sql, place)) is not None:
        return STRING, found.end()
    if _PREFIXED.match(sql, place) is not None:
        return STRING, len(sql)
    for kind, pattern in ((NAME, _QUOTED), (WORD, _WORD), (NUMBER, _NUMBER)):
        if (found := pattern.match(sql, place)) is not None:
            return kind, found.end()
    found = _OPERATOR.match(sql, place)
    end = found.end() if found is not None else place + 1
    # A comment ends an operator.
    for mark in ("--", "/*"):
        cut = sql.find(mark, place + 1, end)
        end = cut if cut > 0 else end
    return OTHER, end


def _comment_end(sql: str, place: int) -> int:
    """Find the end of a comment; comments of PostgreSQL hold others."""
    depth = 0
    for mark in re.finditer(r"/\*|\*/", sql[place:]):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return place + mark.end()
    return len(sql)


_ENDS = frozenset({"COMMIT", "END", "ROLLBACK", "ABORT"})
_CONTROL = _ENDS | {"BEGIN", "START", "SET", "RESET", "SHOW", "SAVEPOINT", "RELEASE"}


def statements(sql: str) -> tuple[str, ...]:
    """Split a text where a semicolon ends a statement; a body in BEGIN ATOMIC … END stays whole."""
    found, start, atomic = [], 0, 0
    previous = ""
    for token in tokens(sql):
        if (token.word == "ATOMIC" and previous == "BEGIN") or (token.word == "CASE" and atomic):
            atomic += 1
        elif token.word == "END" and atomic:
            atomic -= 1
        if token.text == ";" and not atomic:
            found.append(sql[start : token.start])
            start = token.end
        previous = token.word
    found.append(sql[start:])
    return tuple(piece.strip() for piece in found if tokens(piece))


def commands(sql: str) -> frozenset[str]:
    """Name the first words of the statements of a text, in capitals."""
    return frozenset(map(command, statements(sql) if ";" in sql else (sql,)))


def ends_within(sql: str) -> str:
    """Name the command by which a text ends its transaction behind other statements of its own; empty where none does."""
    heads = [tokens(piece)[:3] for piece in statements(sql)] if ";" in sql else []
    acts = False
    for first, *more in heads:
        # What goes back to a savepoint stays in the transaction.
        if acts and first.word in _ENDS and "TO" not in {one.word for one in more}:
            return first.word
        acts |= first.word not in _CONTROL
    return ""


def value(token: Token) -> str:
    """Give the characters that a string token stands for."""
    text = token.text
    if text.startswith("$"):
        mark = text[: text.index("$", 1) + 1]
        return text[len(mark) : -len(mark)] if text.endswith(mark) and len(text) >= 2 * len(mark) else text
    inner = text[text.index("'") + 1 : -1].replace("''", "'")
    if text[0] in "eE":
        return re.sub(r"\\(.)", lambda it: {"n": "\n", "t": "\t"}.get(it.group(1), it.group(1)), inner)
    return inner


def identifier(token: Token) -> str:
    """Give the name that a word or quoted identifier stands for, as the catalogue holds it."""
    return token.text[1:-1].replace('""', '"') if token.kind == NAME else token.text.lower()


# What ends a condition of a query at its own depth.
ENDS = frozenset({
    "UNION", "EXCEPT", "INTERSECT", "ORDER", "LIMIT", "OFFSET", "FETCH", "FOR", "RETURNING", "GROUP", "HAVING", "WINDOW",
})  # fmt: skip


def clause_end(some: Sequence[Token], place: int, ends: Collection[str] = ENDS) -> int:
    """Find where the clause ends that the token at `place` begins."""
    depth = some[place].depth
    return next(
        (
            at
            for at in range(place + 1, len(some))
            if some[at].depth < depth
            or some[at].text == ";"
            or (some[at].depth == depth and some[at].word in ends)
        ),
        len(some),
    )


def closing(some: Sequence[Token], place: int) -> int:
    """Find the token that closes what the one at `place` opens."""
    depth = some[place].depth
    return next((at for at in range(place + 1, len(some)) if some[at].depth <= depth), len(some))


def alternatives(some: Sequence[Token]) -> list[Sequence[Token]]:
    """Split a condition at each OR of its own depth."""
    depth = min(token.depth for token in some)
    cuts = [at for at, token in enumerate(some) if token.depth == depth and token.word == "OR"]
    return [
        some[start:end] for start, end in zip([0, *(at + 1 for at in cuts)], [*cuts, len(some)], strict=True)
    ]


def span(sql: str, some: Sequence[Token]) -> str:
    """Give the text from the first of some tokens to the last."""
    return sql[some[0].start : some[-1].end] if some else ""


def masked(sql: str, *, numbers: bool = False) -> str:
    """Write a statement in one line without the characters of its literals, or without `numbers` either."""
    parts, place = [], 0
    for token in tokens(sql):
        if token.kind == STRING or (numbers and token.kind == NUMBER):
            parts += [sql[place : token.start], "'…'"]
            place = token.end
    return " ".join("".join([*parts, sql[place:]]).split())
