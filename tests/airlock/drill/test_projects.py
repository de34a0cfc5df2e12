"""Faulty revisions are refused for their fault, their sound twins are proved, and each comparison is needed."""

from __future__ import annotations

import difflib
import inspect
import re
from typing import TYPE_CHECKING

import pytest

from airlock.catalogue.fingerprint import others
from airlock.operations.drill import comparisons
from airlock.records.drill import NOT_EXAMINED, PROVED, REFUSED, RevisionProof
from airlock.reports.drill import details
from tests.airlock.drill.conftest import OTHERS, Examine
from tests.airlock.drill.projects import FAULTY, SOUND, UNMET, TinyProject

if TYPE_CHECKING:
    from pathlib import Path

# The few that stand for all of them in the fast suite.
QUICK = {"forgets_an_index", "drops_a_column_with_its_values", "sound_counts_in_a_trigger"}


def cases(projects: tuple[TinyProject, ...]) -> list[object]:
    """Mark all but the quick ones for the long suite."""
    return [
        pytest.param(project, id=project.name, marks=() if project.name in QUICK else pytest.mark.proof)
        for project in projects
    ]


def said(proof: RevisionProof) -> str:
    """Give everything that a report says of the revision."""
    return "\n".join(details(proof))


def test_there_are_enough_of_them() -> None:
    """At least forty faulty and fifteen sound projects, each faulty one a line away from its twin."""
    assert len(FAULTY) >= 40
    assert len(SOUND) >= 15
    assert [project.name for project in FAULTY if (project.faulty_lines, project.sound_lines) != (1, 1)] == []


def test_twins_differ_in_one_line(tmp_path: Path) -> None:
    """The two trees that are really written differ in one line of one file."""
    for project in FAULTY:
        twins = [
            project.write(tmp_path / project.name / kind, sound=kind == "sound").parent
            for kind in ("faulty", "sound")
        ]
        files = [
            sorted((path.relative_to(twin), path.read_text()) for path in twin.rglob("*.*")) for twin in twins
        ]
        changed = [
            line
            for (_, one), (_, other) in zip(*files, strict=True)
            for line in difflib.ndiff(one.splitlines(), other.splitlines())
            if line[0] in "+-"
        ]
        assert len(changed) == 2, project.name


@pytest.mark.parametrize("project", cases(FAULTY))
def test_a_faulty_revision_is_refused_for_its_fault(
    project: TinyProject, examine: Examine, tmp_path: Path
) -> None:
    """The verdict is refused, and what is said names the object and what is wrong with it."""
    proof = examine(project.write(tmp_path, sound=False))
    assert proof.verdict == REFUSED, said(proof)
    name, _, kind = project.said.rpartition(": ") if ": " in project.said else ("", "", project.said)
    assert any(name in line and kind in line for line in details(proof)), said(proof)


@pytest.mark.parametrize("project", cases(FAULTY))
def test_its_sound_twin_is_proved(project: TinyProject, examine: Examine, tmp_path: Path) -> None:
    """One line changed, nothing is refused."""
    proof = examine(project.write(tmp_path, sound=True))
    assert proof.verdict == PROVED, said(proof)


@pytest.mark.parametrize("project", cases(SOUND))
def test_a_sound_revision_is_proved(project: TinyProject, examine: Examine, tmp_path: Path) -> None:
    """What is easily mistaken for a fault is none."""
    proof = examine(project.write(tmp_path, sound=True))
    assert proof.verdict == PROVED, said(proof)
    assert project.said in said(proof)


@pytest.mark.parametrize("project", cases(UNMET))
def test_a_sound_revision_whose_statement_met_no_row_is_not_examined(
    project: TinyProject, examine: Examine, tmp_path: Path
) -> None:
    """It is not refused, and it is not proved either: the statement and its line are named."""
    proof = examine(project.write(tmp_path, sound=True))
    assert proof.verdict == NOT_EXAMINED, said(proof)
    assert project.said in said(proof)


# What only a superuser makes, or what not every server has.
BEYOND_AN_OWNER = {
    "access method", "event trigger", "foreign data wrapper", "foreign server", "language", "operator class",
    "operator family", "subscription", "text search parser", "text search template", "transform",
}  # fmt: skip


def test_every_comparison_has_a_project_that_needs_it() -> None:
    """Each switch, and each kind of object that an owner can make, is what finds some project's fault."""
    switches = {name for name, value in vars(comparisons).items() if name.isupper() and value is True}
    assert {project.options.get("off") for project in SWITCHED} >= switches
    kinds = {
        "table", "column", "constraint", "index", "trigger", "rule", "policy", "sequence", "view", "materialized view",
        "function", "procedure", "aggregate", "enum", "domain", "composite type", "range type", "schema",
        "default privileges", "large object", "setting",
        *re.findall(r'_kind\("([a-z ]+)"', inspect.getsource(others)),
    }  # fmt: skip
    assert {project.said.rpartition(": ")[2] for project in SWITCHED} >= kinds - BEYOND_AN_OWNER


SWITCHED = tuple(project for project in FAULTY if project.said.count(":") or "off" in project.options)


@pytest.mark.parametrize("project", cases(SWITCHED))
def test_without_its_comparison_the_fault_gets_through(
    project: TinyProject,
    examine: Examine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The comparison that finds the fault is the one that is named: switched off, nothing is refused."""
    also = [one for one in project.options.get("also", "").split("; ") if one]
    if "off" in project.options:
        monkeypatch.setattr(comparisons, project.options["off"], False)
    else:
        # What is left behind is in the way of the second upgrade as well.
        monkeypatch.setattr(comparisons, "AGAIN", False)
        kinds = {project.said.rpartition(": ")[2], *(one for one in also if one.islower())}
        monkeypatch.setattr(comparisons, "BLIND", frozenset(kinds))
    for one in also:
        if one.isupper():
            monkeypatch.setattr(comparisons, one, False)
    proof = examine(project.write(tmp_path, sound=False))
    assert proof.verdict == PROVED, said(proof)


# On the oldest server all of them; those between take turns.
ELSEWHERE = [
    pytest.param(major, project, id=f"{project.name}-{major}")
    for turn, project in enumerate((*SOUND, *UNMET, *FAULTY[::5]))
    for major in sorted({OTHERS[0], (*OTHERS[1:], OTHERS[0])[turn % len(OTHERS)]})
]


@pytest.mark.proof
@pytest.mark.parametrize(("older_scratch", "project"), ELSEWHERE, indirect=["older_scratch"], scope="session")
def test_other_majors_say_the_same(project: TinyProject, examine_older: Examine, tmp_path: Path) -> None:
    """The verdict does not depend on the server's major version."""
    proof = examine_older(project.write(tmp_path, sound=project.verdict != REFUSED))
    assert proof.verdict == project.verdict, said(proof)
