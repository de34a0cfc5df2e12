"""What the commands have in common at the door."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from airlock.cli import main
from airlock.commands.answer import answer
from airlock.records.errors import Usage
from tests.airlock.histories import Revision, write_project

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "words",
    [
        ("check", "--rows", "999"),
        ("review", "--rows", "999"),
        ("revision", "--rows", "0"),
        ("drill", "--rows", "0"),
        ("drill", "--last", "last"),
        ("drill", "--traffic", "-1"),
        ("trace", "--rows=-1"),
    ],
    ids=" ".join,
)
def test_too_few_rows_for_the_verdict_are_a_usage_error(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is called harmless on so few rows that a scan would not show: exit 2, one line, the least number."""
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "is no whole number from " in said


def test_what_is_printed_and_logged_has_no_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log gets the document on one line with its command, standard output the lines; both are scrubbed."""
    log = tmp_path / "log"
    leaking = {"told": "postgresql://me:hunter22@db/app"}
    for as_json in (False, True):
        asked = argparse.Namespace(command="status", json=as_json, log=str(log))
        answer(asked, leaking, [leaking["told"]])
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] == "postgresql://me:***@db/app"
    assert json.loads(printed.partition("\n")[2]) == {"told": "postgresql://me:***@db/app"}
    logged = [json.loads(line) for line in log.read_text().splitlines()]
    assert [one["event"] for one in logged] == ["status", "status"]
    assert "hunter22" not in log.read_text() + printed


def test_a_directory_that_is_gone_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A branch that was checked out takes the directory away under a shell that stands in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gone").mkdir()
    os.chdir("gone")
    (tmp_path / "gone").rmdir()
    assert main(["status", "--no-drift"]) == 2
    assert (
        capsys.readouterr().err
        == "airlock: The current directory is no longer there. Try: cd to one that is\n"
    )
    os.chdir(tmp_path)


def test_a_log_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    """A directory in its place is said before anything is printed."""
    with pytest.raises(Usage, match="--log cannot be written"):
        answer(argparse.Namespace(command="check", json=False, log=str(tmp_path)), {}, ["never printed"])


def test_a_reader_that_went_away_does_not_change_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """`airlock drill --json | head` of a refused history exits as without head: nothing is raised."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as broken:
        monkeypatch.setattr("sys.stdout", broken)
        answer(argparse.Namespace(command="drill", json=False, log=None), {}, ["x" * 100_000])


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_character_that_the_terminal_lacks_costs_no_answer(encoding: str, tmp_path: Path) -> None:
    """Exit 0 and the whole answer, with a question mark in the character's place; the same as JSON is JSON."""
    ini = write_project(tmp_path / "a\u2026z", [Revision("m1", "pass")])
    said = []
    for more in ((), ("--json",)):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "airlock", "init", "--dry-run", "-c", str(ini), *more],
            env={**os.environ, "PYTHONIOENCODING": encoding},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout.decode(encoding))
    assert ("a\u2026z" if encoding == "utf-8" else "a?z") in said[0]
    assert "heads" in json.loads(said[1])


def test_several_heads_in_several_directories_are_a_fault_of_the_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1 at the first directory: Alembic has no single one to name."""
    ini = write_project(tmp_path, [Revision("a1", "pass"), Revision("b2", "pass", revises=None)])
    (tmp_path / "more").mkdir()
    (tmp_path / "alembic/versions/b2.py").rename(tmp_path / "more/b2.py")
    ini.write_text(ini.read_text() + "version_locations = %(here)s/alembic/versions:%(here)s/more\n")
    monkeypatch.chdir(tmp_path)
    assert main(["check"]) == 1
    assert "versions:1: heads: has 2 heads" in capsys.readouterr().out
