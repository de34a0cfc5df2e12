"""asyncpg for airlock's own connections, in psycopg2's manner: one thread with a loop serves them all."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import re
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import asyncpg
import asyncpg.connection
import asyncpg.prepared_stmt

from airlock.drivers.spelling import bound, statements

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping
    from contextlib import AbstractContextManager

    from typing_extensions import Self

Error = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, asyncio.TimeoutError)
OperationalError = Error
DataError = asyncpg.DataError
LockNotAvailable = asyncpg.LockNotAvailableError
InsufficientPrivilege = asyncpg.InsufficientPrivilegeError
CheckViolation = asyncpg.CheckViolationError

# Kept before anything redirects the name.
_connect = asyncpg.connection.connect
# Kept before anything taps the methods: a tap would wait for this very thread.
_fetch = asyncpg.prepared_stmt.PreparedStatement.fetch
_copy_from_query = asyncpg.connection.Connection.copy_from_query
_CODECS = {"json": (json.dumps, json.loads), "jsonb": (json.dumps, json.loads)}
# libpq's words that asyncpg reads in a URL; of the others only those below mean something to it.
_IN_THE_URL = frozenset({
    "host", "port", "user", "password", "dbname", "passfile", "sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl",
    "sslpassword", "sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs",
    "krbsrvname", "gsslib", "service", "servicefile",
})  # fmt: skip
_OPTION = re.compile(r"(?:-c\s*|--)([\w.]+)=((?:\\.|\S)*)")
_COPY = re.compile(r"COPY \((.*)\) TO STDOUT WITH \(FORMAT csv, HEADER\)", re.DOTALL)
_IDLE, _IN_TRANSACTION, _IN_ERROR = 0, 2, 3


def connect(
    url: str, parameters: dict[str, Any], around: Callable[[Any], AbstractContextManager[None]] | None
) -> Any:
    """Open a connection."""
    dsn, settings, timeout = _spelled(url, parameters)

    async def opened() -> Any:
        made = await _connect(dsn, timeout=timeout, statement_cache_size=0, server_settings=settings)
        for name, (encode, decode) in _CODECS.items():
            await made.set_type_codec(
                name, schema="pg_catalog", encoder=encode, decoder=decode, format="text"
            )
        return made

    connection = Connection(_wait(opened()))
    if around is not None:
        connection.around = around
    return connection


def _alone(_connection: Any) -> AbstractContextManager[None]:
    return contextlib.nullcontext()


class Connection:
    """What is used of psycopg2's connection, on one of asyncpg's."""

    around: Callable[[Any], AbstractContextManager[None]] = staticmethod(_alone)

    def __init__(self, driver_connection: Any) -> None:
        self.driver_connection = driver_connection
        self.autocommit = False
        self._begin = "BEGIN"
        # Two threads may share a connection, as libpq's drivers let them: one waits for the other.
        self.lock = threading.RLock()

    @property
    def info(self) -> Info:
        """Tell the backend's number and the state of its transaction, as libpq counts it."""
        driver = self.driver_connection
        state = _IN_TRANSACTION if driver.is_in_transaction() else _IDLE
        place, asked = driver._addr, driver._params
        # A socket's path is the directory and .s.PGSQL.5432.
        host, port = place if isinstance(place, tuple) else place.split("/.s.PGSQL.")
        encrypted = driver._transport.get_extra_info("ssl_object") is not None
        return Info(
            driver.get_server_pid(), state, host, int(port), asked.user, asked.database, asked.password, encrypted
        )  # fmt: skip

    @property
    def server_version(self) -> int:
        """Tell the server's version as libpq numbers it: 160004."""
        version = self.driver_connection.get_server_version()
        return int(version.major * 10000 + version.minor)

    @property
    def closed(self) -> bool:
        """Tell whether it is closed, by whichever side."""
        return bool(self.driver_connection.is_closed())

    def set_session(self, *, readonly: bool) -> None:
        """Let transactions write nothing from the next one on."""
        self._begin = "BEGIN READ ONLY" if readonly else "BEGIN"

    def cursor(self) -> Cursor:
        """Open a cursor."""
        return Cursor(self)

    def commit(self) -> None:
        """Commit the transaction that stands open, if any."""
        self._end("COMMIT")

    def rollback(self) -> None:
        """Roll back the transaction that stands open, if any."""
        self._end("ROLLBACK")

    def close(self) -> None:
        """Disconnect without waiting for long."""
        if not self.closed:
            with contextlib.suppress(*Error):
                _wait(self.driver_connection.close(timeout=2))

    def fileno(self) -> int:
        """Give the number of the socket's descriptor."""
        return int(self.driver_connection._transport.get_extra_info("socket").fileno())

    def _end(self, word: str) -> None:
        with self.lock:
            if self.driver_connection.is_in_transaction():
                self.send(word)

    def send(self, text: str) -> tuple[Any, list[Any], str]:
        """Run a text; return the last statement's columns, rows and status."""
        pieces = statements(text)
        alone = len(pieces) < 2  # several are one transaction, as in a message of the simple protocol

        async def sent() -> tuple[Any, list[Any], str]:
            result: tuple[Any, list[Any], str] = ((), [], "")
            begins = self._begin if not self.autocommit else None if alone else "BEGIN"
            control = pieces and pieces[0].split()[0].upper() in {
                "BEGIN",
                "START",
                "COMMIT",
                "ROLLBACK",
                "END",
            }
            if begins and not control and not self.driver_connection.is_in_transaction():
                await self._run(begins)
            else:
                begins = None
            try:
                for piece in pieces:
                    result = await self._run(piece)
            except BaseException:
                if begins and self.autocommit:
                    await self._run("ROLLBACK")
                raise
            if begins and self.autocommit:
                await self._run("COMMIT")
            return result

        with self.lock, self.around(self):
            result: tuple[Any, list[Any], str] = _wait(sent())
            return result

    async def _run(self, text: str) -> tuple[Any, list[Any], str]:
        # Without a name: behind a pooler a named one would be another session's.
        prepared = await self.driver_connection.prepare(text, name="")
        rows = await _fetch(prepared)
        return prepared.get_attributes(), rows, prepared.get_statusmsg()


@dataclasses.dataclass(frozen=True)
class Info:
    """What is asked of `connection.info`."""

    backend_pid: int
    transaction_status: int
    host: str
    port: int
    user: str
    dbname: str
    password: str | None
    ssl_in_use: bool


class Cursor:
    """What is used of psycopg2's cursor."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.description: tuple[Any, ...] | None = None
        self.rowcount = -1
        self._rows: Iterator[Any] = iter(())

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind: there is nothing on the server."""

    def execute(self, query: str, values: Any = None) -> None:
        """Run a query with its values filled in."""
        columns, rows, status = self.connection.send(bound(query, values))
        last = (status or "").rpartition(" ")[2]
        self.rowcount = int(last) if last.isdigit() else len(rows)
        self.description = tuple(columns) or None
        readers = {
            place: _READERS[column.type.oid]
            for place, column in enumerate(columns)
            if column.type.oid in _READERS
        }
        self._rows = iter([_as_texts(tuple(row), readers) for row in rows])

    def fetchone(self) -> Any:
        """Fetch the next row, else None."""
        return next(self._rows, None)

    def fetchmany(self, size: int) -> list[Any]:
        """Fetch as many of the next rows."""
        return [row for _, row in zip(range(size), self._rows, strict=False)]

    def fetchall(self) -> list[Any]:
        """Fetch the rows that are left."""
        return list(self._rows)

    def __iter__(self) -> Iterator[Any]:
        """Go through the rows that are left."""
        return self._rows

    def close(self) -> None:
        """Close nothing."""

    def copy_expert(self, sql: str, file: Any) -> None:
        """Write what a query gives into a text file, as CSV with a header."""
        found = _COPY.fullmatch(sql)
        if found is None:
            raise NotImplementedError(f"asyncpg copies no {sql[:40]}")

        async def write(data: bytes) -> None:
            file.write(data.decode())

        query = found[1]
        with self.connection.lock, self.connection.around(self.connection):
            _wait(
                _copy_from_query(
                    self.connection.driver_connection, query, output=write, format="csv", header=True
                )
            )


def _letter(value: bytes | None) -> str | None:
    # The empty one is a zero byte.
    return None if value is None else value.decode().rstrip("\0")


# By the type's number: "char", its array, xid. libpq's drivers make texts of them.
_READERS: dict[int, Callable[[Any], Any]] = {
    18: _letter,
    1002: lambda value: None if value is None else [_letter(one) for one in value],
    28: lambda value: None if value is None else str(value),
}


def _as_texts(row: tuple[Any, ...], readers: Mapping[int, Callable[[Any], Any]]) -> tuple[Any, ...]:
    if not readers:
        return row
    return tuple(readers[place](value) if place in readers else value for place, value in enumerate(row))


def _spelled(url: str, parameters: dict[str, Any]) -> tuple[str, dict[str, str], float]:
    """Spell URL and keywords as asyncpg's URL, its settings, and how long connecting may take."""
    place, _, query = url.partition("?")
    given = dict(one.split("=", 1) for one in query.split("&") if "=" in one)
    given |= {
        {"database": "dbname"}.get(name, name): quote(str(value), safe="")
        for name, value in parameters.items()
    }
    settings: dict[str, str] = {
        name: unquote(given[name]) for name in ("application_name", "client_encoding") if name in given
    }
    for name, value in _OPTION.findall(unquote(given.get("options", ""))):
        settings[name] = re.sub(r"\\(.)", r"\1", value)
    kept = "&".join(f"{name}={value}" for name, value in given.items() if name in _IN_THE_URL)
    return f"{place or 'postgresql://'}?{kept}", settings, float(unquote(given.get("connect_timeout", "10")))


class _Loop:
    """The thread that asyncpg works in; another one in a process that was forked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._of = 0

    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._of != os.getpid():
                self._loop, self._of = asyncio.new_event_loop(), os.getpid()
                threading.Thread(target=self._loop.run_forever, name="airlock-asyncpg", daemon=True).start()
            return self._loop


_loop = _Loop()


def _wait(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run_coroutine_threadsafe(work, _loop.loop()).result()
