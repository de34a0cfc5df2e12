"""Tables that refer to each other and may leave no key out: their rows are inserted by one statement.

PostgreSQL checks foreign keys when a statement ends, deferrable or not: what one part of it refers to, another may bring.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from airlock.drivers.spelling import quoted
from airlock.samples.builtin_types import Generator
from airlock.samples.fit import fit
from airlock.samples.order import can_be_null
from airlock.samples.plan import insert_sql, make_plan
from airlock.samples.values import values_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airlock.samples.model import Column, Table
    from airlock.samples.plan import Plan


def forced_cycle(table: Table, tables: Mapping[int, Table], counts: Mapping[int, int]) -> tuple[Table, ...]:
    """List the tables without rows that this one must refer to and that must refer to it; () where there are none."""

    def led_to(start: Table) -> dict[int, Table]:
        found: dict[int, Table] = {}
        waiting = [start]
        while waiting:
            here = waiting.pop()
            for key in here.foreign_keys:
                there = tables.get(key.target)
                if there is None or key.target in found or key.target == here.oid:
                    continue
                if not counts.get(key.target) and not can_be_null(here, key):
                    found[key.target] = there
                    waiting.append(there)
        return found

    members = [one for one in led_to(table).values() if table.oid in led_to(one)]
    return tuple(sorted(members, key=lambda it: it.label)) if table in members else ()


def insert_cycle(
    cursor: Any,
    members: Sequence[Table],
    rows: int,
    tables: Mapping[int, Table],
    counts: Mapping[int, int],
    *,
    edges: bool,
) -> str | None:
    """Fill all members within the open transaction; return why not, None when they are filled. Raises what the server does.

    The values by which they are referred to are made beforehand, in a temporary table for each.
    """
    here = {**counts, **{table.oid: rows for table in members}}
    plans = {table.oid: make_plan(table, here, edges=edges, nulls=edges) for table in members}
    beforehand = dict(tables)
    waiting = list(members)
    while waiting:
        whys = {}
        for table in list(waiting):
            name = f"airlock_keys_{members.index(table)}"
            whys[table.oid] = _make_keys(cursor, name, plans[table.oid], members, beforehand, here)
            if whys[table.oid] is None:
                waiting.remove(table)
                beforehand[table.oid] = dataclasses.replace(
                    table, schema="pg_temp", name=name, partition_check=None
                )
        if len(whys) == len(waiting):
            return whys[waiting[0].oid]
    parts = []
    for place, table in enumerate(members):
        plan = plans[table.oid]
        if plan.unknown:
            return f"no value can be made for {'; '.join(plan.unknown)}"
        fit(cursor, plan)
        parts.append(f"airlock_{place} AS ({insert_sql(plan, 0, rows, here, beforehand, skip=False)})")
    cursor.execute(f"WITH {', '.join(parts)} SELECT 1")
    return None


def _make_keys(
    cursor: Any,
    name: str,
    plan: Plan,
    members: Sequence[Table],
    beforehand: Mapping[int, Table],
    counts: Mapping[int, int],
) -> str | None:
    """Make the values that others will refer to, and have the plan take them; say why not.

    `beforehand` names, for members whose values are made, the table that holds them.
    """
    table = plan.table
    wanted = {
        column
        for other in members
        for key in other.foreign_keys
        if key.target == table.oid
        for column in key.target_columns
    }
    columns = [column for column in table.columns if column.name in wanted]
    spelled = [_key_value(column, plan, members, beforehand, counts) for column in columns]
    if len(columns) < len(wanted) or not all(spelled):
        return f"its key ({', '.join(sorted(wanted))}) refers to other tables, in a cycle of foreign keys"
    made = ", ".join(
        f"{value} AS {quoted(column.name)}" for value, column in zip(spelled, columns, strict=True)
    )
    cursor.execute(
        f"CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS SELECT g.i AS airlock_i, {made} "
        f"FROM generate_series(0, {counts[table.oid] - 1}::bigint) AS g(i)"
    )
    for column in columns:
        plan.left_out.discard(column.name)
        plan.edges.pop(column.name, None)
        plan.nulls.discard(column.name)
        plan.usual[column.name] = Generator(
            f"(SELECT k.{quoted(column.name)} FROM pg_temp.{name} AS k WHERE k.airlock_i = $i)"
        )
        plan.fixed.add(column.name)
    plan.first_key = 0
    return None


def _key_value(
    column: Column,
    plan: Plan,
    members: Sequence[Table],
    beforehand: Mapping[int, Table],
    counts: Mapping[int, int],
) -> str | None:
    """Spell the value of a key's column: its own, or that of the row over there that has the same number."""
    table, inside = plan.table, {one.oid for one in members}
    keys = [one for one in table.foreign_keys if column.name in one.columns and beforehand.get(one.target)]
    # What lies outside the cycle is there already.
    key = min(keys, key=lambda it: (it.target in inside, it != plan.by_key.get(column.name)), default=None)
    if key is None or any(one.columns == (column.name,) for one in table.uniques):
        if column.sequence is not None:
            return f"nextval('{column.sequence}')"
        found = values_for(column, table.label)
        unique = next((one for one in found.generators if one.cardinality is None), None) if found else None
        return unique.at("(g.i)") if unique is not None else None
    target = beforehand[key.target]
    there = quoted(dict(zip(key.columns, key.target_columns, strict=True))[column.name])
    if key.target in inside:
        if target.schema != "pg_temp":
            return None
        return f"(SELECT k.{there} FROM pg_temp.{target.name} AS k WHERE k.airlock_i = g.i)"
    if not counts.get(key.target):
        return None
    return (
        f"(SELECT p.{there} FROM (SELECT *, row_number() OVER () - 1 AS airlock_n FROM {target.rows_sql}) AS p "
        f"WHERE p.airlock_n = g.i % {counts[key.target]})"
    )
