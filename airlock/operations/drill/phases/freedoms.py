"""What a proof holds for: the freedoms that an upgrade grants, and the query that counts the rows that made use of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airlock.drivers import client
from airlock.drivers.spelling import quoted
from airlock.operations.downgrade.casts import expressions
from airlock.operations.downgrade.items import narrowed
from airlock.operations.downgrade.rehearse import Rehearsed
from airlock.operations.drill.rows.computed_back import checked, exactly
from airlock.operations.drill.rows.translated_back import translated

if TYPE_CHECKING:
    from collections.abc import Collection

    from airlock.operations.downgrade.items import Item
    from airlock.operations.downgrade.snapshot import Column, Snapshot, type_identity
    from airlock.operations.drill.state import State
    from airlock.operations.drill.step import StepTaken

_TIMES = {"timestamp with time zone", "timestamp without time zone"}
# One time of the clock for each moment.
_EVEN = frozenset({"UTC", "ETC/UTC", "GMT", "ETC/GMT", "Z", "ZULU", "UCT"})
_AT_ZONE = re.compile(
    r"""(?is)\(?\s*(?:("?\w+"?)\s+AT\s+TIME\s+ZONE\s+'([^']+)'|timezone\(\s*'([^']+)'\s*,\s*("?\w+"?)\s*\))\s*\)?"""
)
# As PostgreSQL spells `column IN (…)`; once more where its type has been another.
_MEMBER = r"""\(*(?:'(?:[^']|'')*'|-?\d+)\)?(?:::[\w ]+\)?)*"""
_LISTED = re.compile(
    rf"""\(\(?(?:"[^"]+"|\w+)\)?(?:::text)? = ANY \(\(?(ARRAY\[(?:{_MEMBER}(?:, )?)+\])\)?(?:::text\[\])?\)\)"""
)
_RULES = ("constraint ", "index ")


@dataclass(frozen=True)
class Narrow:
    """Rows that may be there above a step and not below it.

    `exact` is their condition by what the two ways compute, the first that the server takes; `few` all values of their
    column above, where those are few, `domain` its type where that is one.
    """

    item: Item
    exact: tuple[str, ...] = ()
    few: str | None = None
    domain: str | None = None


def grants(before: State, after: State) -> bool:
    """Tell whether an upgrade may let rows in that were refused before: a rule, a NOT NULL or a type is not what it was."""
    then, now = before.catalogue.objects, after.catalogue.objects
    return any(
        (other := now.get(name)) is not one
        and other != one
        and (
            one.kind in {"column", "enum", "domain"}
            or name.startswith(_RULES)
            or "partition bound" in one.attributes
        )
        for name, one in then.items()
    )


def narrows(
    revision: str, above: Snapshot, below: Snapshot, taken: tuple[StepTaken, StepTaken]
) -> tuple[Narrow, ...]:
    """Say which rows must not be there above a step for it to go down as it was seen to.

    `taken` are the way up and the way down: the statements by which they change types, and values.
    """
    ways = tuple(one.retypings for one in taken)
    step = Rehearsed(revision, above, below, (), reads_rows=False, recast=())
    found = []
    for item in narrowed(step, above):
        exact: tuple[str, ...] = ()
        few = domain = None
        if item.identity is not None:
            column, then = above.columns[item.identity], below.columns[item.identity]
            if not item.enforced and _keeps_the_clock(column, then, ways[1]):
                continue
            if item.enforced:
                by_check = checked(item.condition, column, then, ways[1]) or translated(
                    item.condition, column, then, taken[0].data_statements, taken[1].data_statements
                )
                exact = (by_check,) if by_check is not None else ()
            else:
                exact = exactly(column, then, ways[0], ways[1], above.major)
            few = _few(column, item.identity, above)
            domain = column.type if column.base is not None else None
        found.append(Narrow(item, exact, few, domain))
    return tuple(found)


def _keeps_the_clock(column: Column, then: Column, retypings: Collection[str]) -> bool:
    """Tell whether a downgrade turns moments into times of a clock that is never put back, or those into moments."""
    if {column.type, then.type} != _TIMES:
        return False
    spelled = [one for name in {column.name, then.name} for one in expressions(name, retypings)]
    found = _AT_ZONE.fullmatch(spelled[0].strip()) if len(spelled) == 1 else None
    return found is not None and (found[2] or found[3]).upper() in _EVEN


def open_still(connection: client.Connection, narrows: Collection[Narrow]) -> tuple[Item, ...]:
    """Leave out what no row can be above: what CHECKs keep out, by the server's own proof, and labels that all come back.

    The database must stand above the step. Conditions are those that the ways compute, where the server takes them.
    Plans and asks of no table's rows; leaves no lock.
    """
    found: list[Item] = []
    with connection.cursor() as cursor:
        cursor.execute("SET constraint_exclusion = on")
        try:
            for one in narrows:
                item = one.item
                computed = (replace(item, condition=condition) for condition in one.exact)
                item = next((exact for exact in computed if _plan(cursor, exact) is not None), item)
                if not (
                    _kept_out(cursor, item)
                    or _none_of_few(cursor, item, one.few or _few_of_domain(cursor, one))
                ):
                    found.append(item)
        finally:
            cursor.execute("RESET constraint_exclusion")
    return tuple(found)


def _kept_out(cursor: client.Cursor, item: Item) -> bool:
    if "SELECT" in item.condition:
        return False  # of several rows: a CHECK tells of one
    plan = _plan(cursor, item)
    return plan is not None and any(line.strip() == "One-Time Filter: false" for line in plan)


def _few(column: Column, identity: type_identity, above: Snapshot) -> str | None:
    """Spell all values of a column, under its name: a flag's, an enum's, or those of a list that a CHECK keeps to."""
    name, null = quoted(column.name), "" if column.not_null else " UNION ALL SELECT NULL"
    listed = "ARRAY[true, false]" if column.type == "boolean" else ""
    if column.labels is not None:
        listed = f"enum_range(NULL::{column.type})"
    for rule in above.restrictions:
        if rule.kind == "check" and (rule.table, *rule.columns) == identity:
            kept = _LISTED.fullmatch(rule.text)
            listed = kept[1] if kept is not None else listed
    return f"(SELECT unnest({listed}){null}) AS few ({name})" if listed else None


def _few_of_domain(cursor: client.Cursor, narrow: Narrow) -> str | None:
    """Spell the values of a list that a domain keeps to, and NULL."""
    name = narrow.item.column_at_step
    if narrow.domain is None or name is None:
        return None
    cursor.execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contypid = %s::regtype AND convalidated",
        (narrow.domain,),
    )
    for (text,) in cursor.fetchall():
        kept = _LISTED.fullmatch(str(text).removeprefix("CHECK (").removesuffix(")"))
        if kept is not None:
            return f"(SELECT unnest({kept[1]}) UNION ALL SELECT NULL) AS few ({quoted(name)})"
    return None


def _none_of_few(cursor: client.Cursor, item: Item, few: str | None) -> bool:
    """Ask a condition of each value that its column can have; one that names other columns is not told by those."""
    if few is None:
        return False
    try:
        cursor.execute(f"SELECT count(*) FROM {few} WHERE {item.where(at_step=True)}")
    except client.Error:
        return False
    return bool(cursor.fetchone()[0] == 0)


def _plan(cursor: client.Cursor, item: Item) -> list[str] | None:
    """Have the server plan an item's query; None where it does not take it."""
    try:
        cursor.execute(f"EXPLAIN (COSTS off) {item.count_sql(at_step=True)}")
    except client.Error:
        return None
    return [str(row[0]) for row in cursor.fetchall()]
