"""Rows that were there before the trigger that fills a column in: a backfill is for those, and no new row is like them."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from airlock.drivers import client
from airlock.drivers.spelling import quoted
from airlock.operations.drill.rows.rows_chosen import at_places
from airlock.samples.values import null_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airlock.samples import Table

# Triggers for each row that may give it other values before it is inserted, and that fire in a client's session.
_FILLING = """
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = %s AND NOT tgisinternal AND tgtype::int & 7 = 7
    AND tgenabled IN ('O', 'A') ORDER BY tgname
"""
_EACH = 5


def made(
    cursor: Any, table: Table, text: str, insert: Callable[[dict[str, str]], tuple[str, str] | None]
) -> Iterator[tuple[str, str]]:
    """Insert rows without a value in columns that a statement asks for NULLs and triggers fill in; beside each, a filled one.

    `insert` inserts one row with some values. Within the open transaction; the table's triggers are then as they were.
    """
    columns = [
        one for one in table.columns
        if one.nullable and re.search(rf'(?i)(?<![\w"])"?{re.escape(one.name)}"?\s+IS\s+(?:NULL|DISTINCT)\b', text)
    ]  # fmt: skip
    if not table.has_triggers or not columns:
        return
    cursor.execute(_FILLING, [table.oid])
    triggers = [(str(name), str(enabled)) for name, enabled in cursor.fetchall()]
    for one in columns if triggers else ():
        values = {one.name: null_of(one)}
        for _ in range(_EACH):
            filled = insert(values)
            if filled is None:
                continue
            yield filled
            held = f"SELECT FROM {table.sql} AS t WHERE {at_places('t', [filled[0]])} AND t.{quoted(one.name)} IS NOT NULL"
            if not client.rows(cursor, held):
                continue
            row = client.in_savepoint(
                cursor, functools.partial(_without, cursor, table, triggers, values, insert)
            )
            if row is not None:
                yield row


def _without(
    cursor: Any,
    table: Table,
    triggers: list[tuple[str, str]],
    values: dict[str, str],
    insert: Callable[[dict[str, str]], tuple[str, str] | None],
) -> tuple[str, str] | None:
    for name, _ in triggers:
        cursor.execute(f"ALTER TABLE {table.sql} DISABLE TRIGGER {quoted(name)}")
    row = insert(values)
    for name, enabled in triggers:
        how = "ENABLE ALWAYS" if enabled == "A" else "ENABLE"
        cursor.execute(f"ALTER TABLE {table.sql} {how} TRIGGER {quoted(name)}")
    return row
