"""What `airlock revision` wrote, as text and as a JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airlock.reports.text import count, near

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.records.revision import Revised, WrittenRevision


def document(revised: Revised) -> dict[str, Any]:
    """Build the JSON document."""
    return {
        "server_version": revised.server_version,
        "sound": revised.sound,
        "kept": revised.kept,
        "instead_of": revised.instead_of or None,
        "written": [
            {"revision": one.revision, "title": one.title, "path": one.path, "fill_in": list(one.open)}
            for one in revised.written
        ],
        "remarks": [{"object": one.object, "text": one.text} for one in revised.remarks],
        "dangerous": [
            {"revision": revision, "direction": direction, "finding": finding}
            for revision, direction, finding in revised.dangerous
        ],
        "verdicts": [
            {"revision": one.revision, "verdict": one.verdict, "reason": one.reason} for one in revised.proofs
        ],
        "unproved": revised.unproved or None,
        "not_examined": list(revised.unexamined),
        "left": list(revised.left),
        "differences": [
            {"object": one.object, "kind": one.kind, "before": one.before, "after": one.after}
            for one in revised.differences
        ],
    }


def lines(revised: Revised) -> Iterator[str]:
    """Tell what was written, what is still to be said, and the verdict last."""
    for one in revised.written:
        yield f"+ {one.revision} {one.title}"
        yield f"    {near(one.path)}" if revised.kept else f"    {near(one.path)}, removed again"
        yield from (f"    {line}" for line in one.open)
        yield from _verdict(revised, one)
    for remark in revised.remarks:
        yield f"! {remark.object}: {remark.text}"
    for difference in revised.differences:
        if not difference.is_note:
            wanted, made = (
                (f"{revised.instead_of} makes", "they make")
                if revised.instead_of
                else ("the models make", "the history")
            )
            yield (
                f"! {difference.object}: {difference.kind}: {wanted} {difference.before or 'none'},"
                f" {made} {difference.after or 'none'}"
            )
    yield from (f"! still to be written: {one}" for one in revised.left)
    yield from (f"! not examined: {one}" for one in revised.unexamined)
    if revised.unproved:
        yield f"! not examined: {revised.unproved}"
    yield verdict(revised)


def verdict(revised: Revised) -> str:
    """Say in one sentence how it stands."""
    where = f"on PostgreSQL {revised.server_version}"
    if not revised.written and revised.instead_of:
        return f"Nothing to write: nothing dangerous in {revised.instead_of}, {where}."
    if not revised.written:
        if revised.remarks:
            left = count(len(revised.remarks), "difference")
            return f"Nothing was written: {left} between the history and the models, {where}; what to do is said of each."
        gap = "; not examined to the end" if revised.unexamined else ""
        return f"Nothing to write: the history leads to the models, {where}{gap}."
    wrote = f"Wrote {count(len(revised.written), 'revision')}"
    if revised.sound and revised.unexamined:
        return f"{wrote}: nothing dangerous in what was seen, every downgrade proved, {where}; not examined to the end."
    agree, differ = "models and history agree", "models and history still differ"
    if revised.instead_of:
        agree = f"they lead where {revised.instead_of} leads"
        differ = f"they do not lead where {revised.instead_of} leads"
        wrote += f" in place of {revised.instead_of}"
    if revised.sound:
        gaps = sum(len(one.open) for one in revised.written)
        fill = f" {count(gaps, 'line')} to fill in first." if gaps else ""
        return f"{wrote}: nothing dangerous, every downgrade proved, {agree}, {where}.{fill}"
    parts = [
        f"{count(len(revised.dangerous), 'dangerous statement')}" if revised.dangerous else "",
        f"{count(sum(one.verdict != 'proved' for one in revised.proofs), 'downgrade')} not proved"
        if any(one.verdict != "proved" for one in revised.proofs) else "",
        differ if revised.left or any(not one.is_note for one in revised.differences) else "",
        "not examined to the end" if revised.unproved else "",
    ]  # fmt: skip
    next_ = "Look before you deploy." if revised.kept else "The files are removed again; --keep keeps them."
    return f"{wrote}, but {', '.join(part for part in parts if part)}, {where}. {next_}"


def _verdict(revised: Revised, one: WrittenRevision) -> Iterator[str]:
    dangers = [
        f"{finding} ({direction})"
        for revision, direction, finding in revised.dangerous
        if revision == one.revision
    ]
    if dangers:
        yield f"    DANGEROUS: {', '.join(dict.fromkeys(dangers))}"
    elif revised.trace is not None:
        yield "    nothing dangerous"
    for proof in revised.proofs:
        if proof.revision == one.revision:
            yield f"    downgrade {proof.verdict}{f': {proof.reason}' if proof.reason else ''}"
