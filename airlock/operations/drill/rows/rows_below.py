"""Rows that go with a row that a statement deletes: children that a foreign key takes along, or cuts off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airlock.drivers import client
from airlock.drivers.spelling import literal, quoted
from airlock.operations.drill.rows.constants_of_statements import CERTAIN
from airlock.operations.drill.rows.rows_chosen import at_places
from airlock.operations.drill.rows.rows_made import Row, insert
from airlock.samples.digests import key_sql

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from airlock.samples import Table
    from airlock.samples.model import ForeignKey

_MOST_ROWS, _MOST_LEVELS = 6, 3
_REFERRING = """
SELECT k.conrelid::bigint, k.conname::text FROM pg_constraint k
WHERE k.contype = 'f' AND k.confrelid = %s AND k.confdeltype = ANY (%s)
"""
_TAKING_ALONG, _ANY = list("cnd"), list("cndar")


def made(
    cursor: Any, table: Table, rows: Sequence[Row], known: Mapping[str, Table], number: Iterator[int], level: int = 1,
    *, staying: bool = False, childless: bool = False,
) -> Iterator[tuple[Table, Row]]:  # fmt: skip
    """Insert a child of each of the first rows, wherever a key of another table goes with it; and their children.

    `staying` has children made of the rows themselves also where they would keep them from being deleted; `childless` has
    them made only by keys by which no row refers to any of these.
    """
    if not rows or level > _MOST_LEVELS:
        return
    cursor.execute(_REFERRING, (table.oid, _ANY if staying else _TAKING_ALONG))
    keys = {(int(oid), str(name)) for oid, name in cursor.fetchall()}
    for child in known.values():
        for key in child.foreign_keys:
            if (child.oid, key.name) not in keys or (childless and _is_met(cursor, table, child, key, rows)):
                continue
            found = list(_children(cursor, table, child, key, rows, number))
            yield from ((child, one) for one in found)
            yield from made(cursor, child, found, known, number, level + 1)


def standing(cursor: Any, table: Table, keys: Collection[str]) -> list[Row]:
    """Find rows by their keys, as `key_sql` spells them."""
    if not keys or not table.key:
        return []
    spelled = key_sql(table.key)
    query = f"SELECT tableoid::text || ctid::text, {spelled} FROM {table.sql} WHERE {spelled} = ANY (ARRAY[{{}}]) ORDER BY 2"
    found = client.rows(cursor, query.format(", ".join(literal(one) for one in sorted(keys))))
    return [Row(str(place), str(key), CERTAIN) for place, key in found]


def _is_met(cursor: Any, table: Table, child: Table, key: ForeignKey, rows: Sequence[Row]) -> bool:
    pairs = " AND ".join(
        f"c.{quoted(here)} = t.{quoted(there)}"
        for here, there in zip(key.columns, key.target_columns, strict=True)
    )
    where = at_places("t", [one.place for one in rows])
    query = f"SELECT EXISTS (SELECT FROM {table.sql} AS t JOIN {child.sql} AS c ON {pairs} WHERE {where})"
    return bool(client.rows(cursor, query)[0][0])


def _children(
    cursor: Any, table: Table, child: Table, key: ForeignKey, rows: Sequence[Row], number: Iterator[int]
) -> Iterator[Row]:
    for row in rows[:_MOST_ROWS]:
        values = {
            here: f"(SELECT x.{quoted(there)} FROM {table.sql} AS x WHERE {at_places('x', [row.place])})"
            for here, there in zip(key.columns, key.target_columns, strict=True)
        }
        one = insert(cursor, child, values, next(number))
        if one is not None:
            yield Row(*one, row.strength)
