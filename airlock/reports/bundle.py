"""The review's files: names and contents, nothing written yet."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from airlock.reports import phrases, review_page, trace
from airlock.reports.markdown import markdown
from airlock.reports.sarif import sarif

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airlock.records.review import Review, ReviewedRevision


def files(review: Review, *, version: str, prefix: str = "") -> Iterator[tuple[str, Iterable[str]]]:
    """Give the name and the pieces of every file of the bundle: four faces of the same facts, and two scripts a revision.

    Of a long history a face takes tens of megabytes: none is ever whole in memory.
    """
    yield "review.md", (markdown(review),)
    yield "review.html", review_page.pieces(review)
    yield "review.json", _json_pieces(review)
    yield "review.sarif", (_json(sarif(review, version, prefix)), "\n")
    for revision in review.revisions:
        for script in revision.scripts:
            yield script.name, (script.sql,)


def document(review: Review) -> dict[str, Any]:
    """Build the JSON document."""
    return _around(review, [_revision(one) for one in review.revisions])


def _around(review: Review, revisions: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "verdict": review.verdict,
        "sentence": phrases.headline(review),
        "cut_short": dataclasses.asdict(review.stopped) if review.stopped is not None else None,
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
        "revisions": revisions,
        "differences": [dataclasses.asdict(one) for one in review.differences],
        "diagram": dataclasses.asdict(review.diagram),
        "not_filled": [dataclasses.asdict(one) for one in review.unfilled],
        "cannot_see": list(phrases.CANNOT_SEE),
    }


def _revision(one: ReviewedRevision) -> dict[str, Any]:
    return {
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


def _json_pieces(review: Review) -> Iterator[str]:
    """Spell the document as `_json` does, a revision a piece."""
    opening = "{\n"
    for key, value in _around(review, []).items():
        yield f"{opening}  {_json(key)}: "
        opening = ",\n"
        if key != "revisions" or not review.revisions:
            yield _indented(value, 1)
            continue
        for number, one in enumerate(review.revisions):
            yield f"{',' if number else '['}\n    {_indented(_revision(one), 2)}"
        yield "\n  ]"
    yield "\n}\n"


def _indented(value: Any, depth: int) -> str:
    # Within a text JSON escapes a line's end.
    return _json(value).replace("\n", "\n" + depth * "  ")


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
