"""Scratch databases: an ordinary owner, a marker, copies in milliseconds, nothing left behind."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from airlock.records.errors import Denied, NotExamined, Unreachable, Usage, WrongTarget
from airlock.scratch.servers import ScratchDatabase, ScratchServer, scratch_server


@pytest.fixture(scope="module")
def server() -> Iterator[ScratchServer]:
    with scratch_server("embedded:16") as server:
        yield server


def one(url: str, query: str) -> object:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(query)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None
    finally:
        connection.close()


def test_the_history_runs_as_an_ordinary_owner(server: ScratchServer) -> None:
    """Production grants no superuser, so scratch does not either; the owner owns its database."""
    with server.database() as database:
        assert one(database.url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
        owner = "SELECT pg_get_userbyid(datdba) = current_user FROM pg_database WHERE datname = current_database()"
        assert one(database.url, owner) is True
        one(database.url, "CREATE TABLE public.by_owner (id int)")


def test_a_clone_has_the_rows_and_a_marker_of_its_own(server: ScratchServer) -> None:
    """TEMPLATE copies tables; a setting of the database is not copied, so each proves itself."""
    with server.database() as first:
        one(first.url, "CREATE TABLE t AS SELECT 7 AS n")
        with server.clone(first) as second:
            assert one(second.url, "SELECT n FROM t") == 7
            assert one(second.url, "SHOW airlock.marker") == second.marker != first.marker
            connection = psycopg2.connect(second.url)
            second.verify(connection)
            with pytest.raises(WrongTarget):
                first.verify(connection)
            connection.close()


def test_databases_go_even_with_sessions_open(server: ScratchServer) -> None:
    """The drop ends whoever is still connected."""
    with server.database() as database:
        psycopg2.connect(database.url)
    assert one(server.admin_url, f"SELECT count(*) FROM pg_database WHERE datname = '{database.name}'") == 0


def test_a_server_by_url_is_used_and_left_as_it_was(server: ScratchServer) -> None:
    """Databases and the owner role are made there and removed again."""
    before = one(server.admin_url, "SELECT count(*) FROM pg_roles")
    with scratch_server(server.admin_url) as other, other.database() as database:
        assert other.kind == "url"
        assert one(database.url, "SELECT current_user") == other.owner
    assert one(server.admin_url, "SELECT count(*) FROM pg_roles") == before


def test_a_space_in_a_url_stays_a_space(server: ScratchServer) -> None:
    """Sockets may lie under a TMPDIR with a space in it, and options need one: a + would be a + to libpq."""
    # A socket's path has room for 107 bytes: less than many a directory of tests is long.
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        place = Path(directory, "a b + ü")
        there = parse_dsn(server.admin_url)
        place.symlink_to(there["host"])
        url = f"postgresql://postgres@/postgres?host={quote(str(place))}&port={there['port']}&options=-c%20work_mem%3D777kB"
        with scratch_server(url) as given, given.database() as database:
            assert one(database.url, "SHOW work_mem") == "777kB"


def test_a_role_that_may_not_create_databases_is_told_so(server: ScratchServer) -> None:
    """Exit 11 with what to grant."""
    one(server.admin_url, "CREATE ROLE poor LOGIN")
    with scratch_server(server.admin_url.replace("postgres@", "poor@", 1)) as other:
        with pytest.raises(Denied, match="CREATEDB"), other.database():
            pass


def test_missing_roles_are_made_without_login_and_listed(server: ScratchServer) -> None:
    """A history that grants to a role of production finds one."""
    assert server.ensure_roles(("reporting", "postgres")) == ("reporting",)
    assert one(server.admin_url, "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'reporting'") is False


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ("embedded:9", NotExamined),
        ("embedded:x", Usage),
        ("somewhere", Usage),
        ("postgresql://u:hunter22@127.0.0.1:1/db", Unreachable),
    ],
)
def test_a_scratch_server_that_cannot_be_had_says_why(spec: str, error: type[Exception]) -> None:
    """One line, the right exit code, no password."""
    with pytest.raises(error) as caught, scratch_server(spec):
        pass
    assert "hunter22" not in str(caught.value)


def test_the_embedded_major_is_the_targets_or_the_nearest_newer() -> None:
    """Trace and drill on what production runs, as near as is installed."""
    with scratch_server("embedded", like_major=16) as server:
        assert server.major == 16


def test_neither_url_nor_marker_is_in_a_repr(server: ScratchServer) -> None:
    """A database record may be logged."""
    with server.database() as database:
        assert isinstance(database, ScratchDatabase)
        assert database.marker not in repr(database)
        assert str(server.password) not in repr(server)
