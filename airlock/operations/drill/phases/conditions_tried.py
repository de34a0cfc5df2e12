"""Conditions tried where the upgrade stands: a row is turned into one that breaks the condition, and the step goes down.

Inside the downgrade's own transaction, each in a savepoint; nothing of it stays.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from airlock.catalogue.fingerprint.model import plain
from airlock.drivers.spelling import literal, quoted
from airlock.operations.drill import failures
from airlock.operations.drill.phases.freedoms import open_still
from airlock.operations.drill.phases.trials import Undone, escaped, inside_the_downgrade, undone
from airlock.operations.drill.rows.constants_read import constants
from airlock.recorder.tokens import NAME, WORD, tokens
from airlock.records.drill import FAILS, GOES_DOWN, LOSES, Condition, Tried
from airlock.samples.constants import candidates
from airlock.samples.values import null_of, values_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from airlock.operations.downgrade.items import Item
    from airlock.operations.drill.phases.downgrade import Way
    from airlock.operations.drill.state import State
    from airlock.operations.drill.subject import Subject
    from airlock.samples import Table
    from airlock.samples.model import Column

# The condition of a NULL where there must be a value below.
_NULL = "{column} IS NULL"
_MOST_ROWS, _MOST_TRIED, _MOST_CONDITIONS, _NUMBER = 20_000, 60, 12, 987_654

# Of an array: what a smaller type, one of fewer digits, and most other types have no room for.
_ELEMENTS = ("9876543210", "1234567.89", "0.123456", "'airlock'")


def try_out(subject: Subject, way: Way, above: State | None) -> tuple[Condition, ...]:
    """Give the conditions of a way, each tried with one row that breaks it; `above` is the state above the upgrade.

    The database must stand there. Runs env.py, commits nothing; raises nothing that the revision does.
    """
    items = tuple(one.item for one in way.narrows)
    if items and above is not None:
        items = open_still(subject.ledger.reading, way.narrows)
    if not items:
        return ()
    if above is None or way.step is None or way.step.touched is None:
        why = "the downgrade leaves its transaction" if above is not None else "the way down is not proved"
        return tuple(_condition(one, not_tried=why) for one in items)
    labels = {_label(one) for one in items} & above.tables()
    tables = {table.label: table for table in subject.ledger.tables(labels)}
    found: list[Condition | None] = []

    def each(connection: Connection, downgrade: Callable[[], Any]) -> None:
        for item in items[:_MOST_CONDITIONS]:
            known = above.digests.get(_label(item))
            if known is None or not known.count or known.count > _MOST_ROWS or _label(item) not in tables:
                rows = "no row" if known is None or not known.count else f"{known.count} rows"
                found.append(_condition(item, not_tried=f"its table holds {rows}"))
                continue
            found.append(_try(connection, downgrade, item, tables[_label(item)]))

    broken_off = inside_the_downgrade(subject, above, each)
    why = broken_off or f"no more than {_MOST_CONDITIONS} of a revision are"
    left = (_condition(one, not_tried=why) for one in items[len(found) :])
    return (*(one for one in found if one is not None), *left)


def _label(item: Item) -> str:
    return ".".join(map(plain, item.table_at_step))


def _condition(item: Item, tried: Tried | None = None, *, not_tried: str = "") -> Condition:
    return Condition(item.object, item.why, item.count_sql(at_step=True), tried, not_tried)


def _try(connection: Connection, downgrade: Callable[[], Any], item: Item, table: Table) -> Condition | None:
    """Go down with one row that breaks a condition, and take that back; None where the step fills all NULLs itself."""
    there = _count(connection, item) if item.condition == _NULL else 0
    row: _Breaking | None = None
    with_one, said, told = FAILS, "", ""
    names = [plain(one.name) for one in _named(item, table)]
    try:
        with undone(connection):
            row = _break(connection, item, table)
            before = row.values(connection)
            told = ", ".join(
                f"{one} = {literal(text)}" for one, text in zip(names, before or (), strict=False)
            )
            downgrade()
            connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
            # Unless it can be read as what it was.
            with_one = LOSES
            if before == row.values(connection):
                with_one = GOES_DOWN
    except Exception as error:  # noqa: BLE001  a revision may raise anything
        said = failures.one_line(error) if with_one == FAILS else ""
    if row is None:
        return _condition(item, not_tried=said)
    if there and with_one != FAILS:
        # The upgrade writes them itself, and what it made NULL comes back.
        return None
    return _condition(item, Tried(told, GOES_DOWN, with_one, said))


@dataclass(frozen=True)
class _Breaking:
    """The row that breaks a condition, and how to find it below.

    `oid` is its table's, `key` the values that tell it, `columns` the types of those that the condition is about; both by
    the columns' numbers.
    """

    oid: int
    key: dict[int, str]
    columns: dict[int, str]

    def values(self, connection: Connection) -> tuple[Any, ...] | None:
        """Read the row's values that the condition is about, in the types they have above; None where it is gone."""
        query = (
            "SELECT a.attnum, quote_ident(a.attname), c.oid::regclass::text FROM pg_attribute a "
            f"JOIN pg_class c ON c.oid = a.attrelid WHERE c.oid = {self.oid} AND NOT a.attisdropped"
        )
        names = {number: (name, table) for number, name, table in connection.exec_driver_sql(query)}
        if not {*self.key, *self.columns} <= names.keys():
            return None
        listed = ", ".join(f"({names[number][0]}::{type_})::text" for number, type_ in self.columns.items())
        where = " AND ".join(f"{names[number][0]}::text = {text}" for number, text in self.key.items())
        table = next(iter(names.values()))[1]
        found = connection.exec_driver_sql(escaped(f"SELECT {listed} FROM {table} WHERE {where}")).fetchall()
        return tuple(found[0]) if len(found) == 1 else None


def _count(connection: Connection, item: Item) -> int:
    return int(connection.exec_driver_sql(escaped(item.count_sql(at_step=True))).scalar() or 0)


def _break(connection: Connection, item: Item, table: Table) -> _Breaking:
    """Turn a row into one that the condition counts. Raises RuntimeError, with the reason, where there is none."""
    there = _count(connection, item)
    if there and item.condition != _NULL:
        raise RuntimeError(f"{there} of them were there, and the drill went down")
    if not table.key:
        raise RuntimeError("no key tells the rows of its table")
    key = ", ".join(f"{quoted(name)}::text" for name in table.key)
    rows = connection.exec_driver_sql(
        f"SELECT tableoid::bigint, ctid::text FROM {table.sql} "
        f"ORDER BY {'(' + item.where(at_step=True) + '), ' if there else ''}1, 2 LIMIT 2"
    ).fetchall()
    columns = _named(item, table)
    for settings in itertools.islice(_settings(item, table, columns), _MOST_TRIED):
        oid, place = rows[0]
        given = ", ".join(
            f"{quoted(name)} = {value.replace('$other', literal(rows[-1][1]))}"
            for name, value in settings.items()
        )
        statement = f"UPDATE {table.sql} SET {given} WHERE ctid = {literal(place)} AND tableoid = {oid} RETURNING {key}"
        try:
            with connection.begin_nested():
                changed = connection.exec_driver_sql(escaped(statement)).fetchone()
                if changed is None or _count(connection, item) <= there:
                    raise Undone
        except Undone:
            continue
        except SQLAlchemyError:  # the server does not take the row
            continue
        numbers = {one.name: one.number for one in table.columns}
        spelled = {numbers[name]: literal(text) for name, text in zip(table.key, changed, strict=True)}
        types = {one.number: one.full or one.type for one in columns}
        return _Breaking(oid, spelled, types)
    raise RuntimeError("no such row could be made")


def _named(item: Item, table: Table) -> list[Column]:
    """List the columns that a condition is about."""
    if item.column_at_step is not None:
        return [one for one in table.columns if one.name == item.column_at_step]
    words = {token.text.replace('"', "") for token in tokens(item.condition) if token.kind in (WORD, NAME)}
    return [one for one in table.columns if one.name in words]


def _settings(item: Item, table: Table, columns: list[Column]) -> Iterator[dict[str, str]]:
    """Give SQL for the columns of a row, the likeliest to break the condition first."""
    if "place_among" in item.condition or "place_beside" in item.condition:
        other = f"(SELECT x.{{}} FROM {table.sql} AS x WHERE x.ctid = $other)"
        alike = {one.name: other.format(quoted(one.name)) for one in columns}
        yield alike
        if len(columns) > 1:
            # An exclusion may ask for another value in one of them.
            yield from ({name: value} for name, value in alike.items())
        # What only a type below takes for alike: in other letters, with a nought before it.
        for spelled in ("upper({})", "'0' || {}"):
            yield {one.name: spelled.format(alike[one.name]) for one in columns if one.category == "S"}
    for one in columns:
        if one.nullable and "NULL" in item.condition:
            yield {one.name: null_of(one)}
    offered = [list(dict.fromkeys(_values(item, one))) for one in columns]
    for turn in range(max(map(len, offered), default=0)):
        for one, values in zip(columns, offered, strict=True):
            if turn < len(values):
                yield {one.name: values[turn]}


def _values(item: Item, column: Column) -> Iterator[str]:
    if column.category == "S":
        if "::" in item.condition:
            # Another spelling of what the type below reads as the same.
            yield from (
                f"' ' || {quoted(column.name)}",
                f"upper({quoted(column.name)})",
                f"{quoted(column.name)} || ' '",
            )
        yield f"repeat('x', {min(column.length or 300, 300)})"
    if column.category == "A":
        yield from (f"ARRAY[{one}]::{column.full or column.type}" for one in _ELEMENTS)
    found = values_for(column, "airlock")
    if found is not None:
        yield from (one.at(f"({_NUMBER})") for one in reversed(found.generators))
        yield from found.edges
    yield from candidates(column, constants(item.condition))
