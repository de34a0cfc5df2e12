"""Which queries ask the catalogue alone: an inspector's, `has_table()` and the like. No row of a table decides them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from airlock.recorder.tokens import NAME, WORD, Token, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SCHEMAS = frozenset({"pg_catalog", "information_schema"})
# What tells of rows all the same.
_OF_ROWS = ("pg_stat", "pg_largeobject", "pg_sequences")
# What stands in a FROM and holds no row of a table.
_FUNCTIONS = frozenset({"unnest", "generate_series", "generate_subscripts"})
_NO_SOURCE = frozenset({"ONLY", "LATERAL", "("})
_ENDS = frozenset({
    "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "FETCH", "FOR", "UNION", "EXCEPT", "INTERSECT", "WINDOW",
    "SELECT",
})  # fmt: skip


@functools.lru_cache(maxsize=256)
def asks_catalogue(sql: str) -> bool:
    """Tell whether a query has sources and each is the catalogue's; what cannot be read is none."""
    some = tokens(sql)
    found = list(_sources(some))
    if any(token.text.strip('"').lower().startswith(("reltuples", *_OF_ROWS)) for token in some):
        return False
    return bool(found) and all(_is_catalogue(one) for one in found)


def _sources(some: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """Give what follows each FROM, JOIN, and comma between two of them; EXTRACT's FROM too, which is no catalogue's."""
    for place, token in enumerate(some):
        if token.word == "JOIN":
            yield some[place + 1 :]
        elif token.word == "FROM":
            yield some[place + 1 :]
            for at in range(place + 1, len(some)):
                if some[at].depth < token.depth or (some[at].depth == token.depth and some[at].word in _ENDS):
                    break
                if some[at].depth == token.depth and some[at].text == ",":
                    yield some[at + 1 :]


def _is_catalogue(behind: Sequence[Token]) -> bool:
    """Tell of the first source in these tokens; of a query in parentheses its own FROM tells."""
    start = 0
    while start < len(behind) and (behind[start].word in _NO_SOURCE or behind[start].text in _NO_SOURCE):
        start += 1
    if start < len(behind) and start and behind[start].word in {"SELECT", "VALUES"}:
        return behind[start].word == "SELECT"
    if start >= len(behind) or behind[start].kind not in (WORD, NAME):
        return False
    name = behind[start].text.strip('"').lower()
    if start + 1 < len(behind) and behind[start + 1].text == ".":
        return name in _SCHEMAS
    if start + 1 < len(behind) and behind[start + 1].text == "(":
        return name in _FUNCTIONS
    return name.startswith("pg_")
