"""Statements as a release would send them, made from the catalogue: by key, prepared, on every table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.instruments.rows.tables import quoted
from airlock.instruments.rows.values import values_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airlock.instruments.rows import Table

# Numbers for fresh keys: above sample rows and clones, below the end of integer for a hundred clients.
FIRST_NUMBER = 1_000_000_000
NUMBERS_PER_CLIENT = 10_000_000


@dataclass(frozen=True)
class TableStatements:
    """What clients send to one table. `$1` is a key as text, `$2` a number nobody else has."""

    table: str
    select: str
    update: str | None
    insert: str | None
    delete: str
    keys: str

    def named(self) -> Mapping[str, str]:
        """List the statements by the word that a report calls them."""
        found = {"select": self.select, "update": self.update, "insert": self.insert, "delete": self.delete}
        return {f"{word} {self.table}": sql for word, sql in found.items() if sql is not None}


def statements_for(table: Table) -> TableStatements | None:
    """Make the statements of one table, None where nothing tells its rows apart."""
    if len(table.key) == 0:
        return None
    key = "(" + " || '/' || ".join(f"{quoted(name)}::text" for name in table.key) + ")"
    where = f"{quoted(table.key[0])}::text = $1" if len(table.key) == 1 else f"{key} = $1"
    columns = {column.name: column for column in table.columns}
    only = columns.get(table.key[0])
    if len(table.key) == 1 and only is not None:
        # Comparing the column itself, so that its index serves.
        where = f"{quoted(only.name)} = $1::text::{'bpchar' if only.type == 'character' else only.type}"
    listed = ", ".join(quoted(name) for name in (*columns, *sorted(table.generated)))
    referring = {name for one in table.foreign_keys for name in one.columns}
    calm = [name for name in columns if name not in table.key and name not in referring]
    update = f"UPDATE {table.sql} SET {quoted(calm[0])} = {quoted(calm[0])} WHERE {where}" if calm else None
    return TableStatements(
        table.label,
        f"SELECT {listed} FROM {table.sql} WHERE {where}",
        update,
        _insert(table, where, key),
        f"DELETE FROM {table.sql} WHERE {where}",
        f"SELECT {key if len(table.key) > 1 else quoted(table.key[0]) + '::text'} FROM {table.sql} LIMIT 500",
    )


def _insert(table: Table, where: str, key: str) -> str | None:
    """Copy the row of a key under a fresh one; columns with defaults are left to them."""
    unique = {name for one in table.uniques for name in one.columns}
    referring = {name for one in table.foreign_keys for name in one.columns}
    fresh: dict[str, str] = {}
    for one in table.uniques:
        if any(name in fresh for name in one.columns):
            continue
        for column in table.columns:
            if column.name not in one.columns or column.name in referring:
                continue
            if column.sequence is not None or column.identity:
                fresh[column.name] = ""
                break
            found = values_for(column, table.label)
            usable = [it for it in found.generators if it.cardinality is None] if found else []
            if usable:
                fresh[column.name] = usable[0].at("$2::bigint")
                break
        else:
            return None
    names, values = [], []
    for column in table.columns:
        spelled = fresh.get(column.name)
        if spelled == "" or (spelled is None and column.default is not None and column.name not in unique):
            continue
        names.append(quoted(column.name))
        values.append(spelled if spelled is not None else f"o.{quoted(column.name)}")
    if not names:
        return None
    returning = key if len(table.key) > 1 else f"{quoted(table.key[0])}::text"
    return (
        f"INSERT INTO {table.sql} ({', '.join(names)}) SELECT {', '.join(values)} FROM {table.sql} AS o "
        f"WHERE {where} RETURNING {returning}"
    )
