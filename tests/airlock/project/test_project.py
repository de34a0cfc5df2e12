"""A project is read as Alembic reads it, and what is wrong with it is said in one line."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airlock.drivers.engine_events import listening
from airlock.project import environment
from airlock.project.project import Project
from airlock.records.errors import AirlockError, HistoryFault, Usage
from tests.airlock.histories import Revision, write_project

if TYPE_CHECKING:
    from tests.servers import Database

CHAIN = [
    Revision("a1", "pass", title="Add one thing"),
    Revision("b2", "pass", extra='irreversible = "rows are gone"\nresumable = True\nkept = {"t.c": "stays"}'),
    Revision("c3", "pass"),
]


@pytest.fixture(autouse=True)
def own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The door stands in the ini's directory; so does each test. sys.path is put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_revisions_come_in_upgrade_order_with_what_they_say(tmp_path: Path) -> None:
    """Title, irreversible, resumable and kept are read from the module."""
    project = Project.open(write_project(tmp_path, CHAIN))
    first, second, third = project.revisions()
    assert (first.revision, first.title, first.irreversible) == ("a1", "Add one thing", None)
    assert (second.irreversible, second.resumable, second.kept) == ("rows are gone", True, {"t.c": "stays"})
    assert third.down_revisions == ("b2",)
    assert (project.bases, project.heads) == (("a1",), ("c3",))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("a1:c3", ["b2", "c3"]), ("base:b2", ["a1", "b2"]), ("b2:", ["c3"]), (":a1", ["a1"]), ("c3:c3", [])],
)
def test_a_range_leaves_out_its_start_and_has_its_end(
    tmp_path: Path, asked: str, expected: list[str]
) -> None:
    """FROM:TO excludes FROM and includes TO."""
    project = Project.open(write_project(tmp_path, CHAIN))
    assert [one.revision for one in project.revisions(asked)] == expected


@pytest.mark.parametrize("asked", ["a1", "c3:a1", "zz:c3", "a1:zz"])
def test_a_range_that_is_none_is_refused(tmp_path: Path, asked: str) -> None:
    """Exit 2, with the range in the message."""
    project = Project.open(write_project(tmp_path, CHAIN))
    with pytest.raises(AirlockError) as caught:
        project.revisions(asked)
    assert caught.value.exit_code in (2, 30)


def test_branches_and_merges_are_ordered(tmp_path: Path) -> None:
    """Every parent comes before its children; two heads are both there."""
    revisions = [
        Revision("a1", "pass"),
        Revision("b1", "pass", revises="a1"),
        Revision("b2", "pass", revises="a1"),
        Revision("m1", "pass", revises=("b1", "b2")),
        Revision("x1", "pass", revises=None),
    ]
    project = Project.open(write_project(tmp_path, revisions))
    order = [one.revision for one in project.revisions()]
    assert sorted(order) == ["a1", "b1", "b2", "m1", "x1"]
    assert order.index("a1") < order.index("b1") < order.index("m1")
    assert project.heads == ("m1", "x1")


def test_settings_accept_findings_of_every_revision_or_of_one(tmp_path: Path) -> None:
    """The revision's own reason comes first, then the id, its first characters, and `*`; another's is none."""
    one = Revision("0123abcd", "pass", extra='accepted = {"scan public.t": "own"}')
    ini = write_project(tmp_path, [one, Revision("0124", "pass")])
    (tmp_path / "airlock.toml").write_text(
        '[accepted."*"]\nbreaks = "we stop"\nscan = "all"\n[accepted.0123]\nscan = "short"\nrewrite = "short"\n'
        '[accepted.0123abcd]\nrewrite = "whole"\n"scan public.t" = "settings"\n[trace]\nrows = 1000\n'
    )
    project = Project.open(ini)
    assert dict(project.revision("0123abcd").accepted) == {
        "breaks": "we stop", "scan": "short", "rewrite": "whole", "scan public.t": "own",
    }  # fmt: skip
    assert dict(project.revisions()[1].accepted) == {"breaks": "we stop", "scan": "all"}


def break_history(tmp_path: Path, text: str, name: str = "b2.py") -> Path:
    ini = write_project(tmp_path, CHAIN)
    (tmp_path / "alembic" / "versions" / name).write_text(text)
    return ini


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def upgrade(:\n", "does not parse"),
        ("import nowhere_to_be_found\nrevision='b2'\ndown_revision='a1'\n", "cannot be imported"),
        ("revision='b2'\ndown_revision='gone'\ndef upgrade(): pass\n", "gone"),
        ("revision='a1'\ndown_revision=None\ndef upgrade(): pass\n", "more than once"),
        (f"revision='{'b' * 40}'\ndown_revision='a1'\ndef upgrade(): pass\n", "32"),
    ],
)
def test_a_broken_history_is_said_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    """Exit 30 with the file or the revision, whatever Alembic itself would raise."""
    if "b" * 40 in text:
        (tmp_path / "x").mkdir()
        ini = write_project(tmp_path / "x", [Revision("a1", "pass")])
        (tmp_path / "x" / "alembic" / "versions" / "b.py").write_text(text)
        os.chdir(tmp_path / "x")
    else:
        ini = break_history(tmp_path, text)
    with pytest.raises(HistoryFault, match=words) as caught:
        Project.open(ini)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line", ["", "version_locations = alembic/version\n"])
def test_revisions_that_alembic_does_not_read_are_named(tmp_path: Path, line: str) -> None:
    """Exit 30, not a history without revisions that is proved: in a directory below, or beside a misspelt one."""
    ini = write_project(tmp_path, CHAIN)
    versions = tmp_path / "alembic" / "versions"
    if line:
        ini.write_text(ini.read_text() + line)
    else:
        files = list(versions.glob("*.py"))
        (versions / "postgresql").mkdir()
        for file in files:
            file.rename(versions / "postgresql" / file.name)
    with pytest.raises(
        HistoryFault, match=r"alembic/version.*, but alembic/versions.*\.py is one, and 2 files"
    ):
        Project.open(ini)


def test_a_history_without_revisions_is_one(tmp_path: Path) -> None:
    """A project that begins: no revision yet, and modules of its own in a directory beside them."""
    ini = write_project(tmp_path, [])
    (tmp_path / "alembic" / "versions").mkdir(exist_ok=True)
    (tmp_path / "alembic" / "shared.py").write_text("WORDS = 1\n")
    assert Project.open(ini).revisions() == ()


@pytest.mark.parametrize(
    "text", ["", "[alembic]\n", "not an ini at all", "[alembic]\nscript_location = nowhere\n"]
)
def test_a_wrong_ini_is_a_usage_error(tmp_path: Path, text: str) -> None:
    """Exit 2, naming the file."""
    (tmp_path / "alembic.ini").write_text(text)
    with pytest.raises(Usage):
        Project.open(tmp_path / "alembic.ini")
    with pytest.raises(Usage, match="no Alembic configuration"):
        Project.open(tmp_path / "absent.ini")


def test_pyproject_is_a_configuration_too(tmp_path: Path) -> None:
    """`[tool.alembic]`, as Alembic reads it since 1.16."""
    write_project(tmp_path, CHAIN).unlink()
    (tmp_path / "pyproject.toml").write_text('[tool.alembic]\nscript_location = "%(here)s/alembic"\n')
    assert Project.open(tmp_path / "pyproject.toml").heads == ("c3",)


def test_pyproject_is_read_with_the_ini_beside_it(tmp_path: Path) -> None:
    """`alembic init -t pyproject` leaves the URL and the logging in alembic.ini: env.py asks for both."""
    write_project(tmp_path, CHAIN).write_text("[alembic]\nsqlalchemy.url = postgresql://h/d\n")
    (tmp_path / "pyproject.toml").write_text('[tool.alembic]\nscript_location = "%(here)s/alembic"\n')
    project = Project.open(tmp_path / "pyproject.toml")
    assert (project.heads, project.ini_url()) == (("c3",), "postgresql://h/d")


def test_the_statement_of_version_rows_is_compiled_once(
    tmp_path: Path, empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server gets the text that Alembic spells, revision by revision; SQLAlchemy compiles the first alone."""
    ini = write_project(tmp_path, [Revision(f"r{number}", "pass", "pass") for number in range(4)])
    monkeypatch.setenv("DATABASE_URL", empty_database.url)
    sent: list[str] = []
    known: list[bool] = []

    def see(
        _connection: Any, cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool
    ) -> None:
        if statement.startswith("UPDATE"):
            sent.append(cursor.query.decode())
            known.append(context.cache_hit.name == "CACHE_HIT")

    with listening({"after_cursor_execute": see}):
        environment.run(Project.open(ini), "heads", "up")
    assert sent == [
        f"UPDATE alembic_version SET version_num='r{number}' WHERE alembic_version.version_num = 'r{number - 1}'"
        for number in (1, 2, 3)
    ]
    assert known == [False, True, True]
