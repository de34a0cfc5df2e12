"""What a reader before each statement did to others, as sentences and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airlock.reports.text import duration, number, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.records.load import UnderLoad
    from airlock.records.review import Review
    from airlock.records.trace import TracedRevision


def told(review: Review) -> Iterator[tuple[str, str, str]]:
    """Say of each statement that a reader stood before: (place, statement, what came of it)."""
    for step in review.steps:
        for one in step.load:
            where = f"{step.revision} line {one.line}"
            yield from ((where, shorten(one.sql, 96), said) for said in sentences(one, review.blocker_s))
        if step.load_unseen:
            yield step.revision, "", f"not examined behind a reader: {step.load_unseen}"


def documents(step: TracedRevision) -> list[dict[str, Any]]:
    """Build the JSON of every statement that a reader stood before."""
    return [
        {
            "sql": one.sql,
            "line": one.line,
            "alone_ms": round(one.alone_ms, 3),
            "ms": round(one.ms, 3),
            "ratio": round(one.ratio, 1),
            "waited": one.waited,
            "gave_up": one.gave_up or None,
            "queue": [
                {"table": it.table, "sql": it.sql, "ms": round(it.ms, 3), "answered": it.answered}
                for it in one.queue
            ],
        }
        for one in step.load
    ]


def of(step: TracedRevision, sql: str, line: int) -> UnderLoad | None:
    """Find what was seen of one statement."""
    return next((one for one in step.load if (one.sql, one.line) == (sql, line)), None)


def sentences(one: UnderLoad, seconds: float) -> Iterator[str]:
    """Say how long it took behind a reader of so many seconds, and who came behind it."""
    reader = f"a reader of {duration(seconds * 1000)}"
    if one.gave_up:
        yield f"behind {reader}: gives up after {duration(one.ms)}: {one.gave_up}"
    elif not one.waited:
        yield f"{reader} does not hold it up"
        return
    else:
        yield (
            f"behind {reader}: {duration(one.ms)}, alone {duration(one.alone_ms)}:"
            f" others are kept out {number(round(one.ratio))} times as long"
        )
    for waiting in one.queue:
        until = "" if waiting.answered else ", and none before the commit"
        yield f"behind it, of the release below: {shorten(waiting.sql, 96)}: no answer for {duration(waiting.ms)}{until}"
