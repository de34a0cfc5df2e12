"""A target is one server: lease and worker meet there, whatever an address, a service file or a variable leads to."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airlock.scratch import embedded
from tests.airlock import forked, running
from tests.airlock.running import Ran, rows
from tests.airlock.scratch.elsewhere import Elsewhere, free_port, listening_on, project, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    with serving() as started:
        yield started


@dataclasses.dataclass(frozen=True)
class Two:
    """Two servers on one port of two addresses, and what leads to either of them."""

    first: embedded.Cluster
    second: embedded.Cluster

    def clean(self) -> None:
        for server in (self.first, self.second):
            rows(server.url(), "DROP TABLE IF EXISTS made, alembic_version")

    def untouched_or_whole(self) -> list[bool]:
        """Tell of each whether the run was taken there; half of a run is neither."""
        found = []
        for server in (self.first, self.second):
            asked = "SELECT to_regclass('made') IS NULL, to_regclass('alembic_version') IS NULL"
            assert rows(server.url(), asked) in ([(True, True)], [(False, False)])
            # A server learns a moment later that a client is gone.
            deadline = time.monotonic() + 20
            while rows(server.url(), "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            found.append(rows(server.url(), asked) == [(False, False)])
        return found


@pytest.fixture(scope="module")
def two() -> Iterator[Two]:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(listening_on("127.0.0.3", free_port()))
        yield Two(first, stack.enter_context(listening_on("127.0.0.4", first.port)))


def test_what_the_environment_adds_to_a_targets_url_is_said(tmp_path: Path, elsewhere: Elsewhere) -> None:
    """The URL names a host, PGHOSTADDR another: status says so, and at which address the server really is."""
    url = f"postgresql://postgres@localhost:{elsewhere.cluster.port}/postgres"
    ini = project(tmp_path, "psycopg2")
    ran = forked.airlock(ini, "status", url=url, PGHOSTADDR="127.0.0.1")
    elsewhere.lines()
    assert ran.code == 0, ran.err
    assert "note       PGHOSTADDR of the environment adds to what DATABASE_URL says." in ran.out
    assert f" at 127.0.0.1:{elsewhere.cluster.port}" in ran.out


def test_a_worker_on_another_server_than_the_lease_is_stopped(two: Two, tmp_path: Path) -> None:
    """env.py makes its connections itself, by a function below all that is redirected: exit 12, nothing done."""
    two.clean()
    elsewhere = f"postgresql://postgres@127.0.0.4:{two.second.port}/postgres"
    creator = (
        "create_engine('postgresql+psycopg2://', creator=lambda: "
        f"__import__('psycopg2').connect({elsewhere!r}), poolclass="
    )
    ini = project(tmp_path, "psycopg2")
    env = tmp_path / "alembic" / "env.py"
    head, _, tail = env.read_text().partition("create_engine(URL")
    env.write_text(head + creator + tail.partition("poolclass=")[2])
    url = f"postgresql://postgres@127.0.0.3:{two.first.port}/postgres"
    ran = forked.airlock(ini, "upgrade", url=url)
    assert ran.code == 12, ran.err
    assert "Nothing changed." in ran.error
    assert two.untouched_or_whole() == [False, False]


RANDOM = "target_session_attrs=read-write&load_balance_hosts=random"
# The URL and the variables; {port} is the port of both.
ADDRESSES: dict[str, tuple[str, dict[str, str]]] = {
    "hosts": (
        f"postgresql://postgres@/postgres?host=127.0.0.3,127.0.0.4&port={{port}},{{port}}&{RANDOM}",
        {},
    ),
    "addresses": (
        f"postgresql://postgres@/postgres?host=localhost,localhost&hostaddr=127.0.0.3,127.0.0.4&port={{port}},{{port}}&{RANDOM}",
        {},
    ),
    "addresses alone": (
        f"postgresql://postgres@/postgres?hostaddr=127.0.0.4,127.0.0.3&port={{port}}&{RANDOM}",
        {},
    ),
    "variables": (
        "postgresql://postgres@/postgres",
        {"PGHOST": "127.0.0.3,127.0.0.4", "PGPORT": "{port},{port}", "PGLOADBALANCEHOSTS": "random"},
    ),
    "an address beside a host": (
        "postgresql://postgres@127.0.0.3:{port}/postgres",
        {"PGHOSTADDR": "127.0.0.4"},
    ),
    "a service": (f"postgresql:///postgres?service=two&{RANDOM}", {"PGSERVICEFILE": "{home}/services"}),
    "a service by name": ("postgresql:///postgres", {"PGSERVICEFILE": "{home}/services", "PGSERVICE": "two"}),
    "a name": (f"postgresql://postgres@two.airlock.test:{{port}}/postgres?{RANDOM}", {}),
}


@pytest.mark.proof
@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("driver", ["psycopg2", "psycopg", "asyncpg"])
def test_an_address_of_two_servers_never_splits_a_run(
    driver: str, address: str, two: Two, tmp_path: Path
) -> None:
    """Each connection draws a server anew, or the driver reads less than libpq: all of a run goes to the first."""
    home = {"home": str(tmp_path), "port": str(two.first.port)}
    (tmp_path / "services").write_text(
        f"[two]\nhost=127.0.0.3,127.0.0.4\nport={two.first.port}\nuser=postgres\nload_balance_hosts=random\n"
    )
    url, variables = ADDRESSES[address]
    ini = project(tmp_path, driver)
    for _ in range(3):
        two.clean()
        more = {name: value.format(**home) for name, value in variables.items()}
        words = ("upgrade", "--wait", "5s")
        run = _with_names if address == "a name" else _plainly
        ran = run(ini, words, url.format(**home), more)
        assert ran.code == 0, ran.err
        assert sum(two.untouched_or_whole()) == 1


def _plainly(ini: Path, words: tuple[str, ...], url: str, variables: dict[str, str]) -> Ran:
    return forked.airlock(ini, *words, url=url, timeout=60, **variables)


def _with_names(ini: Path, words: tuple[str, ...], url: str, variables: dict[str, str]) -> Ran:
    """Run where two.airlock.test has two addresses: with a hosts file of its own, in a mount namespace of its own."""
    hosts = ini.with_name("hosts")
    hosts.write_text("127.0.0.1 localhost\n127.0.0.3 two.airlock.test\n127.0.0.4 two.airlock.test\n")
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    done = subprocess.run(
        ["unshare", *as_root, "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts)]
        + running.command(ini, *words),
        env=running.environment(url, **variables), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return Ran(done.returncode, done.stdout, done.stderr)
