"""A drill as JUnit XML: one test case per revision, for pipelines that show such things."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from airlock.records.drill import IRREVERSIBLE, NOT_EXAMINED, REFUSED
from airlock.reports.drill import details, headline

if TYPE_CHECKING:
    from airlock.records.drill import DrillReport, RevisionProof

_SKIPPED = (NOT_EXAMINED, IRREVERSIBLE)
_UNREPRESENTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: DrillReport) -> str:
    """Write the document: a refused revision is a failure, one that was not examined or has no way back is skipped."""
    failures = sum(proof.verdict == REFUSED for proof in report.revisions)
    skipped = sum(proof.verdict in _SKIPPED for proof in report.revisions)
    counts = f'tests="{len(report.revisions)}" failures="{failures}" errors="0" skipped="{skipped}"'
    cases = "".join(_case(proof) for proof in report.revisions)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuites {counts} time="{report.elapsed_ms / 1000:.3f}">\n'
        f'<testsuite name="airlock drill" {counts} time="{report.elapsed_ms / 1000:.3f}">\n'
        f'<properties><property name="server_version" value={quoteattr(report.server_version)}/>'
        f'<property name="verdict" value={quoteattr(report.verdict)}/></properties>\n'
        f"{cases}<system-out>{_text(headline(report))}</system-out>\n</testsuite>\n</testsuites>\n"
    )


def _case(proof: RevisionProof) -> str:
    seconds = sum(ms or 0.0 for ms in (proof.ms.up, proof.ms.down, proof.ms.again)) / 1000
    said = "\n".join(details(proof))
    inside = f"<system-out>{_text(said)}</system-out>" if said else ""
    if proof.verdict == REFUSED:
        inside = f'<failure message={_attribute(proof.reason)} type="refused">{_text(said)}</failure>'
    elif proof.verdict in _SKIPPED:
        inside = f"<skipped message={_attribute(proof.reason)}/>"
    name = _attribute(f"{proof.revision} {proof.title}")
    return f'<testcase classname="airlock.drill" name={name} time="{seconds:.3f}">{inside}</testcase>\n'


def _text(value: str) -> str:
    return escape(_representable(value))


def _attribute(value: str) -> str:
    return quoteattr(_representable(" ".join(value.splitlines())))


def _representable(value: str) -> str:
    """Leave out what XML 1.0 cannot hold."""
    return _UNREPRESENTABLE.sub("", value)
