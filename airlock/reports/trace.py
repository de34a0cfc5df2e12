"""A trace as text and as the JSON document of `airlock trace --json`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from airlock.records.trace import JUDGED_FROM_ROWS
from airlock.reports import load, phrases
from airlock.reports.text import count, duration, enumeration, number, shorten, some

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airlock.records.findings import Safer
    from airlock.records.trace import Lock, StatementRecord, TracedRevision, TraceReport

SIGNS = {"up": "+", "down": "-"}


def document(report: TraceReport) -> dict[str, Any]:
    """Build the JSON document; `revisions` is its contract, the rest says what it is worth."""
    return {
        "server_version": report.server_version,
        "rows": report.rows,
        "cut_short": dataclasses.asdict(report.stopped) if report.stopped is not None else None,
        "blocker_seconds": report.blocker_s or None,
        "revisions": [revision_document(revision) for revision in report.revisions],
        "not_filled": [{"table": one.table, "reason": one.reason} for one in report.unfilled],
        "roles_made": list(report.roles_made),
        "dangerous": len(report.dangerous),
        "not_examined": list(report.unexamined),
    }


def revision_document(revision: TracedRevision) -> dict[str, Any]:
    """Build one revision's part, in one direction."""
    return {
        "revision": revision.revision,
        "title": revision.title,
        "direction": revision.direction,
        "transactional": revision.transactional,
        "depends_on_rows": revision.depends_on_rows,
        "refused": revision.refused or None,
        "irreversible": revision.irreversible or None,
        "not_examined": revision.unexamined or None,
        "ms": round(revision.ms, 3),
        "drops": list(revision.drops),
        "statements": [statement_document(statement) for statement in revision.statements],
        "findings": [
            {
                "id": one.id,
                "object": one.object,
                "sentence": one.sentence,
                "sql": one.sql,
                "words": one.words or None,
                "file": one.file,
                "line": one.line,
                "accepted": one.accepted(revision.accepted) or None,
            }
            for one in revision.every_finding
        ],
        "safer": [safer_document(one) for one in revision.safer],
        "load": load.documents(revision),
        "load_not_examined": revision.load_unseen or None,
    }


def safer_document(safer: Safer) -> dict[str, Any]:
    """Build the safe form of one table."""
    return {
        "table": safer.table,
        "revisions": [
            {
                "title": one.title, "statements": list(one.statements), "upgrade": one.upgrade,
                "downgrade": one.downgrade,
            }
            for one in safer.drafts
        ],
        "remarks": list(safer.remarks),
    }  # fmt: skip


def statement_document(statement: StatementRecord) -> dict[str, Any]:
    """Build one statement's part."""
    return {
        "sql": statement.sql,
        "file": statement.file,
        "line": statement.line,
        "ms": round(statement.ms, 3),
        "rows": statement.rows,
        "times": statement.times,
        "transactional": statement.transactional,
        "locks": [{"object": lock.object, "mode": str(lock.mode)} for lock in statement.locks],
        "held": [{"object": lock.object, "mode": str(lock.mode)} for lock in statement.held],
        "rewrites": list(statement.rewrites),
        "scans": list(statement.scans),
        "reads": [{"object": read.object, "rows": read.rows, "of": read.of} for read in statement.reads],
        "blocks": statement.blocks,
        "dangerous": statement.dangerous,
        "findings": list(statement.findings),
        "too_few_rows": [{"object": met.object, "rows": met.rows} for met in statement.few],
    }


def lines(report: TraceReport) -> Iterator[str]:
    """Write the trace for a terminal: a header, each statement with what it did, the verdict last."""
    every = (
        "up to {} rows in each table" if report.unexamined or report.unfilled else "{} rows in every table"
    )
    told = every.format(number(report.rows)) if report.rows else "no sample rows"
    yield f"trace on PostgreSQL {report.server_version}, {told}"
    for revision in report.revisions:
        yield ""
        yield (
            f"{SIGNS[revision.direction]} {revision.revision}  {revision.title}  {duration(revision.ms)}"
            f"{'' if revision.transactional else '  (outside a transaction)'}"
        )
        if revision.stays:
            yield "    {}: {}".format(*revision.stays)
        if revision.unexamined:
            yield f"    not examined: {revision.unexamined}"
        if revision.depends_on_rows:
            yield "    depends on rows: this is one path"
        for statement in revision.statements:
            yield from _statement(statement)
            yield from (
                f"        accepted: {name}: {reason}" for name, reason in revision.excuses(statement).items()
            )
            seen = load.of(revision, statement.sql, statement.line)
            if seen is not None:
                yield from (f"        {said}" for said in load.sentences(seen, report.blocker_s))
        if revision.load_unseen:
            yield f"    not examined behind a reader: {revision.load_unseen}"
        for one in revision.findings:
            reason = one.accepted(revision.accepted)
            yield f"    {one.id.upper()} {one.object}: {one.sentence}{f' (accepted: {reason})' if reason else ''}"
        for safer in revision.safer:
            place = (
                revision.revision if revision.direction == "up" else f"the downgrade of {revision.revision}"
            )
            yield f"    INSTEAD, for {safer.table}: {count(len(safer.drafts), 'revision')} in place of {place}"
            yield from (f"      {line}" for line in instead_lines(safer))
    yield ""
    yield from (f"not filled: {one.table}: {one.reason}" for one in report.unfilled)
    if report.roles_made:
        yield f"roles made in scratch, unable to log in: {enumeration(report.roles_made)}"
    if report.stopped is not None:
        yield f"{phrases.stopped(report.stopped, len({one.revision for one in report.revisions}))}."
    yield verdict(report)


def verdict(report: TraceReport) -> str:
    """Say in one sentence what was found."""
    where = f"seen on PostgreSQL {report.server_version}"
    found = report.dangerous
    if not report.revisions:
        return "Nothing to trace: the range holds no revision."
    unseen = f"; {count(len(report.unexamined), 'place')} not examined" if report.unexamined else ""
    breaking = [one.revision for one in report.revisions if any(it.id == "breaks" for it in one.findings)]
    where += (
        f"; {some(breaking)} break{'s' if len(breaking) == 1 else ''} the release below" if breaking else ""
    )
    if not found and unseen:
        return f"Not examined: {report.unexamined[0].rstrip('.')}{_others(report)}; nothing dangerous in what was seen, {where}."
    if not found:
        doubt = "; tables that could not be filled were not judged" if report.unfilled else ""
        if report.rows < JUDGED_FROM_ROWS:
            doubt = f"; scans show from {number(JUDGED_FROM_ROWS)} sample rows on"
        return f"Nothing dangerous in {count(len(report.revisions), 'step')}, {where}{doubt}."
    places = some(list(dict.fromkeys(f"{revision.revision} ({revision.direction})" for revision, _ in found)))
    taken = sum(len(revision.excuses(one)) == len(one.findings) for revision, one in found)
    accepted = f" ({'each' if taken == len(found) else taken} accepted with a reason)" if taken else ""
    return f"{count(len(found), 'dangerous statement')} in {places}{accepted}, {where}{unseen}."


def _others(report: TraceReport) -> str:
    more = len(report.unexamined) - 1
    return f" (and {count(more, 'other')})" if more else ""


def instead_lines(safer: Safer) -> Iterator[str]:
    """Write the revisions of a safe form, a line for each title and statement."""
    for place, draft in enumerate(safer.drafts, 1):
        yield f"{place}. {draft.title}"
        for at, sql in enumerate(draft.statements):
            outside = "  -- outside a transaction" if at in draft.outside else ""
            yield f"     {shorten(sql, 110)}{outside}"
    yield from (f"   note: {one}" for one in safer.remarks)


def told_locks(locks: Sequence[Lock]) -> str:
    """Name locks by mode: `ACCESS EXCLUSIVE on phase2.task, phase2.user`."""
    by_mode: dict[str, list[str]] = {}
    for lock in locks:
        by_mode.setdefault(str(lock.mode), []).append(lock.object)
    return "; ".join(f"{mode} on {', '.join(objects)}" for mode, objects in by_mode.items())


def effects(statement: StatementRecord) -> str:
    """Say what the statement did besides its locks: rewrites, scans, rows."""
    parts = [
        f"rewrites {enumeration(statement.rewrites)}" if statement.rewrites else "",
        f"scans {enumeration(statement.scans)}" if statement.scans else "",
        count(statement.rows, "row") if statement.rows else "",
        f"{number(statement.times)} times" if statement.times > 1 else "",
    ]
    return ", ".join(part for part in parts if part)


def examined_effects(statement: StatementRecord) -> str:
    """Say what the statement did besides its locks, behind what it met too few rows of."""
    parts = [f"not examined: {phrases.too_few(statement)}" if statement.few else "", effects(statement)]
    return "; ".join(part for part in parts if part)


def _statement(statement: StatementRecord) -> Iterator[str]:
    mark = "DANGEROUS " if statement.dangerous else ""
    place = f"{statement.file}:{statement.line}" if statement.line else statement.file
    yield f"    {mark}{shorten(statement.sql, 96)}"
    blocked = "blocks nothing" if statement.blocks == "nothing" else f"blocks {statement.blocks}"
    held = f"still held: {told_locks(statement.held)}" if statement.held else ""
    facts = (
        f"NOT EXAMINED: {phrases.too_few(statement)}" if statement.few else "",
        blocked,
        told_locks(statement.locks),
        held,
        effects(statement),
        duration(statement.ms),
        place,
    )
    yield f"        {' · '.join(fact for fact in facts if fact)}"
