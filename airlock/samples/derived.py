"""Columns that a table fills in from another column of the row, by a trigger or as generated ones: what is asked of both.

A unique index on the twin of a column, kept equal by a trigger, asks for other values in the column that is copied.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airlock.drivers.spelling import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airlock.samples.model import Check, ForeignKey, Unique

_NAME = r'(?:"(?:[^"]|"")+"|[A-Za-z_][\w$]*)'
_NEW = re.compile(rf"\bNEW\.({_NAME})", re.IGNORECASE)
# One statement of a body begins behind another one's end, or behind what opens a block.
_STATEMENTS = re.compile(r";|\b(?:BEGIN|THEN|ELSE|LOOP)\b", re.IGNORECASE)
_ASSIGNED = re.compile(rf"\s*NEW\.({_NAME})\s*:?=(?!=)\s*(.+)", re.IGNORECASE | re.DOTALL)
_SELECTED = re.compile(
    rf"\s*SELECT\s+(.+?)\s+INTO\s+(?:STRICT\s+)?NEW\.({_NAME})\s*", re.IGNORECASE | re.DOTALL
)
_CAST = re.compile(r"::\s*[A-Za-z_\"][\w\s.\"]*(?:\(\s*\d+(?:\s*,\s*-?\d+)?\s*\)[\w\s]*)?(?:\[\])*")


@dataclass(frozen=True, slots=True)
class Derived:
    """A column that is made of one other; `expression` over that one where it is a copy, cast at most."""

    name: str
    source: str
    expression: str | None


def by_triggers(bodies: Sequence[str]) -> Iterator[Derived]:
    """Find the columns that bodies of triggers make of one other column, by an assignment to NEW or `SELECT … INTO NEW`."""
    for body in bodies:
        for statement in _STATEMENTS.split(body):
            if (found := _ASSIGNED.fullmatch(statement)) is not None:
                target, value = found.groups()
            elif (found := _SELECTED.fullmatch(statement)) is not None:
                value, target = found.groups()
            else:
                continue
            sources = {_plain(one) for one in _NEW.findall(value)}
            name, source = _plain(target), next(iter(sources), "")
            if len(sources) == 1 and source != name:
                spelled = _NEW.sub(quoted(source).replace("\\", r"\\"), value.strip())
                yield Derived(name, source, spelled if _is_copy(spelled, source) else None)


def generated(name: str, expression: str, columns: Sequence[str]) -> Iterator[Derived]:
    """Tell whether a generated column is made of one of the columns alone."""
    named = [one for one in columns if _names(one).search(expression)]
    if len(named) == 1:
        yield Derived(name, named[0], expression if _is_copy(expression, named[0]) else None)


def uniques_of_sources(uniques: Sequence[Unique], derived: Sequence[Derived]) -> tuple[Unique, ...]:
    """Ask of sources what unique indexes ask of the columns that are made of them; they tell no row."""
    sources = {one.name: one.source for one in derived}
    found = []
    for one in uniques:
        columns = tuple(dict.fromkeys(sources.get(name, name) for name in one.columns))
        if columns != one.columns and not one.exclusion:
            found.append(replace(one, columns=columns, primary=False, not_null=False))
    return tuple(found)


def checks_of_sources(checks: Sequence[Check], derived: Sequence[Derived]) -> tuple[Check, ...]:
    """Ask of sources what CHECKs ask of their copies."""
    copies = {one.name: one for one in derived if one.expression is not None}
    found = []
    for check in checks:
        columns, expression = check.columns, check.expression
        for name in [name for name in columns if name in copies]:
            one = copies[name]
            columns = tuple(dict.fromkeys(one.source if it == name else it for it in columns))
            spelled = f"({one.expression})".replace("\\", r"\\")
            expression = _names(name).sub(spelled, expression)
        if columns != check.columns:
            # No constraint of this name is about these columns: none that may be dropped for a row.
            found.append(
                replace(
                    check,
                    name=f"{check.name} of its source",
                    columns=columns,
                    expression=expression,
                    valid=True,
                )
            )
    return tuple(found)


def keys_of_sources(keys: Sequence[ForeignKey], derived: Sequence[Derived]) -> tuple[ForeignKey, ...]:
    """Have sources refer to what their copies refer to."""
    sources = {one.name: one.source for one in derived if one.expression is not None}
    referring = {one.columns for one in keys}
    found = []
    for one in keys:
        columns = tuple(sources.get(name, name) for name in one.columns)
        if columns not in referring:
            found.append(replace(one, columns=columns))
    return tuple(found)


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def _names(column: str) -> re.Pattern[str]:
    bare = rf"|{re.escape(column)}" if re.fullmatch(r"[a-z_][a-z0-9_$]*", column) else ""
    return re.compile(
        rf'(?<![\w".$])(?:"{re.escape(column.replace(chr(34), chr(34) * 2))}"{bare})(?![\w"$(])'
    )


def _is_copy(expression: str, source: str) -> bool:
    return not _CAST.sub("", _names(source).sub("", expression)).strip("() \n\t")
