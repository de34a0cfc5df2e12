"""psycopg2: cursors that report, whoever makes them."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

from airlock.drivers.statements import around, others_of, reports, statement_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airlock.drivers.statements import Listener


class Psycopg2Cursor:
    """Marks cursors that report by themselves."""

    connection: Any
    rowcount: int
    description: Any

    def _reported(
        self, recorder: Listener, query: Any, run: Callable[[], Any], values: Any = None, others: tuple[Any, ...] = ()
    ) -> Any:  # fmt: skip
        connection = self.connection
        running = None
        if recorder.active:
            outside = connection.autocommit and connection.info.transaction_status == 0
            text = statement_of(query, connection, values)
            running = recorder.before(
                connection,
                functools.partial(_psycopg2_rows, connection),
                text,
                outside=outside,
                bound=functools.partial(_mogrified, self, query, values),
                many=lambda: [_mogrified(self, query, one) for one in others],
            )
        return around(recorder, running, run, self)


@functools.cache
def psycopg2_cursor(base: type | None, recorder: Listener) -> type:
    """Make a class of cursors like `base` (None: the driver's own) that report to `recorder`."""
    import psycopg2.extensions

    plain: Any = base or psycopg2.extensions.cursor

    class Observed(Psycopg2Cursor, plain):  # type: ignore[misc]
        def execute(self, query: Any, vars: Any = None) -> Any:  # noqa: A002 - the driver's own name
            return self._reported(recorder, query, lambda: plain.execute(self, query, vars), vars)

        def executemany(self, query: Any, vars_list: Any) -> Any:
            return self._reported(
                recorder,
                query,
                lambda: plain.executemany(self, query, vars_list),
                _first_of(vars_list),
                others_of(vars_list),
            )

        def callproc(self, procname: Any, vars: Any = None) -> Any:  # noqa: A002 - the driver's own name
            return self._reported(
                recorder, f"CALL {procname}(…)", lambda: plain.callproc(self, procname, vars)
            )

        def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> Any:
            return self._reported(recorder, sql, lambda: plain.copy_expert(self, sql, file, size))

        def copy_from(self, file: Any, table: str, *args: Any, **kwargs: Any) -> Any:
            def run() -> Any:
                return plain.copy_from(self, file, table, *args, **kwargs)

            return self._reported(recorder, f"COPY {table} FROM STDIN", run)

        def copy_to(self, file: Any, table: str, *args: Any, **kwargs: Any) -> Any:
            def run() -> Any:
                return plain.copy_to(self, file, table, *args, **kwargs)

            return self._reported(recorder, f"COPY {table} TO STDOUT", run)

    return Observed


def _mogrified(cursor: Any, query: Any, values: Any) -> str:
    return text_of(cursor.mogrify(query, values))


def _first_of(many: Any) -> Any:
    """Take the first values of many, where looking does not use them up."""
    return next(iter(many), None) if isinstance(many, (list, tuple)) else None


def _psycopg2_rows(connection: Any, query: str) -> list[Any]:
    import psycopg2.extensions

    # The driver's plain cursor, whatever factories the connection has.
    with psycopg2.extensions.connection.cursor(
        connection, cursor_factory=psycopg2.extensions.cursor
    ) as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


@contextlib.contextmanager
def psycopg2_connect(recorder: Listener) -> Iterator[None]:
    """Tap every new connection: what a revision opens by itself, and cursors of a factory named in the call."""
    import psycopg2
    import psycopg2.extensions

    class Tapped(psycopg2.extensions.connection):
        def cursor(self, *args: Any, **kwargs: Any) -> Any:
            asked = kwargs.get("cursor_factory")
            if asked is not None and not reports(asked, Psycopg2Cursor):
                kwargs["cursor_factory"] = psycopg2_cursor(asked, recorder)
            return super().cursor(*args, **kwargs)

    plain = psycopg2.connect

    @functools.wraps(plain)
    def connect(*args: Any, **kwargs: Any) -> Any:
        if recorder.opening:
            return plain(*args, **kwargs)
        kwargs["connection_factory"] = kwargs.get("connection_factory") or Tapped
        connection = plain(*args, **kwargs)
        if not reports(connection.cursor_factory, Psycopg2Cursor):
            connection.cursor_factory = psycopg2_cursor(connection.cursor_factory, recorder)
        return connection

    psycopg2.connect = connect
    try:
        yield
    finally:
        psycopg2.connect = plain
