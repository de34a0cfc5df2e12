"""Observe a statement that runs outside a transaction: its locks are gone when it returns.

A second session holds the tables that the statement names, in every mode that could make it wait. Whenever
the statement is seen waiting, its locks (granted and wanted) are read and the hold is relaxed by one mode:
ACCESS EXCLUSIVE shows the first lock it asks for, SHARE the first write, and a remaining ROW EXCLUSIVE makes
CREATE INDEX CONCURRENTLY and its relatives wait for "older transactions" while they hold what they hold.
Row counters and file nodes are read from the second session before and after. Scratch databases only.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from typing import TYPE_CHECKING, Any

from airlock.drivers import client
from airlock.drivers.spelling import command, identifiers, literal, quoted, start
from airlock.recorder.counters import FIRST_USER_OBJECT, flush
from airlock.recorder.observe import named, rebuilt, rows_read, without_emptied
from airlock.recorder.relations import relations, relations_of
from airlock.records.locks import LockMode
from airlock.records.trace import Observation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airlock.drivers.statements import Query
    from airlock.recorder.relations import Relation
    from airlock.recorder.rows_held import RowsHeld

# Weakest first: each is taken on top of the last and given back in the opposite order.
_LADDER = ("ROW EXCLUSIVE", "SHARE", "EXCLUSIVE", "ACCESS EXCLUSIVE")
_MOST_HOLDS = 20
_MOST_TRIES = 200
_POLL_SECONDS = 0.0005


class Bench:
    """The three sessions that observing outside a transaction takes, opened once for a whole run."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self.watcher = connect()
        self.holders = [_Holder(connect()), _Holder(connect())]

    def close(self) -> None:
        """End the sessions."""
        for connection in (self.watcher, *(holder.connection for holder in self.holders)):
            connection.close()


class Outside:
    """Observes one statement outside a transaction, between `start` and `finish`."""

    def __init__(
        self, bench: Bench, observer: Query, own: Query, sql: str, held: RowsHeld, *, flushes: bool = True
    ) -> None:
        self._bench = bench
        self._observer = observer
        self._own = own
        self._sql = sql
        self._held = held
        self._flushes = flushes
        self._pid = 0
        self._newest = 0
        self._before: dict[int, Relation] = {}
        self._counts: dict[int, tuple[int, int, int]] = {}
        self._locks: set[tuple[int, LockMode]] = set()
        self._ended = threading.Event()
        self._names = identifiers(sql)
        self._everything = _reaches_on(sql)
        self._truncates = command(sql) == "TRUNCATE"
        self._thread: threading.Thread | None = None
        self.held_seconds = 0.0

    def start(self) -> None:
        """Read what there is, take the hold, and watch from a thread until `finish`."""
        self._pid = int(next(iter(self._own("SELECT pg_backend_pid()")))[0])
        flush(self._own, self._observer, forced=self._flushes)
        self._newest = int(next(iter(self._observer("SELECT max(oid)::bigint FROM pg_class")))[0])
        self._before = self._named()
        self._counts = self._counters()
        tables = sorted(
            quoted(relation.schema, relation.name)
            for relation in self._before.values()
            if relation.kind in "rp"
        )
        # Who refuses to wait must not be made to.
        if tables and not self._names & {"nowait", "skip_locked"}:
            self._bench.holders[0].hold(tables)
        self._thread = threading.Thread(target=self._watch, args=(tables,), daemon=True)
        self._thread.start()

    def finish(self) -> Observation:
        """Let go, and tell what the statement did."""
        self.abandon()
        flush(self._own, self._observer, forced=self._flushes)
        known = {oid: relation for oid, relation in self._before.items() if relation.others_see_it}
        unnamed = {oid for oid, _ in self._locks} - known.keys()
        if unnamed:
            # Locked, not named in the text, and older than the statement: the other end of a key, say.
            found = relations_of(self._observer, unnamed)
            known |= {oid: new for oid, new in found.items() if new.others_see_it and oid <= self._newest}
        gone = self._before.keys() - relations_of(self._observer, self._before).keys()
        locks = {
            # Before its files go, a dead index is locked once more; nobody can be using it any longer.
            (oid, mode)
            for oid, mode in self._locks
            if not (oid in gone and mode is LockMode.ACCESS_EXCLUSIVE and self._before[oid].table)
        }
        few, counts = self._held.few(self._before), self._counted()
        changed = self._changed()
        rewritten = [] if self._truncates else without_emptied(self._observer, changed)
        emptied = {one.oid for one in changed} - {one.oid for one in rewritten}
        self._held.change({oid: count[2] for oid, count in counts.items()}, emptied, self._before, self._sql)
        reads = {oid: count[:2] for oid, count in counts.items() if self._before[oid].others_see_it}
        return Observation(
            locks=named(locks, known),
            rewrites=rebuilt(rewritten),
            reads=rows_read(reads, self._before),
            few=few,
        )

    def abandon(self) -> None:
        """Let go, and tell nothing."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _named(self) -> dict[int, Relation]:
        words = ", ".join(map(literal, sorted(self._names)))
        matching = f"c2.relname IN ({words}) AND c2.oid >= {FIRST_USER_OBJECT}"
        if self._everything or self._calls(words):
            matching = f"c2.relkind IN ('r', 'p', 'm') AND c2.oid >= {FIRST_USER_OBJECT}"
        within = (
            f"SELECT c2.oid FROM pg_class c2 WHERE {matching}"  # noqa: S608 - quoted words
            f" UNION SELECT i2.indexrelid FROM pg_index i2 JOIN pg_class c2 ON c2.oid = i2.indrelid WHERE {matching}"
            f" UNION SELECT i2.indrelid FROM pg_index i2 JOIN pg_class c2 ON c2.oid = i2.indexrelid WHERE {matching}"
        )
        return relations(self._observer, f"c.oid IN ({within})")

    def _calls(self, words: str) -> bool:
        """Tell whether it calls a function of the project's: what that does is not in the text."""
        query = f"SELECT FROM pg_proc WHERE proname IN ({words}) AND oid >= {FIRST_USER_OBJECT} LIMIT 1"
        return bool(self._observer(query))

    def _counters(self) -> dict[int, tuple[int, int, int]]:
        if not self._before:
            return {}
        listed = ", ".join(map(str, self._before))
        query = f"""
SELECT oid::bigint, pg_stat_get_tuples_returned(oid), pg_stat_get_tuples_fetched(oid),
       pg_stat_get_tuples_inserted(oid) - pg_stat_get_tuples_deleted(oid)
FROM pg_class WHERE oid IN ({listed})"""  # noqa: S608 - oids
        return {
            row[0]: (int(row[1] or 0), int(row[2] or 0), int(row[3] or 0)) for row in self._observer(query)
        }

    def _counted(self) -> dict[int, tuple[int, int, int]]:
        """Count what it read, fetched, and inserted less what it deleted."""
        counts = {}
        for oid, after in self._counters().items():
            before = self._counts.get(oid, (0, 0, 0))
            counts[oid] = (after[0] - before[0], after[1] - before[1], after[2] - before[2])
        return counts

    def _watch(self, tables: list[str]) -> None:
        # VACUUM gives up cutting a table's end after asking in vain for 5 s; that is no lock wait, but waiting.
        query = f"""
SELECT CASE locktype WHEN 'relation' THEN relation::bigint END, mode,
       {{}} = ANY (pg_blocking_pids({self._pid}))
       OR EXISTS (SELECT FROM pg_stat_get_activity({self._pid}) WHERE wait_event = 'VacuumTruncate'),
       locktype = 'relation' AND NOT granted
FROM pg_lock_status() WHERE pid = {self._pid} AND mode <> 'SIReadLock'
  AND (locktype = 'relation' AND relation >= {FIRST_USER_OBJECT} OR locktype = 'virtualxid')
"""  # noqa: S608 - numbers
        holds = 0
        holders = list(self._bench.holders)
        cursor = self._bench.watcher.cursor()
        try:
            while not self._ended.is_set():
                asked = time.perf_counter()
                if not any(row[2] for row in self._locked(cursor, query, holders[0].pid)):
                    time.sleep(_POLL_SECONDS)
                    continue
                # The server reads the locks before the waiting: what it began to wait for in between is not among them.
                # It goes on waiting until this thread lets go, so a second reading has it.
                rows = self._locked(cursor, query, holders[0].pid)
                holds += 1
                if not holders[0].relax():
                    # The last mode: hold with the other session before this one lets go. Behind a statement that waits for
                    # the table itself nobody else gets it.
                    if holds < _MOST_HOLDS and not any(row[3] for row in rows):
                        holders[1].hold(tables, _LADDER[:1])
                    holders[0].release()
                    holders.reverse()
                self.held_seconds += time.perf_counter() - asked
        finally:
            cursor.close()
            for holder in holders:
                holder.release()

    def _locked(self, cursor: Any, query: str, holder: int) -> list[tuple[Any, ...]]:
        cursor.execute(query.format(holder))
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        self._locks |= {(row[0], LockMode.observed(row[1])) for row in rows if row[0] is not None}
        return rows

    def _changed(self) -> list[Relation]:
        """List what has another file by now."""
        # By name: REINDEX CONCURRENTLY swaps a new index into the old one's name.
        after = {relation.shown: relation for relation in self._named().values()}
        return [
            relation
            for relation in self._before.values()
            if (now := after.get(relation.shown)) is not None
            and relation.others_see_it
            and now.filenode != relation.filenode
        ]


# DO may spell names together, and REINDEX names a schema; without a table, the rest takes every one.
_ALL = re.compile(
    r"(DO|CALL)\b|REINDEX\s*(\([^)]*\)\s*)?(SCHEMA|DATABASE|SYSTEM)\b"
    r"|(VACUUM|ANALYZE|CLUSTER)\s*(\([^)]*\)|(FULL|FREEZE|VERBOSE|ANALYZE)\b|\s)*;?\s*$",
    re.IGNORECASE,
)


def _reaches_on(sql: str) -> bool:
    """Tell whether a statement takes tables that its text does not name."""
    return _ALL.match(sql, start(sql)) is not None


class _Holder:
    """A session that holds tables, mode upon mode, and never waits for one."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.pid: int = connection.info.backend_pid
        self._levels = 0

    def hold(self, tables: Iterable[str], modes: tuple[str, ...] = _LADDER) -> None:
        """Take the modes, as far as they are free: NOWAIT, because queueing here would stop the world."""
        listed = ", ".join(f"ONLY {table}" for table in tables)
        steps = [
            f"SAVEPOINT level{level}; LOCK TABLE {listed} IN {mode} MODE NOWAIT"
            for level, mode in enumerate(modes)
        ]
        with self.connection.cursor() as cursor:
            # Mostly all are free: one message in place of nine.
            with contextlib.suppress(client.LockNotAvailable):
                cursor.execute("; ".join(["BEGIN", *steps]))
                self._levels = len(modes)
                return
            cursor.execute("ROLLBACK")
            for _ in range(_MOST_TRIES):
                # Autovacuum may be at a table for a moment.
                with contextlib.suppress(client.LockNotAvailable):
                    cursor.execute("BEGIN")
                    for level, step in enumerate(steps, 1):
                        cursor.execute(step)
                        self._levels = level
                    return
                if self._levels:
                    cursor.execute(f"ROLLBACK TO SAVEPOINT level{self._levels}")
                    return
                cursor.execute("ROLLBACK")
                time.sleep(_POLL_SECONDS)

    def relax(self) -> bool:
        """Give the strongest mode back; False where only the last one is left."""
        if self._levels <= 1:
            return False
        self._levels -= 1
        with self.connection.cursor() as cursor:
            cursor.execute(f"ROLLBACK TO SAVEPOINT level{self._levels}")
        return True

    def release(self) -> None:
        """Give everything back."""
        if self.connection.info.transaction_status:
            with self.connection.cursor() as cursor:
                cursor.execute("ROLLBACK")
        self._levels = 0
