"""What a way down would meet on a target now: the queries that `downgrade` asks before it touches anything, asked alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.operations.downgrade import count_on, rehearsed
from airlock.records.errors import AirlockError, Refused
from airlock.records.status import InTheWay, WayBack
from airlock.records.upgrade import DOWN, Request

if TYPE_CHECKING:
    from pathlib import Path

    from airlock.database.target import Target


def way_back(
    target: Target,
    to: str,
    *,
    config: Path,
    x_arguments: tuple[str, ...],
    scratch: str,
    heads: tuple[str, ...],
    major: int,
    version_table: str,
) -> WayBack:
    """Rehearse the downgrade in scratch and count on the target, in one READ ONLY transaction; refuses nothing."""
    request = Request(to, DOWN, config=config, x_arguments=x_arguments, scratch=scratch)
    try:
        rehearsal = rehearsed(request, heads, major)
    except Refused as error:  # a step that says itself that there is no way back
        return WayBack(to, refused=error.message)
    except AirlockError as error:
        return WayBack(to, unknown=(error.message,))
    found = count_on(target, request, rehearsal, version_table)
    rows = {(loss.object, loss.why): loss.rows for loss in found.losses}
    conditions = tuple(
        InTheWay(
            one.revision, one.object, one.why, one.count_sql(at_step=False),
            rows.get((one.object, f"{one.revision}: {one.why}"), 0),
        )
        for one in found.items
        if one.table_at_start is not None
    )  # fmt: skip
    unknown = (*found.unknown, *(f"{loss.object}: {loss.why}" for loss in found.losses if loss.rows is None))
    failed = {
        one.object: one
        for one in conditions
        if any(it.startswith(f"{one.object} could not be") for it in unknown)
    }
    return WayBack(
        to,
        tuple(
            one if one.object not in failed else InTheWay(one.revision, one.object, one.why, one.sql, None)
            for one in conditions
        ),
        unknown,
    )
