"""A reader before each statement of a step, and clients of the release below behind it. Scratch databases only."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airlock.drivers import client
from airlock.recorder.source import call_site
from airlock.records.load import UnderLoad, Waiting
from airlock.records.locks import harms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airlock.drivers.statements import Query
    from airlock.operations.older_release.release import Statement
    from airlock.records.trace import StatementRecord
    from airlock.samples import Table

_POLL_S = 0.005
# Scratch gives a reader its lock at once; one that is not asleep by then stands behind the step itself.
_ASLEEP_S = 2.0
# What outlives a statement outside a transaction is answered as soon as it has ended.
_GRACE_S = 2.0
_MOST_TABLES = 3
_ASLEEP = "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = %s"
_BLOCKED = "SELECT cardinality(pg_blocking_pids(%s)) > 0"


@dataclass
class Load:
    """Listens to a step's statements, and puts a reader of `seconds` before each that locks a table.

    `connect` opens connections of its own, in autocommit mode. `clients` gives what the release below sends to a table.
    What clients do is rolled back.
    """

    connect: Callable[[], Any]
    seconds: float
    active: bool = False
    opening: bool = False
    seen: list[UnderLoad] = field(default_factory=list)
    _path: str = ""
    _expected: dict[tuple[str, int], StatementRecord] = field(default_factory=dict)
    _tables: Mapping[str, Table] = field(default_factory=dict)
    _clients: Mapping[str, Sequence[Statement]] = field(default_factory=dict)
    _running: _Queue | None = None

    def __hash__(self) -> int:
        """Be known by identity."""
        return id(self)

    def begin(
        self, path: str, records: Sequence[StatementRecord], tables: Mapping[str, Table],
        clients: Mapping[str, Sequence[Statement]],
    ) -> None:  # fmt: skip
        """Expect these statements of the revision in the file `path`; of equal ones the first is looked at."""
        self._path, self._tables, self._clients = path, tables, clients
        self._expected = {(one.sql, one.line): one for one in reversed(records)}
        self.seen = []
        self.active = True

    def end(self) -> tuple[UnderLoad, ...]:
        """Stop, and hand over what was seen."""
        self.active = False
        if self._running is not None:
            self._running.let_go()
        return tuple(self.seen)

    def line_now(self) -> int:
        """Tell the line of the revision that is being executed; 0 where no line of it is."""
        return call_site(self._path)

    def before(
        self, session: Any, own: Query, sql: str, *, outside: bool, line: int | None = None,
        bound: Callable[[], str] | None = None, many: Callable[[], Sequence[str]] | None = None,
    ) -> _Queue | None:  # fmt: skip
        """Let a reader begin; the clients come when the statement is seen to wait."""
        del session, bound, many
        if not self.active or self._running is not None:
            return None
        record = self._expected.pop((sql, self.line_now() if line is None else line), None)
        if record is None:
            return None
        held = {one.object for one in record.held if harms(one.mode)} if record.transactional else set()
        names = dict.fromkeys(one.object for one in record.locks if one.object in self._tables)
        read = [self._tables[name] for name in names if name not in held]
        if not read:
            return None
        kept_out = [one.object for one in record.locks if one.object in self._clients and harms(one.mode)]
        sent = [(name, one) for name in dict.fromkeys(kept_out[:_MOST_TABLES]) for one in self._clients[name]]
        (pid,) = next(iter(own("SELECT pg_backend_pid()")))
        self._running = _Queue(self.connect, self.seconds, record, int(pid), outside=outside)
        self._running.begin(read, sent)
        return self._running

    def after(self, running: _Queue, *, rows: int, returns_rows: bool) -> None:
        """Keep what was seen."""
        del rows, returns_rows
        self._running = None
        self.seen.append(running.finish())

    def failed(self, running: _Queue) -> None:
        """Keep what was seen of a statement that gave up; its error is added by who catches it."""
        self._running = None
        self.seen.append(running.finish(gave_up="it failed"))


class _Queue:
    """One statement, the reader before it and the clients behind it."""

    def __init__(
        self, connect: Callable[[], Any], seconds: float, record: StatementRecord, pid: int, *, outside: bool
    ) -> None:
        self.connect = connect
        self.seconds = seconds
        self.record = record
        self.pid = pid
        self.outside = outside
        self.ended = threading.Event()
        self.waited = False
        self.started = 0.0
        self.monitor: Any = None
        self.reader = _Client(connect)
        self.clients: list[tuple[str, str, _Client]] = []
        self.watcher: threading.Thread | None = None

    def begin(self, tables: Sequence[Table], sent: Sequence[tuple[str, Statement]]) -> None:
        """Have the reader read, and watch for the statement to wait."""
        self.monitor = self.connect()
        sources = ", ".join(
            f"(SELECT count(*) FROM (SELECT FROM {one.sql} LIMIT 1) r) r{n}" for n, one in enumerate(tables)
        )
        self.reader.send(f"SELECT pg_sleep({self.seconds}) FROM {sources}")
        until = time.monotonic() + _ASLEEP_S
        while time.monotonic() < until and not self._asked(_ASLEEP, self.reader.pid):
            time.sleep(_POLL_S)
        self.watcher = threading.Thread(target=self._watch, args=(sent,), daemon=True)
        self.started = time.perf_counter()
        self.watcher.start()

    def _watch(self, sent: Sequence[tuple[str, Statement]]) -> None:
        while not self.ended.is_set():
            if self._asked(_BLOCKED, self.pid):
                self.waited = True
                for table, statement in sent:
                    one = _Client(self.connect)
                    one.send(f"BEGIN; {statement.sql}; ROLLBACK")
                    self.clients.append((table, statement.shown, one))
                return
            time.sleep(_POLL_S)

    def finish(self, gave_up: str = "") -> UnderLoad:
        """Tell how long it took, and who waited; the lock of a transaction is kept, so its queue is sent away."""
        ms = (time.perf_counter() - self.started) * 1000
        self.let_go()
        queue = tuple(
            Waiting(table, shown, one.ms, one.answered) for table, shown, one in self.clients if one.ms >= 1
        )
        return UnderLoad(
            self.record.sql,
            self.record.line,
            self.record.ms / self.record.times,
            ms,
            self.waited,
            queue,
            gave_up,
        )

    def let_go(self) -> None:
        """End the reader and the clients."""
        self.ended.set()
        if self.watcher is not None:
            self.watcher.join()
        for _, _, one in self.clients:
            if self.outside:
                one.wait(_GRACE_S)
        for one in (self.reader, *(it for _, _, it in self.clients)):
            one.stop(self.monitor)
        with contextlib.suppress(client.Error):
            self.monitor.close()

    def _asked(self, sql: str, pid: int) -> bool:
        with self.monitor.cursor() as cursor:
            cursor.execute(sql, (pid,))
            found = cursor.fetchone()
        return bool(found and found[0])


class _Client:
    """One statement on a connection and in a thread of its own, timed until its answer or until it is sent away."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self.connection = connect()
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (self.pid,) = cursor.fetchone()
        self.ms = 0.0
        self.answered = False
        self._done = threading.Event()
        self._since = 0.0
        self._thread: threading.Thread | None = None

    def send(self, sql: str) -> None:
        """Send it."""
        self._since = time.perf_counter()
        self._thread = threading.Thread(target=self._run, args=(sql,), daemon=True)
        self._thread.start()

    def _run(self, sql: str) -> None:
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(sql)
            self.answered = True
        except client.Error as error:
            # Anything but being sent away is an answer too: what the step broke is told elsewhere.
            self.answered = client.told(error, "sqlstate") != "57014"
        self.ms = (time.perf_counter() - self._since) * 1000
        self._done.set()

    def wait(self, seconds: float) -> None:
        """Wait for the answer."""
        self._done.wait(seconds)

    def stop(self, monitor: Any) -> None:
        """Send it away, where it has no answer yet, and disconnect."""
        while not self._done.wait(_POLL_S):
            with monitor.cursor() as cursor:
                cursor.execute("SELECT pg_cancel_backend(%s)", (self.pid,))
            self._done.wait(10 * _POLL_S)
        with contextlib.suppress(client.Error):
            self.connection.close()
