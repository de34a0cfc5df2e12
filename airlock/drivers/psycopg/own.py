"""psycopg (3) for airlock's own connections, in psycopg2's manner."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import psycopg
import psycopg.errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

Error = psycopg.Error
OperationalError = psycopg.OperationalError
DataError = psycopg.DataError
LockNotAvailable = psycopg.errors.LockNotAvailable
InsufficientPrivilege = psycopg.errors.InsufficientPrivilege
CheckViolation = psycopg.errors.CheckViolation

# Kept before anything redirects the name.
_connect: Any = psycopg.Connection.__dict__["connect"].__func__


def connect(
    url: str, parameters: dict[str, Any], around: Callable[[Any], AbstractContextManager[None]] | None
) -> Any:
    """Open a connection."""
    connection = _connect(_Own, url, **parameters)
    if around is not None:
        connection.around = around
    return connection


def _alone(_connection: Any) -> AbstractContextManager[None]:
    return contextlib.nullcontext()


class _Own(psycopg.Connection[Any]):
    # A class of its own also so that no tap of psycopg.Connection.cursor sees what airlock does.
    around: Callable[[Any], AbstractContextManager[None]] = staticmethod(_alone)

    @property
    def server_version(self) -> int:
        return self.info.server_version

    def cursor(self, *_: Any, **__: Any) -> Any:
        return _Cursor(self)

    def set_session(self, *, readonly: bool) -> None:
        self.read_only = readonly

    def commit(self) -> None:
        with self.around(self):
            super().commit()

    def rollback(self) -> None:
        with self.around(self):
            super().rollback()


class _Cursor(psycopg.ClientCursor[Any]):
    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        connection: Any = self.connection
        with connection.around(connection):
            super().execute(query, params, **options)
            while self.nextset():
                pass
        return self

    def copy_expert(self, sql: str, file: Any) -> None:
        """Write what a COPY TO STDOUT gives into a text file."""
        connection: Any = self.connection
        with connection.around(connection), self.copy(sql) as copied:
            for data in copied:
                file.write(bytes(data).decode())
