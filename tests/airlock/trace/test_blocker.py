"""`trace --blocker`: behind a reader a statement keeps others out for as long as the reader reads, and they are named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airlock.operations.trace import trace
from airlock.reports import load
from airlock.reports.trace import document, lines
from tests.airlock.histories import Revision, write_project

if TYPE_CHECKING:
    from airlock.records.load import UnderLoad
    from airlock.records.trace import TraceReport
    from tests.servers import Server

AUTOCOMMIT = "with op.get_context().autocommit_block():\n    op.execute({!r})"
REVISIONS = [
    Revision("0001", """
    op.execute("CREATE TABLE task (id int PRIMARY KEY, note text)")
    op.execute("CREATE TABLE other (id int PRIMARY KEY)")
    """),
    Revision("0002", 'op.execute("ALTER TABLE task ADD x int")\nop.execute("ALTER TABLE task ADD y int")'),
    Revision("0003", 'op.execute("CREATE INDEX ix ON task (note)")'),
    Revision("0004", AUTOCOMMIT.format("CREATE INDEX CONCURRENTLY iy ON task (note)")),
    Revision("0005", 'op.execute("SET LOCAL lock_timeout = 200")\nop.execute("ALTER TABLE other ADD x int")'),
    Revision("0006", 'op.execute("DROP INDEX ix")'),
]  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, server: Server) -> TraceReport:
    """One trace of all of them, each statement behind a reader of a second."""
    ini = write_project(tmp_path_factory.mktemp("history"), REVISIONS)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(ini.parent)
        return trace(ini, rows=50, scratch=server.admin_url, blocker_s=1.0)


def _seen(report: TraceReport, revision: str) -> tuple[UnderLoad, ...]:
    (step,) = (one for one in report.revisions if (one.revision, one.direction) == (revision, "up"))
    assert step.load_unseen == ""
    return step.load


@pytest.mark.proof
def test_what_waits_for_a_reader_keeps_others_out_as_long(report: TraceReport) -> None:
    """Reads and writes of the release below have no answer until then, and none before the commit."""
    (first,) = _seen(report, "0002")
    assert (first.waited, first.ms >= 500, first.ratio > 50) == (True, True, True)
    words = {one.sql.partition(" ")[0] for one in first.queue}
    assert words == {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert not any(one.answered for one in first.queue)
    # The second statement asks for nothing new: no reader can stand before it.
    assert first.sql.endswith("ADD x int")


@pytest.mark.proof
def test_what_a_reader_does_not_hold_up_is_said(report: TraceReport) -> None:
    """SHARE and a reader get along; CONCURRENTLY waits for it and keeps nobody out."""
    (index,) = _seen(report, "0003")
    assert (index.waited, index.queue) == (False, ())
    (concurrently,) = _seen(report, "0004")
    assert (concurrently.waited, concurrently.queue) == (True, ())


@pytest.mark.proof
def test_what_gives_up_is_said_and_the_rest_goes_on(report: TraceReport) -> None:
    """A lock timeout of its own ends it; the next revision is looked at as if it had not."""
    (given_up,) = _seen(report, "0005")
    assert ("lock timeout" in given_up.gave_up, given_up.waited, given_up.ms < 1_000) == (True, True, True)
    (after,) = _seen(report, "0006")
    assert (after.waited, len(after.queue)) == (True, 4)


@pytest.mark.proof
def test_it_is_told_below_the_statement_and_as_data(report: TraceReport) -> None:
    """In the words of a person, and in numbers."""
    told = "\n".join(lines(report))
    assert "a reader of 1.0 s does not hold it up" in told
    assert "behind it, of the release below: SELECT id, note FROM public.task: no answer for " in told
    found = document(report)
    assert found["blocker_seconds"] == 1.0
    (one,) = next(
        it["load"] for it in found["revisions"] if it["revision"] == "0002" and it["direction"] == "up"
    )
    assert one["ratio"] > 50


def test_the_sentence_says_how_many_times_as_long() -> None:
    """The time alone and the time then are both there."""
    from airlock.records.load import UnderLoad, Waiting

    one = UnderLoad("ALTER …", 3, 2.0, 5_000.0, True, (Waiting("public.t", "SELECT …", 4_900.0, True),))
    assert list(load.sentences(one, 5)) == [
        "behind a reader of 5.0 s: 5.0 s, alone 2.0 ms: others are kept out 2,500 times as long",
        "behind it, of the release below: SELECT …: no answer for 4.9 s",
    ]
