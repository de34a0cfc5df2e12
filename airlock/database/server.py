"""Airlock's own connections: made with deadlines, described in facts, their errors put into one tree."""

from __future__ import annotations

import dataclasses
import re
import time
from dataclasses import dataclass
from typing import Any

from airlock.database import target as targets
from airlock.database.server_errors import connect_error
from airlock.records.errors import (
    WrongTarget,
)

# What the drivers have in common is no type; connections and cursors are Any here.
type_connection = Any

# A peer that vanished is noticed after 10 + 3 x 5 s, unacknowledged data after 20 s; never never.
KEEPALIVE = {
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
CONNECT_SECONDS = 10
# While a server starts, stops or wakes up, connecting is tried again for this long.
WAKE_SECONDS = 10.0

_WAKING = re.compile(
    r"is starting up|is shutting down|not yet accepting connections|recovery mode|Couldn't connect to compute"
)


@dataclass(frozen=True)
class ServerFacts:
    """What one look at a server tells: who we are, where, and whether it may be written to."""

    version: str
    major: int
    database: str
    user: str
    standby: bool
    read_only: bool
    backend_pid: int


def connect(
    url: str | targets.Target,
    *,
    application_name: str,
    autocommit: bool = False,
    connect_timeout_s: int = CONNECT_SECONDS,
) -> type_connection:
    """Open a connection that cannot hang for ever, neither now nor later. Reads and writes nothing.

    Raises Unreachable, Denied, WrongTarget or Usage, each in one line that quotes nothing of the URL. A
    server that is starting up is asked again for up to ten seconds.
    """
    from airlock.database.liveness import connected
    from airlock.drivers import client

    target = targets.parse(url) if isinstance(url, str) else url
    parameters: dict[str, Any] = {**KEEPALIVE, "connect_timeout": str(connect_timeout_s), **target.parameters}
    parameters["application_name"] = application_name
    deadline = time.monotonic() + min(WAKE_SECONDS, connect_timeout_s)
    while True:
        try:
            connection: Any = connected(target.label, parameters)
        except client.Error as error:
            if _WAKING.search(str(error)) and time.monotonic() < deadline:
                time.sleep(0.2)
                continue
            raise connect_error(error, target.label) from error
        connection.autocommit = autocommit
        return connection


def reached(target: targets.Target, connection: type_connection) -> targets.Target:
    """Name the one server that a connection has come to, in place of all to which the target might lead.

    Several hosts, a name with several addresses, a service file, a variable that one driver reads and another does not:
    every further connection of a run goes to where the first one went.
    """
    from airlock.database.liveness import peer_of
    from airlock.drivers import client

    parameters = {**target.parameters, **client.place(connection)}
    parameters.pop("load_balance_hosts", None)
    peer = peer_of(connection)
    # Over TLS the host's name says to a proxy which server is meant, and some drivers take one of the two only.
    if isinstance(peer, tuple) and not client.is_encrypted(connection):
        parameters["hostaddr"] = str(peer[0])
    return dataclasses.replace(target, parameters=parameters)


def facts(connection: type_connection) -> ServerFacts:
    """Ask a server for its facts in one read-only query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT split_part(current_setting('server_version'), ' ', 1), current_setting('server_version_num')::int / 10000, "
            "current_database(), current_user, pg_is_in_recovery(), current_setting('transaction_read_only') = 'on', "
            "pg_backend_pid()"
        )
        return ServerFacts(*cursor.fetchone())


def refuse_unwritable(server: ServerFacts, label: str) -> None:
    """Raise WrongTarget for a standby or a read-only database: advisory locks succeed there, DDL never."""
    if server.standby:
        raise WrongTarget(
            f"{label} is a standby: it replays another server and cannot be migrated.",
            then="the primary's URL",
        )
    if server.read_only:
        raise WrongTarget(f"{label} is read-only for {server.user} (default_transaction_read_only).")


def backend_pid(connection: type_connection) -> int:
    """Ask the server which backend serves this connection now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def role_settings(connection: type_connection) -> tuple[dict[str, str], dict[str, str]]:
    """Read what this session has been given from outside: timeouts that end a run, and what else bears on it. Locks nothing."""
    with connection.cursor() as cursor:
        cursor.execute(
            # By name: pg_settings would ask for every setting that there is. Servers before 17 have no transaction_timeout.
            "SELECT name, value FROM unnest(ARRAY['idle_in_transaction_session_timeout', 'session_replication_role', "
            "'statement_timeout', 'transaction_timeout']) AS name, current_setting(name, true) AS value "
            "WHERE value NOT IN ('0', 'origin')"
        )
        found = dict(cursor.fetchall())
    kept = {
        name: found.pop(name) for name in ("session_replication_role", "statement_timeout") if name in found
    }
    return found, kept
