"""The mark of a half-applied revision, and indexes left INVALID.

A revision that leaves its transaction (a CONCURRENTLY statement, a backfill in batches) can be killed between what
it has committed and its version row. Before it leaves, airlock writes a mark as the version table's COMMENT, in
the very transaction that is about to be committed; the mark is cleared with the version row. A mark that is found
says: this revision is half applied.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airlock.drivers.spelling import quoted
from airlock.records import dataclass

if TYPE_CHECKING:
    from airlock.database.server import type_connection

PREFIX = "airlock: half applied "


@dataclass(frozen=True)
class VersionTable:
    """Where Alembic keeps its rows, as env.py configured it."""

    name: str
    schema: str | None

    @property
    def sql(self) -> str:
        """Spell the table, quoted."""
        parts = [self.schema, self.name] if self.schema else [self.name]
        return quoted(*parts)


@dataclass(frozen=True)
class Mark:
    """A revision that left its transaction and has not been seen to end."""

    revision: str
    direction: str
    run: str
    comment: str | None = None

    def text(self) -> str:
        """Spell the COMMENT; the table's own comment is carried along to be put back."""
        return PREFIX + json.dumps(
            {"revision": self.revision, "direction": self.direction, "run": self.run, "comment": self.comment}
        )


@dataclass(frozen=True)
class InvalidIndex:
    """An index that a CONCURRENTLY statement left INVALID: it costs writes and serves no query."""

    index: str
    table: str
    unique: bool

    @property
    def repair_sql(self) -> str:
        """Name the statement that removes it, blocking nobody."""
        return f"DROP INDEX CONCURRENTLY {self.index}"


def comment_sql(table: VersionTable, comment: str | None) -> str:
    """Spell COMMENT ON TABLE with a literal: COMMENT takes no parameters."""
    # E'...' means the same whatever standard_conforming_strings says.
    literal = "NULL" if comment is None else "E'" + comment.replace("\\", "\\\\").replace("'", "''") + "'"
    return f"COMMENT ON TABLE {table.sql} IS {literal}"


def read_comment(connection: type_connection, table: VersionTable) -> str | None:
    """Read the version table's comment; None where there is no comment or no table."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT obj_description(to_regclass(%s), 'pg_class')", (table.sql,))
        row = cursor.fetchone()
    return row[0] if row else None


def read_mark(comment: str | None) -> Mark | None:
    """Parse a mark out of the version table's comment."""
    if not comment or not comment.startswith(PREFIX):
        return None
    try:
        said: dict[str, Any] = json.loads(comment[len(PREFIX) :])
        return Mark(str(said["revision"]), str(said["direction"]), str(said["run"]), said.get("comment"))
    except (ValueError, KeyError):
        return Mark("?", "?", "?")


def invalid_indexes(connection: type_connection) -> tuple[InvalidIndex, ...]:
    """List INVALID indexes outside the system schemas, except those being built right now. Reads the catalogue.

    An index on a partitioned table is INVALID by design until every partition has its own; it is not listed.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT format('%I.%I', n.nspname, c.relname), format('%I.%I', tn.nspname, t.relname), i.indisunique "
            "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
            "JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace "
            "WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname NOT LIKE 'pg\\_%' "
            "AND NOT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.relation = t.oid "
            "AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted AND a.pid <> pg_backend_pid() "
            "AND a.state = 'active' AND a.query ~* 'index') "
            "ORDER BY 1"
        )
        return tuple(InvalidIndex(*row) for row in cursor.fetchall())
