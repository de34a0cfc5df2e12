"""Where a database stands in the midst of a run, or after whatever ended it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from airlock.database import server

if TYPE_CHECKING:
    from airlock.database.observer import Observer
    from airlock.database.server import type_connection
    from airlock.database.target import Target
    from airlock.operations.upgrade.marks import VersionTable
    from airlock.operations.upgrade.progress import Progress


def read_heads(connection: type_connection, table: VersionTable | None) -> tuple[str, ...]:
    """Read the version rows, sorted; none where there is no table."""
    if table is None:
        return ()
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (table.sql,))
        if not cursor.fetchone()[0]:
            return ()
        cursor.execute(f"SELECT version_num FROM {table.sql} ORDER BY 1")  # noqa: S608  quoted by VersionTable
        return tuple(str(row[0]) for row in cursor.fetchall())


def standing(progress: Progress, target: Target, observer: Observer) -> str:
    """Say where the database stands, read on a new connection where the observer's is lost too."""
    if progress.before is None and progress.done == 0 and progress.table is None:
        # env.py has not got as far as to say where its version rows are.
        return "Nothing changed."
    try:
        heads = read_heads(observer.connection, progress.table)
    except Exception:  # noqa: BLE001 - it may be the very loss that is being reported
        try:
            with contextlib.closing(
                server.connect(target, application_name="airlock", connect_timeout_s=5)
            ) as other:
                heads = read_heads(other, progress.table)
        except Exception:  # noqa: BLE001
            return "Where the database stands could not be read."
    progress.heads = heads
    if progress.before is not None and heads != progress.before:
        return f"Now at {names(heads)} ({progress.done} done)."
    # What left its transaction may have changed something that no version row tells of.
    return f"{'Still' if progress.left_transaction else 'Nothing changed; still'} at {names(heads)}."


def names(heads: tuple[str, ...]) -> str:
    """Write version rows for a reader."""
    return ", ".join(heads) or "base"
