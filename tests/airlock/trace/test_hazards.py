"""What the documentation says of other tools' hazards is what a trace finds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airlock.operations.trace import trace
from airlock.records.findings import KINDS
from tests.airlock.histories import Revision, write_project

if TYPE_CHECKING:
    from tests.servers import Server

PAGE = Path(__file__).parents[3] / "docs/hazards.md"
ROW = re.compile(r"^\| ([^|]+) \|.*\| `([^`]+)` \| ([^|]+) \|$", re.MULTILINE)
ROWS = ROW.findall(PAGE.read_text())
BASE = """
CREATE DOMAIN word AS text;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE parent (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE task (id int PRIMARY KEY, parent_id int, note text, size int, code varchar(20), span int4range,
                   word word, mood mood);
CREATE INDEX ix_task ON task (parent_id);
"""
# Each row has objects of its own.
NAMES = re.compile(r"\b(task|parent|ix_task|word|mood|elsewhere|job)\b")


def _own(sql: str, number: int) -> str:
    return NAMES.sub(lambda found: f"{found.group()}_{number:02}", sql)


def test_every_row_names_findings_that_there_are() -> None:
    """The table is read whole, and says nothing in other words."""
    assert len(ROWS) == PAGE.read_text().count("\n| ") - 1 >= 30
    assert {one for *_, found in ROWS for one in found.split(", ")} <= {*KINDS, "nothing"}


@pytest.mark.proof
def test_a_trace_finds_what_the_table_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """One database, one tiny revision for each row."""
    revisions = [Revision("tables", "\n".join(f"op.execute({_own(BASE, at)!r})" for at in range(len(ROWS))))]
    revisions += [
        Revision(
            f"row_{at:02}", f"op.execute({_own(sql, at)!r})", "raise NotImplementedError(irreversible)",
            extra='irreversible = "nobody goes back"',
        )
        for at, (_, sql, _) in enumerate(ROWS)
    ]  # fmt: skip
    ini = write_project(tmp_path, revisions)
    monkeypatch.chdir(ini.parent)
    report = trace(ini, rows=1_000, scratch=server.admin_url)
    steps = {one.revision: one for one in report.revisions if one.direction == "up"}
    found = {
        name: ", ".join(
            kind for kind in KINDS if any(one.id == kind for one in steps[f"row_{at:02}"].every_finding)
        )
        or "nothing"
        for at, (name, *_) in enumerate(ROWS)
    }
    assert found == {name: said for name, _, said in ROWS}
    assert [one.unexamined for one in steps.values() if one.unexamined] == []
