"""The login of a session, where the role that it takes from the start (`ALTER ROLE ... SET role`) is another one."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.instruments.server import type_connection


def needs_login(connection: type_connection) -> bool:
    """Tell whether a session begins under another role than its login's (`ALTER ROLE ... SET role`)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user <> session_user")
        return bool(cursor.fetchone()[0])


@contextlib.contextmanager
def as_login(connection: type_connection, *, needed: bool) -> Iterator[Any]:
    """Lend a cursor that looks with the login's own rights, for one transaction where that is `needed`.

    Worker sessions are the login's: the role that it takes may neither see what they do nor cancel it. Only for a
    transaction, because behind a pooler a role that is set for the session is set for others.
    """
    with connection.cursor() as cursor:
        if not needed:
            yield cursor
            return
        cursor.execute("BEGIN; SET LOCAL ROLE NONE")
        try:
            yield cursor
        finally:
            cursor.execute("ROLLBACK")
