"""What `airlock revision` says of what it wrote."""

from __future__ import annotations

from airlock.records.revision import Proof, Revised, WrittenRevision
from airlock.records.trace import TracedRevision, TraceReport
from airlock.reports.revision import document, lines


def test_a_trace_that_did_not_see_everything_is_told() -> None:
    """Sound, and not examined to the end: the reason stands in the text and in the document."""
    step = TracedRevision("0002", "Two", "up", True, False, (), unexamined="no sample rows fit")
    made = Revised(
        "18.4", (WrittenRevision("0002", "Two", "0002.py"),), trace=TraceReport("18.4", 1000, (step,)),
        proofs=(Proof("0002", "proved", ""),),
    )  # fmt: skip
    assert made.sound
    assert document(made)["not_examined"] == ["0002 (up): no sample rows fit"]
    told = list(lines(made))
    assert "! not examined: 0002 (up): no sample rows fit" in told
    assert told[-1].endswith("not examined to the end.")
