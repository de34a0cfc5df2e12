"""How the rows are found that a constraint would refuse: said above the statement that looks at every row."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from airlock.catalogue.structure import quoted
from airlock.operations.revision.written.clauses import NAME

if TYPE_CHECKING:
    from airlock.catalogue.structure import Constraint, Table
    from airlock.operations.revision.parts import Sql

_PERIOD = re.compile(rf"[(,] ?PERIOD ({NAME})")


def noted(statements: tuple[Sql, ...], live: Table, one: Constraint) -> tuple[Sql, ...]:
    """Say above the last of statements which query finds the rows that would stop it; nothing where none is known."""
    found = _query(live, one)
    if found is None:
        return statements
    note = f"Rows that break it stop this: {' '.join(found.split())}"
    return (*statements[:-1], dataclasses.replace(statements[-1], note=note))


def _query(live: Table, one: Constraint) -> str | None:
    columns = [quoted(name) for name in one.columns]
    if one.kind == "c":
        return f"SELECT * FROM {live.sql} WHERE NOT ({one.text.removeprefix('CHECK ').strip()})"
    if one.kind == "f" and one.references is not None:
        return _without_partner(live, one, columns)
    if one.excludes:
        return _overlapping(live, one)
    if one.kind == "u" and columns:
        listed = ", ".join(columns)
        held = " AND ".join(f"{name} IS NOT NULL" for name in columns)
        where = "" if "NULLS NOT DISTINCT" in one.definition else f" WHERE {held}"
        return f"SELECT {listed} FROM {live.sql}{where} GROUP BY {listed} HAVING count(*) > 1"
    return None


def _without_partner(live: Table, one: Constraint, columns: list[str]) -> str:
    """Find rows that refer to none; with PERIOD, to some that do not hold the whole of their own."""
    pairs = [(here, quoted(there)) for here, there in zip(columns, one.referred, strict=True)]
    period = _PERIOD.search(one.definition)
    held = " AND ".join(f"here.{name} IS NOT NULL" for name in columns)
    where = " AND ".join(f"there.{there} = here.{here}" for here, there in (pairs[:-1] if period else pairs))
    if period is None:
        missing = f"NOT EXISTS (SELECT FROM {one.references} there WHERE {where})"
    else:
        here, there = pairs[-1]
        whole = f"SELECT range_agg(there.{there}) FROM {one.references} there WHERE {where}"
        missing = f"(here.{here} <@ ({whole})) IS NOT TRUE"
    return f"SELECT * FROM {live.sql} here WHERE {held} AND {missing}"


def _overlapping(live: Table, one: Constraint) -> str:
    """Find pairs of rows for which every operator of the constraint holds."""
    values = ", ".join(f"{item} AS value_{place}" for place, (item, _) in enumerate(one.excludes))
    same = " AND ".join(
        f"one.value_{place} {operator} other.value_{place}"
        for place, (_, operator) in enumerate(one.excludes)
    )
    where = f" WHERE {one.predicate}" if one.predicate else ""
    return (
        f"WITH held AS (SELECT tableoid AS home, ctid AS place, *, {values} FROM {live.sql}{where})"
        f" SELECT * FROM held one JOIN held other ON (one.home, one.place) < (other.home, other.place) AND {same}"
    )
