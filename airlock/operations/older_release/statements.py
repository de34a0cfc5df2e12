"""Statements as a release would send them, made from the catalogue: by key or place, prepared, on every table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.drivers.spelling import quoted
from airlock.samples.values import values_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airlock.samples import Table
    from airlock.samples.model import Column

# Numbers for fresh keys: above sample rows and clones, below the end of integer for a hundred clients.
FIRST_NUMBER = 1_000_000_000
NUMBERS_PER_CLIENT = 10_000_000


# Where a row stands, for want of a key: in which partition, and where in it.
_PLACE = "tableoid::text || ' ' || ctid::text"
_AT_PLACE = "tableoid = split_part($1, ' ', 1)::oid AND ctid = split_part($1, ' ', 2)::tid"


@dataclass(frozen=True)
class TableStatements:
    """What clients send to one table. `$1` is a key as text, `$2` a number nobody else has.

    Where the table has no key, `$1` is the place of a row: an update moves it, and returns the new one. Without
    `gives_rows` an insert comes upon the row that it copies, and leaves nothing to delete.
    """

    table: str
    select: str
    update: str | None
    insert: str | None
    delete: str
    keys: str
    by_place: bool = False
    gives_rows: bool = True

    def named(self) -> Mapping[str, str]:
        """List the statements by the word that a report calls them."""
        found = {"select": self.select, "update": self.update, "insert": self.insert, "delete": self.delete}
        return {f"{word} {self.table}": sql for word, sql in found.items() if sql is not None}


def statements_for(table: Table) -> TableStatements:
    """Make the statements of one table: by its key where it has one, else by where its rows stand."""
    by_place = not table.key
    key, where = (_PLACE, _AT_PLACE) if by_place else _by_key(table)
    listed = ", ".join(quoted(name) for name in table.every_column)
    referring = {name for one in table.foreign_keys for name in one.columns}
    # An identity that is GENERATED ALWAYS takes no value but its own.
    calm = [
        column.name
        for column in table.columns
        if column.name not in table.key and column.name not in referring and not column.identity
    ]
    update = f"UPDATE {table.sql} SET {quoted(calm[0])} = {quoted(calm[0])} WHERE {where}" if calm else None
    if update and by_place:
        update = f"{update} RETURNING {key}"
    insert, gives_rows = _insert(table, where, key)
    return TableStatements(
        table.label,
        f"SELECT {listed} FROM {table.sql} WHERE {where}",
        update,
        insert,
        # Where clients have no rows of their own to delete, the statement finds none, and is a statement all the same.
        f"DELETE FROM {table.sql} WHERE {where}{'' if gives_rows else ' AND $1::text IS NULL'}",
        f"SELECT {key} FROM {table.rows_sql} LIMIT 500",
        by_place,
        gives_rows,
    )


def _by_key(table: Table) -> tuple[str, str]:
    """Spell a row's key as one text, and the condition that finds the row by it: on the columns, for their index."""
    columns = {column.name: column for column in table.columns}
    if len(table.key) == 1:
        return f"{quoted(table.key[0])}::text", _equals(table.key[0], columns, "$1::text")
    key = f"ARRAY[{', '.join(f'{quoted(name)}::text' for name in table.key)}]::text"
    parts = [
        _equals(name, columns, f"($1::text::text[])[{place}]") for place, name in enumerate(table.key, 1)
    ]
    return key, " AND ".join(parts)


def _equals(name: str, columns: Mapping[str, Column], text: str) -> str:
    column = columns.get(name)
    if column is None:  # generated: its type is not known here
        return f"{quoted(name)}::text = {text}"
    return f"{quoted(name)} = {text}::{'bpchar' if column.type == 'character' else column.type}"


def _insert(table: Table, where: str, key: str) -> tuple[str | None, bool]:
    """Copy the row of a key under a fresh one; columns with defaults are left to them. Tell whether a row comes of it.

    Where nothing fresh can be had (a table of pairs), the copy conflicts with its original, and does nothing.
    """
    values, gives_rows = fresh_row(table, "$2::bigint")
    if not gives_rows and (table.has_rules or any(one.deferrable for one in table.uniques)):
        return None, False
    if not values:
        return f"INSERT INTO {table.sql} DEFAULT VALUES RETURNING {key}", gives_rows
    names = ", ".join(quoted(name) for name in values)
    given = ", ".join(spelled or f"o.{quoted(name)}" for name, spelled in values.items())
    statement = (
        f"INSERT INTO {table.sql} ({names}) SELECT {given} FROM {table.rows_sql} AS o "
        f"WHERE {where}{'' if gives_rows else ' ON CONFLICT DO NOTHING'} RETURNING {key}"
    )
    return statement, gives_rows


def fresh_row(table: Table, number: str) -> tuple[dict[str, str | None], bool]:
    """Name the columns that an insert has to give: with a value of its own made from `number`, or None for a copied one.

    Tell whether that makes another row of it; what has a default is left to it.
    """
    unique = {name for one in table.uniques for name in one.columns}
    referring = {name for one in table.foreign_keys for name in one.columns}
    fresh: dict[str, str] = {}
    gives_rows = True
    for one in table.uniques:
        if any(name in fresh for name in one.columns):
            continue
        for column in table.columns:
            if column.name not in one.columns or column.name in referring:
                continue
            if column.handed_out:
                fresh[column.name] = ""
                break
            found = values_for(column, table.label)
            usable = [it for it in found.generators if it.cardinality is None] if found else []
            if usable:
                fresh[column.name] = usable[0].at(number)
                break
        else:
            gives_rows = False
    values: dict[str, str | None] = {}
    for column in table.columns:
        spelled = fresh.get(column.name)
        if spelled == "" or column.identity:
            continue
        if spelled is None and column.default is not None and column.name not in unique:
            continue
        values[column.name] = spelled
    return values, gives_rows


def first_line(error: BaseException) -> str:
    """Give the first line of what the server said."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
