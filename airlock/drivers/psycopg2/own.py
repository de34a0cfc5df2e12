"""psycopg2 for airlock's own connections: used as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from airlock.drivers.deferred_imports import standing_in

# psycopg2 imports ssl for what OpenSSL before 1.1 wants set up; this Python's is 1.1.1 at least (PEP 644).
with standing_in({"ssl": frozenset()}):
    import psycopg2
    import psycopg2.errors
    import psycopg2.extensions

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

Error = psycopg2.Error
OperationalError = psycopg2.OperationalError
DataError = psycopg2.DataError
LockNotAvailable = psycopg2.errors.LockNotAvailable
InsufficientPrivilege = psycopg2.errors.InsufficientPrivilege
CheckViolation = psycopg2.errors.CheckViolation

# What psycopg2.connect calls: that name may be redirected.
_library: Any = psycopg2._psycopg
_connect = _library._connect


def connect(
    url: str, parameters: dict[str, Any], around: Callable[[Any], AbstractContextManager[None]] | None
) -> Any:
    """Open a connection."""
    dsn = psycopg2.extensions.make_dsn(url or None, **parameters)
    if around is None:
        return _connect(dsn)
    connection = _connect(dsn, connection_factory=_Surrounded)
    connection.around = around
    return connection


class _Surrounded(psycopg2.extensions.connection):
    around: Callable[[Any], AbstractContextManager[None]]

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        options.setdefault("cursor_factory", _Cursor)
        return super().cursor(*arguments, **options)

    def commit(self) -> None:
        with self.around(self):
            super().commit()

    def rollback(self) -> None:
        with self.around(self):
            super().rollback()


class _Cursor(psycopg2.extensions.cursor):
    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002  psycopg2's own name
        with cast("_Surrounded", self.connection).around(self.connection):
            super().execute(query, vars)

    def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> None:
        with cast("_Surrounded", self.connection).around(self.connection):
            super().copy_expert(sql, file, size)
