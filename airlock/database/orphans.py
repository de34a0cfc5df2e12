"""Worker sessions that nobody works with any more: an earlier run's, or those that env.py has left open."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airlock.database.lease import WORKER_NAME
from airlock.database.logins import as_login
from airlock.database.server_errors import classify, sqlstate
from airlock.records.errors import AirlockError, LeaseHeld

if TYPE_CHECKING:
    from airlock.database.server import type_connection

# An orphan that is asked to end gets this long to do so.
_END_SECONDS = 10.0
# A session named like a worker and idle may have a statement in its socket; after this long it would be seen.
_SETTLE_SECONDS = 0.1


def end_orphans(connection: type_connection, run: str) -> tuple[int, ...]:
    """Terminate worker sessions that an earlier run of a dead process left behind; return their pids.

    To be called with the lease held: whoever carries the worker's name now has no right to. Sessions at work
    or in a transaction are ended; an idle one (a pooler keeps them) is let be once it has shown that no statement
    is still on its way. Raises LeaseHeld, naming the session, where we may not end it or it does not end.
    """
    ended: dict[int, None] = {}
    deadline = time.monotonic() + _END_SECONDS
    settled = False
    while True:
        busy, idle = _workers(connection, run)
        if not busy and (not idle or settled):
            return tuple(ended)
        settled = not busy
        for pid, user, started in busy:
            if time.monotonic() > deadline or not _terminate(connection, pid):
                raise LeaseHeld(
                    "A session of an earlier, dead run is still at work and could not be ended: "
                    f"pid {pid}, user {user}, since {started}.",
                    standing="Nothing changed.",
                    then=f"SELECT pg_terminate_backend({pid}) as a role that may",
                )
            ended[pid] = None
        time.sleep(_SETTLE_SECONDS)


def _workers(connection: type_connection, run: str) -> tuple[list[tuple[int, str, str]], list[int]]:
    with connection.cursor() as cursor:
        cursor.execute(
            as_login(
                "SELECT pid, coalesce(usename, '?'), to_char(coalesce(xact_start, backend_start), 'HH24:MI:SS'), "
                "coalesce(state, 'active') "
                "FROM pg_stat_activity WHERE application_name LIKE %s AND application_name <> %s "
                "AND datname = current_database() AND pid <> pg_backend_pid()"
            ),
            (f"{WORKER_NAME}:%", f"{WORKER_NAME}:{run}"),
        )
        rows = cursor.fetchall()
    return [row[:3] for row in rows if row[3] != "idle"], [row[0] for row in rows if row[3] == "idle"]


def _terminate(connection: type_connection, pid: int) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute(as_login("SELECT pg_terminate_backend(%s)"), (pid,))
            cursor.fetchone()
    except Exception as error:
        if isinstance(classify(error), AirlockError) and sqlstate(error) == "42501":
            return False
        raise
    return True


def end_abandoned(connection: type_connection, run: str) -> None:
    """Terminate this run's own sessions that are idle in a transaction. To be called when env.py has ended.

    An env.py that fails before it closes its connection leaves its locks behind, on the version table too: whoever
    then reads where the database stands would wait for himself.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            as_login(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s "
                "AND datname = current_database() AND state LIKE 'idle in transaction%%'"
            ),
            (f"{WORKER_NAME}:{run}",),
        )
