"""A target is one server: lease and worker meet there, whatever an address, a service file or a variable leads to."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airlock.scratch import embedded
from tests.airlock import forked
from tests.airlock.running import rows
from tests.airlock.scratch.elsewhere import Elsewhere, free_port, listening_on, project, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    with serving() as started:
        yield started


def test_what_the_environment_adds_to_a_targets_url_is_said(tmp_path: Path, elsewhere: Elsewhere) -> None:
    """The URL names a host, PGHOSTADDR another: status says so, and at which address the server really is."""
    url = f"postgresql://postgres@localhost:{elsewhere.cluster.port}/postgres"
    ini = project(tmp_path, "psycopg2")
    ran = forked.airlock(ini, "status", url=url, PGHOSTADDR="127.0.0.1")
    elsewhere.lines()
    assert ran.code == 0, ran.err
    assert "note       PGHOSTADDR of the environment adds to what DATABASE_URL says." in ran.out
    assert f" at 127.0.0.1:{elsewhere.cluster.port}" in ran.out


def test_a_lease_and_a_worker_on_two_servers_are_told_apart(
    tmp_path: Path, elsewhere: Elsewhere, empty_database: object
) -> None:
    """PGHOSTADDR leads libpq to one server; asyncpg, which does not read it, comes to another: exit 12, nothing done."""
    with contextlib.ExitStack() as stack:
        second = stack.enter_context(embedded.scratch_cluster(max(embedded.available())))
        (second.data / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.0/8 trust\n")
        rows(second.url(), "SELECT pg_reload_conf()")
        # The same port on two loopback addresses: only the address tells the two servers apart.
        other = stack.enter_context(listening_on("127.0.0.2", second.port))
        url = f"postgresql://postgres@127.0.0.2:{second.port}/postgres"
        ran = forked.airlock(project(tmp_path, "asyncpg"), "upgrade", url=url, PGHOSTADDR="127.0.0.1")
        assert ran.code == 12, ran.err
        assert "Nothing changed." in ran.error
        for address in (second.url(), other.url()):
            assert rows(address, "SELECT to_regclass('made')") == [(None,)]


@pytest.mark.proof
@pytest.mark.parametrize("driver", ["psycopg2", "asyncpg"])
def test_an_address_of_two_servers_never_splits_a_run(driver: str, tmp_path: Path) -> None:
    """load_balance_hosts=random draws a server for each connection: a run is whole on one server, or exit 12."""
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(listening_on("127.0.0.3", free_port()))
        second = stack.enter_context(listening_on("127.0.0.4", first.port))
        url = (
            f"postgresql://postgres@/postgres?host=127.0.0.3,127.0.0.4&port={first.port},{first.port}"
            "&target_session_attrs=read-write&load_balance_hosts=random"
        )
        codes = [
            forked.airlock(project(tmp_path, driver), "upgrade", "--wait", "5s", url=url).code
            for _ in range(8)
        ]
        assert set(codes) <= {0, 12}, codes
        assert 12 in codes or driver == "psycopg2", codes
        for server in (first, second):
            found = rows(
                server.url(), "SELECT to_regclass('made') IS NULL, to_regclass('alembic_version') IS NULL"
            )
            assert found in ([(True, True)], [(False, False)])
            assert not rows(server.url(), "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'")


@pytest.mark.proof
@pytest.mark.parametrize(
    ("driver", "expected"), [("psycopg2", {0}), ("psycopg", {0}), ("asyncpg", {10, 11, 12})]
)
def test_a_service_file_leads_lease_and_worker_to_one_server(
    driver: str, expected: set[int], tmp_path: Path, elsewhere: Elsewhere
) -> None:
    """Libpq's drivers read it alike; asyncpg reads none: it is stopped before its first statement, nothing is changed."""
    values = elsewhere.values(tmp_path)
    ran = forked.airlock(
        project(tmp_path, driver), "upgrade", "--wait", "2s",
        url="postgresql:///postgres?service=elsewhere", PGSERVICEFILE=values["PGSERVICEFILE"],
    )  # fmt: skip
    elsewhere.lines()
    assert ran.code in expected, ran.err
    there = rows(elsewhere.cluster.url(), "SELECT to_regclass('made') IS NULL")
    rows(elsewhere.cluster.url(), "DROP TABLE IF EXISTS made, alembic_version")
    elsewhere.lines()
    assert there == [(ran.code != 0,)]
