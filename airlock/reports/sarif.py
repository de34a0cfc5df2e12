"""A review as SARIF 2.1.0, for code scanning: each dangerous statement at its file and line."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airlock.reports import phrases

if TYPE_CHECKING:
    from airlock.records.review import Danger, Review

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_RULES = {
    "rewrite": (
        "RewriteUnderLock",
        "A table is rewritten while reads or writes of a table that existed before wait.",
        "The wait grows with the table. Add a new column and move the values in batches instead.",
    ),
    "scan": (
        "ScanUnderLock",
        "A table is read from end to end while reads or writes of a table that existed before wait.",
        (
            "The wait grows with the table. Add the constraint NOT VALID and validate it in a revision of its own,"
            " or build the index concurrently."
        ),
    ),
}


def sarif(review: Review, version: str, prefix: str = "") -> dict[str, Any]:
    """Build the document; `prefix` leads from the repository's root to the project's directory."""
    results = [_result(danger, finding, prefix) for danger in review.dangers for finding in danger.findings]
    unseen = [
        {"level": "warning", "message": {"text": f"{one.table} could not be filled with rows: {one.reason}"}}
        for one in review.unfilled
    ]
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
                                "id": rule,
                                "name": name,
                                "shortDescription": {"text": short},
                                "help": {"text": text},
                                "defaultConfiguration": {"level": "error"},
                            }
                            for rule, (name, short, text) in _RULES.items()
                        ],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": unseen}],
                "properties": {"verdict": review.verdict, "server_version": review.server_version},
                "results": results,
            }
        ],
    }


def _result(danger: Danger, finding: str, prefix: str) -> dict[str, Any]:
    statement = danger.statement
    kind, _, name = finding.partition(" ")
    rule = list(_RULES).index(kind)
    told = "; ".join(phrases.danger_sentences(danger))
    excuse = dict(danger.accepted).get(finding)
    key = f"{danger.revision} {danger.direction} {finding} {' '.join(statement.sql.split())}"
    result: dict[str, Any] = {
        "ruleId": kind,
        "ruleIndex": rule,
        "level": "error",
        "message": {"text": f"{phrases.title(danger.title)} ({danger.direction}), {name}: {told}."},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(f"{prefix}{statement.file}")},
                    "region": {"startLine": max(statement.line, 1)},
                }
            }
        ],
        "partialFingerprints": {"airlockFinding/v1": hashlib.sha256(key.encode()).hexdigest()[:32]},
    }
    if excuse is not None:
        result["suppressions"] = [{"kind": "inSource", "justification": excuse}]
    return result
