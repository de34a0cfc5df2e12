"""A run over many targets as lines of text and as JSON documents; the standing of many as a table."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from airlock.records.fleet import (
    FleetBegun,
    FleetEvent,
    FleetLosses,
    FleetNoted,
    FleetProgress,
    FleetStopped,
    FleetVerdict,
    TargetBegun,
    TargetDone,
    TargetEvent,
    TargetRetrying,
    TargetSaid,
    WaveBegun,
)
from airlock.records.upgrade import Blocked, Exported, Noted, OrphansEnded, Repaired, Retrying, Waiting
from airlock.reports import upgrade
from airlock.reports.text import count, duration, enumeration, number, shorten, table

if TYPE_CHECKING:
    from airlock.records.fleet import FleetStatus, Standing

_MOST_LINES = 20
# Of one target among a thousand: what somebody may want to act on. The rest is one line at its end.
_WORTH_A_LINE = (Blocked, Exported, Noted, OrphansEnded, Repaired, Retrying, Waiting)


def document(event: FleetEvent) -> dict[str, Any]:
    """Turn an event into what `--json` and `--log` write."""
    if isinstance(event, TargetEvent):
        return {"event": event.event, "target": event.target, "told": upgrade.document(event.told)}
    fields = dataclasses.asdict(event)
    if isinstance(event, TargetDone):
        fields = _from_to(fields)
    if isinstance(event, FleetVerdict):
        fields["failures"] = [_from_to(one) for one in fields["failures"]]
    return {"event": event.event, **{name: upgrade.rounded(value) for name, value in fields.items()}}


def json_line(event: FleetEvent, **more: Any) -> str:
    """Write one event as one line of JSON."""
    return json.dumps({**more, **document(event)}, ensure_ascii=False)


def text(event: FleetEvent) -> str | None:
    """Say an event in one line (losses and the verdict in several); None for what text leaves out."""
    match event:
        case FleetBegun():
            return _begun(event)
        case WaveBegun():
            return (
                f"wave {event.number} of {event.of}: {count(event.targets, 'target')}"
                if event.of > 1
                else None
            )
        case TargetBegun():
            return None
        case TargetEvent():
            said = upgrade.text(event.told) if isinstance(event.told, _WORTH_A_LINE) else None
            return f"  {event.target}: {said.strip()}" if said else None
        case TargetSaid():
            return f"  {event.target}: {event.line}"
        case TargetRetrying():
            return f"  {event.target}: {event.reason} Again in {duration(event.sleep_ms)}"
        case TargetDone():
            return target_line(event)
        case FleetProgress():
            return progress(event)
        case FleetStopped():
            return f"stopping: {event.reason}; no further target is begun"
        case FleetNoted():
            return f"note: {event.message}"
        case FleetLosses():
            return losses_table(event)
        case FleetVerdict():
            return verdict(event)


def target_line(event: TargetDone) -> str:
    """Say the end of one target."""
    if event.exit_code:
        return f"! {event.target}  exit {event.exit_code}  {event.message}"
    if not event.revisions:
        return f"= {event.target}  at {upgrade.names(event.after)}  {duration(event.ms)}"
    sign = "+" if event.direction == "up" else "-"
    way = f"{upgrade.names(event.before)} -> {upgrade.names(event.after)}"
    block = f"  longest block {duration(event.longest_block_ms)}" if event.longest_block_ms else ""
    return f"{sign} {event.target}  {way}  {count(event.revisions, 'revision')}  {duration(event.ms)}{block}"


def progress(event: FleetProgress) -> str:
    """Say how far it is, and about when it will be over."""
    failed = f", {number(event.failed)} failed" if event.failed else ""
    left = f", about {duration(event.left_ms)} left" if event.left_ms is not None else ""
    running = f"; at work: {shorten(enumeration(event.running), 80)}" if event.running else ""
    return (
        f"{number(event.done)} of {number(event.targets)} done{failed}, {duration(event.ms)}{left}{running}"
    )


def verdict(event: FleetVerdict) -> str:
    """Say the end: the numbers, then the failures."""
    done = event.changed + event.unchanged + event.done_before
    parts = [f"{number(event.changed)} changed ({count(event.revisions, 'revision')})"]
    parts += [f"{number(event.unchanged)} were there"] if event.unchanged else []
    parts += [f"{number(event.done_before)} done by an earlier run"] if event.done_before else []
    parts += [f"{number(event.failed)} failed"] if event.failed else []
    parts += [f"{number(event.not_begun)} not begun"] if event.not_begun else []
    block = (
        f"longest block {duration(event.longest_block_ms)}"
        if event.longest_block_ms
        else "nobody was blocked"
    )
    head = f"{number(done)} of {count(event.targets, 'target')} at {upgrade.names(event.to)}"
    lines = [f"{head}: {', '.join(parts)}; {duration(event.ms)}; {block}."]
    # With a fault the door says the message.
    lines += [f"{event.message}."] if event.message and not event.exit_code else []
    lines += [target_line(one) for one in event.failures[:_MOST_LINES]]
    rest = event.failed - min(len(event.failures), _MOST_LINES)
    return "\n".join(lines + ([f"  and {number(rest)} more (the journal has them all)"] if rest > 0 else []))


def losses_table(event: FleetLosses) -> str:
    """Lay out what a downgrade takes from all targets together."""
    if not event.losses and not event.unknown:
        return f"This downgrade loses nothing in {count(event.targets, 'target')}."
    rows = [
        [
            one.object,
            number(one.rows),
            number(one.targets),
            number(one.uncounted) if one.uncounted else "",
            one.why,
        ]
        for one in event.losses
    ]
    lines = [
        f"What this downgrade loses in {count(event.targets, 'target')}: {count(event.rows, 'row or value', 'rows and values')}"
    ]
    if rows:
        lines.append(table(["object", "rows", "targets", "not counted in", ""], rows, right=(1, 2, 3)))
    lines += [f"  not examined: {reason}" for reason in event.unknown[:_MOST_LINES]]
    rest = len(event.unknown) - _MOST_LINES
    return "\n".join(lines + ([f"  and {number(rest)} more (--json lists them)"] if rest > 0 else []))


def status_document(status: FleetStatus) -> dict[str, Any]:
    """Turn the standing of all targets into what `--json` writes."""
    return dataclasses.asdict(status)


def status_text(status: FleetStatus) -> str:
    """Lay out the versions, how many targets stand at each and what is behind; then whoever is not at the heads."""
    groups = Counter(_place(one, status.heads) for one in status.targets)
    lines = [
        table(
            ["at", "targets", "behind"],
            [[at, number(many), behind] for (_, at, behind), many in sorted(groups.items())],
            right=(1,),
        )
    ]
    odd = [line for one in status.targets for line in _oddities(one)]
    lines += odd[:_MOST_LINES]
    rest = len(odd) - _MOST_LINES
    lines += [f"  and {number(rest)} more (--json lists them)"] if rest > 0 else []
    behind = sum(1 for one in status.targets if one.behind)
    unread = sum(1 for one in status.targets if one.current is None)
    ahead = sum(1 for one in status.targets if one.fault)
    there = len(status.targets) - behind - unread - ahead
    words = [f"{number(behind)} behind"] if behind else []
    words += [f"{number(ahead)} do not fit the history"] if ahead else []
    words += [f"{number(unread)} not examined"] if unread else []
    head = f"{number(there)} of {count(len(status.targets), 'target')} at {upgrade.names(status.heads)}"
    lines.append(f"{head}{': ' + ', '.join(words) if words else ''}.")
    return "\n".join(lines)


def _place(one: Standing, heads: tuple[str, ...]) -> tuple[int, str, str]:
    """Sort by how far behind: those that could not be read come last."""
    if one.current is None:
        return 1 << 30, "?", "not examined"
    at = upgrade.names(one.current)
    if one.fault:
        return 1 << 29, at, "does not fit the history"
    if not one.behind:
        return 0, f"{at} (head)" if one.current == heads else at, "nothing"
    revisions = f"{count(len(one.behind), 'revision')}: {shorten(enumeration(one.behind), 60)}"
    return len(one.behind), at, revisions


def _oddities(one: Standing) -> list[str]:
    lines = []
    if one.current is None:
        lines.append(f"  {one.target}  not examined: {one.reason}")
    if one.fault:
        lines.append(f"  {one.target}  {one.fault}")
    if one.behind:
        lines.append(
            f"  {one.target}  {upgrade.names(one.current or ())}, {count(len(one.behind), 'revision')} behind"
        )
    if one.half_applied:
        lines.append(f"  {one.target}  half done: {one.half_applied}")
    if one.lease:
        lines.append(f"  {one.target}  lease held by {one.lease}")
    return lines


def _begun(event: FleetBegun) -> str:
    ends = event.waves
    sizes = [end - (ends[index - 1] if index else 0) for index, end in enumerate(ends)]
    waves = (
        f" in {count(len(sizes), 'wave')} of {enumeration([number(one) for one in sizes])}"
        if len(sizes) > 1
        else ""
    )
    before = f"; {number(event.done_before)} are done by {event.journal}" if event.done_before else ""
    many = f"{count(event.targets, 'target')} {event.direction} to {upgrade.names(event.to)}"
    return f"{many}{waves}, {number(event.concurrency)} at a time{before}"


def _from_to(fields: dict[str, Any]) -> dict[str, Any]:
    return {"target": fields.pop("target"), "from": fields.pop("before"), "to": fields.pop("after"), **fields}
