"""Where a database stands, read without running env.py: env.py may write before it says where its table is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.acts.upgrade import marks

if TYPE_CHECKING:
    from airlock.instruments.server import type_connection

_MANY_TABLES = (
    "SELECT n.nspname, c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND a.attname = 'version_num' "
    "AND a.attnum = 1 AND NOT a.attisdropped AND n.nspname NOT IN ('pg_catalog', 'information_schema') "
    "AND (SELECT count(*) FROM pg_attribute o WHERE o.attrelid = c.oid AND o.attnum > 0 AND NOT o.attisdropped) = 1 "
    "ORDER BY n.nspname = current_schema() DESC, 1, 2"
)


def version_table(connection: type_connection) -> tuple[marks.VersionTable | None, str]:
    """Find Alembic's version table by its shape: env.py, which knows its name, may write and is not run here."""
    with connection.cursor() as cursor:
        cursor.execute(_MANY_TABLES)
        found = cursor.fetchall()
    if not found:
        return None, ""
    named = [row for row in found if row[1] == "alembic_version"] or found
    several = ", ".join(f"{schema}.{name}" for schema, name in named)
    reason = f"several tables look like version tables: {several}" if len(named) > 1 else ""
    return marks.VersionTable(named[0][1], named[0][0]), reason


def version_rows(connection: type_connection, table: marks.VersionTable | None) -> list[str | None]:
    """Read the version table's rows, sorted; none where there is no table."""
    if table is None:
        return []
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT version_num FROM {table.sql} ORDER BY 1")  # noqa: S608  quoted by VersionTable
        return [row[0] for row in cursor.fetchall()]
