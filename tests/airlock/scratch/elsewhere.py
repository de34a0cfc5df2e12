"""A server that must hear nothing: what would lead to it, and what it writes down of whoever speaks to it."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import alembic
import asyncpg
import psycopg
import psycopg2  # noqa: F401  its libpq is looked at

from airlock.scratch import embedded
from tests.airlock.histories import ASYNC, HEADER, SYNC, Revision, write_project

if TYPE_CHECKING:
    from collections.abc import Iterator

MADE = [
    Revision("r1", 'op.execute("CREATE TABLE made (id int PRIMARY KEY)")', 'op.execute("DROP TABLE made")')
]
# Models that differ from the history; without any table, `revision` would take it that none are loaded.
WANTED = """
wanted = MetaData()
Table("made", wanted, Column("id", Integer, primary_key=True), Column("count", Integer))
"""


def known_variables() -> list[str]:
    """List what libpq itself says it reads, what its libraries and asyncpg name, and what the server's programs read.

    A variable of a newer libpq is found by its name, in the very library that the drivers have loaded.
    """
    found = {option.envvar.decode() for option in psycopg.pq.Conninfo.get_defaults() if option.envvar}
    libraries = set(re.findall(r"/\S*libpq\S*\.so\S*", Path("/proc/self/maps").read_text()))
    assert len(libraries) == 2, libraries  # psycopg2's and psycopg's own
    for library in libraries:
        found |= {name.decode() for name in re.findall(rb"\0(PG[A-Z]{2,})(?=\0)", Path(library).read_bytes())}
    read_by_asyncpg = Path(asyncpg.__file__).with_name("connect_utils.py").read_text()
    found |= set(re.findall(r"'(PG[A-Z]{2,})'", read_by_asyncpg))
    return sorted(
        found | {"PGDATA", "PGCTLTIMEOUT", "PGLOCALEDIR", "PG_COLOR", "PGA_VARIABLE_OF_A_LATER_LIBPQ"}
    )


VARIABLES = known_variables()


class Elsewhere:
    """A server that must hear nothing, and that writes down whoever speaks to it."""

    def __init__(self, cluster: embedded.Cluster) -> None:
        self.cluster = cluster
        self.heard = 0

    @property
    def log(self) -> str:
        return (self.cluster.data / "server.log").read_text()

    def lines(self) -> list[str]:
        """List what was logged since the last look."""
        words = ("connection received", "connection auth", "statement:")
        everything = [line for line in self.log.splitlines() if any(word in line for word in words)]
        new, self.heard = everything[self.heard :], len(everything)
        return new

    def values(self, home: Path) -> dict[str, str]:
        """Give every variable a value that would lead here, or that would break a connection."""
        service = home / "services"
        service.write_text(
            f"[elsewhere]\nhost=127.0.0.1\nport={self.cluster.port}\nuser=postgres\ndbname=postgres\n"
        )
        secret = home / "passwords"
        secret.write_text("*:*:*:*:elsewhere\n")
        secret.chmod(0o600)
        leading = {
            "PGHOST": "127.0.0.1", "PGHOSTADDR": "127.0.0.1", "PGPORT": str(self.cluster.port), "PGUSER": "postgres",
            "PGDATABASE": "postgres", "PGPASSWORD": "elsewhere", "PGPASSFILE": str(secret), "PGSERVICE": "elsewhere",
            "PGSERVICEFILE": str(service), "PGSYSCONFDIR": str(home), "PGSSLMODE": "verify-full",
            "PGTARGETSESSIONATTRS": "standby", "PGLOADBALANCEHOSTS": "random", "PGOPTIONS": "-c default_transaction_read_only=on",
            "PGCLIENTENCODING": "LATIN1", "PGDATESTYLE": "German", "PGTZ": "Asia/Tokyo", "PGCHANNELBINDING": "require",
            "PGREQUIREAUTH": "gss", "PGGSSENCMODE": "require", "PGCONNECT_TIMEOUT": "1", "PGAPPNAME": "elsewhere",
            "PGDATA": str(home), "PGSSLNEGOTIATION": "direct", "PGMINPROTOCOLVERSION": "latest", "PGGEQO": "off",
        }  # fmt: skip
        return {name: leading.get(name, "1") for name in VARIABLES}


@contextlib.contextmanager
def serving() -> Iterator[Elsewhere]:
    """Serve until the block ends."""
    directory = Path(tempfile.mkdtemp(prefix="airlock-elsewhere-"))
    directory.chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    cluster = embedded.Cluster(
        directory / "data", embedded.binaries(max(embedded.available())),
        {"fsync": "off", "listen_addresses": "127.0.0.1", "port": port, "log_connections": "on", "log_statement": "all"},
    )  # fmt: skip
    cluster.initialise()
    # Whoever comes is let in: an attempt must not fail for another reason.
    (cluster.data / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 trust\n")
    cluster.start()
    try:
        yield Elsewhere(cluster)
    finally:
        cluster.stop("immediate")
        shutil.rmtree(directory, ignore_errors=True)


def project(directory: Path, driver: str, revisions: list[Revision] = MADE) -> Path:
    text = ASYNC if driver == "asyncpg" else SYNC
    header = HEADER.replace(
        "from sqlalchemy import ", "from sqlalchemy import Column, Integer, MetaData, Table, ", 1
    )
    env = header + WANTED + text.format(driver=driver, options=", target_metadata=wanted")
    shutil.rmtree(directory / "alembic", ignore_errors=True)
    ini = write_project(directory, revisions, env=env)
    shutil.copy(Path(alembic.__file__).parent / "templates/generic/script.py.mako", directory / "alembic")
    return ini


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def listening_on(address: str, port: int) -> Iterator[embedded.Cluster]:
    directory = Path(tempfile.mkdtemp(prefix="airlock-second-"))
    directory.chmod(0o755)
    cluster = embedded.Cluster(
        directory / "data", embedded.binaries(max(embedded.available())),
        {"fsync": "off", "listen_addresses": address, "port": str(port)},
    )  # fmt: skip
    cluster.initialise()
    (cluster.data / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.0/8 trust\n")
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop("immediate")
        shutil.rmtree(directory, ignore_errors=True)
