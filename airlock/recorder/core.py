"""The recorder: one record for each statement of a step, made around its execution by a tap."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airlock.drivers.spelling import command
from airlock.recorder.counters import can_flush
from airlock.recorder.observe import Transaction
from airlock.recorder.outside_transaction import Bench, Outside
from airlock.recorder.relations import PREPARE
from airlock.recorder.rows_held import RowsHeld
from airlock.recorder.source import call_site
from airlock.recorder.tokens import commands
from airlock.records.trace import Observation, Read, StatementRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airlock.drivers.statements import Query

# A revision that loops over ten thousand rows, with one statement for each or several, is observed after the first
# ones of a kind and then after every power of two: locks and counters stay until the transaction ends, so nothing is
# missed.
_EQUAL_OBSERVED = 4

# SHOW is what SQLAlchemy asks around an autocommit block, the rest its savepoints; they do nothing to anybody.
# What a savepoint's end gives back shows at the next statement.
_SILENT = frozenset({"SHOW", "SAVEPOINT", "RELEASE", "ROLLBACK"})
# SET TRANSACTION must come before any query, also one of ours; they read no rows.
_FIRST = frozenset({"SET", "BEGIN", "START", "COMMIT", "END"})

# What a server-side cursor may be opened for.
_QUERIES = frozenset({"SELECT", "WITH", "VALUES", "TABLE"})

_DROPS = re.compile(r"\bdrop\b|^\s*(do|call|select)\b", re.IGNORECASE)


@dataclass(slots=True)
class Running:
    """A statement between its start and its end."""

    sql: str
    line: int
    follower: Transaction
    own: Query
    outside: Outside | None
    skipped: bool = False
    started: float = 0.0

    @property
    def kind(self) -> tuple[str, int, bool]:
        """Tell it from statements that are not the same at the same place."""
        return self.sql, self.line, self.outside is None


class Recorder:
    """Records the statements of the step between `begin` and `end`; reads catalogues, writes nothing.

    `connect` opens a connection in autocommit mode to the same scratch database, with the right to
    lock its tables. Taps (`airlock.recorder.interception`) call `before` and `after`.
    """

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._observer: Any = None
        self._bench: Bench | None = None
        # The session is kept beside its follower, so that its id() is not given to another one.
        self._followers: dict[int, tuple[Any, Transaction]] = {}
        self._held = RowsHeld()
        self._path = ""
        self._shown = ""
        # A record for each kind of statement, in the order in which the first of each was sent.
        self._records: dict[tuple[str, int, bool], StatementRecord] = {}
        self._pending: Running | None = None
        # A query whose rows are fetched bit by bit: what it reads shows later.
        self._late: Running | None = None
        self._unseen = 0
        self._droppers: dict[int, Callable[[], tuple[str, ...]]] = {}
        self._busy = False
        self.depends_on_rows = False
        self.active = False
        # Shown names of tables whose locks and reads are not a revision's.
        self.ignored: frozenset[str] = frozenset()
        # True while the recorder connects for itself: such a connection is not to be tapped.
        self.opening = False

    def begin(self, path: str, shown: str) -> None:
        """Record from now on, for the revision in the file `path`, which records name `shown`."""
        self._path, self._shown = path, shown
        self._records, self._pending, self._late = {}, None, None
        self._droppers.clear()
        self.depends_on_rows = False
        self._followers = {key: one for key, one in self._followers.items() if not _is_closed(one[0])}
        self._held = RowsHeld()
        for _, follower in self._followers.values():
            follower.forget(self._held)
        self.active = True

    def end(self) -> tuple[StatementRecord, ...]:
        """Stop recording and hand over the records of this step."""
        self._catch_up()
        self.active = False
        return tuple(self._records.values())

    def shrunk(self) -> tuple[int, ...]:
        """Give the numbers in pg_class of tables that the step's statements left with too few rows for a judgement."""
        return self._held.shrunk()

    def abandon(self) -> tuple[StatementRecord, ...]:
        """Stop recording after an error, and hand over what there is; asks the server nothing."""
        self._pending, self._late, self._busy, self.active = None, None, False, False
        return tuple(self._records.values())

    def drops(self) -> tuple[str, ...]:
        """Name tables and columns that the open transactions of this step have dropped; outside one, nothing.

        Asked of the server only where a statement could have dropped something: one that says so, or one
        whose text does not say what it does.
        """
        self._catch_up()
        if not any(_DROPS.search(record.sql) for record in self._records.values()):
            return ()
        return tuple(sorted({name for drops in self._droppers.values() for name in drops()}))

    def close(self) -> None:
        """Close the observing connections and forget every session."""
        self._followers.clear()
        if self._observer is not None:
            self._observer.close()
            self._observer = None
        if self._bench is not None:
            self._bench.close()
            self._bench = None

    def line_now(self) -> int:
        """Tell the line of the revision that is being executed; 0 where no line of it is."""
        return call_site(self._path)

    def before(
        self,
        session: Any,
        own: Query,
        sql: str,
        *,
        outside: bool,
        line: int | None = None,
        bound: Callable[[], str] | None = None,
        many: Callable[[], Sequence[str]] | None = None,
    ) -> Running | None:
        """Prepare to observe a statement on `session`; None where it is not to be recorded.

        `own` runs a query on the statement's own connection, unseen by taps; `outside` says that no
        transaction will surround the statement. The values it is `bound` to do not matter here.
        """
        del bound, many
        if not self.active or self._busy or _is_silent(sql):
            return None
        line = self.line_now() if line is None else line
        _, follower = self._followers.setdefault(
            id(session),
            (session, Transaction(self.committed, self.ignored, self._held, flushes=self._flushes())),
        )
        running = Running(sql, line, follower, own, None)
        earlier = self._records.get((sql, line, not outside))
        if earlier is not None:
            self._catch_up_with_cursor()
            running.skipped = (
                not outside and earlier.times >= _EQUAL_OBSERVED and earlier.times.bit_count() != 1
            )
        else:
            self._catch_up()
        self._busy = True
        if outside:
            self._bench = self._bench or Bench(self._open)
            running.outside = Outside(
                self._bench, self.committed, own, sql, self._held, flushes=self._flushes()
            )
            running.outside.start()
        elif not running.skipped and command(sql) not in _FIRST:
            follower.start(own)
        running.started = time.perf_counter()
        return running

    def after(self, running: Running, *, rows: int, returns_rows: bool) -> None:
        """Observe what the statement did and keep a record of it."""
        seconds = time.perf_counter() - running.started
        try:
            if running.skipped:
                self._pending = running
                self._unseen += 1
                seen = Observation()
            elif running.outside is not None:
                seen = running.outside.finish()
                seconds = max(0.0, seconds - running.outside.held_seconds)
            else:
                seen = self._observed(running)
                follower, own = running.follower, running.own
                self._droppers[id(follower)] = lambda: follower.drops(own)
        finally:
            self._busy = False
        # Rows handed to Python: from here on another database may see other statements.
        late = rows < 0 and command(running.sql) in _QUERIES and running.outside is None
        if (returns_rows or late) and (seen.locks or seen.reads or late):
            self.depends_on_rows = True
        self._late = running if late else None
        self._keep(running, seen, seconds * 1000, max(rows, 0))

    def failed(self, running: Running) -> None:
        """Let go after a statement that raised; it leaves no record."""
        self._busy = False
        if running.outside is not None:
            running.outside.abandon()

    def committed(self, query: str) -> list[Any]:
        """Run a query on the observer's connection, which sees committed rows only."""
        with self._observing().cursor() as cursor:
            cursor.execute(query)
            rows: list[Any] = cursor.fetchall()
            return rows

    def _flushes(self) -> bool:
        return can_flush(self._observing().server_version)

    def _observing(self) -> Any:
        if self._observer is None:
            self._observer = self._open()
            with self._observer.cursor() as cursor:
                cursor.execute(PREPARE)
        return self._observer

    def _open(self) -> Any:
        self.opening = True
        try:
            return self._connect()
        finally:
            self.opening = False

    def _keep(self, running: Running, seen: Observation, ms: float, rows: int) -> None:
        record = StatementRecord(
            sql=running.sql, file=self._shown, line=running.line, ms=ms, rows=rows,
            transactional=running.outside is None, locks=seen.locks, held=seen.held, rewrites=seen.rewrites,
            scans=seen.scans, blocks=seen.blocks, dangerous=seen.dangerous, reads=seen.reads, few=seen.few,
        )  # fmt: skip
        earlier = self._records.get(running.kind)
        self._records[running.kind] = record if earlier is None else _joined(earlier, record)

    def _observed(self, running: Running) -> Observation:
        seen = running.follower.observe(running.own, running.sql)
        each, self._unseen, self._pending = self._unseen + 1, 0, None
        # What the statements of a loop read is shared out: a thousand look-ups of one row are no scan.
        return replace(seen, reads=tuple(replace(read, rows=read.rows // each) for read in seen.reads))

    def _catch_up(self) -> None:
        """Observe what was skipped last, so that it is not put down to the next statement."""
        self._catch_up_with_cursor()
        running, self._pending = self._pending, None
        if running is None:
            return
        self._busy = True
        try:
            self._unseen -= 1
            seen = self._observed(running)
        finally:
            self._busy = False
        last = self._records[running.kind]
        now = replace(
            last, ms=0.0, rows=0, times=0, locks=seen.locks, rewrites=seen.rewrites, scans=seen.scans,
            reads=seen.reads, blocks=seen.blocks, dangerous=seen.dangerous, few=seen.few,
        )  # fmt: skip
        self._records[running.kind] = _joined(last, now)

    def _catch_up_with_cursor(self) -> None:
        """Put to a server-side cursor what it has read since: rows are fetched without a statement of their own."""
        running, self._late = self._late, None
        if running is None or running.kind not in self._records:
            return
        self._busy = True
        try:
            seen = running.follower.observe(running.own, running.sql)
        except Exception:  # noqa: BLE001 - the connection is closed or its transaction has failed: nothing can be read
            return
        finally:
            self._busy = False
        last = self._records[running.kind]
        read = {one.object: one for one in last.reads}
        for one in seen.reads:
            before = read.get(one.object)
            read[one.object] = replace(one, rows=one.rows + (before.rows if before is not None else 0))
        # Its first rows came with the query itself: only together they make a whole scan.
        whole = Observation(last.locks, last.held, last.rewrites, tuple(read[name] for name in sorted(read)))
        self._records[running.kind] = replace(
            last, reads=whole.reads, scans=whole.scans, dangerous=last.dangerous or whole.dangerous
        )


def _is_silent(sql: str) -> bool:
    """Tell whether a text is nothing to anybody: of several statements, whether all of them are."""
    return command(sql) in _SILENT and commands(sql) <= _SILENT


def _is_closed(session: Any) -> bool:
    """Tell whether a driver's connection has ended: a long history makes one for each run of env.py."""
    closed = getattr(session, "closed", None)
    if closed is None:
        closed = getattr(session, "is_closed", False)  # asyncpg asks
    return bool(closed() if callable(closed) else closed)


def _joined(first: StatementRecord, second: StatementRecord) -> StatementRecord:
    """Make one record of two equal statements of one place."""
    strongest = max((first, second), key=lambda record: _WORDS.index(record.blocks))
    return replace(
        first,
        ms=first.ms + second.ms,
        rows=first.rows + second.rows,
        times=first.times + second.times,
        locks=_union(first.locks, tuple(lock for lock in second.locks if lock not in first.held)),
        rewrites=_union(first.rewrites, second.rewrites),
        scans=_union(first.scans, second.scans),
        reads=_most(first.reads + second.reads),
        blocks=strongest.blocks,
        dangerous=first.dangerous or second.dangerous,
        few=first.few,
    )


def _most(reads: tuple[Read, ...]) -> tuple[Read, ...]:
    most = {read.object: read for read in sorted(reads, key=lambda read: read.rows)}
    return tuple(most[name] for name in sorted(most))


def _union(first: tuple[Any, ...], second: tuple[Any, ...]) -> tuple[Any, ...]:
    return first + tuple(item for item in second if item not in first)


_WORDS = ("nothing", "DDL only", "writes", "reads and writes")
