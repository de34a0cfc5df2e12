"""The yardstick for sample rows: the INSERT … SELECT generate_series that somebody would write by hand.

It knows nothing of `values` and `fit`: a column gets a plain expression of the row's number by its type, a foreign
key takes turns with the rows over there, and what a CHECK refuses is copied from a row that the table holds.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airlock.drivers import client
from airlock.drivers.spelling import quoted
from airlock.samples.tables import NEUTRAL

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from airlock.samples.model import Column, ForeignKey, Table

_CLONE = "airlock_by_hand"
_TRIAL = 100
# A foreign key takes turns with as many rows as those of sample rows do.
_TURNS = 10_000
# Beyond the rows that hold the edges of their types.
_ORDINARY = 1_500
_BY_TYPE = {
    "smallint": "i % 30000",
    "integer": "i",
    "bigint": "i",
    "real": "i",
    "double precision": "i + 0.5",
    "money": "i",
    "boolean": "i % 2 = 0",
    "uuid": "md5(i::text)::uuid",
    "date": "date '2020-01-01' + (i % 3000)::integer",
    "timestamp without time zone": "timestamp '2020-01-01' + i * interval '1 minute'",
    "timestamp with time zone": "timestamptz '2020-01-01' + i * interval '1 minute'",
    "time without time zone": "time '00:00' + i * interval '1 second'",
    "interval": "i * interval '1 minute'",
    "json": "'{}'",
    "jsonb": "'{}'",
    "bytea": "convert_to(i::text, 'UTF8')",
    "inet": "inet '10.0.0.0' + i",
}
_DETAILS = """
SELECT c.relkind::text, c.relpersistence::text,
  (SELECT array_agg(quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid) ORDER BY k.conname)
   FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f'),
  (SELECT array_agg(pg_get_triggerdef(g.oid) ORDER BY g.tgname) FROM pg_trigger g
   WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgenabled IN ('O', 'A') AND g.tgtype & 4 <> 0),
  c.oid::regclass::text
FROM pg_class c WHERE c.oid = %s
"""


def time_by_hand(
    connection: client.Connection,
    table: Table,
    tables: Mapping[int, Table],
    rows: int,
    search_path: str | None = None,
) -> tuple[float | None, str | None]:
    """Time a hand-written INSERT of so many rows into a clone of a table: milliseconds, or why there are none.

    The clone is empty and has the table's keys, foreign keys, indexes, CHECKs and triggers on INSERT. `tables` holds
    those that the table refers to, by oid. Everything happens in one transaction, which is rolled back.
    """
    try:
        with client.transaction(connection), connection.cursor() as cursor:
            clone = _clone(cursor, table)
            if search_path is not None:
                cursor.execute("SELECT set_config('search_path', %s, true)", (search_path,))
            copied = _settle(cursor, clone, table, tables, rows)
            statement = _statement(cursor, clone, table, tables, rows, copied)
            began = time.perf_counter()
            cursor.execute(statement)
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            return (time.perf_counter() - began) * 1000, None
    except _NoClone as error:
        return None, str(error)
    except client.Error as error:
        return None, str(error).strip().splitlines()[0]


class _NoClone(Exception):
    """The table is of a kind that LIKE does not repeat."""


def _clone(cursor: Any, table: Table) -> str:
    """Make an empty table with everything that an INSERT meets in the one it is a clone of."""
    cursor.execute(NEUTRAL)
    cursor.execute(_DETAILS, (table.oid,))
    kind, persistence, keys, triggers, name = cursor.fetchone()
    if kind != "r" or table.has_rules:
        raise _NoClone("it is partitioned" if kind != "r" else "it has rules")
    clone = f"{quoted(table.schema)}.{quoted(_CLONE)}"
    cursor.execute(
        f"CREATE {'UNLOGGED ' if persistence == 'u' else ''}TABLE {clone} (LIKE {table.sql} INCLUDING ALL)"
    )
    for number, column in enumerate(table.columns):
        if column.sequence is not None and not column.identity:
            sequence = f"{quoted(table.schema)}.{quoted(f'{_CLONE}_{number}')}"
            cursor.execute(f"CREATE SEQUENCE {sequence}")
            cursor.execute(
                f"ALTER TABLE {clone} ALTER {quoted(column.name)} SET DEFAULT nextval('{sequence}')"
            )
    for key in keys or ():
        cursor.execute(f"ALTER TABLE {clone} ADD CONSTRAINT {key}")
    for trigger in triggers or ():
        cursor.execute(trigger.replace(f" ON {name} ", f" ON {clone} ", 1))
    return clone


def _settle(cursor: Any, clone: str, table: Table, tables: Mapping[int, Table], rows: int) -> frozenset[str]:
    """Try a few rows; where a CHECK refuses them, its columns are copied from a row instead. Name those columns."""
    copied: frozenset[str] = frozenset()
    while True:
        cursor.execute("SAVEPOINT airlock_hand")
        try:
            cursor.execute(_statement(cursor, clone, table, tables, min(rows, _TRIAL), copied))
        except client.CheckViolation as error:
            name = client.told(error, "constraint_name")
            checks = [one for one in table.checks if one.name == name] or table.checks
            more = copied | {column for one in checks for column in one.columns}
            if more == copied:
                raise
            copied = more
            cursor.execute("ROLLBACK TO SAVEPOINT airlock_hand")
            continue
        cursor.execute("ROLLBACK TO SAVEPOINT airlock_hand")
        return copied


def _statement(
    cursor: Any, clone: str, table: Table, tables: Mapping[int, Table], rows: int, copied: Collection[str]
) -> str:
    values: dict[str, str] = {}
    joins = [f"generate_series(1, {rows}::bigint) AS g(i)"]
    earlier = 1
    for place, key in enumerate(sorted(table.foreign_keys, key=lambda it: -len(it.columns))):
        if any(name in values for name in key.columns):
            continue
        parent = tables[key.target]
        cursor.execute(f"SELECT count(*) FROM {parent.sql}")
        there = cursor.fetchone()[0]
        if not there:
            continue
        alone = any(set(one.columns) <= set(key.columns) for one in table.uniques)
        turns = there if alone else min(there, _TURNS)
        number = f"i / {earlier} % {turns}" if _shares_a_unique(table, key, values) else f"i % {turns}"
        earlier *= turns
        listed = ", ".join(quoted(name) for name in dict.fromkeys(key.target_columns))
        joins.append(
            f"JOIN (SELECT {listed}, row_number() OVER () - 1 AS n FROM {parent.sql} LIMIT {turns}) AS p{place} "
            f"ON p{place}.n = {number}"
        )
        for here, over_there in zip(key.columns, key.target_columns, strict=True):
            values[here] = f"p{place}.{quoted(over_there)}"
    for column in table.columns:
        if column.name in values or column.handed_out:
            continue
        values[column.name] = _value(column, copied)
    if any(value.startswith("o.") for value in values.values()):
        joins.append(f"CROSS JOIN (SELECT * FROM {table.sql} OFFSET {_ORDINARY} LIMIT 1) AS o")
    names = ", ".join(quoted(name) for name in values)
    return f"INSERT INTO {clone} ({names}) SELECT {', '.join(values.values())} FROM {' '.join(joins)}"


def _shares_a_unique(table: Table, key: ForeignKey, values: Collection[str]) -> bool:
    return any(
        set(one.columns) & set(key.columns) and set(one.columns) & set(values) for one in table.uniques
    )


def _value(column: Column, copied: Collection[str]) -> str:
    """Spell a column's value as a person would: by its type, of the row's number `i`."""
    if column.name in copied or column.domain is not None:
        return f"o.{quoted(column.name)}"
    if column.type in {"text", "character varying", "citext"}:
        text = "'sample' || i || '@example.com'" if "mail" in column.name else "'sample ' || i"
        if column.length is not None and column.length < 20:
            return f"left(i::text, {column.length})"
        return text
    if column.type == "numeric":
        whole = None if column.length is None else min(column.length - (column.scale or 0), 18)
        return "i" if whole is None else f"i % {10**whole}" if whole > 0 else "0"
    found = _BY_TYPE.get(column.type)
    return found if found is not None else f"o.{quoted(column.name)}"
