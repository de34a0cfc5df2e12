"""Events of upgrade and downgrade as lines of text and as JSON documents."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from airlock.records.upgrade import (
    Blocked,
    Event,
    Exported,
    Leased,
    LossesCounted,
    Noted,
    OrphansEnded,
    Planned,
    Rehearsal,
    Repaired,
    Retrying,
    StepBegun,
    StepDone,
    Verdict,
    Waiting,
)
from airlock.reports.text import count, duration

_SIGNS = {"up": "+", "down": "-"}


def document(event: Event) -> dict[str, Any]:
    """Turn an event into what `--json` and `--log` write."""
    fields = dataclasses.asdict(event)
    if isinstance(event, Verdict):
        fields = {"from": fields.pop("before"), "to": fields.pop("after"), **fields}
    return {"event": event.event, **{name: rounded(value) for name, value in fields.items()}}


def json_line(event: Event, **more: Any) -> str:
    """Write one event as one line of JSON."""
    return json.dumps({**more, **document(event)}, ensure_ascii=False)


def text(event: Event) -> str | None:
    """Say an event in one line (the table of losses in several); None for what text leaves out."""
    match event:
        case Leased():
            pooled = ", through a pooler" if event.pooled else ""
            return f"{event.database}: PostgreSQL {event.server_version} as {event.user}{pooled}"
        case Waiting():
            return f"waiting: the lease is held by {event.holder}"
        case OrphansEnded():
            return f"ended sessions that a dead run had left at work: pid {', '.join(map(str, event.pids))}"
        case Planned():
            return _plan(event)
        case StepBegun():
            return None
        case StepDone():
            alone = "" if event.transactional else "  (outside a transaction)"
            return f"{_SIGNS[event.direction]} {event.revision}  {event.title}  {duration(event.ms)}{alone}"
        case Blocked():
            return f"  {event.revision} waits for {event.waited_for}, held by {'; '.join(event.blockers)}"
        case Retrying():
            return f"  try {event.attempt} got no lock and was undone; again in {duration(event.sleep_ms)}"
        case Noted():
            return f"note: {event.message}"
        case Repaired():
            return f"repaired: {event.what}"
        case Rehearsal():
            return rehearsal(event)
        case LossesCounted():
            return losses_table(event)
        case Exported():
            return f"exported {event.rows} rows of {event.object} to {event.file}"
        case Verdict():
            return verdict(event)


def verdict(event: Verdict) -> str:
    """Say the last line of a run that ended well."""
    if event.revisions and event.before == event.after:
        many = count(event.revisions, "revision")
        return f"-- {many} in scratch; the target, at {names(event.after)}, was not touched."
    if event.revisions == 0:
        return f"Nothing to do: at {names(event.after)}."
    block = (
        f"; longest block {duration(event.longest_block_ms)}"
        if event.longest_block_ms
        else "; nobody was blocked"
    )
    many = "revision" if event.revisions == 1 else "revisions"
    return f"{names(event.before)} -> {names(event.after)}: {event.revisions} {many} in {duration(event.ms)}{block}."


def rehearsal(event: Rehearsal) -> str:
    """Write a revision's statements as SQL, each headed by the time that it took in scratch."""
    lines = [f"-- {_SIGNS[event.direction]} {event.revision}  {event.title}  {duration(event.ms)}"]
    for statement, ms in event.statements:
        lines += [f"-- {duration(ms)}", f"{statement.strip().rstrip(';')};"]
    return "\n".join(lines) + "\n"


def losses_table(event: LossesCounted) -> str:
    """Lay the losses out, one a line, the counted ones with their numbers."""
    if not event.losses and not event.unknown:
        return "This downgrade loses nothing."
    width = max((len(loss.object) for loss in event.losses), default=0)
    lines = ["This downgrade loses:" if event.rows else "What this downgrade may lose:"]
    for loss in event.losses:
        rows = "not counted" if loss.rows is None else f"{loss.rows}"
        lines.append(f"  {loss.object:<{width}}  {rows:>11}  {loss.why}")
    lines += [f"  not examined: {reason}" for reason in event.unknown]
    return "\n".join(lines)


def names(heads: tuple[str, ...]) -> str:
    """Write where a database stands."""
    return ", ".join(heads) or "base"


def _plan(event: Planned) -> str | None:
    if not event.revisions:
        return None
    return f"from {names(event.current)}: {count(len(event.revisions), 'revision')} {event.direction}"


def rounded(value: Any) -> Any:
    """Round what has decimals, as times in milliseconds, to three of them."""
    return round(value, 3) if isinstance(value, float) else value
