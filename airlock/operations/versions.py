"""Where a database stands, read without running env.py: env.py may write before it says where its table is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.database import server_errors
from airlock.operations.upgrade import marks
from airlock.records.errors import LockBudgetSpent

if TYPE_CHECKING:
    from airlock.database.server import type_connection

_MANY_TABLES = (
    "SELECT n.nspname, c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND a.attname = 'version_num' "
    "AND a.attnum = 1 AND NOT a.attisdropped AND n.nspname NOT IN ('pg_catalog', 'information_schema') "
    "AND (SELECT count(*) FROM pg_attribute o WHERE o.attrelid = c.oid AND o.attnum > 0 AND NOT o.attisdropped) = 1 "
    "ORDER BY n.nspname = current_schema() DESC, 1, 2"
)

_PATIENCE = "2s"
_HOLDERS = (
    "SELECT l.pid, concat_ws(', ', a.usename, nullif(a.application_name, '')) FROM pg_locks l "
    "JOIN pg_stat_activity a USING (pid) WHERE l.relation = to_regclass(%s) AND l.granted "
    "AND l.mode = 'AccessExclusiveLock' ORDER BY 1"
)


def version_table(connection: type_connection) -> tuple[marks.VersionTable | None, str]:
    """Find Alembic's version table by its shape: env.py, which knows its name, may write and is not run here."""
    found = version_tables(connection)
    if not found:
        return None, ""
    named = [table for table in found if table.name == "alembic_version"] or list(found)
    several = ", ".join(f"{table.schema}.{table.name}" for table in named)
    reason = f"several tables look like version tables: {several}" if len(named) > 1 else ""
    return named[0], reason


def version_tables(connection: type_connection) -> tuple[marks.VersionTable, ...]:
    """List the tables that look like Alembic's version table; those of the current schema come first."""
    with connection.cursor() as cursor:
        cursor.execute(_MANY_TABLES)
        return tuple(marks.VersionTable(name, schema) for schema, name in cursor.fetchall())


def version_rows(connection: type_connection, table: marks.VersionTable | None) -> list[str | None]:
    """Read the version table's rows, sorted; none where there is no table.

    Raises LockBudgetSpent, naming the holder, where the table stays locked: an env.py may lock it for a whole run.
    """
    if table is None:
        return []
    with connection.cursor() as cursor:
        try:
            # One message: in autocommit mode too it is one transaction, which is what LOCAL needs.
            cursor.execute(
                f"SET LOCAL lock_timeout = '{_PATIENCE}'; SELECT version_num FROM {table.sql} ORDER BY 1"  # noqa: S608  quoted by VersionTable
            )
        except Exception as error:
            if server_errors.sqlstate(error) != "55P03":
                raise
            connection.rollback()
            cursor.execute(_HOLDERS, (table.sql,))
            who = ", ".join(f"pid {pid} ({name})" for pid, name in cursor.fetchall()) or "another session"
            raise LockBudgetSpent(
                f"{table.sql}, the version table, has been locked for {_PATIENCE} by {who}.",
                then="again when that session has ended its transaction",
            ) from error
        return [row[0] for row in cursor.fetchall()]
