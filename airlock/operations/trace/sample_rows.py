"""Rows in scratch tables, kept up between steps: without them no scan would show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airlock.catalogue.fingerprint.model import plain
from airlock.drivers.spelling import mentions, quoted
from airlock.operations.drill.rows import extremes, ordered_bounds
from airlock.records.trace import JUDGED_FROM_ROWS, Unfilled
from airlock.samples import Table, empty_tables, fill, read_tables

if TYPE_CHECKING:
    from collections.abc import Iterable

# Tables that were made, emptied or rebuilt empty since they were last looked at. An extension's own hold what it keeps of
# the database's objects: they do not grow with its rows.
_WANTING = """
SELECT c.oid::bigint, c.relfilenode::bigint, n.nspname, c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.oid >= 16384 AND c.reltuples < %s
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%%'
  AND NOT EXISTS (
    SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 3, 4
"""


# Whatever else is known of it: no more of a table is read than a judgement needs.
_HELD = "SELECT count(*) FROM (SELECT FROM {} LIMIT %s) AS held"
_NAMED = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = %s AND c.relkind IN ('r', 'p')
"""
# A partition gets its rows through the root, which has no file to tell that it was emptied.
_ROOTS = """
SELECT DISTINCT c.oid::bigint, c.relfilenode::bigint, n.nspname, c.relname
FROM unnest(%s::bigint[]) AS w (number) JOIN pg_class c ON c.oid = pg_partition_root(w.number::oid::regclass)
JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY 3, 4
"""


@dataclass
class Samples:
    """Fills each table once for each file it has, through `airlock.samples`.

    Writes rows and statistics (ANALYZE) through `connection`, which is in autocommit mode. What cannot be
    filled is kept in `unfilled`, by name.
    """

    connection: Any
    rows: int
    _tried: set[tuple[int, int]] = field(default_factory=set)
    _unfilled: dict[str, str] = field(default_factory=dict)
    _small: set[str] = field(default_factory=set)

    @property
    def unfilled(self) -> tuple[Unfilled, ...]:
        """Name the tables that stayed short of rows, sorted."""
        return tuple(Unfilled(table, reason) for table, reason in sorted(self._unfilled.items()))

    def empty(self, *, except_for: str) -> None:
        """Remove every row that was made, so that all tables want rows again."""
        found = read_tables(self.connection, exclude=(except_for,))
        if found:
            with self.connection.cursor() as cursor:
                empty_tables(cursor, found)

    def demands(self, *, except_for: str) -> dict[str, Table]:
        """Read what every table asks of its rows as it is now."""
        return {table.label: table for table in read_tables(self.connection, exclude=(except_for,))}

    def tame(self, source: str, *, texts: bool, named: bool, except_for: str) -> bool:
        """Replace values at the edge of their type, long `texts` instead; False for none.

        In all tables, or in those that `source` names.
        """
        tables = read_tables(self.connection, exclude=(except_for,))
        some = [table for table in tables if not named or mentions(source, table.name)]
        return bool(extremes.tame(self.connection, some, texts=extremes.ORDINARY if texts else 0))

    def order_bounds(self, source: str, *, except_for: str) -> bool:
        """Swap columns that `source` makes ranges of where they are out of order; False where there are none."""
        return bool(
            ordered_bounds.order(self.connection, read_tables(self.connection, exclude=(except_for,)), source)
        )

    def recount(self, shrunk: Iterable[int]) -> None:
        """Have tables filled again that statements have left with too few rows, numbered as in pg_class."""
        with self.connection.cursor() as cursor:
            for oid in shrunk:
                cursor.execute(_NAMED, (oid,))
                for schema, table in cursor.fetchall():
                    cursor.execute(f"ANALYZE {quoted(schema, table)}")
                self._tried = {one for one in self._tried if one[0] != oid}

    def few(self) -> dict[str, int]:
        """Count the rows of every table that has too few for a scan to show, but for those that never hold many."""
        counts: dict[str, int] = {}
        with self.connection.cursor() as cursor:
            cursor.execute(_WANTING, (JUDGED_FROM_ROWS,))
            for _, _, schema, table in cursor.fetchall():
                name = f"{plain(schema)}.{plain(table)}"
                if name in self._small:
                    continue
                held = _HELD.format(quoted(schema, table).replace("%", "%%"))
                cursor.execute(held, (JUDGED_FROM_ROWS,))
                (rows,) = cursor.fetchone()
                if rows < JUDGED_FROM_ROWS:
                    counts[name] = rows
        return counts

    def fill(self, *, except_for: str, required: dict[str, Table] | None = None) -> None:
        """Fill and analyse what wants rows; `except_for` is the version table, `required` tables as they will be."""
        if self.rows <= 0:
            return
        with self.connection.cursor() as cursor:
            cursor.execute(_WANTING, (self.rows,))
            wanting = [row for row in cursor.fetchall() if (row[0], row[1]) not in self._tried]
            cursor.execute(_ROOTS, ([row[0] for row in wanting],))
            wanting += [row for row in cursor.fetchall() if row not in wanting]
        self._tried |= {(row[0], row[1]) for row in wanting}
        names = [name for row in wanting if (name := f"{plain(row[2])}.{plain(row[3])}") != except_for]
        if not names:
            return
        for filled in fill(
            self.connection, self.rows, tables=names, exclude=(except_for,), required=required
        ):
            self._unfilled.pop(filled.table, None)
            # A table whose key has room for few rows only will never be a large one.
            small = filled.rows > 0 and (filled.reason or "").startswith("its unique key")
            if small:
                self._small.add(filled.table)
            if filled.reason and filled.rows < min(self.rows, JUDGED_FROM_ROWS) and not small:
                self._unfilled[filled.table] = filled.reason
        with self.connection.cursor() as cursor:
            for row in wanting:
                cursor.execute(f"ANALYZE {quoted(row[2], row[3])}")
