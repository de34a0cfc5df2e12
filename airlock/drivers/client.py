"""Airlock's own connections, through whichever driver is there: psycopg2, else psycopg, else asyncpg.

A project has one of them already, and airlock asks for no second one. All three are used in the same small way, which
is psycopg2's: `%s` is filled in on this side, so that utility statements take parameters too; a transaction begins
with the first statement unless `autocommit` is set; of several statements in one text the last one's rows are
fetched. Connections made here pass every redirect and every tap of this process by. Importing this module loads the
driver; it raises Usage where there is none.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
from typing import TYPE_CHECKING, Any, TypeVar

from airlock.drivers import DRIVERS
from airlock.drivers.libpq_environment import no_libpq_environment
from airlock.records.errors import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    _Found = TypeVar("_Found")

# Names the driver to take where several are there.
CHOICE = "AIRLOCK_DRIVER"
# Of no common type: what is used of them is said above.
Connection = Any
Cursor = Any


def installed() -> str:
    """Name the driver that own connections go through: AIRLOCK_DRIVER, else the first one there. Raises Usage."""
    asked = os.environ.get(CHOICE)
    if asked and asked not in DRIVERS:
        raise Usage(f"{CHOICE} names no driver that airlock knows.", then=f"one of {', '.join(DRIVERS)}")
    for name in (asked,) if asked else DRIVERS:
        if importlib.util.find_spec(name) is not None:
            return name
    raise Usage(
        f"{asked or 'No PostgreSQL driver'} is {'not ' if asked else ''}installed beside airlock.",
        then="pip install 'airlock[psycopg]', or [psycopg2], or [asyncpg]: the one that env.py uses",
    )


NAME = installed()
_own: Any = importlib.import_module(f"airlock.drivers.{NAME}.own")
# What an `except` may name: classes, or tuples of them.
Error: Any = _own.Error
OperationalError: Any = _own.OperationalError
DataError: Any = _own.DataError
LockNotAvailable: Any = _own.LockNotAvailable
InsufficientPrivilege: Any = _own.InsufficientPrivilege
CheckViolation: Any = _own.CheckViolation


def told(error: Any, name: str) -> str | None:
    """Read a field of a server's error: `sqlstate`, `constraint_name`, `column_name`; None where it says nothing of it."""
    field = "sqlstate" if name == "sqlstate" else f"diag.{name}"
    for place in (field, name, "pgcode" if name == "sqlstate" else name):
        found = error
        for part in place.split("."):
            found = getattr(found, part, None)
        if found is not None:
            return str(found)
    return None


@contextlib.contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Let a block's statements be one transaction: what it has not committed at its end is rolled back.

    Behind it the connection commits by itself again where it did before.
    """
    autocommit, connection.autocommit = connection.autocommit, False
    try:
        yield
    finally:
        connection.rollback()
        connection.autocommit = autocommit


def in_savepoint(cursor: Cursor, work: Callable[[], _Found]) -> _Found | None:
    """Do some work inside the cursor's transaction; None, all of it undone, where the server refuses a part of it."""
    cursor.execute("SAVEPOINT airlock_work")
    found: _Found | None
    try:
        found = work()
    except Error:
        cursor.execute("ROLLBACK TO SAVEPOINT airlock_work")
        found = None
    cursor.execute("RELEASE SAVEPOINT airlock_work")
    return found


def rows(cursor: Cursor, query: str) -> list[tuple[Any, ...]]:
    """Run a query and fetch all that it finds."""
    cursor.execute(query)
    return list(cursor.fetchall())


def place(connection: Connection) -> dict[str, str]:
    """Tell in libpq's keywords where a connection has come and as whom, whatever URL, variable or file led there.

    One host, its port, user, dbname, and the password where one was used: a secret.
    """
    info = connection.info
    found = {"host": info.host, "port": info.port, "user": info.user, "dbname": info.dbname}
    return {name: str(value) for name, value in {**found, "password": info.password}.items() if value}


def is_encrypted(connection: Connection) -> bool:
    """Tell whether a connection speaks TLS."""
    info = connection.info
    return bool(info.ssl_in_use if hasattr(info, "ssl_in_use") else connection.pgconn.ssl_in_use)


def connect(
    url: str = "",
    *,
    autocommit: bool = False,
    around: Callable[[Any], AbstractContextManager[None]] | None = None,
    **parameters: Any,
) -> Connection:
    """Connect to a libpq URL, or by libpq's keywords, or by both. Raises the driver's own OperationalError.

    `around` is entered with the connection for every statement, commit and rollback on it.
    """
    connection = _own.connect(url, parameters, around)
    if autocommit:
        connection.autocommit = True
    return connection


def connect_by_url(url: str, *, autocommit: bool = False) -> Connection:
    """Connect where the URL alone leads: no variable or file of libpq's is heard. Raises as `connect`."""
    with no_libpq_environment():
        return connect(url, autocommit=autocommit)
