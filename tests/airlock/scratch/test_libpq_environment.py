"""Nothing that libpq, asyncpg or a shell's variables know leads airlock's scratch work to another server."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import alembic
import psycopg
import psycopg2
import pytest
from sqlalchemy.engine import make_url

from airlock.drivers.libpq_environment import ABSENT_FILE, no_libpq_environment
from airlock.records.errors import WrongTarget
from airlock.scratch import embedded
from airlock.scratch.servers import Identity, scratch_server
from tests.airlock import forked
from tests.airlock.histories import ASYNC, HEADER, SYNC, Revision, write_project
from tests.airlock.running import rows

if TYPE_CHECKING:
    from collections.abc import Iterator

MADE = [
    Revision("r1", 'op.execute("CREATE TABLE made (id int PRIMARY KEY)")', 'op.execute("DROP TABLE made")')
]
# Every variable that this libpq reads, as it says itself, and what asyncpg and the programs read besides.
VARIABLES = sorted(
    {option.envvar.decode() for option in psycopg.pq.Conninfo.get_defaults() if option.envvar}
    | {"PGSERVICEFILE", "PGSYSCONFDIR", "PGTZ", "PGDATESTYLE", "PGGEQO", "PGCLIENTENCODING", "PGDATA", "PGLOCALEDIR"}
    | {"PGHOSTADDR", "PGPORT", "PGA_VARIABLE_OF_A_LATER_LIBPQ"}
)  # fmt: skip


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


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
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
    env = (HEADER + text.format(driver=driver, options=", target_metadata=MetaData()")).replace(
        "from sqlalchemy import ", "from sqlalchemy import MetaData, ", 1
    )
    shutil.rmtree(directory / "alembic", ignore_errors=True)
    ini = write_project(directory, revisions, env=env)
    shutil.copy(Path(alembic.__file__).parent / "templates/generic/script.py.mako", directory / "alembic")
    return ini


def test_the_server_would_be_reached_without_the_isolation(elsewhere: Elsewhere, tmp_path: Path) -> None:
    """The trap works: with the same variables a socket URL leads there."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PGHOSTADDR", "PGPORT"):
            patch.setenv(name, elsewhere.values(tmp_path)[name])
        psycopg2.connect("postgresql://postgres@/postgres?host=/tmp").close()
        assert elsewhere.lines()
        with no_libpq_environment(), pytest.raises(psycopg2.OperationalError):
            psycopg2.connect(f"postgresql://postgres@/postgres?host={tmp_path}")
        assert elsewhere.lines() == []
        assert os.environ["PGPORT"] == str(elsewhere.cluster.port)


def test_variables_are_hidden_by_prefix_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of a later libpq is hidden too; password and service files of the home directory are not found."""
    monkeypatch.setenv("PGA_VARIABLE_OF_A_LATER_LIBPQ", "x")
    monkeypatch.setenv("PGPASSFILE", "mine")
    with no_libpq_environment():
        assert {name for name in os.environ if name.startswith("PG")} == {"PGPASSFILE", "PGSERVICEFILE"}
        assert os.environ["PGPASSFILE"] == ABSENT_FILE
    assert (os.environ["PGA_VARIABLE_OF_A_LATER_LIBPQ"], os.environ["PGPASSFILE"]) == ("x", "mine")


def test_another_server_is_not_administered(elsewhere: Elsewhere) -> None:
    """CREATE DATABASE and CREATE ROLE wait for the server's own mark; a stranger gets one read-only question."""
    from airlock.scratch import servers

    with scratch_server("embedded") as server:
        for wrong in (Identity(setting="another"), Identity(system_identifier="1")):
            with pytest.raises(WrongTarget, match="leads to another server"):
                with servers._administering(server.admin_url, wrong):
                    raise AssertionError("it was let in")
        with pytest.raises(WrongTarget), servers._administering(elsewhere.cluster.url(), server.identity):
            raise AssertionError("it was let in")
    said = [line for line in elsewhere.lines() if "statement:" in line]
    assert len(said) == 1
    assert "pg_control_system" in said[0]


def test_the_url_that_env_py_gets_passes_every_reader() -> None:
    """No % and no socket in it: set_main_option, PostgresDsn, urlsplit, make_url and libpq read the same place."""
    from urllib.parse import urlsplit

    from alembic.config import Config
    from pydantic import PostgresDsn, TypeAdapter

    with scratch_server("embedded") as server, server.database() as database:
        assert "%" not in database.url
        config = Config()
        config.set_main_option("sqlalchemy.url", database.url)
        assert config.get_main_option("sqlalchemy.url") == database.url
        assert str(TypeAdapter(PostgresDsn).validate_python(database.url)) == database.url
        split, made = urlsplit(database.url), make_url(database.url)
        assert (split.hostname, split.port, split.username) == (made.host, made.port, made.username)
        with pytest.raises(psycopg2.OperationalError, match="password"):
            psycopg2.connect(made.set(password="wrong").render_as_string(hide_password=False))
        assert rows(database.url, "SELECT current_user") == [(server.owner,)]


def test_programs_that_a_revision_runs_reach_scratch(tmp_path: Path, elsewhere: Elsewhere) -> None:
    """Psql without an argument, started by a revision, finds scratch by its variables."""
    psql = embedded.binaries(max(embedded.available())) / "psql"
    runs = (
        f"import subprocess; subprocess.run([{str(psql)!r}, '-X', '-w', '-v', 'ON_ERROR_STOP=1', '-c',"
        " 'CREATE TABLE by_psql (id int)'], check=True)"
    )
    ini = project(tmp_path, "psycopg2", [Revision("r1", runs, 'op.execute("DROP TABLE by_psql")')])
    ran = forked.airlock(ini, "drill", "--json", url=None, timeout=60, **elsewhere.values(tmp_path))
    assert ran.code == 0, ran.err + ran.out
    assert elsewhere.lines() == []


def test_a_program_on_the_server_may_not_be_run(tmp_path: Path) -> None:
    """COPY … PROGRAM needs a superuser, which the history's owner is not; the message says so."""
    step = Revision("r1", "op.execute(\"COPY (SELECT 1) TO PROGRAM 'cat'\")")
    ran = forked.airlock(project(tmp_path, "psycopg2", [step]), "drill", "--json", url=None)
    assert ran.code in {1, 3}, ran.err
    assert "permission denied to COPY to or from an external program" in ran.out


COMMANDS = {
    "trace": (("trace", "--json"), 0),
    "drill": (("drill", "--json"), 0),
    "check": (("check", "--json"), 1),
    "revision": (("revision", "-m", "Take nothing", "--json"), 0),
}


@pytest.mark.proof
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("driver", ["psycopg2", "psycopg", "asyncpg"])
def test_with_every_variable_set_nothing_is_heard_elsewhere(
    driver: str, command: str, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    """Each variable alone and all together: no line in the other server's log, and the result as without them."""
    words, expected = COMMANDS[command]
    home = tmp_path / "home"
    home.mkdir()
    values = elsewhere.values(home)
    (home / ".pgpass").write_text("*:*:*:*:elsewhere\n")
    (home / ".pgpass").chmod(0o600)
    shutil.copy(home / "services", home / ".pg_service.conf")
    plain = forked.airlock(project(tmp_path, driver), *words, url=None)
    assert expected is None or plain.code == expected, plain.err
    # Every variable by itself where a run is shortest; those that lead away for every driver and command.
    leading = ["PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE", "PGPASSFILE"]
    single = (
        VARIABLES if (driver, command) == ("psycopg2", "trace") else leading if command == "trace" else []
    )
    trials = [{name: values[name]} for name in single]
    trials += [
        {name: values[name] for name in pair} for pair in (("PGHOST", "PGPORT"), ("PGHOSTADDR", "PGPORT"))
    ]
    for trial in (*trials, values):
        ran = forked.airlock(project(tmp_path, driver), *words, url=None, timeout=60, HOME=str(home), **trial)
        assert ran.code == plain.code, f"{sorted(trial)}: {ran.err}{ran.out}"
        assert elsewhere.lines() == [], sorted(trial)


@pytest.mark.proof
def test_a_scratch_url_counts_alone(tmp_path: Path, elsewhere: Elsewhere) -> None:
    """What `--scratch URL` leaves out has libpq's own default, not the environment's."""
    with scratch_server("embedded") as lent:
        ran = forked.airlock(
            project(tmp_path, "psycopg2"),
            "drill",
            "--scratch",
            lent.admin_url,
            url=None,
            timeout=60,
            **elsewhere.values(tmp_path),
        )
        assert ran.code == 0, ran.err
    assert elsewhere.lines() == []


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
        other = stack.enter_context(_listening_on("127.0.0.2", second.port))
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
        first = stack.enter_context(_listening_on("127.0.0.3", _free_port()))
        second = stack.enter_context(_listening_on("127.0.0.4", first.port))
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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _listening_on(address: str, port: int) -> Iterator[embedded.Cluster]:
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
