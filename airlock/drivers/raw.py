"""Statements of airlock's own on a connection of env.py's, past SQLAlchemy.

Inside its `begin` and `commit` events SQLAlchemy's own execution is not usable; and without parameters a driver
leaves percent signs alone, whichever paramstyle it has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


def execute(connection: Connection, statement: str) -> None:
    """Run a statement in the connection's current transaction (or begin one, as the driver does)."""
    cursor = _cursor(connection)
    try:
        cursor.execute(statement)
    finally:
        cursor.close()


def scalar(connection: Connection, statement: str) -> Any:
    """Run a query there and return the first value of its first row."""
    cursor = _cursor(connection)
    try:
        cursor.execute(statement)
        row = cursor.fetchone()
    finally:
        cursor.close()
    return row[0] if row else None


def rows(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    """Run a query there and return all its rows."""
    cursor = _cursor(connection)
    try:
        cursor.execute(statement)
        return [tuple(row) for row in cursor.fetchall()]
    finally:
        cursor.close()


def autocommits(connection: Connection) -> bool:
    """Tell whether every statement on this connection is committed by itself."""
    # Every driver's, SQLAlchemy's adapter of asyncpg among them; the dialect's own question is newer than 2.0.
    driver: Any = connection.connection.dbapi_connection
    return bool(driver.autocommit)


def _cursor(connection: Connection) -> Any:
    driver: Any = connection.connection.dbapi_connection
    return driver.cursor()
