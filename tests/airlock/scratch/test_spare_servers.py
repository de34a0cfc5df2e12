"""A scratch server serves one question after the other, as long as each leaves it as it was."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from airlock.drivers import client
from airlock.operations.check import check
from airlock.scratch import embedded, spare_servers
from airlock.scratch.servers import ScratchServer, scratch_server
from airlock.scratch.spare_servers import serving_on
from tests.airlock.histories import Revision, write_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAJORS = sorted(embedded.available())
LEFT_BEHIND = (
    "CREATE ROLE left_behind",
    "GRANT pg_monitor TO {owner}",
    "ALTER ROLE ALL SET work_mem = '8MB'",
    "COMMENT ON ROLE postgres IS 'left behind'",
    "ALTER SYSTEM SET work_mem = '8MB'",
    "CREATE DATABASE left_behind",
    "SELECT pg_create_physical_replication_slot('left_behind')",
    "SELECT pg_replication_origin_create('left_behind')",
    "CREATE TABLE left_behind ()",
)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """List the majors of the servers that are started."""
    majors: list[int] = []
    cluster = embedded.scratch_cluster

    @contextlib.contextmanager
    def counted(major: int, *, identity: str, in_memory: bool) -> Iterator[embedded.Cluster]:
        majors.append(major)
        with cluster(major, identity=identity, in_memory=in_memory) as found:
            yield found

    monkeypatch.setattr(embedded, "scratch_cluster", counted)
    return majors


def run(url: str, statement: str) -> None:
    """Run a statement by itself, as the administrator."""
    with (
        contextlib.closing(client.connect(url, autocommit=True)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def used(server: ScratchServer) -> str:
    """Make a database with a table, a function and a row, as a question does; name the server."""
    with server.database() as database:
        run(database.url, "CREATE SCHEMA a; CREATE TABLE a.t (id serial); INSERT INTO a.t DEFAULT VALUES")
        run(database.url, "CREATE FUNCTION a.f() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    return server.identity.setting


@pytest.mark.parametrize("major", MAJORS)
def test_a_server_with_nothing_left_on_it_serves_on(major: int, started: list[int]) -> None:
    """Three questions, one server; each has an owner of its own; at the end the server is stopped."""
    names, owners = set(), set()
    with serving_on():
        for _ in range(3):
            with scratch_server(f"embedded:{major}") as server:
                names.add(used(server))
                owners.add(server.owner)
    assert (len(names), len(owners), started) == (1, 3, [major])
    with pytest.raises(client.OperationalError):
        run(server.admin_url, "SELECT")


def test_whatever_is_left_behind_gets_the_next_question_a_new_server(started: list[int]) -> None:
    """Roles, memberships, settings, comments, databases, slots, origins, tables in the administrator's database."""
    names = []
    with serving_on():
        for statement in LEFT_BEHIND:
            with scratch_server() as server:
                names.append(used(server))
                if "{owner}" in statement:
                    run(server.admin_url, "CREATE ROLE left_behind")
                run(server.admin_url, statement.format(owner="left_behind"))
    assert len(set(names)) == len(started) == len(LEFT_BEHIND)


def test_two_questions_at_once_get_two_servers_and_an_interrupted_one_keeps_none(started: list[int]) -> None:
    """No server is lent twice; a question that fails leaves its server where nothing else is left; an interrupt stops it."""
    with serving_on():
        with scratch_server() as one, scratch_server() as other:
            assert one.identity.setting != other.identity.setting
        with pytest.raises(ZeroDivisionError), scratch_server() as failing:
            raise ZeroDivisionError
        with pytest.raises(KeyboardInterrupt), scratch_server() as interrupted:
            raise KeyboardInterrupt
        assert {failing.identity.setting, interrupted.identity.setting} <= {
            one.identity.setting,
            other.identity.setting,
        }
        with pytest.raises(client.OperationalError):
            run(interrupted.admin_url, "SELECT")
    assert len(started) == 2
    assert spare_servers._spare is None


@pytest.mark.parametrize(
    ("statement", "servers"),
    [
        ("CREATE TABLE t (id int)", 2),
        ("CREATE TABLE t (id int); GRANT SELECT ON t TO left_behind", 3),
    ],
)
def test_a_check_starts_a_third_server_only_for_a_history_that_leaves_something(
    statement: str, servers: int, tmp_path: Path, started: list[int]
) -> None:
    """The trace takes the server on which the models were compared; a role that it names is made there, and stays."""
    made = Revision("a1", f'op.execute("{statement}")', 'op.drop_table("t")')
    report = check(write_project(tmp_path, [made]))
    assert len(started) == servers
    assert not [said for said in report.unseen if said.startswith(("trace", "drill"))]
