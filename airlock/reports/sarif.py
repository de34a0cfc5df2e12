"""A review as SARIF 2.1.0, for code scanning: each dangerous statement at its file and line."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airlock.records.findings import KINDS
from airlock.reports import phrases
from airlock.reports.trace import instead_lines

if TYPE_CHECKING:
    from airlock.records.findings import Finding, Safer
    from airlock.records.review import Danger, Review
    from airlock.records.trace import StatementRecord, TracedRevision

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(review: Review, version: str, prefix: str = "") -> dict[str, Any]:
    """Build the document; `prefix` leads from the repository's root to the project's directory."""
    results = [_result(danger, finding, prefix) for danger in review.dangers for finding in danger.findings]
    results += [_told(step, finding, prefix) for step, finding in review.told]
    unseen = [
        {"level": "warning", "message": {"text": f"{one.table} held too few rows to tell: {one.reason}"}}
        for one in review.unfilled
    ]
    unseen += [
        {
            "level": "warning",
            "message": {"text": f"{step.revision} ({step.direction}) was not examined: {why}"},
        }
        for step, why in review.unexamined
    ]
    if review.stopped is not None:
        sentence = phrases.stopped(review.stopped, len(review.revisions))
        unseen.append({"level": "error", "message": {"text": sentence}})
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "airlock",
                        "semanticVersion": version,
                        "rules": [
                            {
                                "id": kind.id,
                                "name": kind.name,
                                "shortDescription": {"text": kind.sentence},
                                "help": {"text": kind.safe},
                                "defaultConfiguration": {"level": "error" if kind.refuses else "warning"},
                            }
                            for kind in KINDS.values()
                        ],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "invocations": [
                    {"executionSuccessful": review.stopped is None, "toolExecutionNotifications": unseen}
                ],
                "properties": {"verdict": review.verdict, "server_version": review.server_version},
                "results": results,
            }
        ],
    }


def _result(danger: Danger, finding: str, prefix: str) -> dict[str, Any]:
    statement = danger.statement
    kind, _, name = finding.partition(" ")
    told = "; ".join(phrases.danger_sentences(danger))
    made = _made(
        kind, f"{phrases.title(danger.title)} ({danger.direction}), {name}: {told}.", statement.file,
        statement.line, prefix, f"{danger.revision} {danger.direction} {finding} {' '.join(statement.sql.split())}",
        dict(danger.accepted).get(finding),
    )  # fmt: skip
    instead = [one for one in danger.instead if one.table == name]
    if instead:
        made["fixes"] = [_fix(one, statement, prefix) for one in instead]
    return made


def _fix(safer: Safer, statement: StatementRecord, prefix: str) -> dict[str, Any]:
    """Tell the revisions to write in place of the statement: a comment above it, for no tool can order revisions."""
    told = "\n".join(instead_lines(safer))
    comment = "".join(
        f"    # {line}\n" for line in ("Instead, in revisions of their own:", *told.splitlines())
    )
    line = max(statement.line, 1)
    region = {"startLine": line, "startColumn": 1, "endLine": line, "endColumn": 1}
    return {
        "description": {"text": f"For {safer.table}, in place of this statement:\n{told}"},
        "artifactChanges": [
            {
                "artifactLocation": {"uri": quote(f"{prefix}{statement.file}")},
                "replacements": [{"deletedRegion": region, "insertedContent": {"text": comment}}],
            }
        ],
    }


def _told(step: TracedRevision, finding: Finding, prefix: str) -> dict[str, Any]:
    return _made(
        finding.id, f"{phrases.title(step.title)} ({step.direction}), {finding.object}: {finding.sentence}.",
        finding.file, finding.line, prefix, f"{step.revision} {step.direction} {finding.name} {' '.join(finding.sql.split())}",
        finding.accepted(step.accepted) or None,
    )  # fmt: skip


def _made(
    kind: str, text: str, file: str, line: int, prefix: str, key: str, excuse: str | None
) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": kind,
        "ruleIndex": list(KINDS).index(kind),
        "level": "error" if KINDS[kind].refuses else "warning",
        "message": {"text": text},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(f"{prefix}{file}")},
                    "region": {"startLine": max(line, 1)},
                }
            }
        ],
        "partialFingerprints": {"airlockFinding/v1": hashlib.sha256(key.encode()).hexdigest()[:32]},
    }
    if excuse is not None:
        result["suppressions"] = [{"kind": "inSource", "justification": excuse}]
    return result
