"""Rows as another client would write them meanwhile: copies of rows that are there, under keys of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airlock.catalogue.fingerprint.model import plain
from airlock.drivers import client
from airlock.drivers.spelling import quoted
from airlock.records.rows import Strangers
from airlock.samples.builtin_types import Generator
from airlock.samples.digests import key_sql
from airlock.samples.fit import fit
from airlock.samples.plan import make_plan
from airlock.samples.values import values_for

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from airlock.samples.model import Column, Table

# Far from the numbers that sample rows were made of; farther still where nothing would refuse one that is taken.
_FAR = 700_000
_FARTHER = 1_000_000_000
_ATTEMPTS = 6
# By the category of a key's column: the value beside one that is there.
_BESIDE = {"N": "o.{} + $i", "S": "o.{} || '_' || $i"}


@dataclass(frozen=True, slots=True)
class Written:
    """What was written into one table: how many rows, or why none."""

    table: str
    rows: int
    reason: str | None = None
    strangers: Strangers | None = None


def write_clones(
    connection: client.Connection,
    tables: Sequence[Table],
    *,
    rows: int = 3,
    turn: int = 0,
    search_path: str | None = None,
    new: Collection[str] = (),
) -> tuple[Written, ...]:
    """Copy up to `rows` rows of each table, with fresh values where they must be unique.

    Columns named in `new` (`phase2.task.priority`) get values of their own, as a client that knows them would write.
    Runs inside the connection's open transaction and leaves the commit to the caller, who may look first at
    what triggers did. A table that takes no copy is reported.
    """
    with connection.cursor() as cursor:
        if search_path is not None:
            cursor.execute("SELECT set_config('search_path', %s, true)", (search_path,))
        # What would refuse a copy at the commit refuses it at once.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        return tuple(_write(cursor, table, rows, _FAR + turn * 100, new) for table in tables)


def _sampled(cursor: Any, table: Table, new: Collection[str]) -> dict[str, Generator]:
    """Choose values that the CHECKs let through for columns that the copied rows have no say in."""
    names = {column.name for column in table.columns if f"{table.label}.{plain(column.name)}" in new}
    if not names:
        return {}
    plan = make_plan(table, {}, edges=False, nulls=False)
    fit(cursor, plan)
    return {name: plan.usual[name] for name in names if name in plan.usual and name not in plan.by_key}


def _write(cursor: Any, table: Table, rows: int, start: int, new: Collection[str]) -> Written:
    reason = "it holds no row to copy"
    sampled = _sampled(cursor, table, new)
    fresh_columns = {column for column in table.every_column if f"{table.label}.{plain(column)}" in new}
    # A key that goes with its new column would tell nothing afterwards.
    key = next((one for one in table.keys if not fresh_columns & set(one)), ())
    for attempt in range(_ATTEMPTS):
        fresh = fresh_values(table, attempt)
        if fresh is None:
            break
        telling = key or _telling(table, fresh, attempt, fresh_columns)
        if attempt == 0:
            fresh = {**sampled, **fresh}
        first = start if key else _FARTHER + start
        statement = (
            f"{_copy_sql(table, fresh, first, rows)} RETURNING {key_sql(telling or table.every_column)}"
        )
        cursor.execute("SAVEPOINT airlock_clone")
        try:
            cursor.execute(statement)
        except client.Error as error:
            reason = str(error).strip().splitlines()[0]
            cursor.execute("ROLLBACK TO SAVEPOINT airlock_clone")
            continue
        keys = tuple(row[0] for row in cursor.fetchall())
        strangers = Strangers(telling, keys) if keys and telling else None
        return Written(table.label, len(keys), None if keys else reason, strangers)
    return Written(table.label, 0, reason)


def _copy_sql(
    table: Table, fresh: Mapping[str, Generator], first: int, rows: int, *, newest: bool = False
) -> str:
    names = [column.name for column in table.columns if not _is_left_out(column)]
    values = ", ".join(
        fresh[name].at(f"({first} + o.airlock_n)") if name in fresh else f"o.{quoted(name)}" for name in names
    )
    listed = f" ({', '.join(quoted(name) for name in names)})" if names else ""
    source = f"{table.sql} AS t LIMIT {rows}"
    if newest:
        source = f"(SELECT * FROM {table.sql} ORDER BY ctid DESC LIMIT {rows}) AS t"
    return (
        f"INSERT INTO {table.sql}{listed} OVERRIDING SYSTEM VALUE SELECT {values} "
        f"FROM (SELECT t.*, row_number() OVER () AS airlock_n FROM {source}) AS o"
    )


def copies(table: Table, start: int, rows: int = 3) -> Iterator[str]:
    """Spell INSERTs that copy the newest rows of a table under keys of their own: one may be taken where another is not."""
    for attempt in range(_ATTEMPTS):
        fresh = fresh_values(table, attempt)
        if fresh is None:
            return
        yield _copy_sql(table, fresh, start, rows, newest=True)


def copies_beside(table: Table, rows: int = 3) -> str | None:
    """Spell an INSERT that copies rows under keys next to their own: the next number, a longer text. None where none is next."""
    fresh = fresh_values(table)
    columns = {column.name: column for column in table.columns}
    if not fresh or any(columns[name].category not in _BESIDE for name in fresh):
        return None
    beside = {name: Generator(_BESIDE[columns[name].category].format(quoted(name))) for name in fresh}
    # What is next to one may be there.
    return f"{_copy_sql(table, beside, 0, rows, newest=True)} ON CONFLICT DO NOTHING"


def _telling(
    table: Table, fresh: dict[str, Generator], attempt: int, new: Collection[str]
) -> tuple[str, ...]:
    """Choose the column that tells the copies from their originals where no key does, and give it a value of its own."""
    already = [name for name in fresh if name not in new]
    if already:
        return (already[0],)
    beside = {name for key in table.foreign_keys for name in key.columns} | set(new)
    for column in table.columns:
        found = values_for(column, table.label) if column.name not in beside else None
        usable = [it for it in found.generators if it.cardinality is None] if found else []
        if attempt < len(usable) and attempt < _ATTEMPTS - 1:
            fresh[column.name] = usable[attempt]
            return (column.name,)
    return ()


def _is_left_out(column: Column) -> bool:
    """Tell whether clients leave the column to its sequence."""
    return bool(column.identity) or (column.sequence is not None and column.default is not None)


def fresh_values(table: Table, attempt: int = 0) -> dict[str, Generator] | None:
    """Choose for every unique key one column that gets a value of its own."""
    referring = {name for key in table.foreign_keys for name in key.columns}
    fresh: dict[str, Generator] = {}
    for one in table.uniques:
        columns = [column for column in table.columns if column.name in one.columns]
        if any(_is_left_out(column) or column.name in fresh for column in columns):
            continue
        for column in sorted(columns, key=lambda it: (it.name in referring, it.number)):
            found = values_for(column, table.label)
            usable = (
                [it for it in found.generators if it.cardinality is None or it.cardinality > _FAR]
                if found
                else []
            )
            if column.name not in referring and usable:
                if attempt >= len(usable) and len(usable) > 1:
                    return None
                fresh[column.name] = usable[min(attempt, len(usable) - 1)]
                break
        else:
            if columns:
                return None
    return fresh if fresh or attempt == 0 else None
