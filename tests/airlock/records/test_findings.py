"""Every finding has an id that stays, and a section in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

from airlock.records.findings import KINDS, Finding
from airlock.records.locks import LockMode
from airlock.records.trace import Lock, StatementRecord

PAGE = Path(__file__).parents[3] / "docs/findings.md"


def test_every_kind_has_its_section_and_the_page_has_no_other() -> None:
    """The anchors that reports point to are there."""
    assert re.findall(r"^## (\S+)$", PAGE.read_text(), re.MULTILINE) == list(KINDS)


def test_an_acceptance_names_the_finding_or_its_kind() -> None:
    """Another object's reason is none."""
    one = Finding("breaks", "shop.order", "…")
    assert one.accepted({"breaks shop.order": "this"}) == one.accepted({"breaks": "this"}) == "this"
    assert one.accepted({"breaks shop.line": "that", "scan": "that"}) == ""
    statement = Finding("scan", "shop.order", "…", "CREATE INDEX ix\n  ON shop.order (a)")
    assert statement.accepted({"CREATE INDEX ix ON shop.order (a);": "small"}) == "small"
    assert statement.accepted({"CREATE INDEX ix ON shop.order (b)": "small", "": "small"}) == ""
    assert one.accepted({"": "no statement is none"}) == ""


def test_a_dangerous_statement_is_a_finding_at_its_line() -> None:
    """A rewrite is not told as a scan as well."""
    one = StatementRecord(
        "ALTER …", "0002.py", 7, 1.0, 0, True, locks=(Lock("t", LockMode.ACCESS_EXCLUSIVE),), rewrites=("t",),
        scans=("t", "u"), blocks="reads and writes", dangerous=True,
    )  # fmt: skip
    assert [(it.name, it.line) for it in one.as_findings()] == [("rewrite t", 7), ("scan u", 7)]
