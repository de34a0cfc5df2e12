"""A child process can reach the scratch database and nothing else: one test per door."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa

from airlock.project.environment import Environment
from airlock.records.errors import Refused, WrongTarget
from airlock.scratch.isolation import ChildFailed, _send, isolated
from airlock.scratch.programs import database_environment
from airlock.scratch.redirect import redirected
from airlock.scratch.servers import ScratchDatabase, ScratchServer, scratch_server
from tests.airlock.histories import ASYNC, HEADER, SYNC, Revision, write_project

HERE = "tests.airlock.scratch.functions_for_isolation"
MADE = [
    Revision("r1", 'op.execute("CREATE TABLE made (id int)")', 'op.execute("DROP TABLE made")'),
    Revision("r2", "pass"),
]

DRIVERS = ["psycopg2", *(pytest.param(other, marks=pytest.mark.proof) for other in ("psycopg", "asyncpg"))]


@pytest.fixture(scope="module")
def server() -> Iterator[ScratchServer]:
    with scratch_server("embedded") as server:
        yield server


@pytest.fixture
def scratch(server: ScratchServer) -> Iterator[ScratchDatabase]:
    with server.database() as database:
        yield database


@pytest.fixture
def precious(server: ScratchServer) -> Iterator[ScratchDatabase]:
    """The database that must not be reached."""
    with server.database() as database:
        yield database


def tables(database: ScratchDatabase) -> list[str]:
    connection = psycopg2.connect(database.url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            )
            return sorted(row[0] for row in cursor.fetchall())
    finally:
        connection.close()


def run_child(ini: Path, scratch: ScratchDatabase, **environ: str) -> list[object]:
    arguments = {"ini": str(ini)}
    return list(isolated(f"{HERE}:upgrade", arguments, scratch=scratch, environ={**os.environ, **environ}))


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_history_runs_in_scratch_under_any_driver(
    driver: str, tmp_path: Path, scratch: ScratchDatabase, precious: ScratchDatabase
) -> None:
    """DATABASE_URL names the precious database; the tables land in scratch, hooks in order."""
    seen = run_child(write_project(tmp_path, MADE, driver=driver), scratch, DATABASE_URL=precious.url)
    assert tables(scratch) == ["alembic_version", "made"]
    assert tables(precious) == []
    assert seen[:6] == ["before r1", "done r1", "after r1", "before r2", "done r2", "after r2"]
    assert isinstance(seen[6], Environment)
    assert (seen[6].steps, seen[6].version_table) == (("r1", "r2"), "alembic_version")


def test_what_is_logged_of_a_refusal_is_left_to_the_verdict(
    scratch: ScratchDatabase, capfd: pytest.CaptureFixture[str]
) -> None:
    """Steps are tried that must fail; a traceback of each would look like a fault. Other exceptions are the project's."""
    assert list(isolated(f"{HERE}:log_exceptions", {}, scratch=scratch)) == ["done"]
    said = capfd.readouterr().err
    assert "caught IndexError" in said
    assert "DivisionByZero" not in said


def hard_coded(text: str, precious: ScratchDatabase, driver: str) -> str:
    return (HEADER + text.format(driver=driver, options="")).replace(
        'os.environ["DATABASE_URL"]', repr(precious.url)
    )


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_hard_coded_url_is_redirected(
    driver: str, tmp_path: Path, scratch: ScratchDatabase, precious: ScratchDatabase
) -> None:
    """The URL stands in env.py itself: `do_connect` still sends it to scratch."""
    env = hard_coded(ASYNC if driver == "asyncpg" else SYNC, precious, driver)
    run_child(write_project(tmp_path, MADE, env=env), scratch)
    assert tables(scratch) == ["alembic_version", "made"]
    assert tables(precious) == []


CREATOR = (
    HEADER
    + """\
import ctypes
import psycopg2.extensions
from psycopg2._psycopg import _connect  # below every function that could be redirected

engine = create_engine("postgresql+psycopg2://", creator=lambda: _connect({url!r}), poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
)


def test_a_creator_that_slips_past_every_redirect_is_stopped_before_a_statement(
    tmp_path: Path, scratch: ScratchDatabase, precious: ScratchDatabase
) -> None:
    """The pool listener compares the session's marker and refuses it."""
    with pytest.raises(WrongTarget):
        run_child(write_project(tmp_path, MADE, env=CREATOR.format(url=precious.url)), scratch)
    assert tables(precious) == []


RAW = HEADER + """\
import asyncio, asyncpg, psycopg, psycopg2

psycopg2.connect({url!r}).cursor().execute("SELECT 1")
connection = psycopg2.connect({url!r}); connection.autocommit = True
connection.cursor().execute("CREATE TABLE raw_psycopg2 (id int)")
with psycopg.connect({url!r}, autocommit=True) as connection:
    connection.execute("CREATE TABLE raw_psycopg (id int)")


async def go():
    connection = await asyncpg.connect({url!r})
    await connection.execute("CREATE TABLE raw_asyncpg (id int)")
    await connection.close()


asyncio.run(go())
""" + SYNC.format(driver="psycopg2", options="")  # fmt: skip


@pytest.mark.proof
def test_raw_driver_connects_are_redirected(
    tmp_path: Path, scratch: ScratchDatabase, precious: ScratchDatabase
) -> None:
    """env.py goes past SQLAlchemy with each driver: all of it lands in scratch."""
    run_child(write_project(tmp_path, MADE, env=RAW.replace("{url!r}", repr(precious.url))), scratch)
    assert tables(scratch) == ["alembic_version", "made", "raw_asyncpg", "raw_psycopg", "raw_psycopg2"]
    assert tables(precious) == []


@pytest.mark.proof
def test_libpq_variables_point_at_scratch(
    tmp_path: Path, scratch: ScratchDatabase, precious: ScratchDatabase
) -> None:
    """A program that env.py starts (psql, say) reads PGHOST and PGDATABASE: they are replaced."""
    env = (
        HEADER
        + "import subprocess, sys\nsubprocess.run([sys.executable, '-c', "
        + repr(
            "import psycopg2; c = psycopg2.connect(''); c.autocommit = True; c.cursor().execute('CREATE TABLE by_child (id int)')"
        )
        + "], check=True)\n"
        + SYNC.format(driver="psycopg2", options="")
    )
    run_child(write_project(tmp_path, MADE, env=env), scratch, PGDATABASE=precious.name, PGUSER="postgres")
    assert "by_child" in tables(scratch)
    assert tables(precious) == []


@pytest.mark.proof
def test_an_error_of_the_act_keeps_its_class_and_any_other_is_scrubbed(scratch: ScratchDatabase) -> None:
    """AirlockErrors cross the process border as themselves; others as text without passwords."""
    with pytest.raises(Refused, match="something else"):
        list(isolated(f"{HERE}:refuse", {}, scratch=scratch))
    with pytest.raises(ChildFailed) as caught:
        list(isolated(f"{HERE}:fail", {}, scratch=scratch))
    assert "RuntimeError" in str(caught.value)
    assert "hunter22" not in str(caught.value) + caught.value.line
    assert caught.value.line.startswith("RuntimeError: ")


@pytest.mark.proof
def test_what_the_server_said_is_the_gist(scratch: ScratchDatabase) -> None:
    """Not SQLAlchemy's last line, which points to its documentation."""
    with pytest.raises(ChildFailed) as caught:
        list(isolated(f"{HERE}:ask_for_nothing_there", {}, scratch=scratch))
    assert caught.value.line == 'relation "nowhere" does not exist'


@pytest.mark.proof
def test_the_child_ends_when_its_reader_stops(scratch: ScratchDatabase) -> None:
    """A caller that stops reading (or dies) leaves no process behind."""
    records = isolated(f"{HERE}:sleep", {}, scratch=scratch)
    pid = next(records)
    assert isinstance(pid, int)
    records.close()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.proof
@pytest.mark.parametrize("act", ["talk", "whisper"])
def test_a_child_whose_reader_is_gone_ends_without_a_word(scratch: ScratchDatabase, act: str) -> None:
    """It finds out in the middle of a record or between two, while its standard input is still open."""
    reading, writing = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-m", "airlock.scratch.isolation", str(writing)],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=(writing,),
        env=database_environment(os.environ, scratch.url),
    ) as child:  # fmt: skip
        os.close(writing)
        assert child.stdin is not None
        assert child.stderr is not None
        _send(child.stdin, (dict(os.environ), os.curdir, f"{HERE}:{act}", {}, scratch, ""))
        os.read(reading, 1)
        os.close(reading)
        assert child.wait(20) == 1
        assert child.stderr.read() == b""


@pytest.mark.proof
@pytest.mark.parametrize(("act", "code"), [("leave", 7), ("terminate", -15)])
def test_a_child_that_ends_before_it_is_done_is_a_failure(
    scratch: ScratchDatabase, capfd: pytest.CaptureFixture[str], act: str, code: int
) -> None:
    """Whatever ended it, the records so far arrive, then how it ended; nothing else is printed."""
    records = isolated(f"{HERE}:{act}", {}, scratch=scratch)
    assert next(records) == 1
    with pytest.raises(ChildFailed, match=f"ended with {code} before it was done"):
        next(records)
    assert capfd.readouterr().err == ""


def test_a_revision_that_asks_a_question_gets_no_answer(scratch: ScratchDatabase) -> None:
    """It fails at once, as in a pipeline: nobody sits there, and its standard input is none of ours."""
    records = isolated(f"{HERE}:ask", {}, scratch=scratch)
    assert next(records) == b""
    with pytest.raises(ChildFailed, match="EOFError"):
        next(records)


def test_a_child_that_cannot_even_start_is_a_failure(scratch: ScratchDatabase) -> None:
    """A BrokenPipeError would look like a reader of standard output that went away: exit code 0."""
    nowhere = {**os.environ, "PYTHONHOME": "/nowhere"}
    much = {"much": "x" * 300_000}
    with pytest.raises(ChildFailed, match="ended with 1 before it was done"):
        list(isolated(f"{HERE}:refuse", much, scratch=scratch, environ=nowhere))


def test_a_project_that_falls_back_on_sqlite_is_told_what_leads_it_here() -> None:
    """Its settings read a URL from a variable of their own, which airlock does not know: --env does."""
    with redirected("postgresql://nobody@localhost/nowhere", lambda _: None):
        with pytest.raises(WrongTarget, match=r"connects to sqlite; .* Try: --env NAME=postgresql"):
            sa.create_engine("sqlite://").connect()


def test_what_a_child_compiled_is_kept_for_the_next_where_python_keeps_nothing(tmp_path: Path) -> None:
    """Beside the sources nothing is written; a file that changed, if in its second and to its size, is compiled anew."""
    source = tmp_path / "kept_for_others.py"
    nobody = ScratchDatabase("there", "postgresql://me:pw@127.0.0.1:1/there", "postgresql:///", "marker")

    def imported() -> object:
        environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        given = {"place": str(tmp_path), "module": source.stem}
        return next(isolated(f"{HERE}:import_from", given, scratch=nobody, environ=environ))

    source.write_text("VALUE = 1")
    assert [imported(), imported()] == [(1, True), (1, False)]
    second = int(source.stat().st_mtime)
    source.write_text("VALUE = 2")
    os.utime(source, (second, second))
    assert [imported(), imported()] == [(2, True), (2, False)]
    assert [one.name for one in tmp_path.iterdir()] == [source.name]
