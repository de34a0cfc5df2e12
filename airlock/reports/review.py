"""What `airlock review` says on a terminal: every danger, where the bundle is, the verdict last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.reports import phrases
from airlock.reports.text import count, near
from airlock.reports.trace import instead_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airlock.records.findings import Safer
    from airlock.records.review import Review


def lines(review: Review, out: Path, files: int) -> Iterator[str]:
    """Tell each danger and what would excuse it, how many files are in `out`, and the verdict."""
    shown: set[Safer] = set()
    for danger in review.dangers:
        place = f"{danger.revision} ({danger.direction}) {danger.statement.file}:{danger.statement.line}"
        for sentence in (
            *phrases.danger_sentences(danger), *phrases.otherwise(danger), phrases.answer(danger),
        ):  # fmt: skip
            yield f"{place}  {sentence}"
        # Of several statements of one step the same revisions come in place.
        for safer in (one for one in danger.instead if one not in shown):
            shown.add(safer)
            yield f"    instead, for {safer.table}:"
            yield from (f"      {line}" for line in instead_lines(safer))
    yield from (f"{where}  {sentence}; {what}" for where, sentence, what in phrases.told(review))
    yield from (f"{step.revision} ({step.direction})  not examined: {why}" for step, why in review.unexamined)
    yield f"{count(files, 'file')} in {near(out)}"
    sentence = phrases.headline(review).rstrip(".")
    yield f"{review.verdict}: {sentence[:1].lower()}{sentence[1:]} (PostgreSQL {review.server_version})"
