"""A second pair of eyes on the worker: who stands in its way, whom it keeps waiting, and the power to cancel it.

One autocommit connection, read-only but for `pg_cancel_backend` and `pg_terminate_backend`. It looks while
the worker waits, because afterwards `pg_blocking_pids` is empty. The worker is found by its application name,
which PgBouncer carries along, not by a backend pid, which changes behind a pooler.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from typing import TYPE_CHECKING

from airlock.database.lease import OBSERVER_NAME, WORKER_NAME
from airlock.database.logins import as_login
from airlock.database.server import connect
from airlock.records import dataclass
from airlock.records.secrets import scrub

if TYPE_CHECKING:
    from collections.abc import Callable

    from airlock.database.target import Target

SAMPLE_SECONDS = 0.1
_READS_AND_WRITES = {"AccessShareLock", "RowShareLock", "RowExclusiveLock"}


@dataclass(frozen=True)
class Blocker:
    """A session in our way, as `pg_stat_activity` describes it. Literals of its query are taken out."""

    pid: int
    user: str
    application: str
    seconds: float
    state: str
    query: str
    waited_for: str
    gid: str | None = None

    def __str__(self) -> str:
        """Say who holds what, and since when; of what has no session, how it is ended."""
        if self.gid is not None:
            literal = self.gid.replace("'", "''")
            return (
                f"the prepared transaction {self.gid} ({self.user}, prepared {self.seconds:.0f} s ago; "
                f"no session holds it: COMMIT PREPARED '{literal}' or ROLLBACK PREPARED '{literal}' ends it)"
            )
        name = ", ".join(part for part in (self.user, self.application) if part)
        if "(to prevent wraparound)" in self.query:
            name += " to prevent wraparound, which gives way to nobody"
        since = f"{self.state}, {self.seconds:.0f} s" if self.state else "its state is hidden from this role"
        return f"pid {self.pid} ({name}, {since})"


@dataclass(frozen=True)
class Budget:
    """What the observer enforces where the server cannot: outside a transaction."""

    lock_s: float
    statement_s: float | None
    deadline: float


# The locks of a prepared transaction belong to no session: pg_blocking_pids gives 0 for them (PostgreSQL manual,
# 9.27), and pg_locks no pid. Their virtual transaction is -1/xid up to 16 and the dead session's own from 17 on
# (measured on 15 and 18): the lock that each holds on its own transaction id tells which transaction it is.
_PREPARED = """
SELECT DISTINCT x.gid, x.owner::text, extract(epoch FROM clock_timestamp() - x.prepared)::float8
FROM pg_locks w JOIN pg_locks g ON g.pid IS NULL AND g.granted AND (
    (g.locktype = w.locktype AND g.database IS NOT DISTINCT FROM w.database AND g.relation = w.relation)
    OR g.transactionid = w.transactionid OR g.virtualtransaction = w.virtualxid)
JOIN pg_locks own ON own.pid IS NULL AND own.locktype = 'transactionid' AND own.virtualtransaction = g.virtualtransaction
JOIN pg_prepared_xacts x ON x.transaction = own.transactionid
WHERE w.pid = %s AND NOT w.granted ORDER BY 1
"""


class Observer:
    """Sample the worker of one run in a thread, from `start` to `stop`."""

    def __init__(
        self, target: Target, run: str, budget: Budget, on_blockers: Callable[[tuple[Blocker, ...]], None]
    ) -> None:
        self.connection = connect(target, application_name=f"{OBSERVER_NAME}:{run}", autocommit=True)
        self.longest_block_s = 0.0
        self.blockers: tuple[Blocker, ...] = ()
        self.cancelled = ""
        self.outside_transaction = False
        self.unreplicated_s = 0.0
        self._syncs_since: float | None = None
        self._worker = f"{WORKER_NAME}:{run}"
        self._budget = budget
        self._on_blockers = on_blockers
        self._cancel = threading.Event()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look, ten times a second."""
        self._thread = threading.Thread(target=self._watch, name="airlock-observer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more; the connection stays open for questions afterwards."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=2)

    def close(self) -> None:
        """Stop and close the connection. Safe to call twice."""
        self.stop()
        with contextlib.suppress(Exception):
            self.connection.close()

    def cancel(self, reason: str) -> None:
        """Have the worker's statement cancelled, again and again until the run ends. From any thread."""
        self.cancelled = self.cancelled or reason
        self._cancel.set()
        self._wake.set()

    def clear(self) -> None:
        """Forget the blockers and the cancel of the last attempt."""
        self.blockers = ()
        self.cancelled = ""
        self._cancel.clear()

    def _watch(self) -> None:
        while True:
            # A cancel is wanted now, not at the next sample. The first look is at a worker that may have met somebody.
            if self._wake.wait(SAMPLE_SECONDS):
                self._wake.clear()
            if self._stop.is_set():
                return
            # A look that fails is repeated: the run must not end because nobody watches it.
            with contextlib.suppress(Exception):
                if self._cancel.is_set():
                    self._cancel_worker()
                self._sample()

    def _cancel_worker(self) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(
                as_login(
                    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = %s "
                    "AND datname = current_database() AND state = 'active'"
                ),
                (self._worker,),
            )

    def _sample(self) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(
                as_login(
                    "SELECT a.pid, extract(epoch FROM clock_timestamp() - a.query_start)::float8, "
                    "coalesce(a.wait_event = 'SyncRep', false) FROM pg_stat_activity a "
                    "WHERE a.application_name = %s AND a.datname = current_database() AND a.state <> 'idle'"
                ),
                (self._worker,),
            )
            active = cursor.fetchall()
            workers = {pid: seconds for pid, seconds, _ in active}
            self._watch_replication([pid for pid, _, syncs in active if syncs])
            if not workers:
                return
            cursor.execute(
                as_login(
                    "SELECT l.pid, l.mode, coalesce(l.relation::regclass::text, l.locktype), pg_blocking_pids(l.pid), "
                    "coalesce(extract(epoch FROM clock_timestamp() - coalesce(l.waitstart, a.query_start)), 0)::float8 "
                    "FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
                    "WHERE NOT l.granted AND (l.database IS NULL OR a.datname = current_database())"
                )
            )
            waits = cursor.fetchall()
        self._enforce(workers, waits)
        for pid, _mode, object_name, blocking, seconds in waits:
            if pid in workers:
                self._name_blockers(pid, blocking, object_name)
            elif workers.keys() & set(blocking) and seconds > self.longest_block_s:
                self.longest_block_s = seconds

    def _enforce(
        self, workers: dict[int, float], waits: list[tuple[int, str, str, list[int], float]]
    ) -> None:
        """Cancel outside a transaction what a timeout would cancel inside it."""
        if not self.outside_transaction or self._cancel.is_set():
            return
        if self._budget.statement_s is not None and max(workers.values()) > self._budget.statement_s:
            self.cancel("statement budget")
        if not any(pid in workers for pid, *_rest in waits):
            return
        stalled = any(
            workers.keys() & set(blocking) and mode in _READS_AND_WRITES and seconds > self._budget.lock_s
            for pid, mode, _name, blocking, seconds in waits
            if pid not in workers
        )
        if stalled or time.monotonic() > self._budget.deadline:
            self.cancel("lock budget")

    def _watch_replication(self, pids: list[int]) -> None:
        """Let a commit go that has waited for a synchronous standby to the run's deadline.

        It is committed here by then; a cancel ends only the wait (PostgreSQL manual, 26.2.8.3).
        """
        now = time.monotonic()
        if not pids:
            self._syncs_since = None
            return
        self._syncs_since = self._syncs_since or now
        if now < self._budget.deadline:
            return
        self.unreplicated_s = max(now - self._syncs_since, SAMPLE_SECONDS)
        with self.connection.cursor() as cursor:
            cursor.execute(as_login("SELECT pg_cancel_backend(pid) FROM unnest(%s) AS pid"), (pids,))

    def _name_blockers(self, waiting: int, pids: list[int], object_name: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(
                as_login(
                    "SELECT pid, coalesce(usename, ''), coalesce(application_name, ''), "
                    "coalesce(extract(epoch FROM clock_timestamp() - coalesce(xact_start, backend_start)), 0)::float8, "
                    "coalesce(state, backend_type, ''), coalesce(query, ''), coalesce(backend_type, '') "
                    "FROM pg_stat_activity WHERE pid = ANY(%s) ORDER BY pid"
                ),
                (pids,),
            )
            found = tuple(
                Blocker(
                    row[0],
                    row[1] or _unless_client(row[6]),
                    row[2],
                    row[3],
                    row[4],
                    _shape(row[5]),
                    object_name,
                )
                for row in cursor.fetchall()
            )
            if 0 in pids:
                cursor.execute(as_login(_PREPARED), (waiting,))
                found += tuple(
                    Blocker(0, owner, "", seconds, "prepared", "", object_name, gid)
                    for gid, owner, seconds in cursor.fetchall()
                )
        known = {(blocker.pid, blocker.gid) for blocker in self.blockers}
        self.blockers = found or self.blockers
        if found and {(blocker.pid, blocker.gid) for blocker in found} - known:
            self._on_blockers(found)


def _unless_client(backend_type: str) -> str:
    """Name a session of the server's own by its kind: it has no user."""
    return "" if backend_type == "client backend" else backend_type


def _shape(query: str) -> str:
    """Keep the first 120 characters of a query, its literals taken out."""
    return scrub(re.sub(r"'(?:[^']|'')*'?", "'...'", " ".join(query.split()))[:120])
