"""A drill as text and as the JSON document of `airlock drill --json`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from airlock.records.drill import IRREVERSIBLE, NOT_EXAMINED, PROVED, REFUSED, VERDICTS
from airlock.reports.text import count, duration, enumeration, number, shorten, some

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.records.difference import Difference
    from airlock.records.drill import Condition, CutShort, DrillProgress, DrillReport, Met, RevisionProof
    from airlock.records.rows import Rate

_LONGEST = 160
# From so many rows on they are worth a line beside the step's time.
WORTH_SAYING = 10_000
_MODES = (
    "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
)  # fmt: skip
_SIGNS = {PROVED: "=", REFUSED: "!", NOT_EXAMINED: "?", IRREVERSIBLE: ">"}


def document(report: DrillReport) -> dict[str, Any]:
    """Build the JSON document."""
    return {
        "verdict": report.verdict,
        "server_version": report.server_version,
        "rows": report.rows,
        "traffic": report.traffic,
        "longest_stall_ms": report.longest_stall_ms,
        "revisions": [_revision(revision) for revision in report.revisions],
        "fills": [
            {"table": it.table, "rows": it.rows, "wanted": it.wanted, "reason": it.reason}
            for it in report.fills
        ],
        "rows_made": {"rows": report.rows_made, "ms": round(report.fill_ms, 1)},
        "rates": [_rate(rate) for rate in report.rates],
        "roles_made": list(report.roles),
        "elapsed_ms": round(report.elapsed_ms, 1),
        "cut_short": _cut_short(report.cut_short),
    }


def _cut_short(cut: CutShort | None) -> dict[str, Any] | None:
    return None if cut is None else {"by": cut.by, "left": list(cut.left), "whole_way": cut.whole_way}


def _rate(rate: Rate) -> dict[str, Any]:
    by_hand = None
    if rate.by_hand_ms is not None:
        by_hand = {"ms": _ms(rate.by_hand_ms), "rows_a_second": round(rate.by_hand_a_second or 0)}
    return {
        "table": rate.table, "rows": rate.rows, "ms": _ms(rate.ms), "rows_a_second": round(rate.a_second),
        "by_hand": by_hand, "ratio": None if rate.ratio is None else round(rate.ratio, 2), "reason": rate.reason,
    }  # fmt: skip


def _condition(one: Condition) -> dict[str, Any]:
    tried: dict[str, str] | None = None
    if one.tried is not None:
        known = one.tried
        tried = {
            "row": known.row,
            "with_none": known.with_none,
            "with_one": known.with_one,
            "said": known.said,
        }
    return {
        "object": one.object, "why": one.why, "sql": one.sql, "tried": tried, "not_tried": one.not_tried or None,
        "asked": asked(one),
    }  # fmt: skip


def _revision(proof: RevisionProof) -> dict[str, Any]:
    found: dict[str, Any] = {
        "revision": proof.revision,
        "title": proof.title,
        "verdict": proof.verdict,
        "reason": proof.reason,
        "differences": [
            {"object": it.object, "kind": it.kind, "before": it.before, "after": it.after}
            for it in proof.differences
        ],
        "kept": [{"object": it.object, "sentence": it.sentence} for it in proof.kept],
        "losses": [{"object": it.object, "rows": it.rows, "why": it.why} for it in proof.losses],
        "conditions": [_condition(it) for it in proof.conditions],
        "notes": list(proof.notes),
        "held": [{"object": it.object, "mode": it.mode, "direction": it.direction} for it in proof.held],
        "data": [_met(it) for it in proof.met],
        "touched": [{"table": it.table, "rows": it.rows} for it in proof.touched],
        "ms": {"up": _ms(proof.ms.up), "down": _ms(proof.ms.down), "again": _ms(proof.ms.again)},
    }
    if proof.stalls or proof.broken:
        found["traffic"] = [
            {
                "direction": it.direction, "statements": it.statements, "p50_ms": _ms(it.p50), "p99_ms": _ms(it.p99),
                "longest_ms": _ms(it.longest),
            }
            for it in proof.stalls
        ]  # fmt: skip
        found["broken"] = [
            {"direction": it.direction, "statement": it.statement, "error": it.error, "times": it.times}
            for it in proof.broken
        ]
    if proof.cuts:
        found["crashes"] = [
            {
                "direction": it.direction,
                "statement": it.statement,
                "sql": it.sql,
                "outcome": it.outcome,
                "converged": it.converged,
            }
            for it in proof.cuts
        ]
    return found


def _met(one: Met) -> dict[str, Any]:
    return {
        "direction": one.direction, "place": one.place, "statement": one.sql, "changed": one.changed, "left": one.left,
        "ways": [{"text": it.text, "rows": it.rows} for it in one.ways], "problem": one.problem,
    }  # fmt: skip


def _ms(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def lines(report: DrillReport) -> Iterator[str]:
    """Tell every revision in a line, what it rests on below it, and the verdict last."""
    for proof in report.revisions:
        times = " ".join(
            f"{sign}{duration(value)}"
            for sign, value in (("+", proof.ms.up), ("-", proof.ms.down), ("+", proof.ms.again))
            if value
        )
        yield f"{_SIGNS[proof.verdict]} {proof.revision}  {proof.verdict:<12}  {proof.title}  {times}".rstrip()
        yield from (f"    {line}" for line in details(proof))
    for one in report.fills:
        if one.reason is not None:
            yield f"  {one.table}: {count(one.rows, 'row')} of {one.wanted}, because {one.reason}"
    if report.roles:
        yield f"  roles made on the scratch server: {', '.join(report.roles)}"
    if report.rows_made:
        yield f"  {samples(report)}"
    yield from (f"    {rate(one)}" for one in report.rates)
    if report.cut_short is not None:
        yield f"  {stopped(report.cut_short, len(report.revisions))}"
    yield headline(report)


def stopped(cut: CutShort, total: int) -> str:
    """Say what stopped a drill, and what it has not examined for that."""
    left = (
        f"{len(cut.left)} of {count(total, 'revision')} not examined ({some(cut.left)})" if cut.left else ""
    )
    whole = "" if cut.whole_way else "the whole way up in one run not taken"
    return "; ".join(one for one in (f"stopped: {cut.by.rstrip('.')}", left, whole) if one)


def samples(report: DrillReport) -> str:
    """Say how many sample rows were made, and how fast."""
    rate = number(round(report.rows_made / max(report.fill_ms / 1000, 0.001)))
    return f"{count(report.rows_made, 'sample row')} made in {duration(report.fill_ms)} ({rate} a second)"


def rate(one: Rate) -> str:
    """Say how fast a table's rows were made, and how fast by hand."""
    said = f"{one.table}: {count(one.rows, 'row')}, {_a_second(one.a_second)} a second"
    if one.by_hand_a_second is None or one.ratio is None:
        return f"{said}; by hand not at all: {one.reason}"
    return (
        f"{said}; by hand (INSERT … SELECT generate_series, the same keys and indexes) "
        f"{_a_second(one.by_hand_a_second)} a second: {one.ratio:.2f} x the time"
    )


def _a_second(rows: float) -> str:
    return number(round(rows))


def details(proof: RevisionProof) -> Iterator[str]:
    """Say in sentences what a revision's verdict rests on."""
    if proof.reason:
        yield proof.reason
    for it in proof.differences:
        yield difference(it)
    for broken in proof.broken:
        yield f"{broken.statement} fails {_meanwhile(broken.direction)}: {broken.error} ({count(broken.times, 'time')})"
    for cut in proof.cuts:
        if not cut.converged:
            yield f"cut {cut.direction} at statement {cut.statement} ({shorten(cut.sql, 60)}): {cut.outcome}"
    if proof.cuts and all(cut.converged for cut in proof.cuts):
        yield f"{count(len(proof.cuts), 'crash', 'crashes')}: the run after each arrived where it should"
    for kept in proof.kept:
        yield f"kept: {kept.object} ({kept.sentence})"
    for condition in proof.conditions:
        when = f", {asked(condition)}," if condition.before_upgrade else ""
        yield f"{holds(proof)} while this{when} counts no row of {condition.object} ({condition.why}): {condition.sql}"
        yield trial(condition)
    for loss in proof.losses:
        yield f"lost: {loss.object}, {count(loss.rows, 'row')} written meanwhile ({loss.why})"
    for note in proof.notes:
        yield f"note: {note}"
    for one in proof.met:
        yield met(one)
    if proof.rows_touched >= WORTH_SAYING:
        yield against_rows(proof)
    for stall in proof.stalls:
        yield (
            f"traffic {stall.direction}: {count(stall.statements, 'statement')}, p50 {duration(stall.p50)}, "
            f"p99 {duration(stall.p99)}, longest {duration(stall.longest)}"
        )


def holds(proof: RevisionProof) -> str:
    """Say what rests on the conditions of a revision: the proof, or no more than that the way down can be taken."""
    if proof.verdict == NOT_EXAMINED:
        return "it goes down and loses nothing only"
    return "proved" if proof.verdict == PROVED else "beside that, it goes down only"


def asked(condition: Condition) -> str:
    """Say when a condition's query is asked."""
    return "before the upgrade" if condition.before_upgrade else "before the downgrade"


def trial(condition: Condition) -> str:
    """Say how the step went down with no row that breaks a condition, and with one; or why that was not tried."""
    tried = condition.tried
    if tried is None:
        return f"not tried: {condition.not_tried}"
    said = f" ({tried.said})" if tried.said else ""
    return f"tried: with none it {tried.with_none}, with one ({shorten(tried.row, 60)}) it {tried.with_one}{said}"


def met(one: Met) -> str:
    """Say what rows a data statement met: how many it changed and left, and how many went each way through it."""
    return f"{one.direction} {one.place}: {shorten(one.sql, _LONGEST)}: {', '.join(reached(one))}"


def reached(one: Met) -> list[str]:
    """Say the counts of a data statement one by one; what cannot be told is said so."""
    if one.passed_by:
        return ["not come to"]
    word = "read" if one.reads else "changed"
    if one.entered:
        said = ["not seen into" if one.changed is None else f"entered for {count(one.changed, 'row')}"]
    else:
        said = [f"{word} untold" if one.changed is None else f"{count(one.changed, 'row')} {word}"]
    if one.left is not None:
        said.append(f"{number(one.left)} left")
    for way in one.ways:
        told = "untold" if way.rows is None else "not met" if way.rows == 0 else number(way.rows)
        said.append(f"{shorten(way.text, 60)}: {told}")
    return said


def against_rows(proof: RevisionProof) -> str:
    """Say what the step took, held and kept waiting, beside the rows of the tables that it touched."""
    tables = ", ".join(f"{it.table} {number(it.rows)}" for it in proof.touched)
    said = []
    for direction, ms in (("up", proof.ms.up), ("down", proof.ms.down)):
        if ms is not None:
            stall = proof.longest_stall(direction)
            waited = f", longest stall {duration(stall)}" if stall is not None else ""
            said.append(f"{direction} {duration(ms)}{', ' + locked(proof, direction)}{waited}")
    return f"{count(proof.rows_touched, 'row')} ({tables}): {'; '.join(said)}"


def locked(proof: RevisionProof, direction: str) -> str:
    """Say how long at most locks were held until the step's end, and the worst of them."""
    modes = {it.mode for it in proof.held if it.direction == direction}
    worst = next((mode for mode in reversed(_MODES) if mode in modes), None)
    ms = proof.ms.up if direction == "up" else proof.ms.down
    return (
        "nothing locked until its end"
        if worst is None or ms is None
        else f"{worst} for at most {duration(ms)}"
    )


def _meanwhile(direction: str) -> str:
    return "on the upgraded schema" if direction == "up" else "on the downgraded schema"


def difference(one: Difference) -> str:
    """Say one difference: what it was, what it is."""
    if one.before is None:
        return f"{one.object}: {one.kind} is left behind ({shorten(one.after or '', _LONGEST)})"
    if one.after is None:
        return f"{one.object}: {one.kind} does not come back (was: {shorten(one.before, _LONGEST)})"
    return f"{one.object}: {one.kind} was {shorten(one.before, _LONGEST)}, is {shorten(one.after, _LONGEST)}"


def headline(report: DrillReport) -> str:
    """Say the verdict of the whole drill in one line."""
    if not report.revisions:
        return f"nothing to drill: the range holds no revision (PostgreSQL {report.server_version})"
    return f"{report.verdict}: {grounds(report)}"


def grounds(report: DrillReport) -> str:
    """Say what the verdict rests on: how many revisions of which verdict, where, how long it took."""
    verdicts = Counter(proof.verdict for proof in report.revisions)
    parts = [f"{verdicts[verdict]} {verdict}" for verdict in (PROVED, *VERDICTS[:-1]) if verdicts[verdict]]
    each = f", {enumeration(parts)}" if len(parts) > 1 else ""
    stall = report.longest_stall_ms
    waited = f", longest stall {duration(stall)}" if stall is not None else ""
    return (
        f"{count(len(report.revisions), 'revision')}{each}{waited} "
        f"(PostgreSQL {report.server_version}, {duration(report.elapsed_ms)})"
    )


def progress(now: DrillProgress, elapsed_ms: float) -> str:
    """Say where a running drill is, and when it may end."""
    left = ""
    if now.number > 1:
        left = f", about {duration(elapsed_ms / (now.number - 1) * (now.total - now.number + 1))} left"
    return f"revision {now.number} of {now.total} ({now.revision}): {now.phase}, {duration(elapsed_ms)}{left}"
