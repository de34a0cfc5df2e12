"""One table's rows as one INSERT … SELECT: which expression each column gets."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airlock.drivers.spelling import literal, quoted
from airlock.samples.builtin_types import Generator, Values
from airlock.samples.order import can_be_null, points_back
from airlock.samples.values import null_of, values_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airlock.samples.model import Column, ForeignKey, Table

# A foreign key takes turns with so many rows over there; more would only make the join slower.
POOL = 10_000
_CYCLE = 23
_FIRST_EDGE = 8
_SPARSE_FROM = 1_000
MOST_EDGES = _CYCLE - _FIRST_EDGE
# So far apart are the values of two columns that have the same kind of value: neither is a copy of the other.
_APART = 37
_FEW = 100
# Of so many times the rows those are taken whose foreign keys lead to rows that a CHECK lets stand together.
_CHOSEN = 8
# From so many rows on they stand in whatever order the server reads them: a sort would cost more than the order is worth.
_SORTED = 20_000
# What is cut to a length: the last of their edges is the longest.
_CUT = frozenset({"text", "character varying", "bytea"})
# Of a number that is a key by itself: far from those that count rows, so that cut or divided it is another one.
LARGE_KEYS = {"integer": ("16000057",), "bigint": ("1099512615430",)}
_COUNTED = frozenset({"smallint", "integer", "bigint"})
_LARGEST = {"smallint": 32_767, "integer": 2_147_483_647, "bigint": 9_223_372_036_854_775_807}
# Characters that a text without a length of its own may have.
_LONGEST = 10_485_760
_FEW_ROWS = 3
_NONE: Mapping[str, tuple[str, ...]] = {}


@dataclass(slots=True)
class Plan:
    """What each column of one table gets. Changed while CHECKs are fitted, then spelt."""

    table: Table
    values: dict[str, Values] = field(default_factory=dict)
    usual: dict[str, Generator] = field(default_factory=dict)
    edges: dict[str, tuple[str, ...]] = field(default_factory=dict)
    nulls: set[str] = field(default_factory=set)
    left_out: set[str] = field(default_factory=set)
    keys: list[ForeignKey] = field(default_factory=list)
    self_keys: list[ForeignKey] = field(default_factory=list)
    by_key: dict[str, ForeignKey] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    filters: list[str] = field(default_factory=list)
    chosen: bool = False
    fixed: set[str] = field(default_factory=set)
    room: int | None = None
    room_of: str = ""
    first_key: int = 0

    def column_sql(self, column: Column) -> str:
        """Spell one column's value, with its NULLs and edges."""
        unique = self.is_unique(column.name)
        usual = self.usual[column.name].at(f"(g.i + {self.first_key})" if unique else "(g.i)")
        arms = []
        place = f"(g.i + {column.number}) % {_CYCLE}"
        if column.name in self.nulls:
            arms.append(f"WHEN {place} = 5 THEN NULL")
        edges = self.edges.get(column.name, ())
        if edges and unique:
            arms += [
                f"WHEN g.i = {_FIRST_EDGE + column.number + turn} THEN {edge}"
                for turn, edge in enumerate(edges)
            ]
        elif edges:
            few = f"g.i < {_SPARSE_FROM} AND "
            arms += [
                f"WHEN {few}{place} = {_FIRST_EDGE + turn} THEN {edge}" for turn, edge in enumerate(edges)
            ]
        return f"CASE {' '.join(arms)} ELSE {usual} END" if arms else usual

    def is_unique(self, name: str) -> bool:
        """Tell whether the column is part of a unique key."""
        return any(name in one.columns for one in self.table.uniques)


def make_plan(
    table: Table,
    parents: Mapping[int, int],
    *,
    edges: bool = True,
    nulls: bool = True,
    more: Mapping[str, tuple[str, ...]] = _NONE,
) -> Plan:
    """Choose values for every column. `parents` counts the rows of the tables that already have some.

    `more` are edges by type, beside those that every column of the type has.
    """
    plan = Plan(table)
    alike: Counter[str] = Counter()
    _choose_keys(plan, parents)
    for column in table.columns:
        if column.name in plan.by_key:
            continue
        if column.handed_out:
            plan.left_out.add(column.name)
            continue
        found = values_for(column, table.label)
        if found is None:
            if column.nullable and column.default is None:
                plan.usual[column.name] = Generator(null_of(column), 1)
            elif column.default is not None:
                plan.left_out.add(column.name)
            else:
                plan.unknown.append(f"{column.name} {column.type}")
            continue
        plan.values[column.name] = found
        usual = found.generators[0]
        plan.usual[column.name] = _apart(usual, alike[usual.sql], digits=not plan.is_unique(column.name))
        alike[usual.sql] += 1
        if edges:
            found_more = more.get(column.type, ())
            plan.edges[column.name] = _edges(table, column, found, found_more)[:MOST_EDGES]
        if nulls and column.nullable:
            plan.nulls.add(column.name)
    _make_room(plan, parents)
    return plan


def _apart(usual: Generator, earlier: int, *, digits: bool) -> Generator:
    """Give the next column of one kind other values in the same row than `earlier` ones have: `b = a` must change something.

    Where there are few values, every pair of them comes (`digits`), unless a unique key has them take turns itself.
    """
    size = usual.cardinality
    if not earlier or size == 1:
        return usual
    if size is not None and size <= _FEW and digits:
        return replace(usual, sql=usual.at(f"(($i) / {size**earlier})"))
    return replace(usual, sql=usual.at(f"(($i) + {_APART * earlier})"))


def _edges(table: Table, column: Column, values: Values, more: tuple[str, ...]) -> tuple[str, ...]:
    """Give the values at the edge that a column may hold; `more` are those that are the same for every column of its type."""
    if column.type == "text" and (column.length is not None or column.fits is not None):
        more = ()  # a later form of the table has no room for longer ones
    unique = any(column.name in one.columns for one in table.uniques)
    if unique and any(one.expressions for one in table.uniques):
        # Short ones may be alike to an expression: lower, trim.
        return values.edges[-1:] if column.type in _CUT else ()
    if not unique or column.category in {"S", "D"} or column.type in _CUT:
        return (*values.edges, *more)
    alone = any(one.columns == (column.name,) for one in table.uniques)
    return LARGE_KEYS.get(column.type, ()) if alone else ()


def _choose_keys(plan: Plan, parents: Mapping[int, int]) -> None:
    """Give columns to the foreign keys that fill them: the widest first, the rest agree with it."""
    table = plan.table
    for key in sorted(table.foreign_keys, key=lambda it: (-len(it.columns), it.name)):
        names = set(key.columns)
        if names <= plan.by_key.keys() or names & table.generated:
            continue
        if points_back(table, key):
            _leave_null(plan, key)
            continue
        if key.target == table.oid and not parents.get(table.oid):
            if not can_be_null(table, key):
                plan.self_keys.append(key)
            _leave_null(plan, key)
            continue
        if not parents.get(key.target):
            if not can_be_null(table, key):
                plan.unknown.append(f"{', '.join(key.columns)} refers to a table without rows ({key.name})")
            _leave_null(plan, key)
            continue
        plan.keys.append(key)
        for name in key.columns:
            plan.by_key.setdefault(name, key)


def _leave_null(plan: Plan, key: ForeignKey) -> None:
    if key in plan.self_keys:
        for name in key.columns:
            plan.by_key.setdefault(name, key)
        return
    for column in plan.table.columns:
        if column.name in key.columns and column.nullable and column.name not in plan.by_key:
            plan.usual[column.name] = Generator(null_of(column), 1)
            plan.by_key[column.name] = key
            if not key.full:
                return


def _make_room(plan: Plan, parents: Mapping[int, int]) -> None:
    """Where no column of a unique key is different in every row, let its columns take turns like digits."""
    for unique in plan.table.uniques:
        if not unique.columns:
            continue
        digits: list[tuple[str, int]] = []
        free = False
        for name in unique.columns:
            if name in plan.left_out:
                free = True
            elif name in plan.by_key:
                key = plan.by_key[name]
                if key in plan.keys:
                    if not any(digit[0] == f"key {key.name}" for digit in digits):
                        digits.append((f"key {key.name}", parents[key.target]))
                elif key not in plan.self_keys:
                    free = True  # NULL is different from NULL
            elif name in plan.usual:
                size = plan.usual[name].cardinality
                free = free or size is None
                digits.append((name, size or 1))
            else:
                free = True  # generated: whatever it is made of
        if not free and not unique.partial and digits:
            _take_turns(plan, unique.columns, digits)


def _demanded(table: Table, name: str) -> bool:
    """Tell whether a CHECK stands for the column's NOT NULL."""
    return any(one.expression.strip("()") == f"{quoted(name)} IS NOT NULL" for one in table.checks)


def _take_turns(plan: Plan, columns: tuple[str, ...], digits: list[tuple[str, int]]) -> None:
    size = 1
    for turn, (name, cardinality) in enumerate(digits):
        number = "($i)" if turn == 0 else f"(($i) / {size})"
        # Shifted by the first digit, so that the second does not stand still while the first goes round.
        digit = number if turn != 1 else f"(({number}) + ($i) % {size})"
        if name.startswith("key "):
            plan.usual.setdefault(name, Generator(f"({digit}) % {cardinality}", cardinality))
        elif name in plan.usual and turn:
            plan.usual[name] = Generator(plan.usual[name].at(f"({digit})"), cardinality)
        plan.edges.pop(name, None)
        plan.nulls.discard(name)
        size *= max(cardinality, 1)
    if plan.room is None or size < plan.room:
        plan.room, plan.room_of = size, ", ".join(columns)


def insert_sql(
    plan: Plan, start: int, rows: int, parents: Mapping[int, int], tables: Mapping[int, Table], *, skip: bool
) -> str:
    """Spell the INSERT. `skip` leaves out rows that break a unique key instead of failing."""
    table = plan.table
    with_, joins = [], []
    expressions: dict[str, str] = {}
    assigned = {one.name: plan.column_sql(one) for one in table.columns if one.name in plan.fixed}
    expressions |= assigned
    for place, key in enumerate(plan.keys):
        alias = f"k{place}"
        shared, narrow = _shared(key, assigned), _narrower(table, key, tables[key.target])
        with_.append(_parent_rows(alias, key, tables[key.target], shared, narrow, plan))
        joins.append(_join(plan, key, alias, shared, assigned, parents, counted=bool(narrow)))
        optional = can_be_null(table, key) and not any(
            key.columns[0] in one.columns for one in table.uniques if one.primary
        )
        optional = optional and not any(_demanded(table, name) for name in key.columns)
        for here, there in zip(key.columns, key.target_columns, strict=True):
            if here in assigned:
                continue
            value = f"{alias}.{quoted(there)}"
            column = next((one for one in table.columns if one.name == here), None)
            if (
                optional
                and column is not None
                and (column.nullable or key.full)
                and f"key {key.name}" not in plan.usual
            ):
                value = f"CASE WHEN (g.i + {place}) % {_CYCLE} <> 3 THEN {value} END"
            expressions[here] = value
            assigned[here] = value
    for column in table.columns:
        if column.name in plan.usual and column.name not in expressions:
            expressions[column.name] = plan.column_sql(column)
        elif column.name not in expressions and rows > _FEW_ROWS and _is_counted(column):
            # A number is skipped before the last row: keys that are counted anew are other keys.
            taken = f"nextval({literal(str(column.sequence))})"
            expressions[column.name] = (
                f"CASE WHEN g.i = {start + rows - 1} THEN 0 * {taken} + {taken} ELSE {taken} END"
            )
    outer = {name: f"c.{quoted(name)}" for name in expressions}
    for key in plan.self_keys:
        for here, there in zip(key.columns, key.target_columns, strict=True):
            sequence = next((one.sequence for one in table.columns if one.name == there), None)
            if there not in expressions and sequence is not None:
                expressions[there] = f"nextval('{sequence}')"
                outer[there] = f"c.{quoted(there)}"
            outer[here] = f"c.{quoted(there)}"
    inner = ", ".join(f"{expression} AS {quoted(name)}" for name, expression in expressions.items())
    most = rows * (_CHOSEN if plan.chosen else 1)
    # Rows that refer to these count them as they lie: they must lie alike whatever plan the server's statistics lead to.
    in_order = " ORDER BY g.i" if plan.chosen or rows <= _SORTED else ""
    source = f"generate_series({start}::bigint, {start + most - 1}::bigint) AS g(i) {' '.join(joins)}"
    where = f" WHERE {' AND '.join(plan.filters)}" if plan.filters else ""
    # Without a column to name, rows of no columns are selected: each gets its defaults.
    names = f" ({', '.join(quoted(name) for name in outer)})" if outer else ""
    return (
        f"{'WITH ' + ', '.join(with_) if with_ else ''} INSERT INTO {table.sql}{names} OVERRIDING SYSTEM VALUE "
        f"SELECT {', '.join(outer.values())} "
        f"FROM (SELECT {inner or 'g.i'} FROM {source}{in_order}) AS c{where}"
        f"{f' LIMIT {rows}' if plan.chosen else ''}"
        f"{' ON CONFLICT DO NOTHING' if skip else ''}"
    )


def _is_counted(column: Column) -> bool:
    """Tell whether a column takes its sequence's numbers as they are."""
    plain = (column.default or "").startswith("nextval(") or bool(column.identity)
    return plain and column.sequence is not None and column.type in _COUNTED


def _shared(key: ForeignKey, assigned: Mapping[str, str]) -> list[tuple[str, str]]:
    return [
        (here, there) for here, there in zip(key.columns, key.target_columns, strict=True) if here in assigned
    ]


def _narrower(table: Table, key: ForeignKey, target: Table) -> list[str]:
    """Spell which rows there have values that columns here hold which are shorter, or of a smaller integer type."""
    here, there = ({one.name: one for one in side.columns} for side in (table, target))
    conditions = []
    for name, far in zip(key.columns, key.target_columns, strict=True):
        if name not in here or far not in there:
            continue
        mine, theirs = here[name], there[far]
        if mine.type in _LARGEST and _LARGEST[mine.type] < _LARGEST.get(theirs.type, 0):
            conditions.append(f"{quoted(far)} BETWEEN -{_LARGEST[mine.type]} AND {_LARGEST[mine.type]}")
        elif mine.category == "S" and mine.length is not None and mine.length < (theirs.length or _LONGEST):
            conditions.append(f"char_length({quoted(far)}::text) <= {mine.length}")
    return conditions


def _parent_rows(
    alias: str, key: ForeignKey, target: Table, shared: list[tuple[str, str]], narrow: list[str], plan: Plan
) -> str:
    columns = ", ".join(quoted(name) for name in dict.fromkeys(key.target_columns))
    within = ", ".join(quoted(there) for _, there in shared)
    part = f"PARTITION BY {within}" if within else ""
    window = f"{part} ORDER BY {columns}" if within else ""
    whole = f"key {key.name}" in plan.usual
    total = f", count(*) OVER ({part}) AS airlock_t" if within or narrow else ""
    where = f" WHERE {' AND '.join(narrow)}" if narrow else ""
    return (
        f"{alias} AS MATERIALIZED (SELECT {columns}, row_number() OVER ({window}) - 1 AS airlock_n{total} "
        f"FROM (SELECT * FROM {target.rows_sql}{where}{'' if whole else f' LIMIT {POOL}'}) AS p)"
    )


def _join(
    plan: Plan,
    key: ForeignKey,
    alias: str,
    shared: list[tuple[str, str]],
    assigned: Mapping[str, str],
    parents: Mapping[int, int],
    *,
    counted: bool,
) -> str:
    digit = plan.usual.get(f"key {key.name}")
    # Of two keys into one table each row has two different ones.
    earlier = sum(other.target == key.target for other in plan.keys[: plan.keys.index(key)])
    if shared:
        same = " AND ".join(f"{alias}.{quoted(there)} = {assigned[here]}" for here, there in shared)
        return f"JOIN {alias} ON {same} AND {alias}.airlock_n = (g.i + g.i / {parents[key.target]}) % {alias}.airlock_t"
    size = min(parents[key.target], POOL)
    number = digit.at("g.i") if digit else f"(g.i + {earlier}) % {size}"
    if counted:
        # Not all rows there are asked: it is the query that knows how many.
        number = f"({number}) % {alias}.airlock_t"
    return f"JOIN {alias} ON {alias}.airlock_n = {number}"
