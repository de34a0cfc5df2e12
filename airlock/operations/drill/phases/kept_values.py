"""Values that a downgrade keeps on purpose, as they were before the upgrade: put back, the next one has work to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.catalogue.fingerprint.model import plain
from airlock.drivers.spelling import quoted

if TYPE_CHECKING:
    from collections.abc import Collection

    from airlock.operations.drill.state import Ledger
    from airlock.samples import Table


@dataclass(frozen=True)
class Remembered:
    """One column's values by key, in a temporary table of the writing connection."""

    table: Table
    column: str
    copy: str


def remember(ledger: Ledger, kept: Collection[str]) -> tuple[Remembered, ...]:
    """Copy the values of the columns among `kept` (`phase2.task.priority`) whose tables have a key."""
    tables = ledger.tables(sorted({name.rpartition(".")[0] for name in kept}))
    found: list[Remembered] = []
    for table in tables:
        for column in table.columns:
            if f"{table.label}.{plain(column.name)}" in kept and table.key and column.name not in table.key:
                one = Remembered(table, column.name, f"pg_temp.airlock_kept_{len(found)}")
                listed = ", ".join(quoted(name) for name in (*table.key, column.name))
                with ledger.writing.cursor() as cursor:
                    cursor.execute(
                        f"CREATE TEMPORARY TABLE {one.copy.partition('.')[2]} AS SELECT {listed} FROM {table.sql}"
                    )
                found.append(one)
    return tuple(found)


def put_back(ledger: Ledger, remembered: Collection[Remembered]) -> None:
    """Write the values back into rows that are still there, and forget them. Commits."""
    for one in remembered:
        column = quoted(one.column)
        same = " AND ".join(f"t.{quoted(name)} = k.{quoted(name)}" for name in one.table.key)
        with ledger.writing.cursor() as cursor:
            cursor.execute(
                f"UPDATE {one.table.sql} AS t SET {column} = k.{column} FROM {one.copy} AS k "
                f"WHERE {same} AND t.{column} IS DISTINCT FROM k.{column}"
            )
            cursor.execute(f"DROP TABLE {one.copy}")
