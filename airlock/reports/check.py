"""What `airlock check` found, as text and as a JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airlock.reports.text import count, duration, near

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.records.check import CheckReport


# What a rule that was asked has shown, where nothing is held against it.
_PROVED = {
    "heads": "one head",
    "imports": "no import but alembic and sqlalchemy",
    "docstring": "Why, Locks and Undo answered",
    "models": "the models reached",
    "danger": "nothing dangerous without an excuse",
    "proof": "undone exactly",
}


def document(report: CheckReport) -> dict[str, Any]:
    """Build the JSON document."""
    return {
        "verdict": "refused" if report.faults else "not examined" if report.unseen else "proved",
        "server_version": report.server_version,
        "revisions": report.revisions,
        "faults": [
            {"path": near(one.path), "line": one.line, "question": one.question, "text": one.text}
            for one in report.faults
        ],
        "not_examined": list(report.unseen),
        "rules": list(report.rules),
        "known_revisions": report.left_out,
        "excused": list(report.excused),
        "ms": round(report.elapsed_ms),
        "parts_ms": {name: round(ms) for name, ms in sorted(report.parts_ms.items())},
    }


def lines(report: CheckReport) -> Iterator[str]:
    """List the faults as compilers do, then what was excused or not seen, the verdict last."""
    yield from (f"{near(one.path)}:{one.line}: {one.question}: {one.text}" for one in report.faults)
    yield from (f"excused: {one}" for one in report.excused)
    yield from (f"not examined: {one}" for one in report.unseen)
    yield verdict(report)


def verdict(report: CheckReport) -> str:
    """Say in one sentence how the history stands."""
    judged = report.revisions - report.left_out
    known = f" ({count(report.left_out, 'revision')} known before)" if report.left_out else ""
    what = f"{count(judged, 'revision')}{known}"
    where = f"on PostgreSQL {report.server_version}, " if report.server_version else ""
    took = f"{where}in {duration(report.elapsed_ms)}"
    if report.faults:
        return f"refused: {count(len(report.faults), 'fault')} in {what}, {took}."
    if report.unseen:
        return f"not examined: {count(len(report.unseen), 'question')} of {what} without an answer, {took}."
    held = [_PROVED[name] for name in _PROVED if name in report.rules]
    told = (
        ", ".join(held[:-1]) + (" and " if len(held) > 1 else "") + "".join(held[-1:])
        if held
        else "nothing was asked"
    )
    if report.left_out and not judged:
        what = f"no new revision{known}"
    return f"proved: {what}: {told}, {took}."
