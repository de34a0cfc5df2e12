"""Engines, sessions and the unit of work, synchronous (psycopg2) and asynchronous (asyncpg), from one setting."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import inspect
import logging
import socket
import time
from typing import TYPE_CHECKING, Any, TypeVar, overload
from uuid import uuid4
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel import Session
from sqlmodel.ext.asyncio.session import AsyncSession
from tenacity import AsyncRetrying, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from app.database_url import asyncpg_url, psycopg2_url
from app.driver_session import DriverSession
from app.naming import SCHEMA
from app.pool import FairPool
from app.settings import DatabaseSettings, get_database_settings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator

T = TypeVar("T")

log = logging.getLogger(__name__)


def make_engine(settings: DatabaseSettings) -> sa.Engine:
    """Make a synchronous engine; connects to nothing yet."""
    arguments: dict[str, Any] = {}
    url = psycopg2_url(settings.url())
    if "connect_timeout" not in url.query:
        arguments["connect_timeout"] = settings.database_connect_timeout
    return sa.create_engine(url, connect_args=arguments, **_pool(settings))


def make_async_engine(settings: DatabaseSettings) -> AsyncEngine:
    """Make an asynchronous engine; connects to nothing yet. It belongs to the event loop that uses it first."""
    url, arguments = asyncpg_url(settings.url())
    arguments.setdefault("timeout", settings.database_connect_timeout)
    if settings.pooled():
        # PgBouncer hands the next transaction another server connection: nothing prepared may be remembered, and
        # names must not meet those of others.
        arguments |= {
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": lambda: f"__asyncpg_{uuid4()}__",
        }
    engine = create_async_engine(url, connect_args=arguments, poolclass=FairPool, **_pool(settings))
    _spare_pings(engine)
    return engine


def _spare_pings(engine: AsyncEngine, idle: float = 1.0) -> None:
    """Take a connection that was used within the last second for alive, unless asyncpg saw it closed.

    A ping is three round trips, as many as a short transaction; under load it would be half of the work.
    """
    last_used: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
    ping = engine.dialect.do_ping

    def returned(connection: Any, _record: object) -> None:
        if connection is not None:
            last_used[connection.driver_connection] = time.monotonic()

    def ping_where_idle(connection: Any) -> bool:
        driver = connection.driver_connection
        if time.monotonic() - last_used.get(driver, -idle) < idle and not driver.is_closed():
            return True
        return ping(connection)

    def lost(*_any: object) -> None:
        last_used.clear()  # where one is gone, so may others be

    sa.event.listen(engine.sync_engine, "checkin", returned)
    sa.event.listen(engine.sync_engine, "invalidate", lost)
    engine.dialect.do_ping = ping_where_idle  # type: ignore[method-assign, assignment]


def _pool(settings: DatabaseSettings) -> dict[str, Any]:
    return {
        "echo": settings.database_echo,
        "hide_parameters": True,  # bound values stay out of logs and errors
        "pool_size": settings.database_pool_size,
        "max_overflow": settings.database_max_overflow,
        "pool_timeout": settings.database_pool_timeout,
        "pool_recycle": settings.database_pool_recycle,
        "pool_pre_ping": settings.database_pool_pre_ping,
    }


@functools.cache
def engine() -> sa.Engine:
    """Share one synchronous engine per process, made from the environment's settings."""
    return make_engine(get_database_settings())


@functools.cache
def async_engine() -> AsyncEngine:
    """Share one asynchronous engine per process, made from the environment's settings."""
    return make_async_engine(get_database_settings())


@contextlib.contextmanager
def session(bind: sa.Engine | None = None) -> Iterator[Session]:
    """Lend a session: commits when the block ends, rolls back when it raises, is closed either way."""
    with Session(bind if bind is not None else engine(), expire_on_commit=False) as lent:
        try:
            yield lent
            lent.commit()
        except BaseException:
            lent.rollback()
            raise


@contextlib.asynccontextmanager
async def async_session(bind: AsyncEngine | None = None) -> AsyncIterator[AsyncSession]:
    """Lend an asynchronous session: commits, rolls back on an error, is closed either way."""
    lent = AsyncSession(bind if bind is not None else async_engine(), expire_on_commit=False)
    try:
        yield lent
        await lent.commit()
    except BaseException:
        await asyncio.shield(lent.close())  # rolls back, also where the task is being cancelled
        raise
    # COMMIT gave the connection back: there is nothing to wait for, so no task is made for it.
    lent.sync_session.close()


def driver_session(bind: AsyncEngine | None = None) -> DriverSession:
    """Lend a session that takes the data access's statements only, for less: commits, or rolls back on an error."""
    return DriverSession(bind if bind is not None else async_engine())


async def get_session() -> AsyncGenerator[AsyncSession]:
    """Lend a session to one request: `session: AsyncSession = Depends(get_session)`."""
    async with async_session() as lent:
        yield lent


@overload
async def retrying(
    unit_of_work: Callable[[], Awaitable[T]], *, attempts: int = 5, longest: float = 10
) -> T: ...
@overload
def retrying(unit_of_work: Callable[[], T], *, attempts: int = 5, longest: float = 10) -> T: ...
def retrying(unit_of_work: Callable[[], Any], *, attempts: int = 5, longest: float = 10) -> Any:
    """Call a unit of work again, with growing random pauses, where its connection failed; nothing else is retried.

    The unit opens its own session: a session is lazy, so a fault comes with its first statement, not with its
    making. It must bear being done twice: where the connection ends during COMMIT nobody knows whether it was done.
    Give it what returns an awaitable, and await the result. The last fault is raised as it is.
    """
    policy: dict[str, Any] = {
        "retry": retry_if_exception(is_connection_fault),
        "stop": stop_after_attempt(attempts),
        "wait": wait_random_exponential(multiplier=0.1, max=longest),
        "reraise": True,
        "before_sleep": lambda state: log.warning(
            "connection fault, attempt %s of %s: %s",
            state.attempt_number,
            attempts,
            _kind(state.outcome.exception()),
        ),
    }
    made = Retrying(**policy)(unit_of_work)
    if not inspect.isawaitable(made):
        return made
    # Asked of the result: a lambda around a coroutine function is no coroutine function itself.
    first = [made]

    async def awaited() -> Any:
        return await (first.pop() if first else unit_of_work())

    return AsyncRetrying(**policy)(awaited)


# Class 08, and: too many connections, shut down by the administrator, crash, starting up.
_FAULT_CODES = {"53300", "57P01", "57P02", "57P03"}
# libpq gives no SQLSTATE for a connection that never came to be.
_FAULT_WORDS = (
    "connection refused", "connection reset", "connection timed out", "could not receive data",
    "could not send data", "couldn't connect to compute node", "no route to host", "network is unreachable",
    "no such file or directory", "server closed the connection", "ssl connection has been closed",
    "starting up", "shutting down", "terminating connection", "timeout expired",
    "too many clients", "too many connections", "remaining connection slots", "connection is closed",
    "temporary failure in name resolution",
)  # fmt: skip


def is_connection_fault(error: BaseException) -> bool:
    """Tell a connection that failed or was lost from every other error; a refused password is another error."""
    if isinstance(error, OSError):  # asyncpg raises the system's own
        return _is_network_fault(error)
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    cause = error.orig
    code = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    if code is not None:
        return code[:2] == "08" or code in _FAULT_CODES
    text = str(cause).lower()
    return any(words in text for words in _FAULT_WORDS)


def _is_network_fault(error: OSError) -> bool:
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    if isinstance(error, (ConnectionError, TimeoutError)):
        return True
    # No socket at a path; opening a file that is not there names the file.
    if isinstance(error, FileNotFoundError):
        return error.filename is None
    # None: "Multiple exceptions", one for each address of a host.
    return error.errno in {None, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN}


def _kind(error: BaseException | None) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return type(cause).__name__


def create_all(bind: sa.Engine | None = None) -> list[str]:
    """Make the schema and whatever tables are missing, in one transaction; return the names of those made.

    For throwaway databases: nothing is altered, and no version is stamped. Everything else is migrated. Safe to
    repeat, and for several callers at once. Logs what it made, or why it failed, and raises that.
    """
    from app.models import metadata

    target = bind if bind is not None else engine()
    try:
        with target.begin() as connection:
            # IF NOT EXISTS alone loses a race: the second of two fails on the catalogue's unique key.
            connection.execute(
                sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"create_all {SCHEMA}")))
            )
            connection.execute(sa.schema.CreateSchema(SCHEMA, if_not_exists=True))
            before = set(sa.inspect(connection).get_table_names(SCHEMA))
            metadata.create_all(connection)
            new = set(sa.inspect(connection).get_table_names(SCHEMA)) - before
            made = [table.name for table in metadata.sorted_tables if table.name in new]
    except sa.exc.SQLAlchemyError as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        reason = str(cause).splitlines()[0]
        log.error("create_all made nothing in schema %s: %s", SCHEMA, reason)  # noqa: TRY400  (raised as well)
        raise
    log.info("create_all made %s in schema %s", ", ".join(made) or "nothing: all tables are there", SCHEMA)
    return made
