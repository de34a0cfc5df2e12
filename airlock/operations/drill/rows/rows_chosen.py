"""Which rows the conditions of a data statement choose, asked of the server; and what each part of a condition wants."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airlock.drivers import client
from airlock.drivers.spelling import quoted
from airlock.recorder.tokens import NAME, STRING, WORD, span, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airlock.recorder.branches import Scope
    from airlock.recorder.row_changes import DataStatement
    from airlock.recorder.tokens import Token
    from airlock.samples import Table

_MOST_ALONE = 60
_EACH = 2
_NO_ALIAS = frozenset({
    "JOIN", "LEFT", "RIGHT", "FULL", "INNER", "CROSS", "NATURAL", "ON", "USING", "WHERE", "SET", "TABLESAMPLE",
})  # fmt: skip


def words_of(text: str) -> set[str]:
    """List what could be a name, also in the literals of dynamic SQL."""
    found: set[str] = set()
    for token in tokens(text):
        if token.kind in (WORD, NAME):
            found.add(token.text.strip('"').lower())
        elif token.kind == STRING:
            found |= {word.lower() for word in re.findall(r"\w+", token.text)}
    return found


def conditions(data: DataStatement, table: Table) -> Iterator[tuple[Scope, str, str]]:
    """List the conditions of a data statement that its rows should meet: (scope, what the table is called in it, condition)."""
    scopes = dict.fromkeys(
        [*(one for one in (data.inner, data.scope) if one), *(one.scope for one in data.branches)]
    )
    for scope in scopes:
        alias = alias_in(scope, table)
        if alias is not None:
            whole = scope.condition or "true"
            yield scope, alias, whole
            yield from (
                (scope, alias, f"({whole}) AND {one.condition}" if scope.condition else one.condition)
                for one in data.branches
                if one.scope == scope
            )


def chosen(cursor: Any, table: Table, data: DataStatement, among: Sequence[str], most: int) -> list[str]:
    """Keep the first rows that each condition chooses and leaves, then others until there are enough."""
    kept: dict[str, None] = {}
    if not among:
        return []
    left: set[Scope] = set()
    fractions = _with_fractions(table, data)
    for scope, alias, condition in conditions(data, table):
        met = places(cursor, scope, alias, condition, among)
        telling = [
            place
            for name in fractions if met
            for place in places(cursor, scope, alias, f"{alias}.{name} <> trunc({alias}.{name}::numeric)", met)[:1]
        ]  # fmt: skip
        kept |= dict.fromkeys((*met[:_EACH], *telling))
        if scope not in left:
            left.add(scope)
            for place in places(cursor, scope, alias, f"({condition}) IS NOT TRUE", among)[:_EACH]:
                kept[place] = None
    for place in among:
        if len(kept) >= most:
            break
        kept[place] = None
    return list(kept)


def _with_fractions(table: Table, data: DataStatement) -> tuple[str, ...]:
    """List columns of the table that a data statement names, and whose fractions it may cut: rows with such are kept too."""
    words = words_of(data.whole)
    return tuple(
        quoted(one.name)
        for one in table.columns
        if one.name.lower() in words
        and (
            one.type in ("real", "double precision")
            or (one.type == "numeric" and (one.scale is None or one.scale > 0))
        )
    )


def met_by(cursor: Any, table: Table, data: DataStatement, among: Sequence[str]) -> list[str]:
    """Keep the rows that a data statement itself chooses."""
    alias = alias_in(data.scope, table) if data.scope is not None and among else None
    if data.scope is None or alias is None:
        return []
    return places(cursor, data.scope, alias, data.scope.condition or "true", among)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a row would have to hold for a condition that no row meets; `rest` are the parts that no new row met."""

    values: dict[str, str]
    scope: Scope
    alias: str
    rest: tuple[str, ...]


def wanted(
    cursor: Any, table: Table, data: DataStatement, held: Mapping[str, Mapping[str, str]]
) -> Iterator[Wanted]:
    """Put together, for each condition that no row meets, the values of rows that meet its parts.

    `held` tells of each row, by its place, which values it was given.
    """
    for scope, alias, condition in conditions(data, table):
        if places(cursor, scope, alias, condition, list(held)):
            continue
        whole: dict[str, str] = {}
        beside: dict[str, str] = {}
        rest = []
        found = {part: places(cursor, scope, alias, part, list(held)) for part in parts(condition)}
        # What is asked of a partner alone each row meets with some partner: it is to be the one that the row refers to.
        of_partners = [part for part, meeting in found.items() if len(meeting) == len(held)]
        for part, meeting in found.items():
            if part in of_partners:
                continue
            together: list[str] = []
            if of_partners and meeting:
                both = f"({') AND ('.join([part, *of_partners])})"
                together = places(cursor, scope, alias, both, meeting)
            named = _names(part)
            # A value meets all that is asked of its column: `day >= '2023-06-01' AND day < '2023-07-01'`.
            alike = [set(more) for other, more in found.items() if _names(other) == named]
            usable = together or meeting
            for some in (usable, [place for place in usable if all(place in one for one in alike)]):
                fitting = [held[place] for place in some if len(held[place]) == 1]
                whole |= next((dict(one) for one in fitting if {name.lower() for name in one} & named), {})
            if meeting and not named & {name.lower() for name in whole}:
                # What another column holds decides it: `id IN (SELECT id FROM old)`.
                beside |= next((dict(held[place]) for place in meeting if len(held[place]) == 1), {})
            if not meeting:
                rest.append(part)
        if whole:
            yield Wanted(beside | whole, scope, alias, tuple(rest))


def _names(part: str) -> set[str]:
    return {token.text.strip('"').lower() for token in tokens(part) if token.kind in (WORD, NAME)}


def parts(condition: str) -> Iterator[str]:
    """Split a condition at its ANDs, also inside parentheses; the AND of BETWEEN is none."""
    some = tokens(condition)
    while len(some) > 2 and some[0].text == "(" and some[-1].text == ")" and _closes(some):
        some = some[1:-1]
    if not some:
        return
    depth = min(token.depth for token in some)
    cuts, between = [], 0
    for at, token in enumerate(some):
        if token.depth != depth:
            continue
        between += token.word == "BETWEEN"
        if token.word == "AND":
            if between:
                between -= 1
            else:
                cuts.append(at)
    if not cuts or any(token.depth == depth and token.word == "OR" for token in some):
        yield span(condition, some)
        return
    for start, end in zip([0, *(at + 1 for at in cuts)], [*cuts, len(some)], strict=True):
        yield from parts(span(condition, some[start:end]))


def _closes(some: Sequence[Token]) -> bool:
    """Tell whether the first parenthesis is closed by the last one."""
    return next((at for at in range(1, len(some)) if some[at].depth <= some[0].depth), 0) == len(some) - 1


def at_places(alias: str, places: Sequence[str]) -> str:
    """Spell the condition that tells rows by where they stand; partitions have the same places."""
    listed = ", ".join(f"'{place}'" for place in places)
    return f"{alias}.tableoid::text || {alias}.ctid::text = ANY (ARRAY[{listed}])"


def places(cursor: Any, scope: Scope, alias: str, condition: str, among: Sequence[str]) -> list[str]:
    """Ask which rows a condition chooses: of all at once, of each where one of them makes the question an error."""
    found = _asked(cursor, scope, alias, condition, among)
    if found is None and len(among) > 1:
        each = (_asked(cursor, scope, alias, condition, [place]) for place in among[:_MOST_ALONE])
        return [place for one in each for place in one or ()]
    return found or []


def _asked(cursor: Any, scope: Scope, alias: str, condition: str, among: Sequence[str]) -> list[str] | None:
    spelled = f"{alias}.tableoid::text || {alias}.ctid::text"
    query = (
        f"{scope.prefix} SELECT DISTINCT {spelled} FROM {scope.source} "
        f"WHERE ({condition}) AND {at_places(alias, among)} ORDER BY 1"
    )
    return client.in_savepoint(cursor, lambda: [str(row[0]) for row in client.rows(cursor, query)])


def is_called(table: Table, name: str) -> bool:
    """Tell whether a name, in lower case, is the table's, or could be one of its partitions'."""
    own = table.name.lower()
    return name == own or (bool(table.bounds) and name.startswith(f"{own}_"))


def alias_in(scope: Scope, table: Table) -> str | None:
    """Find what a table is called in a FROM: its alias, or its name as written there."""
    some = tokens(scope.source)
    for at, token in enumerate(some):
        if token.kind not in (WORD, NAME) or not is_called(table, token.text.strip('"').lower()):
            continue
        if at + 1 < len(some) and some[at + 1].text == ".":
            continue
        after = at + 2 if at + 1 < len(some) and some[at + 1].word == "AS" else at + 1
        if after < len(some) and some[after].kind in (WORD, NAME) and some[after].word not in _NO_ALIAS:
            return some[after].text
        start = at - 2 if at > 1 and some[at - 1].text == "." else at
        return scope.source[some[start].start : token.end]
    return None
