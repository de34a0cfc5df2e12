"""The status of a database on one screen, and as JSON."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from airlock.reports.text import count

if TYPE_CHECKING:
    from airlock.records.status import Status, WayBack

_MOST_LINES = 12


def document(status: Status) -> dict[str, Any]:
    """Turn the status into what `--json` writes."""
    return dataclasses.asdict(status)


def text(status: Status) -> str:
    """Lay the status out: server, position, then only what is not as it should be."""
    kind = [word for word, there in (("standby", status.standby), ("read-only", status.read_only)) if there]
    kind += ["through a pooler"] if status.pooled else []
    lines = [
        f"database   {status.database}",
        f"server     PostgreSQL {status.server_version} as {status.user}"
        + (f" at {status.address}" if status.address else "")
        + "".join(f", {word}" for word in kind),
        *(f"note       {note}" for note in status.notes),
        f"current    {', '.join(status.current) or 'base'}",
        f"heads      {', '.join(status.heads) or 'none'}",
    ]
    if status.fault:
        lines.append(f"fault      {status.fault}")
    else:
        lines.append(f"pending    {count(len(status.pending), 'revision') if status.pending else 'none'}")
        lines += _listed(f"  + {one.revision}  {one.title}" for one in status.pending)
    lines.append(f"lease      {'held by ' + status.lease if status.lease else 'free'}")
    if status.half_applied:
        lines.append(f"half done  {status.half_applied}")
    if status.invalid_indexes:
        lines.append(f"INVALID    {', '.join(status.invalid_indexes)}")
    if status.not_validated:
        lines.append(f"NOT VALID  {', '.join(status.not_validated)}")
    if status.published:
        lines.append(
            f"published  {count(len(status.published), 'table')}: "
            "a subscriber must have a new column first, and lose a dropped one last"
        )
        lines += _listed(f"  {one}" for one in status.published)
    lines += _drift(status)
    if status.way_back is not None:
        lines += _way_back(status.way_back)
    return "\n".join(lines)


def _way_back(way: WayBack) -> list[str]:
    """Say which rows a way down would meet; queries that count none are there to be asked again."""
    if way.refused:
        return [f"way back   to {way.to}: none: {way.refused}"]
    if way.unknown and not way.conditions:
        return [f"way back   to {way.to}: not examined", *(f"  unknown  {one}" for one in way.unknown)]
    there = [one for one in way.conditions if one.rows != 0]
    rows = sum(one.rows or 0 for one in there)
    lines = [
        f"way back   to {way.to}: {count(rows, 'row') + ' or values in its way' if there else 'nothing in its way'}"
    ]
    if way.unknown:
        lines[0] += ", as far as can be told"
    for one in sorted(way.conditions, key=lambda it: it.rows == 0):
        told = "uncounted" if one.rows is None else str(one.rows)
        lines += [f"  {told}  {one.object}: {one.revision}: {one.why}", f"      {one.sql}"]
    return [*lines, *(f"  unknown  {one}" for one in way.unknown)]


def _drift(status: Status) -> list[str]:
    if status.drift is None:
        # A fault is said in full above.
        why = "the fault above" if status.drift_reason == status.fault else status.drift_reason
        return [f"drift      not examined: {why}"]
    if not status.drift:
        return ["drift      none: the catalogue is what the history makes"]
    lines = [f"drift      {count(len(status.drift), 'difference')}"]
    return lines + _listed(
        f"  {one.object}: {one.kind}: {_change(one.expected, one.found)}" for one in status.drift
    )


def _change(expected: str | None, found: str | None) -> str:
    if expected is None:
        return f"unknown to the history ({found})"
    return f"missing ({expected})" if found is None else f"{expected} -> {found}"


def _listed(lines: Any) -> list[str]:
    listed = list(lines)
    rest = len(listed) - _MOST_LINES
    return listed if rest <= 0 else [*listed[:_MOST_LINES], f"  and {rest} more (--json lists them)"]
