"""psycopg's asynchronous cursors: what a revision sends past SQLAlchemy's adapter, COPY included."""

from __future__ import annotations

import contextlib
import contextvars
import functools
from typing import TYPE_CHECKING, Any

from airlock.drivers.statements import fail, sent_by_sqlalchemy, statement_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from airlock.drivers.statements import Listener

_METHODS = ("execute", "executemany")
# Where AsyncConnection.execute was called, which makes a cursor of its own when it is awaited.
_CALLED: contextvars.ContextVar[int] = contextvars.ContextVar("airlock_called", default=0)


@contextlib.contextmanager
def psycopg_async_cursors(recorder: Listener) -> Iterator[None]:
    """Tap the class of all asynchronous cursors; what SQLAlchemy's adapter sends is seen by the Engine's events."""
    from psycopg import AsyncConnection, AsyncCursor, AsyncServerCursor

    owners: tuple[Any, ...] = (AsyncCursor, AsyncServerCursor)
    plain = {
        (owner, name): vars(owner)[name]
        for owner in owners
        for name in (*_METHODS, "copy")
        if name in vars(owner)
    }
    execute = plain[AsyncCursor, "execute"]

    async def start(cursor: Any, query: Any, line: int, values: Any = None) -> Any:
        from sqlalchemy.util import await_only, greenlet_spawn

        connection = cursor.connection

        async def rows(query: str) -> list[Any]:
            own: Any = AsyncCursor(connection)
            await execute(own, query)
            found: list[Any] = await own.fetchall()
            return found

        text = statement_of(query, connection, values)
        outside = connection.autocommit and connection.info.transaction_status == 0
        return await greenlet_spawn(
            recorder.before,
            connection,
            lambda query: await_only(rows(query)),
            text,
            outside=outside,
            line=line,
        )

    async def finish(cursor: Any, running: Any) -> None:
        from sqlalchemy.util import greenlet_spawn

        if running is not None:
            rows, returns = cursor.rowcount, cursor.description is not None
            await greenlet_spawn(recorder.after, running, rows=rows, returns_rows=returns)

    def recorded(original: Any, sent: Any) -> Any:
        """Send a call past the recorder where it is not of interest now."""

        @functools.wraps(original)
        def call(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
            if not recorder.active or sent_by_sqlalchemy():
                return original(self, query, *args, **kwargs)
            return sent(self, query, _CALLED.get() or recorder.line_now(), args, kwargs)

        return call

    def wrapped(original: Any) -> Any:
        async def sent(self: Any, query: Any, line: int, args: Any, kwargs: Any) -> Any:
            values = args[0] if args else kwargs.get("params")
            running = await start(self, query, line, values)
            try:
                result = await original(self, query, *args, **kwargs)
            except BaseException:
                fail(recorder, running)
                raise
            await finish(self, running)
            return result

        return recorded(original, sent)

    def copied(original: Any) -> Any:
        @contextlib.asynccontextmanager
        async def sent(self: Any, query: Any, line: int, args: Any, kwargs: Any) -> AsyncIterator[Any]:
            running = await start(self, query, line)
            try:
                async with original(self, query, *args, **kwargs) as copy:
                    yield copy
            except BaseException:
                fail(recorder, running)
                raise
            await finish(self, running)

        return recorded(original, sent)

    def shortcut(original: Any) -> Any:
        async def sent(line: int, self: Any, args: Any, kwargs: Any) -> Any:
            _CALLED.set(line)
            try:
                return await original(self, *args, **kwargs)
            finally:
                _CALLED.set(0)

        @functools.wraps(original)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            return sent(recorder.line_now(), self, args, kwargs)

        return call

    connects: Any = AsyncConnection
    plain_execute = connects.execute
    connects.execute = shortcut(plain_execute)
    for (owner, name), original in plain.items():
        setattr(owner, name, copied(original) if name == "copy" else wrapped(original))
    try:
        yield
    finally:
        connects.execute = plain_execute
        for (owner, name), original in plain.items():
            setattr(owner, name, original)
