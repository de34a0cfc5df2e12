"""Fit a plan to the table's CHECKs, by asking the server which values they let through.

Only the columns of a CHECK that refuses are given other values; the rest keep their variety. Reads only: every
question is a SELECT that evaluates the CHECK's own expression on made-up rows.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from airlock.drivers import client
from airlock.drivers.spelling import literal, mentions, quoted
from airlock.samples.builtin_types import Generator
from airlock.samples.extension_types import with_dimensions
from airlock.samples.literals import NUMBER, literals
from airlock.samples.plan import MOST_EDGES
from airlock.samples.values import null_of, pool, values_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airlock.samples.builtin_types import Values
    from airlock.samples.model import Check, Column
    from airlock.samples.plan import Plan

_TRIAL = 160
_SMALL_TRIAL = 40
_MOST_COMBINATIONS = 600
_MOST_INSIDE = 12
_CALLED = re.compile(r"([A-Za-z_][\w$]*)\"?\(")
_HASHED = re.compile(r"satisfies_hash_partition\([^()]*\)")
_BOUND = re.compile(r"FROM \((.*?)\) TO \((.*?)\)|IN \((.*?)\)")


def fit(cursor: Any, plan: Plan) -> None:
    """Change the plan until its rows satisfy every CHECK, or filter out the rows that do not."""
    plan.filters += [
        f"({one.expression}) IS NOT FALSE" for one in plan.table.checks if _is_of_keys(plan, one)
    ]
    plan.chosen = bool(plan.filters)
    checks = [check for check in plan.table.checks if _can_be_tried(plan, check)]
    if plan.table.partition_check:
        inside = _use_bounds(plan)
        bounds = _partition_check(cursor, plan)
        checks.append(bounds)
        _stand_inside(cursor, plan, bounds, inside)
    if not checks:
        return
    failing = _failing(cursor, plan, checks)
    for check in sorted(failing, key=lambda it: (len(it.columns), it.name)):
        _fit_one(cursor, plan, check, checks)
    for check in _failing(cursor, plan, failing) if failing else ():
        plan.filters.append(f"({check.expression}) IS NOT FALSE")


def leave_out_refused(cursor: Any, plan: Plan) -> bool:
    """Leave out the values that the columns' own types refuse, a usual one for NULL; False where they refuse none.

    One of them would end the whole INSERT, and with it the values of all other columns.
    """
    refused = False
    for column in plan.table.columns:
        edges = plan.edges.get(column.name, ())
        if edges and not _taken(cursor, edges):
            plan.edges[column.name] = tuple(edge for edge in edges if _taken(cursor, (edge,)))
            refused = True
        usual = plan.usual.get(column.name)
        if usual is not None and column.nullable and not _taken(cursor, (usual.at("3"),)):
            plan.usual[column.name] = Generator(null_of(column), 1)
            refused = True
    return refused


def _taken(cursor: Any, values: Sequence[str]) -> bool:
    return _ask(cursor, f"SELECT {', '.join(f'({value})::text' for value in values)}") is not None


def _can_be_tried(plan: Plan, check: Check) -> bool:
    """Leave alone a CHECK that only reads columns which get their values elsewhere."""
    generated = plan.table.generated
    return not (set(check.columns) & generated) and any(name in plan.values for name in check.columns)


def _is_of_keys(plan: Plan, check: Check) -> bool:
    """Tell whether the rows that foreign keys lead to decide a CHECK alone: `debit <> credit`."""
    return bool(check.columns) and all(plan.by_key.get(name) in plan.keys for name in check.columns)


def _partition_check(cursor: Any, plan: Plan) -> Check:
    from airlock.samples.model import Check as NewCheck

    expression = plan.table.partition_check or "true"
    named = [one for one in plan.table.columns if mentions(expression, one.name)]
    columns = tuple(one.name for one in named)
    for one in named:
        if one.domain is not None and _HASHED.search(expression):
            # It takes the key's own type alone, where all else takes the domain's base type.
            cursor.execute("SELECT format_type(%s::oid, NULL)", (one.domain,))
            typed = f"{quoted(one.name)}::{cursor.fetchone()[0]}"
            expression = _HASHED.sub(partial(_cast_in, one.name, typed), expression)
    return NewCheck("partition bounds", columns, expression)


def _cast_in(name: str, typed: str, called: re.Match[str]) -> str:
    spelled = re.compile(rf"(?<![\w\".])(?:{re.escape(name)}|{re.escape(quoted(name))})(?![\w\"(.])")
    return spelled.sub(lambda _: typed, called[0])


def _use_bounds(plan: Plan) -> dict[str, list[Generator]]:
    """Offer values inside the partitions: between the bounds of ranges, the values of lists; return them by column."""
    inside: dict[str, list[Generator]] = {}
    for column in plan.table.columns:
        found = plan.values.get(column.name)
        if found is None:
            continue
        offered: list[Generator] = []
        for bound in plan.table.bounds:
            for low, high, listed in _BOUND.findall(bound or ""):
                if listed:
                    offered += [
                        Generator(f"({_typed(value, column)})", 1)
                        for value in listed.split(", ")
                        if value != "NULL"
                    ]
                elif low and high and ", " not in low and {low, high}.isdisjoint({"MINVALUE", "MAXVALUE"}):
                    offered.append(Generator(_between(low, high, column)))
        if offered:
            inside[column.name] = offered
            turns = " ".join(f"WHEN {turn} THEN {one.at('($i)')}" for turn, one in enumerate(offered))
            spread = Generator(f"CASE (($i) % {len(offered)}) {turns} END")
            plan.values[column.name] = type(found)((*found.generators, spread, *offered), found.edges)
    return inside


def _stand_inside(cursor: Any, plan: Plan, bounds: Check, inside: dict[str, list[Generator]]) -> None:
    """Put a row into each partition, also where any value fits: into a DEFAULT one."""
    for column in plan.table.columns:
        if column.name in bounds.columns and column.name in inside:
            offered = [one.at(f"({turn + 1})") for turn, one in enumerate(inside[column.name][:_MOST_INSIDE])]
            fitting = [one for one in offered if _passes(cursor, plan, column, one, bounds.expression)]
            plan.edges[column.name] = (*fitting, *plan.edges.get(column.name, ()))[:MOST_EDGES]


def _typed(value: str, column: Column) -> str:
    return f"{value}::{'bpchar' if column.type == 'character' else column.type}"


def _between(low: str, high: str, column: Column) -> str:
    low, high = _typed(low, column), _typed(high, column)
    if column.type == "date":
        return f"({low} + (($i) % greatest({high} - {low}, 1))::integer)"
    if column.category == "D":
        return f"({low} + ({high} - {low}) * ((($i) % 997) / 1000.0))"
    if column.category == "N":
        return f"({low} + ($i) % greatest(({high} - {low})::bigint, 1))::{column.type}"
    return f"({low})"


def _failing(cursor: Any, plan: Plan, checks: Sequence[Check]) -> list[Check]:
    counts = ", ".join(f"count(*) FILTER (WHERE ({check.expression}) IS FALSE)" for check in checks)
    row = _ask(cursor, f"SELECT {counts} FROM ({_rows(plan, {}, _TRIAL)}) AS c")
    if row is None:  # one of them raises instead of answering
        return [check for check in checks if len(checks) == 1 or _failing(cursor, plan, [check])]
    return [check for check, count in zip(checks, row, strict=True) if count]


def _rows(plan: Plan, instead: dict[str, Generator], count: int) -> str:
    spelled = []
    for column in plan.table.columns:
        if column.name in instead:
            expression = instead[column.name].at("g.i")
        elif column.name in plan.usual:
            expression = plan.column_sql(column)
        else:
            found = values_for(column)
            expression = found.generators[0].at("g.i") if found else null_of(column)
        spelled.append(f"{expression} AS {quoted(column.name)}")
    return f"SELECT {', '.join(spelled)} FROM generate_series(0, {count - 1}::bigint) AS g(i)"


def _ask(cursor: Any, query: str) -> Any:
    def first() -> Any:
        cursor.execute(query)
        return cursor.fetchone()

    return client.in_savepoint(cursor, first)


def _fit_one(cursor: Any, plan: Plan, check: Check, checks: Sequence[Check]) -> None:
    """Find values for this CHECK's columns that satisfy it and every other CHECK on them."""
    columns = [one for one in plan.table.columns if one.name in check.columns and one.name in plan.values]
    touching = [one for one in checks if set(one.columns) & {column.name for column in columns}]
    options = [_options(cursor, plan, column, check) for column in columns]
    while len(options) > 1 and _product(options) > _MOST_COMBINATIONS:
        longest = max(range(len(options)), key=lambda place: len(options[place]))
        options[longest] = options[longest][: max(len(options[longest]) // 2, 2)]
    best: tuple[int, dict[str, Generator]] = (0, {})
    combinations = [
        dict(zip((column.name for column in columns), one, strict=True))
        for one in itertools.product(*options)
    ]
    condition = " AND ".join(f"({one.expression}) IS NOT FALSE" for one in touching)
    for part in range(0, len(combinations), 40):
        scored = _scores(cursor, plan, combinations[part : part + 40], condition)
        found = max(scored, key=lambda it: it[0], default=best)
        best = max(best, found, key=lambda it: it[0])
        if best[0] == _SMALL_TRIAL:
            break
    if best[0] > 0:
        plan.usual.update(best[1])
    edges_before = {column.name: plan.edges.pop(column.name, ()) for column in columns}
    nulls_before = {column.name for column in columns if column.name in plan.nulls}
    plan.nulls -= nulls_before
    for name in sorted(nulls_before):
        plan.nulls.add(name)
        if _failing(cursor, plan, touching):
            plan.nulls.discard(name)
    for column in columns:
        sized = [edge for one in _sized(column, check) for edge in one.edges]
        let_through = [
            edge
            for edge in (*edges_before[column.name], *(sized if edges_before[column.name] else ()))
            if _passes(cursor, plan, column, edge, condition)
        ]
        if let_through:
            plan.edges[column.name] = tuple(let_through)


def _product(options: list[list[Generator]]) -> int:
    size = 1
    for one in options:
        size *= len(one)
    return size


def _scores(
    cursor: Any, plan: Plan, combinations: list[dict[str, Generator]], condition: str
) -> list[tuple[int, dict[str, Generator]]]:
    def score(some: list[dict[str, Generator]]) -> Any:
        parts = ", ".join(
            f"(SELECT count(*) FROM ({_rows(plan, one, _SMALL_TRIAL)}) AS c WHERE {condition})"
            for one in some
        )
        return _ask(cursor, f"SELECT {parts}")

    row = score(combinations)
    if row is None:  # one of them raises; ask one by one
        row = [(score([one]) or (0,))[0] for one in combinations]
    return list(zip(row, combinations, strict=True))


def _passes(cursor: Any, plan: Plan, column: Column, edge: str, condition: str) -> bool:
    rows = _rows(plan, {column.name: Generator(edge, 1)}, 8)
    row = _ask(cursor, f"SELECT count(*) FROM ({rows}) AS c WHERE ({condition}) IS FALSE")
    return row is not None and row[0] == 0


def _options(cursor: Any, plan: Plan, column: Column, check: Check) -> list[Generator]:
    """List what a column may be given for the sake of one CHECK: its own values, and what the CHECK spells out."""
    constants = literals(column, _spelled_out(cursor, check.expression))
    accepted = constants
    if constants and set(check.columns) == {column.name}:
        condition = f"({check.expression}) IS NOT FALSE"
        accepted = tuple(
            literal
            for literal in constants
            if (
                row := _ask(
                    cursor,
                    f"SELECT {condition} FROM (SELECT {_typed(f'({literal})', column)} AS {quoted(column.name)}) AS c",
                )
            )
            and row[0]
        )
    found = [plan.usual[column.name], *plan.values[column.name].generators]
    unique = any(column.name in one.columns for one in plan.table.uniques)
    if accepted:
        turns = pool(accepted, column)
        found = [*found, turns] if unique else [turns, *found]
        if len(check.columns) > 1:
            found += [pool((literal,), column) for literal in accepted[:8]]
    if column.category == "S":
        for text in NUMBER.findall(check.expression):
            if text.isdigit() and 0 < int(text) <= 5000:
                found.append(Generator(f"lpad(to_hex($i), {text}, '0')"))
                found.append(Generator(f"rpad('s' || ($i), {text}, 'x')"))
    found += [generator for one in _sized(column, check) for generator in one.generators]
    if column.nullable:
        found.append(Generator(null_of(column), 1))
    return list(dict.fromkeys(found))


def _sized(column: Column, check: Check) -> list[Values]:
    """Give the values of a type of any dimensions that has as many as a CHECK names."""
    spelled = with_dimensions(column.full or column.type, dict.fromkeys(NUMBER.findall(check.expression)))
    return [found for one in spelled if (found := values_for(replace(column, full=one))) is not None]


def _spelled_out(cursor: Any, expression: str) -> str:
    """Add the bodies of the project's own functions that an expression calls: what they compare with stands there."""
    names = sorted(set(_CALLED.findall(expression)))
    if not names:
        return expression
    listed = ", ".join(literal(one) for one in names)
    row = _ask(
        cursor,
        "SELECT string_agg(p.prosrc, ' ') FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang "
        f"WHERE p.oid >= 16384 AND l.lanname IN ('sql', 'plpgsql') AND p.proname IN ({listed})",
    )
    return f"{expression} {row[0]}" if row and row[0] else expression
