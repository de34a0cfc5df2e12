"""The review's files: names and contents, nothing written yet."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from airlock.reports import phrases, trace
from airlock.reports.markdown import markdown
from airlock.reports.review_page import html
from airlock.reports.sarif import sarif

if TYPE_CHECKING:
    from airlock.records.review import Review


def files(review: Review, *, version: str, prefix: str = "") -> dict[str, str]:
    """Write every file of the bundle as text: four faces of the same facts, and two scripts a revision."""
    made = {
        "review.md": markdown(review),
        "review.html": html(review),
        "review.json": _json(document(review)),
        "review.sarif": _json(sarif(review, version, prefix)),
    }
    return made | {script.name: script.sql for revision in review.revisions for script in revision.scripts}


def document(review: Review) -> dict[str, Any]:
    """Build the JSON document."""
    return {
        "verdict": review.verdict,
        "sentence": phrases.headline(review),
        "server_version": review.server_version,
        "rows": review.rows,
        "target": review.target,
        "blocker_seconds": review.blocker_s or None,
        "second_reader": review.linter or None,
        "dangerous": [
            {
                "revision": danger.revision,
                "direction": danger.direction,
                "findings": list(danger.findings),
                "accepted": dict(danger.accepted),
                "excused": danger.excused,
                "sql": danger.statement.sql,
                "file": danger.statement.file,
                "line": danger.statement.line,
                "blocks": danger.statement.blocks,
                "sizes": [dataclasses.asdict(size) for size in danger.sizes],
                "expected_ms": danger.expected_ms,
                "sentences": list(phrases.danger_sentences(danger)),
                "instead": [trace.safer_document(one) for one in danger.instead],
            }
            for danger in review.dangers
        ],
        "revisions": [
            {
                "revision": one.revision,
                "title": one.title,
                "path": one.path,
                "why": one.why,
                "locks": one.locks,
                "undo": one.undo,
                "up": trace.revision_document(one.up),
                "down": trace.revision_document(one.down) if one.down is not None else None,
                "losses": [dataclasses.asdict(loss) for loss in one.losses],
                "kept": dict(one.kept),
                "scripts": [{"name": script.name, "note": script.note} for script in one.scripts],
                "second_reader": {
                    "up": [dataclasses.asdict(said) for said in one.seconds_up],
                    "down": [dataclasses.asdict(said) for said in one.seconds_down],
                },
            }
            for one in review.revisions
        ],
        "differences": [dataclasses.asdict(one) for one in review.differences],
        "diagram": dataclasses.asdict(review.diagram),
        "not_filled": [dataclasses.asdict(one) for one in review.unfilled],
        "cannot_see": list(phrases.CANNOT_SEE),
    }


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
