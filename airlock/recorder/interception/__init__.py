"""Where statements pass: raw cursors of psycopg2 and psycopg, raw asyncpg calls, and the Engine's events.

Raw cursors are the lowest place that sees everything, COPY included, so connections of the two synchronous
drivers get cursor classes that report. Every other driver is seen through SQLAlchemy's events
`before_cursor_execute` and `after_cursor_execute`, and asyncpg's own methods (COPY among them) besides. Taps
are installed on classes while `installed` runs, and do nothing while no recorder records.
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

from airlock.drivers.asyncpg.methods import asyncpg_methods
from airlock.drivers.connect_functions import when_imported
from airlock.drivers.psycopg.async_cursors import psycopg_async_cursors
from airlock.drivers.psycopg.cursors import psycopg_connections, tap_psycopg
from airlock.drivers.psycopg2.cursors import Psycopg2Cursor, psycopg2_connect, psycopg2_cursor
from airlock.drivers.statements import reports
from airlock.recorder.counters import can_flush
from airlock.recorder.interception.by_engine import after_execute, before_execute, dbapi_rows, on_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from airlock.drivers.statements import Listener

_TAPPED: dict[str, tuple[Callable[[Listener], AbstractContextManager[None]], ...]] = {
    "psycopg2": (psycopg2_connect,),
    "psycopg": (psycopg_connections, psycopg_async_cursors),
    "asyncpg": (asyncpg_methods,),
}


@contextlib.contextmanager
def installed(recorder: Listener) -> Iterator[None]:
    """Show every statement that leaves this process through SQLAlchemy or a raw driver to `recorder`."""
    from sqlalchemy import Engine, Pool, event

    undo = contextlib.ExitStack()

    def listen(target: Any, name: str, function: Callable[..., Any]) -> None:
        event.listen(target, name, function)
        undo.callback(event.remove, target, name, function)

    listen(Pool, "checkout", lambda connection, *_: tap(connection, recorder))
    listen(Engine, "before_cursor_execute", functools.partial(before_execute, recorder))
    listen(Engine, "after_cursor_execute", functools.partial(after_execute, recorder))
    listen(Engine, "handle_error", functools.partial(on_error, recorder))

    def see_to(driver: str) -> None:
        for tapped in _TAPPED[driver]:
            undo.enter_context(tapped(recorder))

    with undo, when_imported(see_to):
        yield


def tap(connection: Any, recorder: Listener) -> None:
    """Give a psycopg2 or psycopg connection cursors that report; leave any other as it is."""
    modules = {cls.__module__.partition(".")[0] for cls in type(connection).__mro__}
    if "psycopg2" in modules:
        if not reports(connection.cursor_factory, Psycopg2Cursor):
            connection.cursor_factory = psycopg2_cursor(connection.cursor_factory, recorder)
    elif "psycopg" in modules and hasattr(connection, "server_cursor_factory"):
        tap_psycopg(connection, recorder)


def flush(connection: Any) -> None:
    """Have a DBAPI connection's row counters emptied when its transaction ends.

    After a step that nobody recorded: PostgreSQL may keep counters for a second, and they would be put down
    to the next transaction. PostgreSQL 14 cannot be told to: there the recorder reads them as a transaction begins.
    """
    if can_flush(int(dbapi_rows(connection, "SHOW server_version_num")[0][0])):
        dbapi_rows(connection, "SELECT 1 FROM pg_stat_force_next_flush()")
