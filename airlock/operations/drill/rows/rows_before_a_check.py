"""Rows that break a CHECK which is NOT VALID: those that were there before it, and that a statement mends."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airlock.drivers.spelling import quoted
from airlock.recorder.row_changes import UPDATE
from airlock.samples.values import null_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airlock.recorder.row_changes import DataStatement
    from airlock.samples import Table
    from airlock.samples.model import Check

_SET = re.compile(r"\bSET\b(.*?)(?:\bWHERE\b|\Z)", re.DOTALL | re.IGNORECASE)


def mended_by(table: Table, data: DataStatement) -> Table:
    """Hold rows to each CHECK that is NOT VALID, too, but to one whose columns an UPDATE sets: that mends them."""
    found = _SET.search(data.text) if data.kind == UPDATE else None
    checks = tuple(
        one if one.valid or (found is not None and all(_sets(found[1], name) for name in one.columns))
        else replace(one, valid=True)
        for one in table.checks
    )  # fmt: skip
    return replace(table, checks=checks) if checks != table.checks else table


def without_a_value(table: Table) -> Iterator[dict[str, str]]:
    """Give values that break each of those CHECKs: NULL in its columns."""
    columns = {column.name: column for column in table.columns if column.nullable}
    for one in table.checks:
        if not one.valid and columns.keys() >= set(one.columns):
            yield {name: null_of(columns[name]) for name in one.columns}


def _sets(text: str, name: str) -> bool:
    return re.search(rf'(?<![\w"])"?{re.escape(name)}"?\s*=', text) is not None


def broken(table: Table, values: Mapping[str, str]) -> list[Check]:
    """List the CHECKs that a row with these values may break, and that do not hold for older rows."""
    return [
        one for one in table.checks
        if not one.valid and any(values.get(name, "").startswith("NULL") for name in one.columns)
    ]  # fmt: skip


def away(cursor: Any, table: Table, name: str) -> str:
    """Drop a constraint for a moment; return the statement that makes it again."""
    cursor.execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s AND conname = %s",
        [table.oid, name],
    )
    definition = cursor.fetchone()[0]
    cursor.execute(f"ALTER TABLE {table.sql} DROP CONSTRAINT {quoted(name)}")
    return f"ALTER TABLE {table.sql} ADD CONSTRAINT {quoted(name)} {definition}"
