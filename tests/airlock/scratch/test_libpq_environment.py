"""Nothing that libpq, asyncpg or a shell's variables know leads airlock's scratch work to another server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from airlock.drivers.libpq_environment import ABSENT_FILE, no_libpq_environment
from airlock.records.errors import WrongTarget
from airlock.scratch import embedded, programs
from airlock.scratch.programs import database_environment
from airlock.scratch.servers import Identity, scratch_server
from tests.airlock import forked
from tests.airlock.histories import Revision
from tests.airlock.running import rows
from tests.airlock.scratch.elsewhere import Elsewhere, project, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    with serving() as started:
        yield started


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


def test_psqls_own_copy_is_no_statement(tmp_path: Path) -> None:
    r"""`\copy` is psql's: sent to a server it is a syntax error, the message says so, and no file is written."""
    file = tmp_path / "copied"
    step = Revision("r1", rf"""op.execute(r"\copy (SELECT 1) TO '{file}'")""")
    ran = forked.airlock(project(tmp_path, "psycopg2", [step]), "drill", "--json", url=None)
    assert ran.code == 1, ran.err
    assert "syntax error at or near" in ran.out
    assert not file.exists()


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


def test_a_url_keeps_the_scheme_that_it_was_set_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """A project whose variable spells its driver gets it; one that nobody has set gets a driver that is there."""
    given = {"DATABASE_URL": "postgresql+asyncpg://me@far/shop", "OTHER": "postgresql+psycopg://me@far/shop"}
    led = database_environment(given, "postgresql://u:p@127.0.0.1:1/x")
    assert led["DATABASE_URL"] == "postgresql+asyncpg://u:p@127.0.0.1:1/x"
    assert led["OTHER"] == "postgresql+psycopg://u:p@127.0.0.1:1/x"
    assert led["DATABASE_URL_UNPOOLED"] == "postgresql://u:p@127.0.0.1:1/x"
    monkeypatch.setattr(programs, "find_spec", lambda name: name == "psycopg2")
    monkeypatch.setattr(
        programs, "make_url", lambda url: make_url(url.replace("postgresql:", "postgresql+psycopg:"))
    )
    assert programs._scheme.__wrapped__() == "postgresql+psycopg2"
