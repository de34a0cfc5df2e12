"""The public names: which there are, how they are called, and that they do what the commands do."""

from __future__ import annotations

import inspect
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import airlock
from tests.airlock.histories import HEADER, SYNC, Revision, write_project
from tests.airlock.running import environment, rows

if TYPE_CHECKING:
    from tests.servers import Database

SIGNATURES = {
    "drill": "(config='alembic.ini', *, revisions=None, last=None, pending=False, url=None, scratch='embedded', rows=40, "
    "traffic=0, blocker=False, crash=False, x_arguments=(), progress=None, cut_short=None)",
    "trace": "(config='alembic.ini', *, revisions=None, scratch='embedded', rows=2000, blocker_s=0.0, x_arguments=(), "
    "cut_short=None, progress=None)",
    "review": "(config='alembic.ini', *, revisions=None, pending=False, url=None, scratch='embedded', rows=2000, "
    "blocker_s=0.0, x_arguments=(), cut_short=None, progress=None)",
    "upgrade": "(config='alembic.ini', target='head', *, url=None, lock_timeout_s=1.0, statement_timeout_s=None, "
    "wait_s=600.0, repair=False, dry_run=False, scratch='embedded', x_arguments=(), emit=None)",
    "downgrade": "(config, target, *, url=None, accept_loss=None, accept_unknown_loss=False, export=None, "
    "lock_timeout_s=1.0, statement_timeout_s=None, wait_s=600.0, repair=False, dry_run=False, scratch='embedded', "
    "x_arguments=(), emit=None)",
    "status": "(config='alembic.ini', *, url=None, scratch='embedded', x_arguments=(), back_to=None, drift=True)",
    "fleet_upgrade": "(config, targets, target='head', *, url=None, request=None, lock_timeout_s=1.0, "
    "statement_timeout_s=None, wait_s=600.0, repair=False, dry_run=False, scratch='embedded', x_arguments=())",
    "fleet_downgrade": "(config, targets, target, *, url=None, request=None, accept_loss=None, accept_unknown_loss=False, "
    "export=None, lock_timeout_s=1.0, statement_timeout_s=None, wait_s=600.0, repair=False, dry_run=False, "
    "scratch='embedded', x_arguments=())",
    "fleet_status": "(config, targets, *, url=None, concurrency=4, x_arguments=())",
    "process_revision_directives": "(context, _revision, directives)",
    "autogenerate_options": "()",
}
EXIT_CODES = {
    "AirlockError": 1, "Refused": 1, "Usage": 2, "NotExamined": 3, "Unreachable": 10, "Denied": 11, "WrongTarget": 12,
    "LeaseHeld": 20, "LockBudgetSpent": 21, "StatementBudgetSpent": 22, "HistoryFault": 30, "RevisionFailed": 40,
    "HalfApplied": 41, "ConnectionLost": 50,
}  # fmt: skip
RECORDS = {
    "DrillProgress", "DrillReport", "Event", "FleetEvent", "FleetRequest", "FleetStatus", "FleetVerdict", "Interrupted",
    "Review", "RevisionProof", "Status", "TraceReport", "TracedRevision", "Verdict",
}  # fmt: skip
REVISIONS = [
    Revision("a1", 'op.execute("CREATE TABLE first (id int)")', 'op.execute("DROP TABLE first")', "First"),
    Revision(
        "a2", 'op.execute("ALTER TABLE first ADD x int")', 'op.execute("ALTER TABLE first DROP x")', "Second"
    ),
]


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    return write_project(tmp_path, REVISIONS, env=HEADER + SYNC.format(driver="psycopg2", options=""))


def untyped(function: object) -> str:
    signature = inspect.signature(function)  # type: ignore[arg-type]
    bare = [one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def test_the_names_are_pinned() -> None:
    """A name that goes, or a new one, is a decision: this list and the change log say it."""
    assert set(airlock.__all__) == {*SIGNATURES, *EXIT_CODES, *RECORDS}
    assert set(airlock.__all__) <= set(dir(airlock))
    assert (Path(airlock.__file__).parent / "py.typed").exists()


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_signatures_are_pinned(name: str) -> None:
    """Every parameter keeps its name, its place and its default; every function says what it does."""
    function = getattr(airlock, name)
    assert untyped(function) == SIGNATURES[name]
    assert function.__doc__


@pytest.mark.parametrize("name", EXIT_CODES)
def test_an_error_has_its_exit_code(name: str) -> None:
    """A caller tells errors by class or by code."""
    error = getattr(airlock, name)
    assert error.exit_code == EXIT_CODES[name]
    assert issubclass(error, airlock.AirlockError)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match="no attribute 'drils'"):
        _ = airlock.drils


def test_importing_it_loads_neither_alembic_nor_sqlalchemy() -> None:
    """An env.py, or a pytest run that does not ask for it, pays nothing."""
    script = (
        "import sys, airlock, airlock.api; print({'alembic', 'sqlalchemy', 'psycopg2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.server
def test_a_script_migrates(ini: Path, empty_database: Database) -> None:
    """Up, status, a refused loss, down with it accepted: by a script of its own, which stands where it stood before."""
    script = f"""
import os
import airlock

before, events = os.getcwd(), []
verdict = airlock.upgrade({str(ini)!r}, "a1", emit=events.append)
assert (verdict.exit_code, verdict.after) == (0, ("a1",)), verdict
assert events[-1] is verdict
assert airlock.upgrade({str(ini)!r}, dry_run=True).after == ("a1",)
status = airlock.status({str(ini)!r})
assert [one.revision for one in status.pending] == ["a2"], status
assert status.drift == ()
airlock.upgrade({str(ini)!r})
import sqlalchemy
with sqlalchemy.create_engine(os.environ["DATABASE_URL"]).begin() as connection:
    connection.exec_driver_sql("INSERT INTO first VALUES (1, 2)")
try:
    airlock.downgrade({str(ini)!r}, "base")
except airlock.Refused as error:
    print("refused:", error.exit_code)
print(airlock.downgrade({str(ini)!r}, "base", accept_loss=2).after)
assert os.getcwd() == before
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(empty_database.url), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "refused: 1\n()\n"
    assert rows(empty_database.url, "SELECT count(*) FROM pg_class WHERE relname = 'first'") == [(0,)]


def test_it_drills_traces_and_reviews_without_a_target(ini: Path) -> None:
    """From a thread that is not the main one too, as a web application would."""
    found: list[object] = []

    def go() -> None:
        found.append(airlock.drill(ini, last=1, rows=5).verdict)
        found.append([one.revision for one in airlock.trace(ini, revisions="a1:a2", rows=0).revisions][:1])
        found.append([one.revision for one in airlock.review(ini, revisions="base:a1").revisions])

    thread = threading.Thread(target=go)
    thread.start()
    thread.join()
    assert found == ["proved", ["a2"], ["a1"]]


def test_what_cannot_be_raises_and_leaves_the_process_where_it_was(ini: Path) -> None:
    """A missing ini, a revision that is not there, two ways to name what is reviewed: Usage, exit code 2."""
    before = Path.cwd()
    for ask in (
        lambda: airlock.status(ini.with_name("other.ini")),
        lambda: airlock.status(ini.parent / "not there" / "alembic.ini"),
        lambda: airlock.drill(ini, revisions="base:nowhere"),
        lambda: airlock.review(ini, revisions="base:a1", pending=True),
    ):
        with pytest.raises(airlock.AirlockError) as raised:
            ask()
        assert raised.value.exit_code in {2, 30}
    assert Path.cwd() == before
