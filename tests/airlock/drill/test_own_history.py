"""All revisions of this project are proved, and the report says so in every form."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from airlock.scratch import embedded
from tests.history import revisions

ROOT = Path(__file__).parents[3]
NEWEST = max(embedded.available())
HOW_MANY = len(revisions())


@pytest.fixture(
    scope="module",
    params=[
        NEWEST,
        *(pytest.param(other, marks=pytest.mark.proof) for other in embedded.available() if other != NEWEST),
    ],
)
def out(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the command as the Makefile does, on each major."""
    directory = tmp_path_factory.mktemp("drill")
    done = subprocess.run(
        [sys.executable, "-m", "airlock", "drill", "--scratch", f"embedded:{request.param}", "--out", str(directory)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    (directory / "stdout").write_text(done.stdout)
    (directory / "stderr").write_text(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


def test_every_revision_is_proved(out: Path) -> None:
    """As many proofs as revisions, every table filled, and the server's version beside the verdict."""
    report = json.loads((out / "drill.json").read_text())
    assert {revision["verdict"] for revision in report["revisions"]} == {"proved"}
    assert len(report["revisions"]) == HOW_MANY
    assert [fill for fill in report["fills"] if fill["reason"]] == []
    last = (out / "stdout").read_text().splitlines()[-1]
    assert last.startswith(f"proved: {HOW_MANY} revisions (PostgreSQL {report['server_version']}")


def test_the_backfill_keeps_what_it_says_it_keeps(out: Path) -> None:
    """What is not undone is named with the revision's own sentence."""
    report = json.loads((out / "drill.json").read_text())
    kept = [one for revision in report["revisions"] for one in revision["kept"]]
    assert {"object": "phase2.task.priority", "sentence": "NULL meant 1"} in kept


def test_progress_goes_to_standard_error(out: Path) -> None:
    """One line per revision where nobody watches, with an estimate; none of it on standard output."""
    last = f"revision {HOW_MANY} of {HOW_MANY}"
    assert last in (out / "stderr").read_text()
    assert last not in (out / "stdout").read_text()


def test_the_report_is_where_the_command_says(out: Path) -> None:
    """The line before the verdict names the page, and it lies there."""
    said = (out / "stdout").read_text().splitlines()[-2]
    assert said == f"report: {out / 'drill.html'}"
    assert {path.name for path in out.iterdir()} >= {"drill.html", "drill.json", "junit.xml"}


def test_junit_has_a_case_per_revision(out: Path) -> None:
    """Well-formed, with counts that agree."""
    suite = ET.parse(out / "junit.xml").getroot().find("testsuite")  # noqa: S314  our own file
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), len(suite.findall("testcase"))) == (
        str(HOW_MANY),
        "0",
        HOW_MANY,
    )


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.tags: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.add(tag)
        if found.get("id"):
            self.ids.add(str(found["id"]))
        if str(found.get("href", "")).startswith("#"):
            self.links.add(str(found["href"])[1:])
        self.addresses += [str(found[name]) for name in ("src", "href") if name in found]


def test_the_page_stands_by_itself(out: Path) -> None:
    """The verdict in the title, no script, nothing fetched, every anchor resolves, and the limits are told."""
    text = (out / "drill.html").read_text()
    page = _Page()
    page.feed(text)
    assert "<title>proved: airlock drill</title>" in text
    assert "script" not in page.tags
    assert [address for address in page.addresses if not address.startswith(("#", "data:"))] == []
    assert page.links <= page.ids
    assert len(page.links) == HOW_MANY
    assert "What this drill cannot see" in text
