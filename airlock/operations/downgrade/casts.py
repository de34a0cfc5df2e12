"""Changes of a column's type as statements spell them, and whether their USING does anything but cast the column."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.recorder.tokens import NAME, NUMBER, STRING, WORD, closing, identifier, span, tokens, value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from airlock.recorder.tokens import Token

# Texts by their types' names in the catalogue, and those that take a text of any length without changing it.
TEXTS = re.compile(r"text|citext|character(?: varying)?(?:\(\d+\))?")
ANY_TEXT = frozenset({"text", "character varying"})
# What may follow a comma of ALTER TABLE: the next action, not the next part of this one.
_ACTIONS = frozenset({"ALTER", "ADD", "DROP", "RENAME", "OWNER", "SET", "VALIDATE"})
_OF_TYPES = frozenset({"(", ")", "[", "]", ".", ","})


@dataclass(frozen=True)
class Retyped:
    """One action that gives a column another type; `using` is empty where it is left to the server's own cast."""

    column: str
    type: str
    using: str = ""


def retyped(sql: str) -> Iterator[Retyped]:
    """Yield each change of a column's type in a statement, be it inside a DO block. Pure."""
    found = tokens(sql)
    for at, token in enumerate(found):
        if token.kind == STRING and token.text.startswith("$"):
            yield from retyped(value(token))
        if token.word != "ALTER":
            continue
        name = at + 2 if _word(found, at + 1) == "COLUMN" else at + 1
        kind = name + 3 if _word(found, name + 1) == "SET" and _word(found, name + 2) == "DATA" else name + 1
        if name >= len(found) or found[name].kind not in (WORD, NAME) or _word(found, kind) != "TYPE":
            continue
        action = found[kind + 1 : _end(found, kind)]
        depth = found[kind].depth
        using = next(
            (i for i, one in enumerate(action) if one.depth == depth and one.word == "USING"), len(action)
        )
        yield Retyped(identifier(found[name]), span(sql, action[:using]), span(sql, action[using + 1 :]))


def expressions(column: str, statements: Collection[str]) -> list[str]:
    """List what statements compute a column's new values by as they change its type: nothing where they only cast. Pure.

    Once what several tables do with a column of that name alike.
    """
    return list(
        dict.fromkeys(one.using for sql in statements for one in retyped(sql) if one.column == column)
    )


def casts(expression: str, columns: Collection[str]) -> tuple[str, ...] | None:
    """List the types that an expression casts one of some columns to, the first first; None where it does anything else.

    An expression that is not there (USING left out) casts to nothing of its own. Pure.
    """
    found = tokens(expression)
    return _casts(expression, found, columns) if found else ()


def _casts(sql: str, some: Sequence[Token], columns: Collection[str]) -> tuple[str, ...] | None:
    if not some:
        return None
    last, depth = len(some) - 1, some[0].depth
    if some[0].text == "(" and closing(some, 0) == last:
        return _casts(sql, some[1:last], columns)
    cuts = [at for at, one in enumerate(some) if one.text == "::" and one.depth == depth]
    if cuts:
        inner, type_ = some[: cuts[-1]], some[cuts[-1] + 1 :]
    elif some[0].word == "CAST" and len(some) > 1 and some[1].text == "(" and closing(some, 1) == last:
        cut = next((i for i, one in enumerate(some) if one.depth == depth + 1 and one.word == "AS"), last)
        inner, type_ = some[2:cut], some[cut + 1 : last]
    else:
        dots = all(one.text == "." for one in some[1::2])
        names = all(one.kind in (WORD, NAME) for one in some[::2])
        return () if dots and names and len(some) % 2 and identifier(some[-1]) in columns else None
    types = _casts(sql, inner, columns)
    named = all(one.kind in (WORD, NAME, NUMBER) or one.text in _OF_TYPES for one in type_)
    return (*types, span(sql, type_)) if types is not None and type_ and named else None


def _end(found: Sequence[Token], place: int) -> int:
    """Find where an action of ALTER TABLE ends."""
    depth = found[place].depth
    for at in range(place, len(found)):
        ends = found[at].text == "," and _word(found, at + 1) in _ACTIONS and found[at].depth == depth
        if ends or found[at].text == ";" or found[at].depth < depth:
            return at
    return len(found)


def _word(found: Sequence[Token], at: int) -> str:
    return found[at].word if at < len(found) else ""
