"""What the target holds beyond the history, and what takes it away: found before a step, and seen after it.

A partition that a job has made, a table that somebody has put into the history's schema: scratch has none of them, and
they go with their parent and their schema all the same.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from airlock.catalogue.fingerprint.model import plain
from airlock.drivers import raw
from airlock.drivers.spelling import quoted
from airlock.operations.downgrade.items import Item
from airlock.records.review import TABLE_DROPPED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy.engine import Connection

    from airlock.operations.downgrade.rehearse import Rehearsed

_DESCENDANTS = """
WITH RECURSIVE below AS (
  SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass(%s)
  UNION SELECT i.inhrelid FROM pg_inherits i JOIN below b ON i.inhparent = b.inhrelid)
SELECT n.nspname, c.relname FROM below JOIN pg_class c ON c.oid = below.inhrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') ORDER BY 1, 2
"""
_IN_SCHEMA = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind IN ('r', 'p') ORDER BY 1, 2
"""
_COLUMNS = """
SELECT c.oid::bigint, n.nspname, c.relname, a.attnum, a.attname, a.atttypid::bigint, format_type(a.atttypid, a.atttypmod)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""

# ((schema, table), column): the table itself where there is no column.
type_place = tuple[tuple[str, str], str | None]


def beyond(cursor: Any, steps: Sequence[Rehearsed], wanted: Sequence[Item]) -> Iterator[Item]:
    """List what the target loses with the `wanted` and with dropped schemas, though the history never made it.

    Reads the catalogue.
    """
    if not steps:
        return
    start = steps[0].before
    told: set[tuple[tuple[str, str], str | None]] = {(table, None) for table in start.tables.values()}
    for item in wanted:
        if item.table_at_start is None:
            continue
        cursor.execute(_DESCENDANTS, (quoted(*item.table_at_start),))
        for table in cursor.fetchall():
            if (table, None) not in told and (table, item.column_at_start) not in told:
                told.add((table, item.column_at_start))
                name = ".".join(map(plain, (*table, *filter(None, (item.column_at_start,)))))
                yield dataclasses.replace(item, object=name, table_at_start=table, table_at_step=table)
    for step in steps:
        for number in sorted(step.before.schemas.keys() - step.after.schemas.keys() & start.schemas.keys()):
            cursor.execute(_IN_SCHEMA, (start.schemas[number],))
            for table in cursor.fetchall():
                if (table, None) not in told:
                    told.add((table, None))
                    name = ".".join(map(plain, table))
                    at_step = (step.before.schemas[number], table[1])
                    yield Item(step.revision, name, TABLE_DROPPED, table, at_step)


@dataclasses.dataclass(frozen=True)
class Held:
    """Every table and column of the target at one moment, by number: (place, type's number, type)."""

    things: Mapping[tuple[int, int], tuple[type_place, int | None, str | None]]

    def gone(self, after: Held) -> Iterator[type_place]:
        """List what `after` no longer has, or has under another type. A table that is gone stands for its columns."""
        tables = {oid for oid, _number in after.things}
        for (oid, number), (place, kind, spelled) in sorted(self.things.items()):
            now = after.things.get((oid, number))
            missing = now is None and (number == 0 or oid in tables)
            # A type that was renamed has another spelling, one that was made anew another number.
            if missing or (now is not None and now[1] != kind and now[2] != spelled):
                yield place


def held(connection: Connection) -> Held:
    """Read what the database holds, in env.py's own session and transaction."""
    things: dict[tuple[int, int], tuple[type_place, int | None, str | None]] = {}
    for oid, schema, table, number, column, kind, spelled in raw.rows(connection, _COLUMNS):
        things[oid, 0] = (((schema, table), None), None, None)
        if number is not None:
            things[oid, number] = (((schema, table), column), kind, spelled)
    return Held(things)


def named(place: type_place) -> str:
    """Name a table or a column for a reader."""
    table, column = place
    return ".".join(map(plain, (*table, *filter(None, (column,)))))
