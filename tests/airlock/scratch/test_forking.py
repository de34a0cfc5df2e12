"""Children are forked from a process that runs no code of theirs: each is as if it had been started by itself."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airlock.scratch import forking, isolation
from airlock.scratch.isolation import isolated, prepare
from airlock.scratch.servers import ScratchDatabase
from tests.airlock.scratch.functions_for_isolation import WORKED_S

TELL = "tests.airlock.scratch.functions_for_isolation:tell_of_itself"
ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.skipif(not forking.POSSIBLE, reason="children are started one by one here")


def scratch(name: str = "there") -> ScratchDatabase:
    """Name a database that the act does not connect to."""
    return ScratchDatabase(name, f"postgresql://me:pw@127.0.0.1:1/{name}", "postgresql:///", "marker")


def told(**environ: str) -> dict[str, Any]:
    """Let a child tell of itself."""
    (found,) = isolated(TELL, {}, scratch=scratch(), environ={**os.environ, **environ})
    assert isinstance(found, dict)
    return found


@pytest.fixture(autouse=True)
def standing() -> Iterator[None]:
    """Stand where the tests' own modules are found."""
    before = Path.cwd()
    os.chdir(ROOT)
    yield
    os.chdir(before)


def test_two_acts_share_the_process_that_is_forked_and_nothing_else() -> None:
    """The same process is forked; no module's state and no chance passes from one to the other."""
    first, second = told(), told()
    assert first["forked"] == second["forked"]
    assert first["acts"] == second["acts"] == 1
    assert first["chance"] != second["chance"]


def test_the_process_that_is_forked_has_one_thread_no_connection_and_no_child_left() -> None:
    """A fork of several threads may hang; a connection would be shared; nobody is left behind."""
    prepare("airlock.operations.drill.child", "airlock.operations.trace.child")
    forked = told()["forked"]
    assert len(list(Path(f"/proc/{forked}/task").iterdir())) == 1
    sockets = [
        one for one in Path(f"/proc/{forked}/fd").iterdir() if one.readlink().name.startswith("socket:")
    ]
    assert len(sockets) == 1  # the one by which it is asked
    deadline = time.monotonic() + 10
    children = Path(f"/proc/{forked}/task/{forked}/children")
    while children.read_text().split() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert children.read_text() == ""


def test_what_a_child_used_is_counted_as_its_parents() -> None:
    """`time airlock drill` tells the processor time of all that ran."""
    script = (
        "from airlock.scratch.isolation import isolated; from tests.airlock.scratch.test_forking import scratch\n"
        "list(isolated('tests.airlock.scratch.functions_for_isolation:work', {}, scratch=scratch()))\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert took > WORKED_S


def test_a_child_stands_and_reads_where_its_caller_does(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Directory, environment and standard error are the caller's of that moment, the databases scratch's."""
    told()
    capfd.readouterr()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    os.chdir(tmp_path)
    first = told(SAID="one", PGPORT="7", OTHER_URL="postgresql://prod/db")
    second = told(SAID="two")
    assert first["directory"] == second["directory"] == str(tmp_path)
    assert (first["said"], second["said"]) == ("one", "two")
    assert first["database"] == scratch().url
    assert first["port"] == "1"
    # What a module reads as it is imported must not be of another environment.
    assert first["forked"] != second["forked"]
    assert capfd.readouterr().err == "heard\n" * 2


def test_other_databases_need_no_other_process() -> None:
    """Only where databases are differs from one scratch database to the next."""
    found = [*isolated(TELL, {}, scratch=scratch("one")), *isolated(TELL, {}, scratch=scratch("two"))]
    assert found[0]["forked"] == found[1]["forked"]
    assert [one["database"].rpartition("/")[2] for one in found] == ["one", "two"]


def test_an_env_py_is_compiled_once_for_each_text(tmp_path: Path) -> None:
    """A child runs it three times a revision, and Python may have been told to keep no bytecode."""
    load = f"{TELL.partition(':')[0]}:load_env"
    assert list(isolated(load, {"directory": str(tmp_path)}, scratch=scratch())) == [([1, 1, 2], True)]


def test_drivers_are_loaded_for_those_that_come_after_one_that_wanted_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A project has one: what others cost at import nobody pays, and what it costs is paid once."""
    monkeypatch.setattr(isolation, "_forkers", isolation._Forkers())
    found = [told()["drivers"], told(DRIVERS="asyncpg")["drivers"], told()["drivers"]]
    isolation._forkers.drop()
    assert found == [["psycopg2"], ["psycopg2"], ["asyncpg", "psycopg2"]]


def test_what_pytest_calls_the_test_that_runs_needs_no_other_process() -> None:
    """It is another in each test, and for each of `pytest --airlock` everything would be imported again."""
    first, second = (told(PYTEST_CURRENT_TEST=name) for name in ("one", "two"))
    assert first["forked"] == second["forked"]


def test_a_process_that_is_gone_is_replaced() -> None:
    """Killed between two acts: the next act runs all the same."""
    gone = told()["forked"]
    os.kill(gone, signal.SIGKILL)
    assert told()["forked"] != gone


SPLIT_OFF = "from airlock.scratch.isolation import split_off; split_off('airlock.operations.trace.child')"


def test_split_off_from_a_command_it_is_as_if_it_had_been_started(tmp_path: Path) -> None:
    """What the command has open, handles and wrote so far is its own; its directory is no import path of the children."""
    (tmp_path / "command.py").write_text(
        "import json, os, signal, sys\n"
        "kept = open(os.devnull); os.set_inheritable(kept.fileno(), True)\n"
        "for one in (signal.SIGTERM, signal.SIGHUP): signal.signal(one, lambda *_: None)\n"
        "sys.stdout.write('once ')\n"
        "if sys.argv[1] == 'split': exec(sys.argv[2])\n"
        "from tests.airlock.scratch.test_forking import told\n"
        "found = told(); parent = open(f\"/proc/{found['forked']}/cmdline\").read()\n"
        "print(json.dumps([found, 'command.py' in parent]))\n"
    )
    found = {}
    for way in ("split", "start"):
        done = subprocess.run(
            [sys.executable, str(tmp_path / "command.py"), way, SPLIT_OFF],
            capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT,
        )  # fmt: skip
        assert done.stdout.startswith("once [")
        assert done.stderr == "heard\n"
        found[way], split = json.loads(done.stdout.removeprefix("once "))
        assert split == (way == "split")
        del found[way]["chance"], found[way]["forked"]
    assert found["split"] == found["start"]


@pytest.mark.parametrize("before", ["", SPLIT_OFF])
def test_it_ends_with_its_parent_however_that_dies(before: str) -> None:
    """SIGKILL to the parent: the process that is forked ends."""
    script = (
        f"{before}\nimport sys, time; from tests.airlock.scratch.test_forking import told\n"
        "print(told()['forked'], flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        forked = int(parent.stdout.readline())
        assert Path(f"/proc/{forked}").exists()
        parent.kill()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{forked}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{forked}").exists()
