"""psycopg: cursors that report, COPY included."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

from airlock.drivers.statements import around, fail, finish, others_of, reports, statement_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.drivers.statements import Listener


class PsycopgCursor:
    """Marks cursors that report by themselves."""

    connection: Any

    def _start(self, recorder: Listener, query: Any, values: Any = None, others: tuple[Any, ...] = ()) -> Any:
        connection = self.connection
        if not recorder.active:
            return None
        outside = connection.autocommit and connection.info.transaction_status == 0
        text = statement_of(query, connection, values)
        return recorder.before(
            connection,
            functools.partial(_psycopg_rows, connection),
            text,
            outside=outside,
            bound=functools.partial(_mogrified, connection, query, values),
            many=lambda: [_mogrified(connection, query, one) for one in others],
        )


@functools.cache
def psycopg_cursor(base: Any, recorder: Listener) -> type:
    """Make a class of cursors like `base` that report to `recorder`."""

    class Observed(PsycopgCursor, base):  # type: ignore[misc]
        def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
            running = self._start(recorder, query, args[0] if args else kwargs.get("params"))
            return around(recorder, running, lambda: base.execute(self, query, *args, **kwargs), self)

        def executemany(self, query: Any, *args: Any, **kwargs: Any) -> Any:
            many = args[0] if args else kwargs.get("params_seq")
            first = next(iter(many), None) if isinstance(many, (list, tuple)) else None
            running = self._start(recorder, query, first, others_of(many))
            return around(recorder, running, lambda: base.executemany(self, query, *args, **kwargs), self)

        def stream(self, query: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
            running = self._start(recorder, query, args[0] if args else kwargs.get("params"))
            try:
                yield from base.stream(self, query, *args, **kwargs)
            except BaseException:
                fail(recorder, running)
                raise
            finish(recorder, running, self)

        @contextlib.contextmanager
        def copy(self, statement: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
            running = self._start(recorder, statement)
            try:
                with base.copy(self, statement, *args, **kwargs) as copy:
                    yield copy
            except BaseException:
                fail(recorder, running)
                raise
            finish(recorder, running, self)

    return Observed


def tap_psycopg(connection: Any, recorder: Listener) -> None:
    """Give a connection cursor classes that report, unless it has them."""
    for name in ("cursor_factory", "server_cursor_factory"):
        factory = getattr(connection, name)
        if not reports(factory, PsycopgCursor):
            setattr(connection, name, psycopg_cursor(factory, recorder))


@contextlib.contextmanager
def psycopg_connections(recorder: Listener) -> Iterator[None]:
    """Tap every connection when it is first asked for a cursor, whoever has opened it."""
    from psycopg import Connection

    plain: Any = Connection.cursor

    @functools.wraps(plain)
    def cursor(self: Any, *args: Any, **kwargs: Any) -> Any:
        tap_psycopg(self, recorder)
        return plain(self, *args, **kwargs)

    Connection.cursor = cursor  # type: ignore[method-assign]
    try:
        yield
    finally:
        Connection.cursor = plain  # type: ignore[method-assign]


def _mogrified(connection: Any, query: Any, values: Any) -> str:
    import psycopg

    with psycopg.ClientCursor(connection) as cursor:
        return cursor.mogrify(query, values)


def _psycopg_rows(connection: Any, query: str) -> list[Any]:
    import psycopg

    with psycopg.Cursor(connection) as cursor:
        cursor.execute(query)
        return cursor.fetchall()
