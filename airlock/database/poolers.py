"""What stands between a client and its server: poolers that share sessions, and those that send reads to a standby."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any

from airlock.database.server import backend_pid, connect
from airlock.database.server_errors import classify
from airlock.records.errors import ConnectionLost, WrongTarget

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.database.server import type_connection
    from airlock.database.target import Target

# What a session asks first, in a transaction that has written nothing: it is answered where its reads are.
READ_ONLY = "SHOW transaction_read_only"


def pooled(connection: type_connection, target: Target, answering: int | None = None) -> bool:
    """Tell a transaction pooler from a server. `connection` is in autocommit mode, `answering` a backend that answered it.

    Where the backend that answers is the one that was announced, nobody stands in between. Elsewhere (a proxy may
    announce what it likes) a second connection's transaction decides: behind a pooler it takes this one's backend.
    """
    first = backend_pid(connection) if answering is None else answering
    if first == connection.info.backend_pid:
        return False
    with contextlib.closing(connect(target, application_name="airlock")) as other:
        return first == backend_pid(other) or first != backend_pid(connection)


def refuse_balanced(connection: type_connection, label: str) -> None:
    """Raise WrongTarget where this session's reads, or some of them, are answered by a standby.

    For a session that may write and stands in no transaction. A revision reads what it has just written, and Alembic
    its version rows: a standby has neither until it has replayed them.
    """
    if reads_elsewhere(connection):
        raise balanced(label, "Nothing changed.")


def balanced(label: str, standing: str = "") -> WrongTarget:
    """Say that a pooler sends reads to a standby, and how a run gets past it."""
    return WrongTarget(
        f"{label} is a pooler that sends reads to a standby, which may not have yet what a revision has just written.",
        standing=standing,
        then="the primary's own URL; Pgpool-II keeps a run on the primary by app_name_redirect_preference_list = "
        "'airlock.*:primary'",
    )


def reads_elsewhere(connection: type_connection) -> bool:
    """Tell whether reads of this session, which may write, are answered by a standby.

    To be asked before anything else in a transaction, which it leaves open: the session can be asked more in it.
    """
    with connection.cursor() as cursor:
        cursor.execute(READ_ONLY)
        if cursor.fetchone()[0] == "on":
            return True
        cursor.execute("SELECT inet_client_port()")
        if cursor.fetchone()[0] == _own_port(connection):
            return False
        try:
            return _balances_statements(cursor)
        finally:
            connection.rollback()


def _balances_statements(cursor: Any) -> bool:
    """Ask Pgpool-II whether it chooses a server for each statement, when one answer says nothing of the next.

    A server, or another pooler, does not know the question: it is asked only where somebody stands in between.
    """
    try:
        cursor.execute("SHOW pool_version")
    except Exception:  # noqa: BLE001  any driver's own
        return False
    settings = []
    for name in ("load_balance_mode", "statement_level_load_balance", "app_name_redirect_preference_list"):
        cursor.execute(f"PGPOOL SHOW {name}")
        settings.append(cursor.fetchone()[0])
    return settings[:2] == ["on", "on"] and "airlock" not in settings[2]


def _own_port(connection: type_connection) -> int | None:
    """Tell the TCP port that this end of a connection has; None on a Unix socket."""
    with socket.socket(fileno=os.dup(connection.fileno())) as twin:
        name = twin.getsockname()
    return int(name[1]) if isinstance(name, tuple) else None


@contextlib.contextmanager
def naming_a_statement_pooler(target: Target) -> Iterator[None]:
    """Raise WrongTarget in place of a lost connection where a pooler in statement mode is what cut it.

    PgBouncer ends a client that begins a transaction there, and the reason stays in its own log (measured on 1.18):
    a query by itself is answered, the same one in a transaction is cut off.
    """
    try:
        yield
    except Exception as error:
        if isinstance(classify(error), ConnectionLost) and _pools_statements(target):
            raise WrongTarget(
                f"{target.label} is a pooler in statement mode, which ends whoever begins a transaction.",
                standing="Nothing changed.",
                then="the server's own URL, or a pool in transaction or session mode",
            ) from error
        raise


def _pools_statements(target: Target) -> bool:
    try:
        with contextlib.closing(connect(target, application_name="airlock", autocommit=True)) as connection:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                try:
                    cursor.execute("BEGIN")
                except Exception as error:  # noqa: BLE001  any driver's own
                    return isinstance(classify(error), ConnectionLost)
    except Exception:  # noqa: BLE001  it is gone altogether
        return False
    return False
