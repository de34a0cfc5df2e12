"""The pytest plugin: a test per revision, drilled once, on pytest 9 and on pytest 8."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.airlock.histories import HEADER, SYNC, Revision, write_project

if TYPE_CHECKING:
    from pathlib import Path

KEEPS_ITS_COLUMN = [
    Revision(
        "p1",
        'op.execute("CREATE TABLE first (id int PRIMARY KEY)")',
        'op.execute("DROP TABLE first")',
        "First",
    ),
    Revision("p2", 'op.execute("ALTER TABLE first ADD x int")', "pass", "Second"),
    Revision(
        "p3", 'op.execute("CREATE INDEX third ON first (id)")', 'op.execute("DROP INDEX third")', "Third"
    ),
]
# The oldest major that the plugin is for, from the registry that the lock file's own packages come from.
PYTEST_8 = ("pytest==8.0.2", "pluggy==1.4.0", "iniconfig==2.0.0", "packaging==24.0")


@dataclasses.dataclass(frozen=True)
class Outcome:
    code: int
    out: str

    @property
    def summary(self) -> str:
        return re.sub(r" in [\d.]+s.*", "", self.out.strip().splitlines()[-1].strip("= "))


def run(
    directory: Path, *words: str, path: str = "", plugins: tuple[str, ...] = ("airlock.pytest_plugin",)
) -> Outcome:
    """Run pytest there with no other plugin than named: a stranger's environment has others than ours."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "AIRLOCK_PYTEST"))
    }
    loaded = [word for plugin in plugins for word in ("-p", plugin)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *loaded, *words],
        cwd=directory, env={**environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": path},
        capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout + done.stderr)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("project")
    write_project(directory, KEEPS_ITS_COLUMN, env=HEADER + SYNC.format(driver="psycopg2", options=""))
    (directory / "test_theirs.py").write_text("def test_theirs():\n    pass\n")
    return directory


def test_it_is_inert_unless_asked(project: Path) -> None:
    """Without --airlock the ini is no test, and the tests there are run as ever."""
    outcome = run(project)
    assert (outcome.code, outcome.summary) == (0, "1 passed")


def test_each_revision_is_a_test(project: Path) -> None:
    """The one whose downgrade is `pass` fails and shows what is left behind; the others pass, the project's own too."""
    outcome = run(project, "--airlock")
    assert (outcome.code, outcome.summary) == (1, "1 failed, 3 passed"), outcome.out
    assert "rollback of p2 is proved (Second)" in outcome.out
    assert "refused: the upgrade fails after its own downgrade" in outcome.out
    assert "public.first.x: column is left behind" in outcome.out
    assert "Traceback" not in outcome.out


def test_one_is_selected_by_keyword_by_marker_and_by_id(project: Path) -> None:
    """Only what was selected is drilled: p3 alone is proved although p2 is refused."""
    for words in (("-k", "p3"), ("-m", "airlock", "-k", "p3"), ("alembic.ini::rollback of p3 is proved",)):
        outcome = run(project, "--airlock", "-v", *words)
        assert outcome.code == 0, outcome.out
        assert outcome.summary.startswith("1 passed"), outcome.out
    assert run(project, "--airlock", "-m", "not airlock").summary == "1 passed, 3 deselected"


def test_workers_share_one_drill(project: Path) -> None:
    """Two of xdist's workers get their tests' verdicts from one drill, and leave nothing behind."""
    outcome = run(project, "--airlock", "-n", "2", plugins=("xdist", "airlock.pytest_plugin"))
    assert (outcome.code, outcome.summary) == (1, "1 failed, 3 passed"), outcome.out


def test_named_files_are_collected_beside(project: Path) -> None:
    """With other files named on the command line the revisions are tests all the same, once each."""
    assert run(project, "--airlock", "--collect-only", "-q", "test_theirs.py").out.count("rollback of") == 3
    assert run(project, "--airlock", "--collect-only", "-q", ".", "alembic.ini").out.count("rollback of") == 3


@pytest.mark.parametrize(
    ("ini", "said"),
    [
        ("airlock_config = other.ini", "airlock_config: "),
        ("airlock_rows = many", "airlock_rows: 'many' is no whole number from 1 up."),
        ("airlock_scratch = nowhere", "airlock: "),
    ],
)
def test_a_wrong_setting_is_one_line(project: Path, tmp_path: Path, ini: str, said: str) -> None:
    """What cannot be is said without a traceback."""
    settings = tmp_path / "pytest.ini"
    settings.write_text(f"[pytest]\n{ini}\n")
    outcome = run(project, "--airlock", "-c", str(settings), "--rootdir", str(project), "alembic.ini")
    assert outcome.code != 0
    assert said in outcome.out
    assert "Traceback" not in outcome.out


def test_a_history_that_cannot_be_read_is_a_collection_error(tmp_path: Path) -> None:
    """A revision that names one that is not there: airlock's line, no traceback."""
    write_project(
        tmp_path,
        [Revision("p1", "pass", revises="gone")],
        env=HEADER + SYNC.format(driver="psycopg2", options=""),
    )
    outcome = run(tmp_path, "--airlock")
    assert outcome.code == 2, outcome.out
    assert "airlock: " in outcome.out
    assert "gone" in outcome.out
    assert "Traceback" not in outcome.out


@pytest.mark.proof
def test_pytest_8(project: Path, tmp_path: Path) -> None:
    """The same on the major before, installed beside: no newer name of pytest is used."""
    subprocess.run(
        [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path), *PYTEST_8],
        check=True, timeout=120,
    )  # fmt: skip
    outcome = run(project, "--airlock", path=str(tmp_path))
    assert "pytest-8.0.2" in outcome.out
    assert (outcome.code, outcome.summary) == (1, "1 failed, 3 passed"), outcome.out
    assert run(project, path=str(tmp_path)).summary == "1 passed"
