"""The order in which tables get their rows: whoever is referred to comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airlock.samples.model import ForeignKey, Table


def fill_order(tables: Sequence[Table]) -> tuple[Table, ...]:
    """Sort tables so that foreign keys point backwards wherever no cycle prevents it.

    In a cycle the table comes first whose keys into the cycle may all be NULL, or be checked at commit.
    """
    waiting = {table.oid: table for table in tables}
    done: list[Table] = []
    while waiting:
        ready = [table for table in waiting.values() if not _missing(table, waiting)]
        if not ready:
            ready = [min(waiting.values(), key=lambda table: (_forced(table, waiting), table.label))]
        for table in ready:
            del waiting[table.oid]
            done.append(table)
    return tuple(done)


def _missing(table: Table, waiting: dict[int, Table]) -> list[ForeignKey]:
    return [key for key in table.foreign_keys if key.target in waiting and key.target != table.oid]


def _forced(table: Table, waiting: dict[int, Table]) -> int:
    """Count the keys into what is not there yet that can neither be NULL nor wait for the commit."""
    return sum(not key.deferrable and not can_be_null(table, key) for key in _missing(table, waiting))


def can_be_null(table: Table, key: ForeignKey) -> bool:
    """Tell whether a row may leave this key out: one of its columns (all, for MATCH FULL) takes NULL."""
    nullable = [column.nullable for column in table.columns if column.name in key.columns]
    return bool(nullable) and (all(nullable) if key.full else any(nullable))


def points_back(table: Table, key: ForeignKey) -> bool:
    """Tell whether a key holds what tells the row itself, and may be left out: only rows over there that know it fit.

    `(id, head) REFERENCES version (document_id, id)`: no row has a version before it is there.
    """
    alone = {one.columns[0] for one in table.uniques if len(one.columns) == 1}
    return len(key.columns) > 1 and can_be_null(table, key) and bool(alone & set(key.columns))
