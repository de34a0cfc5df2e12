"""Any other driver: SQLAlchemy's events around a cursor's execution."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from airlock.drivers.psycopg.cursors import PsycopgCursor
from airlock.drivers.psycopg2.cursors import Psycopg2Cursor
from airlock.drivers.statements import fail, finish, others_of, statement_of
from airlock.recorder.interception.bound import bound_text

if TYPE_CHECKING:
    from airlock.drivers.statements import Listener


# Where SQLAlchemy writes a percent sign twice.
_DOUBLING = ("format", "pyformat")


def before_execute(recorder: Listener, connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
    """Start a record for a statement whose cursor does not report by itself."""
    values, context, many = rest
    if not recorder.active or isinstance(cursor, Psycopg2Cursor | PsycopgCursor):
        return
    session = connection.connection.dbapi_connection
    autocommit = getattr(session, "autocommit", None)
    if autocommit is None:
        autocommit = getattr(session, "isolation_level", "") == "autocommit"
    # One session under both its names: a raw call meets the driver's own connection.
    driver = getattr(session, "driver_connection", session)
    running = recorder.before(
        driver,
        functools.partial(dbapi_rows, session),
        statement_of(statement, session, values if connection.dialect.paramstyle in _DOUBLING else None),
        outside=bool(autocommit),
        bound=functools.partial(bound_text, statement, values, bool(many)),
        many=lambda: [bound_text(statement, one) for one in (others_of(values) if many else ())],
    )
    if context is not None:
        context.airlock_running = running


def after_execute(recorder: Listener, _connection: Any, cursor: Any, _statement: str, *rest: Any) -> None:
    """Finish the record."""
    _, context, _ = rest
    running = getattr(context, "airlock_running", None)
    if running is not None:
        context.airlock_running = None
        finish(recorder, running, cursor)


def on_error(recorder: Listener, context: Any) -> None:
    """Give the record up: the statement raised."""
    running = getattr(context.execution_context, "airlock_running", None)
    if running is not None:
        context.execution_context.airlock_running = None
        fail(recorder, running)


def dbapi_rows(session: Any, query: str) -> list[Any]:
    """Run a query on any DBAPI connection and fetch all rows."""
    cursor = session.cursor()
    try:
        cursor.execute(query)
        return list(cursor.fetchall())
    finally:
        cursor.close()
