"""Where statements pass: raw cursors of psycopg2 and psycopg, raw asyncpg calls, and the Engine's events.

Raw cursors are the lowest place that sees everything, COPY included, so connections of the two synchronous
drivers get cursor classes that report. Every other driver is seen through SQLAlchemy's events
`before_cursor_execute` and `after_cursor_execute`, and asyncpg's own methods (COPY among them) besides. Taps
are installed on classes while `installed` runs, and do nothing while no recorder records.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from typing import TYPE_CHECKING, Any

from airlock.instruments.recorder.source import command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airlock.instruments.recorder.core import Recorder, Running

_ASYNCPG_METHODS = (
    "execute", "executemany", "fetch", "fetchrow", "fetchval", "copy_from_table", "copy_from_query",
    "copy_to_table", "copy_records_to_table",
)  # fmt: skip
# What asyncpg's transactions send through its own methods.
_CONTROL = frozenset({"BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"})


@contextlib.contextmanager
def installed(recorder: Recorder) -> Iterator[None]:
    """Show every statement that leaves this process through SQLAlchemy or a raw driver to `recorder`."""
    from sqlalchemy import Engine, Pool, event

    undo = contextlib.ExitStack()

    def listen(target: Any, name: str, function: Callable[..., Any]) -> None:
        event.listen(target, name, function)
        undo.callback(event.remove, target, name, function)

    listen(Pool, "checkout", lambda connection, *_: tap(connection, recorder))
    listen(Engine, "before_cursor_execute", functools.partial(_before_execute, recorder))
    listen(Engine, "after_cursor_execute", functools.partial(_after_execute, recorder))
    listen(Engine, "handle_error", functools.partial(_on_error, recorder))
    with undo:
        for module, function in (("psycopg2", _tap_psycopg2_connect), ("asyncpg", _tap_asyncpg)):
            if module in sys.modules or module == "psycopg2":
                undo.enter_context(function(recorder))
        yield


def tap(connection: Any, recorder: Recorder) -> None:
    """Give a psycopg2 or psycopg connection cursors that report; leave any other as it is."""
    modules = {cls.__module__.partition(".")[0] for cls in type(connection).__mro__}
    if "psycopg2" in modules:
        if not _reports(connection.cursor_factory, _Psycopg2):
            connection.cursor_factory = _psycopg2_cursor(connection.cursor_factory, recorder)
    elif "psycopg" in modules and hasattr(connection, "server_cursor_factory"):
        for name in ("cursor_factory", "server_cursor_factory"):
            factory = getattr(connection, name)
            if not _reports(factory, _Psycopg):
                setattr(connection, name, _psycopg_cursor(factory, recorder))


def flush(connection: Any) -> None:
    """Have a DBAPI connection's row counters emptied when its transaction ends.

    After a step that nobody recorded: PostgreSQL may keep counters for a second, and they would be put down
    to the next transaction.
    """
    _dbapi_rows(connection, "SELECT 1 FROM pg_stat_force_next_flush()")


def _reports(factory: Any, marker: type) -> bool:
    return isinstance(factory, type) and issubclass(factory, marker)


# -- psycopg2 ------------------------------------------------------------------------------------------


class _Psycopg2:
    """Marks cursors that report by themselves."""

    connection: Any
    rowcount: int
    description: Any

    def _reported(self, recorder: Recorder, query: Any, run: Callable[[], Any]) -> Any:
        connection = self.connection
        running = None
        if recorder.active:
            outside = connection.autocommit and connection.info.transaction_status == 0
            text = query.as_string(connection) if hasattr(query, "as_string") else _text(query)
            running = recorder.before(
                connection, functools.partial(_psycopg2_rows, connection), text, outside=outside
            )
        return _around(recorder, running, run, self)


@functools.cache
def _psycopg2_cursor(base: type | None, recorder: Recorder) -> type:
    import psycopg2.extensions

    plain: Any = base or psycopg2.extensions.cursor

    class Observed(_Psycopg2, plain):  # type: ignore[misc]
        def execute(self, query: Any, vars: Any = None) -> Any:  # noqa: A002 - the driver's own name
            return self._reported(recorder, query, lambda: plain.execute(self, query, vars))

        def executemany(self, query: Any, vars_list: Any) -> Any:
            return self._reported(recorder, query, lambda: plain.executemany(self, query, vars_list))

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


def _psycopg2_rows(connection: Any, query: str) -> list[Any]:
    import psycopg2.extensions

    # The driver's plain cursor, whatever factories the connection has.
    with psycopg2.extensions.connection.cursor(
        connection, cursor_factory=psycopg2.extensions.cursor
    ) as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


@contextlib.contextmanager
def _tap_psycopg2_connect(recorder: Recorder) -> Iterator[None]:
    """Tap every new connection: what a revision opens by itself, and cursors of a factory named in the call."""
    import psycopg2
    import psycopg2.extensions

    class Tapped(psycopg2.extensions.connection):
        def cursor(self, *args: Any, **kwargs: Any) -> Any:
            asked = kwargs.get("cursor_factory")
            if asked is not None and not _reports(asked, _Psycopg2):
                kwargs["cursor_factory"] = _psycopg2_cursor(asked, recorder)
            return super().cursor(*args, **kwargs)

    plain = psycopg2.connect

    @functools.wraps(plain)
    def connect(*args: Any, **kwargs: Any) -> Any:
        if recorder.opening:
            return plain(*args, **kwargs)
        kwargs["connection_factory"] = kwargs.get("connection_factory") or Tapped
        connection = plain(*args, **kwargs)
        tap(connection, recorder)
        return connection

    psycopg2.connect = connect
    try:
        yield
    finally:
        psycopg2.connect = plain


# -- psycopg -------------------------------------------------------------------------------------------


class _Psycopg:
    """Marks cursors that report by themselves."""

    connection: Any

    def _start(self, recorder: Recorder, query: Any) -> Running | None:
        connection = self.connection
        if not recorder.active:
            return None
        outside = connection.autocommit and connection.info.transaction_status == 0
        text = query.as_string(connection) if hasattr(query, "as_string") else _text(query)
        return recorder.before(
            connection, functools.partial(_psycopg_rows, connection), text, outside=outside
        )


@functools.cache
def _psycopg_cursor(base: Any, recorder: Recorder) -> type:
    class Observed(_Psycopg, base):  # type: ignore[misc]
        def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
            running = self._start(recorder, query)
            return _around(recorder, running, lambda: base.execute(self, query, *args, **kwargs), self)

        def executemany(self, query: Any, *args: Any, **kwargs: Any) -> Any:
            running = self._start(recorder, query)
            return _around(recorder, running, lambda: base.executemany(self, query, *args, **kwargs), self)

        @contextlib.contextmanager
        def copy(self, statement: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
            running = self._start(recorder, statement)
            try:
                with base.copy(self, statement, *args, **kwargs) as copy:
                    yield copy
            except BaseException:
                _fail(recorder, running)
                raise
            _finish(recorder, running, self)

    return Observed


def _psycopg_rows(connection: Any, query: str) -> list[Any]:
    import psycopg

    with psycopg.Cursor(connection) as cursor:
        cursor.execute(query)
        return cursor.fetchall()


# -- asyncpg -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _tap_asyncpg(recorder: Recorder) -> Iterator[None]:
    """Tap asyncpg's own methods; SQLAlchemy's adapter prepares its statements and does not pass here."""
    from asyncpg.connection import Connection

    plain = {name: getattr(Connection, name) for name in _ASYNCPG_METHODS}
    fetch = plain["fetch"]

    def wrapped(name: str, original: Any) -> Any:
        @functools.wraps(original)
        async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            from sqlalchemy.util import await_only, greenlet_spawn

            text = _asyncpg_text(name, args, kwargs)
            if not recorder.active or command(text) in _CONTROL:
                return await original(self, *args, **kwargs)
            line = recorder.line_now()

            def own(query: str) -> list[Any]:
                return [tuple(row) for row in await_only(fetch(self, query))]

            outside = not self.is_in_transaction()
            running = await greenlet_spawn(recorder.before, self, own, text, outside=outside, line=line)
            try:
                result = await original(self, *args, **kwargs)
            except BaseException:
                _fail(recorder, running)
                raise
            if running is not None:
                rows = _asyncpg_rows(result)
                reads = name.startswith("fetch") or name in ("copy_from_table", "copy_from_query")
                await greenlet_spawn(recorder.after, running, rows=rows, returns_rows=reads)
            return result

        return call

    for name, original in plain.items():
        setattr(Connection, name, wrapped(name, original))
    try:
        yield
    finally:
        for name, original in plain.items():
            setattr(Connection, name, original)


def _asyncpg_text(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    if not name.endswith("_table"):
        return str(args[0] if args else next(iter(kwargs.values())))
    table, schema = args[0] if args else kwargs["table_name"], kwargs.get("schema_name")
    return f"COPY {schema}.{table}" if schema else f"COPY {table}"


def _asyncpg_rows(result: Any) -> int:
    if isinstance(result, str):
        count = result.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0
    return len(result) if isinstance(result, list) else int(result is not None)


# -- any driver, through SQLAlchemy -------------------------------------------------------------------


def _before_execute(recorder: Recorder, connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
    _, context, _ = rest
    if not recorder.active or isinstance(cursor, _Psycopg2 | _Psycopg):
        return
    session = connection.connection.dbapi_connection
    autocommit = getattr(session, "autocommit", None)
    if autocommit is None:
        autocommit = getattr(session, "isolation_level", "") == "autocommit"
    # One session under both its names: a raw call meets the driver's own connection.
    driver = getattr(session, "driver_connection", session)
    running = recorder.before(
        driver, functools.partial(_dbapi_rows, session), statement, outside=bool(autocommit)
    )
    if context is not None:
        context.airlock_running = running


def _after_execute(recorder: Recorder, _connection: Any, cursor: Any, _statement: str, *rest: Any) -> None:
    _, context, _ = rest
    running = getattr(context, "airlock_running", None)
    if running is not None:
        context.airlock_running = None
        _finish(recorder, running, cursor)


def _on_error(recorder: Recorder, context: Any) -> None:
    running = getattr(context.execution_context, "airlock_running", None)
    if running is not None:
        context.execution_context.airlock_running = None
        _fail(recorder, running)


def _dbapi_rows(session: Any, query: str) -> list[Any]:
    cursor = session.cursor()
    try:
        cursor.execute(query)
        return list(cursor.fetchall())
    finally:
        cursor.close()


# -- common --------------------------------------------------------------------------------------------


def _around(recorder: Recorder, running: Running | None, run: Callable[[], Any], cursor: Any) -> Any:
    try:
        result = run()
    except BaseException:
        _fail(recorder, running)
        raise
    _finish(recorder, running, cursor)
    return result


def _finish(recorder: Recorder, running: Running | None, cursor: Any) -> None:
    if running is not None:
        rows = cursor.rowcount if isinstance(cursor.rowcount, int) else 0
        recorder.after(running, rows=rows, returns_rows=cursor.description is not None)


def _fail(recorder: Recorder, running: Running | None) -> None:
    if running is not None:
        recorder.failed(running)


def _text(query: Any) -> str:
    return query.decode(errors="replace") if isinstance(query, bytes) else str(query)
