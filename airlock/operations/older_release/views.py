"""Views as a release uses them: what they show, and what may be written through them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airlock.catalogue.fingerprint.model import plain
from airlock.drivers.spelling import quoted
from airlock.operations.older_release.tighter import asked, literal

if TYPE_CHECKING:
    from collections.abc import Iterator

# What pg_relation_is_updatable answers: 1 << the command's number (nodes.h: UPDATE 2, INSERT 3, DELETE 4).
_UPDATE, _INSERT, _DELETE = 1 << 2, 1 << 3, 1 << 4
_VIEWS = """
SELECT c.oid::bigint, n.nspname, c.relname, c.relkind, pg_relation_is_updatable(c.oid, false),
  array_agg(a.attname::text ORDER BY a.attnum),
  array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum),
  array_agg(pg_column_is_updatable(c.oid, a.attnum, false) ORDER BY a.attnum)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('v', 'm') AND c.oid >= 16384 AND n.nspname NOT LIKE 'pg\\_%'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid
                  AND e.deptype = 'e')
GROUP BY c.oid, n.nspname, c.relname, c.relkind
ORDER BY n.nspname, c.relname
"""


@dataclass(frozen=True)
class View:
    """One view or materialized view; `writable` are the columns that can be written through it."""

    oid: int
    schema: str
    name: str
    updatable: int
    columns: tuple[str, ...]
    types: tuple[str, ...]
    writable: tuple[str, ...]

    @property
    def label(self) -> str:
        """The name for people."""
        return f"{plain(self.schema)}.{plain(self.name)}"

    @property
    def sql(self) -> str:
        """The name for statements."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"


def read_views(cursor: Any) -> tuple[View, ...]:
    """Read every view of the project. Queries of the catalogue."""
    cursor.execute(_VIEWS)
    return tuple(
        View(oid, schema, name, updatable if kind == "v" else 0, tuple(columns), tuple(types),
             tuple(column for column, can in zip(columns, writable, strict=True) if can))
        for oid, schema, name, kind, updatable, columns, types, writable in cursor.fetchall()
    )  # fmt: skip


def view_statements(cursor: Any, view: View) -> Iterator[tuple[str, str]]:
    """Yield what is sent to a view, shown and as sent: reading costs no row, since a view may be slow."""
    listed = ", ".join(quoted(name) for name in view.columns)
    shown = ", ".join(plain(name) for name in view.columns)
    shown_written = ", ".join(plain(name) for name in view.writable)
    yield f"SELECT {shown} FROM {view.label}", f"SELECT {listed} FROM {view.sql} LIMIT 0"
    written = ", ".join(quoted(name) for name in view.writable)
    if view.updatable & _INSERT and written:
        given = ", ".join(_row(cursor, view))
        shown_given = ", ".join("…" for _ in view.writable)
        yield (
            f"INSERT INTO {view.label} ({shown_written}) VALUES ({shown_given})",
            f"INSERT INTO {view.sql} ({written}) VALUES ({given})",
        )
    if view.updatable & _UPDATE and written:
        same = ", ".join(f"{quoted(name)} = {quoted(name)}" for name in view.writable)
        yield f"UPDATE {view.label} SET {shown_written}", f"UPDATE {view.sql} SET {same} WHERE false"
    if view.updatable & _DELETE:
        yield f"DELETE FROM {view.label}", f"DELETE FROM {view.sql} WHERE false"


def _row(cursor: Any, view: View) -> list[str]:
    """Spell the values of some row: one that can be written through is of one table, and quickly found."""
    found = asked(
        cursor,
        f"SELECT {', '.join(f'{quoted(name)}::text' for name in view.writable)} FROM {view.sql} LIMIT 1",
    )
    return [literal(value) for value in found[0]] if found else ["NULL"] * len(view.writable)
