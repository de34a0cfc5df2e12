"""What a report says, in each of its forms, of revisions that are refused or were not examined."""

from __future__ import annotations

import dataclasses
import io
import re
import sys
import xml.etree.ElementTree as ET

import pytest

from airlock.commands import drill as command
from airlock.operations.drill import compare, comparisons
from airlock.records.difference import Difference
from airlock.records.drill import (
    NOT_EXAMINED,
    PROVED,
    REFUSED,
    Broken,
    Condition,
    Cut,
    DrillProgress,
    DrillReport,
    Held,
    Kept,
    Loss,
    Met,
    RevisionProof,
    Stall,
    Timings,
    Touched,
    Tried,
    Way,
)
from airlock.records.rows import Fill, Rate
from airlock.reports.drill import details, document, lines, progress
from airlock.reports.drill_page import html
from airlock.reports.junit import junit

PROOFS = (
    RevisionProof(
        "aaa", "Add task.due_at, nullable", PROVED, ms=Timings(4.2, 12.5, 5.0),
        losses=(Loss("phase2.task.due_at", 3, "the column goes"),), kept=(Kept("phase2.task.priority", "NULL meant 1"),),
        stalls=(Stall("up", 700, 0.4, 13.0, 217.0),), held=(Held("phase2.task", "ACCESS EXCLUSIVE", "up"),),
        touched=(Touched("phase2.task", 200_000),),
        conditions=(
            Condition("phase2.task.due", "NULL, where there must be a value below", "SELECT 1",
                      Tried("due = NULL", "goes down", "fails", "no <NULL>")),
            Condition("phase2.log", "rows that are alike", "SELECT 2", not_tried="its table holds no row"),
        ),
    ),
    RevisionProof(
        "bbb", "Forget <things> & more", REFUSED, "1 difference after down",
        differences=(
            Difference("index phase2.ix", "index", None, "CREATE INDEX ix ON phase2.task (id)"),
            Difference("phase2.task", "rows", "40 rows", "3 of them gone, one of them 7"),
            Difference("phase2.task.title", "column", "text", None),
        ),
        broken=(Broken("up", "select phase2.task", 'column "v" does not exist', 41),),
        cuts=(Cut("up", 3, "CREATE TABLE b", "the rerun fails: DuplicateTable", False),),
    ),
    RevisionProof("ccc", "Go one way", NOT_EXAMINED, "irreversible: 0 and NULL are indistinguishable afterwards"),
)  # fmt: skip
REPORT = DrillReport(
    "18.4", PROOFS, (Fill("phase2.audit", 0, 40, "never here"),), ("reader",), 40, 20, True, 83_211.0, 400_000, 4_000.0,
    (Rate("phase2.part", 10_000, 200.0, None, "it is partitioned"), Rate("phase2.task", 200_000, 2_000.0, 1_600.0)),
)  # fmt: skip


def test_the_text_ends_with_the_verdict_and_names_every_fault() -> None:
    """Each revision in a line, sentences below it, the whole verdict last."""
    said = list(lines(REPORT))
    assert said[0] == "= aaa  proved        Add task.due_at, nullable  +4.2 ms -12 ms +5.0 ms"
    assert "    index phase2.ix: index is left behind (CREATE INDEX ix ON phase2.task (id))" in said
    assert "    phase2.task: rows was 40 rows, is 3 of them gone, one of them 7" in said
    assert "    phase2.task.title: column does not come back (was: text)" in said
    assert '    select phase2.task fails on the upgraded schema: column "v" does not exist (41 times)' in said
    assert "    cut up at statement 3 (CREATE TABLE b): the rerun fails: DuplicateTable" in said
    assert "  phase2.audit: no rows of 40, because never here" in said
    assert said[-1] == (
        "refused: 3 revisions, 1 proved, 1 refused and 1 not examined, longest stall 217 ms (PostgreSQL 18.4, 1 min 23 s)"
    )


def test_a_condition_stands_with_what_became_of_it_in_scratch() -> None:
    """Text, HTML and JSON tell the query, how the step went with such a row, and why where it was not tried."""
    said, page = "\n".join(lines(REPORT)), html(REPORT)
    first, second = document(REPORT)["revisions"][0]["conditions"]
    assert (
        "proved while this counts no row of phase2.task.due (NULL, where there must be a value below): SELECT 1"
        in said
    )
    faulty = dataclasses.replace(PROOFS[0], verdict=REFUSED)
    assert any(
        line.startswith("beside that, it goes down only while this counts no row of")
        for line in details(faulty)
    )
    assert "tried: with none it goes down, with one (due = NULL) it fails (no <NULL>)" in said
    assert "not tried: its table holds no row" in said
    assert "with one (due = NULL) it fails (no &lt;NULL&gt;)" in page
    assert "not tried: its table holds no row" in page
    assert first["tried"] == {
        "row": "due = NULL",
        "with_none": "goes down",
        "with_one": "fails",
        "said": "no <NULL>",
    }
    assert (second["tried"], second["not_tried"]) == (None, "its table holds no row")


def test_a_refusal_tells_what_is_above_the_upgrade_from_what_is_behind_the_downgrade() -> None:
    """A sequence that hands out keys of the rows that the upgrade wrote has nothing to do with the way down."""
    gone = Difference("table public.a", "table", "there", None)
    behind = Difference("sequence public.a_id_seq", compare.ABOVE, None, "1, but public.a.id holds up to 2")
    assert compare.counted([gone], [], []) == "1 difference after down"
    assert compare.counted([behind], [], []) == "1 sequence after the upgrade hands out used keys"
    assert compare.counted([gone, gone, behind, behind], [], []) == (
        "2 differences after down, 2 sequences after the upgrade hand out used keys"
    )


def test_time_and_stall_stand_beside_the_rows() -> None:
    """Each step over big tables tells its time, its worst lock and its longest stall with the rows; in every form."""
    told = (
        "200,000 rows (phase2.task 200,000): up 4.2 ms, ACCESS EXCLUSIVE for at most 4.2 ms, longest stall 217 ms; "
        "down 12 ms, nothing locked until its end"
    )
    assert f"    {told}" in lines(REPORT)
    assert document(REPORT)["revisions"][0]["touched"] == [{"table": "phase2.task", "rows": 200_000}]
    page = html(REPORT)
    assert "Time and stall against rows" in page
    assert "ACCESS EXCLUSIVE for at most 4.2 ms" in page
    assert "Time and stall against rows" not in html(DrillReport("18.4", PROOFS[1:]))


def test_the_page_says_its_verdict_once_and_folds_up_what_went_well() -> None:
    """A crash that was put right is counted; one that was not stands open in a table."""
    good = dataclasses.replace(
        PROOFS[1], cuts=(*PROOFS[1].cuts, Cut("up", 4, "CREATE TABLE c", "the rerun arrived", True))
    )
    page = html(DrillReport("18.4", (good,)))
    assert "<p>refused</p><p>1 revision (PostgreSQL 18.4, 0.0 ms)</p>" in page
    open_table, folded = (
        page.index("the rerun fails: DuplicateTable"),
        page.index("1 crash: the run after each"),
    )
    assert open_table < folded < page.index("CREATE TABLE c")
    assert "the rerun arrived" not in page


def test_the_rate_of_rows_stands_beside_the_one_by_hand() -> None:
    """Rows a second, by hand, and the ratio; where nothing can be written by hand, why."""
    said = list(lines(REPORT))
    assert "  400,000 sample rows made in 4.0 s (100,000 a second)" in said
    assert (
        "    phase2.task: 200,000 rows, 100,000 a second; by hand (INSERT … SELECT generate_series, the same keys and "
        "indexes) 125,000 a second: 1.25 x the time"
    ) in said
    assert "    phase2.part: 10,000 rows, 50,000 a second; by hand not at all: it is partitioned" in said
    assert document(REPORT)["rates"][1] == {
        "table": "phase2.task", "rows": 200_000, "ms": 2_000.0, "rows_a_second": 100_000,
        "by_hand": {"ms": 1_600.0, "rows_a_second": 125_000}, "ratio": 1.25, "reason": None,
    }  # fmt: skip
    page = html(REPORT)
    assert "1.25 x" in page
    assert "it is partitioned" in page


@pytest.mark.parametrize(
    ("proofs", "verdict"),
    [((), PROVED), (PROOFS[:1], PROVED), (PROOFS[::2], NOT_EXAMINED), (PROOFS, REFUSED)],
)
def test_the_verdict_is_the_worst_of_all(proofs: tuple[RevisionProof, ...], verdict: str) -> None:
    """Never green for what was not looked at."""
    assert DrillReport("18.4", proofs).verdict == verdict


def test_the_document_keeps_to_its_contract() -> None:
    """The keys that the design promises, with their values."""
    found = document(REPORT)
    assert (found["verdict"], found["server_version"]) == (REFUSED, "18.4")
    first, second, _ = found["revisions"]
    assert first["ms"] == {"up": 4.2, "down": 12.5, "again": 5.0}
    assert first["losses"] == [{"object": "phase2.task.due_at", "rows": 3, "why": "the column goes"}]
    assert second["differences"][0] == {
        "object": "index phase2.ix", "kind": "index", "before": None, "after": "CREATE INDEX ix ON phase2.task (id)",
    }  # fmt: skip


def test_junit_marks_failures_and_skips() -> None:
    """A refused revision fails with its sentences, one that was not examined is skipped with its reason."""
    suite = ET.fromstring(junit(REPORT)).find("testsuite")  # noqa: S314  our own text
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "is left behind" in str(failure.text)
    skipped = suite.find("testcase/skipped")
    assert skipped is not None
    assert str(skipped.get("message")).startswith("irreversible")


def test_the_page_escapes_and_says_the_verdict_first() -> None:
    """Titles are text, not markup; the verdict stands in the title and before the evidence."""
    page = html(REPORT)
    assert "<title>refused: airlock drill</title>" in page
    assert "Forget &lt;things&gt; &amp; more" in page
    assert (
        page.index("<p>refused</p>") < page.index("All revisions") < page.index("What this drill cannot see")
    )
    assert html(REPORT) == page


def test_the_strip_is_coloured_and_worded() -> None:
    """Each verdict has a fill and a letter of its own, and the title says it in words: it reads in grey."""
    page = html(REPORT)
    boxes = re.findall(
        r'<a href="#(\w+)"><title>([^<]*)</title><rect [^>]*fill="(#\w+)"[^>]*>.*?<text[^>]*>(.)</text>', page
    )
    assert [(name, title.rpartition(": ")[2], letter) for name, title, _, letter in boxes] == [
        ("aaa", "proved", "P"), ("bbb", "refused", "R"), ("ccc", "not examined", "?"),
    ]  # fmt: skip
    assert len({fill for _, _, fill, _ in boxes}) == 3
    assert "P proved · R refused · ? not examined · I irreversible" in page


def test_progress_says_where_and_how_long() -> None:
    """Revision i of n, its phase, the time so far, and what is left after the first."""
    assert progress(DrillProgress(1, 7, "aaa", "up"), 400.0) == "revision 1 of 7 (aaa): up, 400 ms"
    assert (
        progress(DrillProgress(4, 7, "ddd", "down"), 3_000.0)
        == "revision 4 of 7 (ddd): down, 3.0 s, about 4.0 s left"
    )


def test_progress_is_one_line_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every phase overwrites the line before it; at the end the line is gone. Elsewhere each revision is a line."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    phases = [
        DrillProgress(1, 2, "aaa", "up"),
        DrillProgress(1, 2, "aaa", "down"),
        DrillProgress(2, 2, "bbb", "up"),
    ]
    for stream, lines_written in ((Terminal(), 0), (io.StringIO(), 2)):
        monkeypatch.setattr(sys, "stderr", stream)
        show = command._Progress()
        for phase in phases:
            show(phase)
        show.end()
        written = stream.getvalue()
        assert written.count("\n") == lines_written
        assert written.count("\r\033[K") == (0 if lines_written else len(phases) + 1)
        assert "revision 2 of 2 (bbb): up" in written
        assert "left" in written
    assert Terminal().isatty()


def test_junit_holds_whatever_a_server_says() -> None:
    """What XML cannot hold is left out, and the rest is still well-formed."""
    proof = RevisionProof("a\x00b", "t\x1b[31m \ufffe", REFUSED, 'he said "<no>" & left\x08')
    suite = ET.fromstring(junit(DrillReport("18.4", (proof,)))).find("testsuite")  # noqa: S314  our own text
    assert suite is not None
    assert str(suite.find("testcase/failure").get("message")) == 'he said "<no>" & left'  # type: ignore[union-attr]


def test_every_comparison_is_on() -> None:
    """The switches are for tests alone."""
    assert all((comparisons.SEQUENCES, comparisons.ROWS, comparisons.VALUES, comparisons.AGAIN))
    assert frozenset() == comparisons.BLIND


def test_what_data_statements_met_is_shown_everywhere() -> None:
    """Rows changed and left, each way met or not, and what cannot be told: in text, JSON and on the page."""
    met = (
        Met(
            "up",
            "r2.py:14",
            "UPDATE t SET a = '…' WHERE b",
            3,
            37,
            (Way("WHEN c", 2), Way("ELSE d", 0), Way("OR e", None)),
            "x",
        ),
        Met("down", "r2.py:20", "session.add(row)", 0, problem="not come to", passed_by=True),
        Met("up", "r2.py:15", "DO $$ … $$", None),
    )
    report = DrillReport("18.4", (RevisionProof("aaa", "Fill it", NOT_EXAMINED, "x", met=met),))
    text = "\n".join(lines(report))
    assert (
        "up r2.py:14: UPDATE t SET a = '…' WHERE b: 3 rows changed, 37 left, WHEN c: 2, ELSE d: not met, OR e: untold"
        in text
    )
    assert "down r2.py:20: session.add(row): not come to" in text
    assert "changed untold" in text
    data = document(report)["revisions"][0]["data"]
    assert data[0]["ways"] == [
        {"text": "WHEN c", "rows": 2}, {"text": "ELSE d", "rows": 0}, {"text": "OR e", "rows": None},
    ]  # fmt: skip
    assert (data[0]["changed"], data[0]["left"], data[2]["changed"]) == (3, 37, None)
    assert "Rows that data statements met" in html(report)
