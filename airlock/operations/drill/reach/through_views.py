"""Data statements on views, said of the tables below: rows are made there, and a view's own condition chooses among them.

A view of one table that PostgreSQL writes through becomes a query of that table which keeps where its rows stand. Of any
other view, what it is made of is told beside the statement: it names the tables, the columns and the constants.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airlock.drivers.spelling import bare
from airlock.recorder.tokens import NAME, WORD, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from airlock.recorder.branches import Scope
    from airlock.recorder.row_changes import DataStatement
    from airlock.recorder.tokens import Token

VIEWS = """
SELECT c.relname::text, pg_get_viewdef(c.oid), pg_relation_is_updatable(c.oid, false) & 28 <> 0
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') AND c.oid >= 16384 AND n.nspname NOT LIKE 'pg\\_toast%' AND n.nspname <> 'information_schema'
"""
_MOST_DEEP = 8
_NO_ALIAS = frozenset(
    {"WHERE", "SET", "FROM", "USING", "JOIN", "LEFT", "RIGHT", "FULL", "INNER", "CROSS", "NATURAL", "ON"}
)


@dataclass(frozen=True, slots=True)
class View:
    """What a view is made of, and whether its rows are those of one table."""

    query: str
    is_of_one: bool


def read(rows: Sequence[Any]) -> dict[str, View]:
    """Read what VIEWS answers; of views of one name in several schemas the last."""
    return {str(row[0]).lower(): View(str(row[1]).rstrip().rstrip(";"), bool(row[2])) for row in rows}


def said_of_tables(
    data_statements: Sequence[DataStatement], views: Mapping[str, View]
) -> Iterator[DataStatement]:
    """Give those that name a view, said of what it is made of."""
    for data in data_statements if views else ():
        named = _named(data.whole, views)
        if not named:
            continue
        below = {bare(_table(views[one].query)[0]).lower() for one in named if views[one].is_of_one}
        scopes = {
            one: _below(one, views)
            for one in dict.fromkeys([data.scope, data.inner, *(it.scope for it in data.branches)])
            if one is not None
        }
        found = replace(
            data,
            table=_base(data.relation.lower(), views) or data.table,
            scope=scopes[data.scope] if data.scope is not None else None,
            inner=scopes[data.inner] if data.inner is not None else None,
            branches=tuple(replace(one, scope=scopes[one.scope]) for one in data.branches),
        )
        rest = [views[one].query for one in named if not below or not views[one].is_of_one or data.around]
        yield replace(found, around="; ".join([found.whole, *rest])) if rest else found


def _named(text: str, views: Mapping[str, View]) -> list[str]:
    found: dict[str, None] = {}
    texts = [text]
    while texts:
        words = {token.text.strip('"').lower() for token in tokens(texts.pop()) if token.kind in (WORD, NAME)}
        more = [one for one in sorted(words & views.keys()) if one not in found]
        found |= dict.fromkeys(more)
        texts += [views[one].query for one in more]
    return list(found)


def _base(name: str, views: Mapping[str, View]) -> str:
    """Name the table whose rows a view's are; empty where there is none."""
    for _ in range(_MOST_DEEP):
        view = views.get(name)
        if view is None or not view.is_of_one:
            return ""
        table = _table(view.query)[0]
        name = bare(table).lower()
        if name not in views:
            return table
    return ""


def _table(query: str) -> tuple[str, int, int]:
    """Find the one relation in a view's FROM: as it is spelled, where it begins and ends."""
    some = tokens(query)
    at = next((at for at, token in enumerate(some) if token.word == "FROM" and token.depth == 0), None)
    if at is None:
        return "", 0, 0
    at += 2 if at + 1 < len(some) and some[at + 1].word == "ONLY" else 1
    end = at
    while end + 2 < len(some) and some[end + 1].text == ".":
        end += 2
    if end >= len(some) or some[at].kind not in (WORD, NAME):
        return "", 0, 0
    return query[some[at].start : some[end].end], some[at].start, some[end].end


def _keeping_places(name: str, views: Mapping[str, View], depth: int = 0) -> str:
    """Spell a view's query with where each row stands in the table below."""
    query = views[name].query
    table, start, end = _table(query)
    inner = bare(table)
    if inner.lower() in views and depth < _MOST_DEEP:
        below = _keeping_places(inner.lower(), views, depth + 1)
        has_alias = _alias_behind(tokens(query), end)
        query = f"{query[:start]}({below}){'' if has_alias else f' AS {inner}'}{query[end:]}"
    return re.sub(r"^\s*SELECT\b", "SELECT tableoid, ctid,", query, count=1, flags=re.IGNORECASE)


def _alias_behind(some: Sequence[Token], end: int) -> bool:
    after = next((token for token in some if token.start >= end), None)
    return after is not None and (
        after.word == "AS" or (after.kind in (WORD, NAME) and after.word not in _NO_ALIAS)
    )


def _below(scope: Scope, views: Mapping[str, View]) -> Scope:
    """Ask the same of the table below: a WITH of the table's name takes the view's place."""
    some = tokens(scope.source)
    for token in some:
        name = token.text.strip('"').lower()
        base = _base(name, views) if token.kind in (WORD, NAME) else ""
        if not base or "RECURSIVE" in scope.prefix[:20].upper():
            continue
        own = bare(base)
        own = own if own.isidentifier() and own == own.lower() else f'"{own}"'
        spelled = f"{own} AS {token.text}" if not _alias_behind(some, token.end) else own
        kept = re.compile(rf'(?:[\w"]+\.)?{re.escape(token.text)}(?![\w"])(?!\s*\.)')
        first = f"WITH {own} AS ({_keeping_places(name, views)})"
        rest = re.sub(r"^\s*WITH\b", ", ", scope.prefix, count=1, flags=re.IGNORECASE)
        return replace(
            scope,
            prefix=f"{first}{rest}",
            source=kept.sub(spelled, scope.source, count=1),
            mine=kept.sub(spelled, scope.mine, count=1),
        )
    return scope
