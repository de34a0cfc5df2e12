"""A review's forms say the same, say it first, and are the same bytes for the same facts."""

from __future__ import annotations

import dataclasses
import html.parser
import json
import re
from pathlib import Path

import pytest

from airlock.records.review import Review
from airlock.reports import erd
from airlock.reports.bundle import document
from airlock.reports.html import table
from airlock.reports.markdown import LIMIT, markdown
from airlock.reports.review import lines
from airlock.reports.review_page import html as page_of
from airlock.reports.sarif import sarif
from tests.airlock.review.records import DANGERS, REVIEW, contents

GOLDEN = Path(__file__).with_name("golden")


@pytest.mark.parametrize("name", ["review.md", "review.sarif"])
def test_the_file_is_the_golden_one(name: str) -> None:
    """Byte for byte; after a wanted change, write what the assertion shows to the golden file."""
    assert contents(REVIEW, version="0.0.0", prefix="shop/")[name] == (GOLDEN / name).read_text(
        encoding="utf-8"
    )


def test_the_same_review_gives_the_same_bytes_in_every_file() -> None:
    """Nothing of the clock, the process or a set's order gets into a file."""
    assert contents(REVIEW) == contents(dataclasses.replace(REVIEW))


def test_the_verdict_comes_first_in_every_face() -> None:
    """Title, first heading and first key; a word, not a colour."""
    assert "<title>refused: airlock review</title>" in page_of(REVIEW)
    assert markdown(REVIEW).startswith(
        "# airlock review: refused\n\n**1 statement of 1 revision is dangerous"
    )
    assert next(iter(document(REVIEW))) == "verdict"


def test_a_dangerous_statement_is_told_with_the_targets_size_and_an_extrapolation() -> None:
    """The DBA reads rows, bytes, mode and minutes in one place, and that the minutes are extrapolated."""
    text = markdown(REVIEW)
    assert (
        "shop.order: 48,210,113 rows, 9.1 GB: rewritten under ACCESS EXCLUSIVE on shop.order; reads and writes wait"
        in text
    )
    assert "about 3 min 13 s on the target, extrapolated from 8.0 ms here" in text


def test_the_last_line_on_a_terminal_is_the_verdict_said_once(tmp_path: Path) -> None:
    """Every danger first, then where the bundle is; the verdict's words do not come twice."""
    *said, last = lines(REVIEW, tmp_path, 7)
    assert said[-1] == f"7 files in {tmp_path}"
    assert last == "refused: 1 statement of 1 revision is dangerous and not excused (PostgreSQL 18.4)"
    clean = dataclasses.replace(REVIEW, dangers=(), unfilled=())
    assert list(lines(clean, tmp_path, 7))[-1] == (
        "nothing dangerous seen: no statement of 1 revision, up or down, scans or rewrites a table while others wait"
        " for it (PostgreSQL 18.4)"
    )


def test_an_excuse_is_shown_and_not_hidden() -> None:
    """The excused statement stays in every face, with its reason; only the verdict may change."""
    excused = dataclasses.replace(REVIEW, dangers=DANGERS[1:], unfilled=())
    assert excused.verdict == "nothing dangerous seen"
    assert "lines are few" in markdown(excused)
    assert "lines are few" in page_of(excused)
    result, breaks, stale = sarif(excused, "1")["runs"][0]["results"]
    assert result["suppressions"] == [{"kind": "inSource", "justification": "lines are few"}]
    assert "suppressions" not in breaks
    assert stale["suppressions"] == [{"kind": "inSource", "justification": "sessions are short"}]


def test_a_step_that_was_not_examined_is_told_in_every_face() -> None:
    """The verdict, the page, the comment and code scanning say so, with the reason."""
    (revision,) = REVIEW.revisions
    blind = dataclasses.replace(revision.up, unexamined="no sample rows fit", statements=(), findings=())
    review = dataclasses.replace(
        REVIEW, dangers=(), unfilled=(), revisions=(dataclasses.replace(revision, up=blind),)
    )
    assert review.verdict == "not examined"
    for face in (
        markdown(review),
        page_of(review),
        json.dumps(sarif(review, "1")),
        "".join(lines(review, Path(), 1)),
    ):
        assert "no sample rows fit" in face


def test_unfilled_tables_that_are_locked_make_it_not_examined() -> None:
    """What was not looked at is never green."""
    unseen = dataclasses.replace(REVIEW, dangers=())
    assert unseen.verdict == "not examined"
    assert "shop.line held too few rows" in markdown(unseen)


def test_both_disagreements_with_the_second_reader_are_told() -> None:
    """The linter cries over what was harmless, and is silent where PostgreSQL was not."""
    text = markdown(REVIEW)
    assert "1: disagrees. squawk adding-field-with-default" in text
    assert "2: agrees. squawk changing-column-type" in text
    assert "2: not observable. squawk ban-drop-column" in text
    assert "3: disagrees. squawk says nothing of locks. Observed: scanned shop.line" in text


def test_markdown_is_cut_below_the_limit_and_points_on() -> None:
    """A comment of 65,000 characters at most, whole blocks, and where the rest is."""
    many = dataclasses.replace(REVIEW, revisions=REVIEW.revisions * 200)
    text = markdown(many)
    assert len(text) < LIMIT
    assert text.rstrip().endswith("in review.html and review.json._")
    assert text.startswith("# airlock review: refused")


class _Page(html.parser.HTMLParser):
    """Collects what a page refers to and what it can be referred to by."""

    void = frozenset({"meta", "link", "br", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.anchors: set[str] = set()
        self.outside: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.void:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name in ("href", "src") and value:
                (self.anchors.add(value[1:]) if value.startswith("#") else self.outside.append(value))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else_and_every_anchor_resolves() -> None:
    """No script, no network; tags balance; ids are unique; a statement's markup stays text."""
    text = page_of(REVIEW)
    page = _Page(text)
    assert page.open == []
    assert page.anchors <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert page.outside == ["data:,"]
    assert "<script" not in text
    assert "<b>|</b>" not in text
    assert not re.search(r"https?://", text)


def test_a_column_without_a_word_is_left_out() -> None:
    """Seven columns do not fit on paper where two of them are empty; those that stay keep their alignment."""
    made = table(["#", "held", "time"], [["1", "", "2 ms"], ["2", "", "3 ms"]], right=(2,))
    assert "held" not in made
    assert '<th class="right">time</th>' in made
    assert "held" in table(["#", "held"], [])


def test_a_composite_key_is_one_edge_with_its_cascade_in_both_diagrams() -> None:
    """Mermaid and SVG draw one line for two columns and tell what a delete does and what is new."""
    assert erd.mermaid(REVIEW.diagram).count("--o|") == 1
    assert '"shop.order" ||--o| "shop.line" : "order_id, no · delete: CASCADE · new"' in erd.mermaid(
        REVIEW.diagram
    )
    drawn = erd.svg(REVIEW.diagram)
    assert drawn.count('marker-end="url(#arrow)"') == 1
    assert "CASCADE · new" in drawn


def test_json_is_json_and_tells_each_finding() -> None:
    """The JSON face parses and lists findings, excuses and sizes."""
    read = json.loads(contents(REVIEW)["review.json"])
    assert [one["findings"] for one in read["dangerous"]] == [["rewrite shop.order"], ["scan shop.line"]]
    assert read["dangerous"][0]["sizes"] == [{"table": "shop.order", "rows": 48210113, "bytes": 9770000000}]


def test_an_empty_review_has_every_face() -> None:
    """No revision: nothing dangerous, and nothing breaks."""
    nothing = Review("18.4", 2000, None, (), ())
    for one in (nothing, REVIEW):
        assert contents(one)["review.json"] == json.dumps(document(one), indent=2, ensure_ascii=False) + "\n"
    assert nothing.verdict == "nothing dangerous seen"
    assert set(contents(nothing)) == {"review.md", "review.html", "review.json", "review.sarif"}
