"""The migration lock of one database: held by an open transaction, polled for, proved to the worker.

The holder is a connection of its own in a READ COMMITTED transaction with a transaction-level advisory lock. Measured
on PgBouncer 1.18 and 1.24 in transaction mode, and on PostgreSQL 14 to 18: a session-level lock is granted to two
clients that share a server connection; a blocking wait deadlocks CREATE INDEX CONCURRENTLY; a heartbeat that takes a
snapshot blocks it now and then. SHOW takes none.

A second lock, on a number drawn for this run, proves to any other session that it stands on the same server
and in the same database: `pg_locks` shows both, behind a pooler too.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from typing import TYPE_CHECKING, Any

from airlock.database import liveness
from airlock.database.poolers import balanced, naming_a_statement_pooler, reads_elsewhere
from airlock.database.server import (
    ServerFacts,
    connect,
    facts,
    reached,
    refuse_unwritable,
)
from airlock.database.server_errors import classify, first_line
from airlock.records import dataclass
from airlock.records.errors import AirlockError, ConnectionLost, LeaseHeld

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from typing_extensions import Self

    from airlock.database.server import type_connection
    from airlock.database.target import Target

# One constant key for every project: two projects in one database must not migrate it at once either.
LEASE_KEY = int.from_bytes(b"airlock\x01", "big")
LEASE_NAME = "airlock-lease"
WORKER_NAME = "airlock-worker"
OBSERVER_NAME = "airlock-observer"
HEARTBEAT_SECONDS = 1.0
_POLL_SECONDS = (0.1, 1.0)
_NAME_BYTES = 63
# Takes no snapshot.
_BEAT = "SHOW transaction_isolation"


_HOLDER = (
    "SELECT l.pid, coalesce(a.usename, '?'), coalesce(a.application_name, ''), coalesce(host(a.client_addr), ''), "
    "coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8 "
    "FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid) WHERE "
)


@dataclass(frozen=True)
class Holder:
    """Who holds the lease, as any session may see it."""

    pid: int
    user: str
    name: str
    client: str
    seconds: float

    def __str__(self) -> str:
        """Name the holder so that a reader can find it."""
        from_where = f" from {self.client}" if self.client else ""
        what = self.name.partition(" ")[2]
        doing = f" ({what})" if what else ""
        return f"pid {self.pid}, user {self.user}{from_where}{doing}, for {self.seconds:.0f} s"


def new_run() -> str:
    """Draw the short name of one run; worker connections carry it."""
    return os.urandom(4).hex()


def lock_condition(key: int) -> str:
    """Spell the pg_locks condition that finds one granted advisory lock of the current database."""
    high, low = key >> 32, key & 0xFFFFFFFF
    ours = "(SELECT oid FROM pg_database WHERE datname = current_database())"
    place = f"classid = {high}::oid AND objid = {low}::oid AND database = {ours}"
    return f"locktype = 'advisory' AND granted AND objsubid = 1 AND {place}"


def holder(connection: type_connection) -> Holder | None:
    """Find who holds the lease of the connected database. One read-only query."""
    with connection.cursor() as cursor:
        cursor.execute(_HOLDER + lock_condition(LEASE_KEY) + " LIMIT 1")
        row = cursor.fetchone()
    return Holder(*row) if row else None


class Lease:
    """The held lease. Ends with `release`, with its connection, or with this process.

    A thread asks the server for a sign of life each second; `lost` is set, and `on_loss` called once, when it
    fails. Then nothing more may be started.
    """

    def __init__(
        self,
        connection: type_connection,
        run: str,
        token: int,
        server: ServerFacts,
        target: Target,
        on_loss: Callable[[], None] | None,
    ) -> None:
        self.run = run
        self.token = token
        self.server = server
        self.target = target
        self.lost = threading.Event()
        self.reason = ""
        self.on_loss = on_loss
        self._connection = connection
        self._stop = threading.Event()
        self._last_beat = time.monotonic()
        self._severed_with: list[Any] = [connection]
        self._peer = liveness.peer_of(connection)
        self._watchdog = threading.Thread(target=self._watch_silence, name="airlock-watchdog", daemon=True)
        self._thread = threading.Thread(target=self._beat, name="airlock-heartbeat", daemon=True)
        self._thread.start()
        self._watchdog.start()

    @property
    def worker_name(self) -> str:
        """The application name that this run's worker connections, and no other, carry."""
        return f"{WORKER_NAME}:{self.run}"

    @property
    def proof_sql(self) -> str:
        """One query whose single value says whether the asking session stands where the lease is held."""
        return f"SELECT EXISTS (SELECT FROM pg_locks WHERE {lock_condition(self.token)})"  # noqa: S608  a number

    def require(self) -> None:
        """Raise ConnectionLost where the lease is lost."""
        if self.lost.is_set():
            raise ConnectionLost(f"The lease was lost: {self.reason}.")

    def require_in_sight(self) -> None:
        """Raise ConnectionLost where the lease, which another session does not see, is gone: the heartbeat will tell."""
        self.lost.wait(2 * HEARTBEAT_SECONDS)
        self.require()

    def sever_with(self, connection: Any) -> None:
        """Name a driver connection whose socket is shut down when the server falls silent.

        A server that hangs answers neither the worker nor a cancel, and keepalives are answered by its kernel:
        only the end of the socket brings a waiting driver back.
        """
        self._severed_with.append(connection)

    def release(self) -> None:
        """End the transaction and with it the lease. Safe to call twice, and after a loss."""
        self._stop.set()
        # A heartbeat stuck in a dead network ends with tcp_user_timeout, not with us.
        self._thread.join(timeout=2)
        with contextlib.suppress(Exception):
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            try:
                with self._connection.cursor() as cursor:
                    cursor.execute(_BEAT)
                    cursor.fetchall()
                self._last_beat = time.monotonic()
            except Exception as error:  # noqa: BLE001 - whatever ends the heartbeat ends the lease
                if not self._stop.is_set():
                    self._lose(first_line(error))
                return

    def _watch_silence(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            if time.monotonic() - self._last_beat > liveness.SILENCE_SECONDS:
                # Gathered before anybody is woken: the connection that then asks where the database stands must live.
                silent = liveness.sockets_to(self._peer, self._severed_with)
                self._lose(f"the server has been silent for {liveness.SILENCE_SECONDS:.0f} s")
                liveness.shut_down(silent)
                return

    def _lose(self, reason: str) -> None:
        if not self.lost.is_set():
            self.reason = reason
            self.lost.set()
            if self.on_loss is not None:
                self.on_loss()


def take(
    target: Target,
    *,
    run: str,
    what: str = "",
    wait_s: float,
    on_wait: Callable[[Holder | None], None] = lambda _holder: None,
    wake: threading.Event | None = None,
) -> Lease:
    """Take the lease of the target's database, polling until `wait_s` has passed.

    Never waits inside the server: each try is a transaction of its own, rolled back when the lock is taken. Raises
    WrongTarget for a standby or a read-only database.
    `on_wait` is told the holder whenever it changes. Raises LeaseHeld, or what connecting raises.
    """
    name = f"{LEASE_NAME}:{run} {what}".strip().encode()[:_NAME_BYTES].decode(errors="ignore")
    connection = connect(target, application_name=name)
    try:
        with naming_a_statement_pooler(target):
            # First, where nothing has been written: to Pgpool-II a volatile function of the facts counts as a write.
            elsewhere = reads_elsewhere(connection)
            server = facts(connection)
        # Advisory locks succeed on a standby too: say no before one is taken.
        refuse_unwritable(server, target.label)
        if elsewhere:
            raise balanced(target.label, "Nothing changed.")
        deadline = time.monotonic() + wait_s
        for token in _tries(connection, server.major, deadline, on_wait, wake or threading.Event()):
            if token is not None:
                return Lease(connection, run, token, server, reached(target, connection), None)
        raise _held(connection, wait_s)
    except BaseException as error:
        with contextlib.suppress(Exception):
            connection.close()
        if isinstance(error, AirlockError) or not isinstance(error, Exception):
            raise
        failure = classify(error)
        failure.standing = failure.standing or "Nothing changed."
        raise failure from error


def _tries(
    connection: type_connection,
    major: int,
    deadline: float,
    on_wait: Callable[[Holder | None], None],
    wake: threading.Event,
) -> Iterator[int | None]:
    known: int | None = None
    while True:
        token = _try(connection, major)
        yield token
        current = holder(connection)
        connection.rollback()
        if current is None or current.pid != known:
            on_wait(current)
            known = current.pid if current else None
        left = deadline - time.monotonic()
        # Jitter: eight runners that wait must not ask in step.
        if left <= 0 or wake.wait(min(left, random.uniform(*_POLL_SECONDS))):  # noqa: S311
            return


def _try(connection: type_connection, major: int) -> int | None:
    connection.rollback()
    token = random.SystemRandom().getrandbits(62) | (1 << 62)
    endless = ["idle_in_transaction_session_timeout", "statement_timeout", "lock_timeout"]
    if major >= 17:
        endless.append("transaction_timeout")
    settings = "; ".join(f"SET LOCAL {name} = 0" for name in endless)
    with connection.cursor() as cursor:
        # One message: between its statements nobody has to wait for an answer. CASE keeps the order of the two locks.
        cursor.execute(
            f"SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE; {settings}; "
            f"SELECT CASE WHEN pg_try_advisory_xact_lock({LEASE_KEY}) THEN pg_try_advisory_xact_lock({token}) ELSE false END"
        )
        if cursor.fetchone()[0] is not True:
            connection.rollback()
            return None
        # asyncpg leaves the query's portal open, and with it a snapshot that CREATE INDEX CONCURRENTLY waits for.
        cursor.execute(_BEAT)
    return token


def _held(connection: type_connection, wait_s: float) -> LeaseHeld:
    current = holder(connection)
    who = f"by {current}" if current else "by a run that has just ended"
    return LeaseHeld(
        f"Another run holds the lease of this database after {wait_s:.0f} s of waiting: {who}.",
        standing="Nothing changed.",
        then="again when it has ended (airlock status shows it)",
    )
