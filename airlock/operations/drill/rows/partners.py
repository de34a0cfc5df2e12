"""Rows of other tables that a row refers to, chosen where its key is made of references alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airlock.drivers.spelling import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airlock.samples import Table


def free_partner(cursor: Any, table: Table, values: Mapping[str, str]) -> dict[str, str] | None:
    """Choose a partner for a row whose key is made of references alone, which no row of the same others has.

    None where the table has another key beside it, or other columns in its key; none where `values` decide the whole key.
    """
    referring = {key.columns[0]: key for key in table.foreign_keys if len(key.columns) == 1}
    columns = table.uniques[0].columns
    free = next((name for name in reversed(columns) if name not in values), None)
    if len(table.uniques) > 1 or not set(columns) <= referring.keys():
        return None
    if free is None:
        return {}
    key = referring[free]
    cursor.execute(f"SELECT {key.target}::regclass::text")
    there = quoted(key.target_columns[0])
    same = "".join(
        f" AND y.{quoted(name)} = {values.get(name, f'o.{quoted(name)}')}" for name in columns if name != free
    )
    return {
        free: f"(SELECT r.{there} FROM {cursor.fetchone()[0]} AS r WHERE NOT EXISTS (SELECT FROM {table.sql} AS y "
        f"WHERE y.{quoted(free)} = r.{there}{same}) ORDER BY 1 LIMIT 1)"
    }
