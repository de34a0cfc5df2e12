"""Stop a statement in its middle without a clock: it comes upon rows that somebody else has locked, and is ended there."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airlock.drivers import client
from airlock.drivers.spelling import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from airlock.operations.drill.state import Ledger
    from airlock.records.drill import Touched

_POLL_S = 0.002
_MOST_TABLES = 3
# Enough that a statement that writes only some of the rows comes upon one of them.
_ROWS = 2_000
_BLOCKED = "SELECT wait_event FROM pg_stat_activity WHERE pid = %s AND %s = ANY (pg_blocking_pids(pid))"


@dataclass(frozen=True)
class Place:
    """Where a statement is to be held up: rows of a table from one of them on, in the order of its key."""

    table: str
    label: str
    words: str
    order: str
    offset: int

    def named(self, wait_event: str) -> str:
        """Say what a statement waits for that comes upon the rows, or upon the transaction that has locked them."""
        if wait_event in {"transactionid", "tuple"}:
            return f"a row {self.words} of {self.label}"
        if wait_event == "virtualxid":
            return f"another transaction on {self.label}"
        return f"a lock on {self.label}"


def places(ledger: Ledger, concerned: Collection[Touched], sql: str) -> Iterator[Place]:
    """List where to hold a statement up: from the middle of each big table that the step concerns, and near its end.

    Only what goes from row to row (a DO block, a CALL, a data statement) meets a second place.
    """
    walks = sql.split(" ", 1)[0].upper() in {"DO", "CALL", "UPDATE", "DELETE", "INSERT", "MERGE", "WITH"}
    touched = sorted(
        (it for it in concerned if it.rows > 1), key=lambda it: (-it.rows, it.table)
    )[:_MOST_TABLES]  # fmt: skip
    known = {table.label: table for table in ledger.tables([it.table for it in touched])}
    for it in touched:
        table = known.get(it.table)
        if table is None:
            continue
        order = ", ".join(quoted(name) for name in table.key) or "tableoid, ctid"
        for words, offset in (
            ("in the middle", it.rows // 2),
            ("near the end", it.rows - max(it.rows // 10, 1)),
        ):
            yield Place(table.sql, it.table, words, order, offset)
            if not walks:
                break


@dataclass
class Hold:
    """Locks rows when a statement begins, ends its server process as soon as that waits for them, and lets go."""

    url: str = field(repr=False)
    place: Place
    waited_for: str | None = None
    _done: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def wait_for(self, pid: int) -> None:
        """Lock the rows, and watch this server process from now on. Does nothing where the rows cannot be had."""
        holder = client.connect(self.url, application_name="airlock-drill-holder")
        try:
            with holder.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '1s'")
                # As a writer would: what waits for older writers (CONCURRENTLY) waits for this one.
                cursor.execute(f"LOCK TABLE {self.place.table} IN ROW EXCLUSIVE MODE")
                # Chosen first, locked then: FOR UPDATE beside OFFSET locks what it skips as well.
                cursor.execute(
                    f"SELECT FROM {self.place.table} WHERE (tableoid, ctid) IN ("
                    f"SELECT tableoid, ctid FROM {self.place.table} ORDER BY {self.place.order} "
                    f"OFFSET {self.place.offset} LIMIT {_ROWS}) FOR UPDATE"
                )
        except client.Error:
            holder.close()
            return
        self._thread = threading.Thread(target=self._watch, args=(holder, pid), daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Let go, and wait until nothing is held any more."""
        self._done.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, holder: client.Connection, pid: int) -> None:
        with contextlib.closing(holder), contextlib.closing(client.connect(self.url)) as observer:
            observer.autocommit = True
            with observer.cursor() as cursor:
                while not self._done.wait(_POLL_S):
                    cursor.execute(_BLOCKED, (pid, holder.info.backend_pid))
                    row = cursor.fetchone()
                    if row is not None:
                        self.waited_for = self.place.named(row[0])
                        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
                        return
