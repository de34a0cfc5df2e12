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
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.database.lease import OBSERVER_NAME, WORKER_NAME
from airlock.database.logins import as_login
from airlock.database.server import connect
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

    def __str__(self) -> str:
        """Say who holds what, and since when."""
        name = ", ".join(part for part in (self.user, self.application) if part)
        since = f"{self.state}, {self.seconds:.0f} s" if self.state else "its state is hidden from this role"
        return f"pid {self.pid} ({name}, {since})"


@dataclass(frozen=True)
class Budget:
    """What the observer enforces where the server cannot: outside a transaction."""

    lock_s: float
    statement_s: float | None
    deadline: float


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
        while not self._stop.is_set():
            # A look that fails is repeated: the run must not end because nobody watches it.
            with contextlib.suppress(Exception):
                if self._cancel.is_set():
                    self._cancel_worker()
                self._sample()
            # A cancel is wanted now, not at the next sample.
            if self._wake.wait(SAMPLE_SECONDS):
                self._wake.clear()

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
                    "SELECT a.pid, extract(epoch FROM clock_timestamp() - a.query_start)::float8 FROM pg_stat_activity a "
                    "WHERE a.application_name = %s AND a.datname = current_database() AND a.state <> 'idle'"
                ),
                (self._worker,),
            )
            workers = dict(cursor.fetchall())
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
                self._name_blockers(blocking, object_name)
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

    def _name_blockers(self, pids: list[int], object_name: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(
                as_login(
                    "SELECT pid, coalesce(usename, ''), coalesce(application_name, ''), "
                    "coalesce(extract(epoch FROM clock_timestamp() - coalesce(xact_start, backend_start)), 0)::float8, "
                    "coalesce(state, backend_type, ''), coalesce(query, '') "
                    "FROM pg_stat_activity WHERE pid = ANY(%s) ORDER BY pid"
                ),
                (pids,),
            )
            found = tuple(
                Blocker(row[0], row[1], row[2], row[3], row[4], _shape(row[5]), object_name)
                for row in cursor.fetchall()
            )
        known = {blocker.pid for blocker in self.blockers}
        self.blockers = found or self.blockers
        if found and {blocker.pid for blocker in found} - known:
            self._on_blockers(found)


def _shape(query: str) -> str:
    """Keep the first 80 characters of a query, its literals taken out."""
    return scrub(re.sub(r"'(?:[^']|'')*'?", "'...'", " ".join(query.split()))[:80])
