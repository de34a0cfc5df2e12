"""Values that an older schema takes and a tighter one may refuse: NULLs, and the ends of the column's type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airlock.drivers import client
from airlock.drivers.spelling import quoted
from airlock.samples.values import values_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.samples.model import Column, Table

_NOT_NULL, _CHECK, _UNIQUE, _FOREIGN_KEY = ("23502",), ("23514",), ("23505", "23P01"), ("23503",)
# Data that the type does not hold or read; no cast to it.
_TYPE = ("22", "42804", "42846")
_LONGEST = 40


@dataclass(frozen=True)
class Edge:
    """A row's values, as sent and as shown, and the newer rule that may refuse them: each rule has one `rule`.

    `constraints` are the names that the refusal may give, `states` its SQLSTATEs or their classes.
    """

    rule: str
    given: dict[str, str]
    shown: dict[str, str]
    states: tuple[str, ...]
    constraints: frozenset[str] = frozenset()

    def answers(self, error: Exception) -> bool:
        """Tell whether this refusal comes of the new rule."""
        if self.constraints and client.told(error, "constraint_name") not in self.constraints:
            return False
        if self.states == _NOT_NULL and client.told(error, "column_name") not in self.given:
            return False
        return str(client.told(error, "sqlstate")).startswith(self.states)


def edges(cursor: Any, before: Table, after: Table) -> Iterator[Edge]:
    """Yield what is worth trying of each new NOT NULL, check, unique key and type."""
    now = {one.name: one for one in after.columns}
    known = {one.name for one in before.checks}
    checks = [one for one in after.checks if one.name not in known]
    for column in before.columns:
        new = now.get(column.name)
        if new is None or column.identity:
            continue
        older = [one.expression for one in before.checks if one.columns == (column.name,)]
        if column.nullable and not new.nullable and _taken(cursor, column, older, None):
            yield _edge(f"NOT NULL {column.name}", column.name, None, _NOT_NULL)
        names = frozenset(one.name for one in checks if column.name in one.columns)
        retyped = (column.type, column.length, column.scale, column.labels, column.domain) != (
            new.type, new.length, new.scale, new.labels, new.domain,
        )  # fmt: skip
        for value in _values(cursor, column) if names or retyped else ():
            if not _taken(cursor, column, older, value):
                continue
            if names:
                yield _edge(f"CHECK {sorted(names)}", column.name, value, _CHECK, names)
            if retyped and value is not None:
                yield _edge(f"TYPE {column.name}", column.name, value, _TYPE)
    yield from _again(cursor, before, after)
    yield from _orphans(cursor, before, after)


def _taken(cursor: Any, column: Column, checks: list[str], value: str | None) -> bool:
    """Tell whether the older checks on this one column let a value in; where they cannot be asked, they do."""
    if not checks:
        return True
    rules = " AND ".join(f"coalesce(({one}), true)" for one in checks)
    cast = {"character": "bpchar", "bit": "varbit"}.get(column.type, column.type)
    found = asked(
        cursor, f"SELECT {rules} FROM (SELECT {literal(value)}::{cast} AS {quoted(column.name)}) AS one"
    )
    return not found or found[0][0] is not False


def _again(cursor: Any, before: Table, after: Table) -> Iterator[Edge]:
    """Yield what some row holds already, for each unique key and exclusion that is new."""
    columns = {one.name for one in before.columns}
    known = {one.name for one in before.uniques}
    for unique in after.uniques:
        if unique.name in known or not columns.issuperset(unique.columns):
            continue
        listed = ", ".join(f"{quoted(name)}::text" for name in unique.columns)
        filled = " AND ".join(f"{quoted(name)} IS NOT NULL" for name in unique.columns)
        for row in asked(cursor, f"SELECT {listed} FROM {after.sql} WHERE {filled} LIMIT 1"):
            given = dict(zip(unique.columns, map(literal, row), strict=True))
            shown = {name: _short(value) for name, value in given.items()}
            yield Edge(f"UNIQUE {unique.name}", given, shown, _UNIQUE, frozenset({unique.name}))


def _orphans(cursor: Any, before: Table, after: Table) -> Iterator[Edge]:
    """Yield rows for each foreign key that is new, whose partner some table may lack."""
    columns = {one.name: one for one in before.columns}
    known = {one.name for one in before.foreign_keys}
    for key in after.foreign_keys:
        if key.name in known or not columns.keys() >= set(key.columns):
            continue
        values = [[one for one in _values(cursor, columns[name]) if one is not None] for name in key.columns]
        for row in zip(*values, strict=False):
            given = dict(zip(key.columns, map(literal, row), strict=True))
            shown = {name: _short(value) for name, value in given.items()}
            yield Edge(f"FOREIGN KEY {key.name}", given, shown, _FOREIGN_KEY, frozenset({key.name}))


def _edge(
    rule: str, column: str, value: str | None, states: tuple[str, ...], names: frozenset[str] = frozenset()
) -> Edge:
    spelled = literal(value)
    return Edge(rule, {column: spelled}, {column: _short(spelled)}, states, names)


def _short(spelled: str) -> str:
    return spelled if len(spelled) <= _LONGEST else f"{spelled[:_LONGEST]}…' ({len(spelled) - 2} characters)"


def _values(cursor: Any, column: Column) -> list[str | None]:
    """Spell the values as text, so that the newer type is asked to read them as a driver would have it do."""
    found: list[str | None] = [None] if column.nullable else []
    known = values_for(column)
    spelled = list(known.edges) if known is not None else []
    if known is not None:
        spelled += [one.at("0") for one in known.generators[:1]]
    if column.kind == "e":
        return [*found, *column.labels]
    if spelled:
        for row in asked(cursor, f"SELECT {', '.join(f'({one})::text' for one in spelled)}"):
            found += row
    return found


def asked(cursor: Any, sql: str) -> list[tuple[Any, ...]]:
    """Ask, and take it for no answer where a type or a column has gone meanwhile."""
    return client.in_savepoint(cursor, lambda: client.rows(cursor, sql)) or []


def literal(text: str | None) -> str:
    """Spell a string constant that names no type, or NULL; backslashes and line ends so that it stays one line."""
    if text is None:
        return "NULL"
    if "\n" in text or "\t" in text:
        escaped = text.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n").replace("\t", "\\t")
        return f"E'{escaped}'"
    return "'" + text.replace("'", "''") + "'"


def tried(cursor: Any, sql: str) -> Exception | None:
    """Run a statement and take it back, in one round trip; return what the server refuses it with."""
    try:
        # What was prepared outlives the savepoint that it was prepared in.
        cursor.execute(f"SAVEPOINT airlock_tried; {sql}; ROLLBACK TO airlock_tried; RELEASE airlock_tried")
    except client.Error as error:
        cursor.execute("ROLLBACK TO airlock_tried")
        refused: Exception = error
        return refused
    return None
