"""What a run over many targets would do, tried in scratch: no target is touched, no journal begun."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from airlock.operations.dry_run import rehearse_from
from airlock.operations.fleet.destination import destination
from airlock.operations.fleet.standing import stands
from airlock.records.errors import NOT_EXAMINED, AirlockError, NotExamined, Refused
from airlock.records.fleet import FleetNoted, FleetVerdict, TargetDone, TargetEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airlock.operations.fleet.standing import Stands, type_key
    from airlock.operations.fleet.targets import FleetTarget
    from airlock.project.project import Project
    from airlock.records.fleet import FleetRequest
    from airlock.records.upgrade import Event, Request


def rehearse_all(
    project: Project, targets: Sequence[FleetTarget], request: Request, fleet: FleetRequest
) -> FleetVerdict:
    """Read where every target stands, and take its steps in scratch: once for all that stand alike.

    Alike are targets at the same revisions, on the same major, with the same arguments of env.py. What a step tells
    goes to `fleet.emit` under the first target's name, then how many it holds for. Every event, the verdict last, is
    told also when an AirlockError is raised: Refused where a step fails or a target is where the history does not
    lead on from, NotExamined where nothing worse is than a target that could not be read, or no scratch server.
    """
    started = time.monotonic()
    to = destination(project, request.target, request.direction)
    with ThreadPoolExecutor(fleet.concurrency) as pool:
        alike: dict[type_key, list[Stands]] = {}
        failures = []
        for one in pool.map(stands, targets):
            if one.reason:
                failures.append(_failed(one, request, NOT_EXAMINED, one.reason))
            else:
                alike.setdefault(one.key, []).append(one)
    for failure in failures:
        fleet.emit(failure)
    there = pending = steps = 0
    for many in alike.values():
        first = many[0]

        def told(event: Event, name: str = first.one.name) -> None:
            fleet.emit(TargetEvent(name, event))

        asked = replace(request, x_arguments=first.one.x_arguments, emit=told)
        try:
            verdict = rehearse_from(
                project.with_x_arguments(first.one.x_arguments), first.heads, first.major, asked
            )
        except AirlockError as error:
            for one in many:
                failures.append(_failed(one, request, error.exit_code, str(error)))
                fleet.emit(failures[-1])
            continue
        pending, there = (pending + len(many), there) if verdict.revisions else (pending, there + len(many))
        steps += verdict.revisions * len(many)
        if verdict.revisions:
            fleet.emit(FleetNoted(_alike(many, verdict.revisions, verdict.ms)))
    fault = _error(failures, len(targets))
    end = FleetVerdict(
        direction=request.direction, to=to, targets=len(targets), changed=0, unchanged=there, done_before=0,
        failed=len(failures), not_begun=pending, revisions=0, exit_code=fault.exit_code if fault else 0,
        longest_block_ms=0.0, ms=(time.monotonic() - started) * 1000, failures=tuple(failures[:100]),
        message=str(fault) if fault else f"dry run: {steps:,} steps in {pending:,} targets would be taken; none was touched",
    )  # fmt: skip
    fleet.emit(end)
    if fault is not None:
        raise fault
    return end


def _failed(one: Stands, request: Request, exit_code: int, message: str) -> TargetDone:
    return TargetDone(
        one.one.name, request.direction, one.heads, one.heads, 0, exit_code, 0.0, message=message
    )


def _alike(many: Sequence[Stands], revisions: int, ms: float) -> str:
    others = f" and {len(many) - 1:,} more" if len(many) > 1 else ""
    at = ", ".join(many[0].heads) or "base"
    return f"{many[0].one.name}{others} at {at}: {revisions:,} steps were taken in scratch, {ms:,.0f} ms"


def _error(failures: Sequence[TargetDone], targets: int) -> AirlockError | None:
    refused = [one for one in failures if one.exit_code != NOT_EXAMINED]
    standing = "No target was touched."
    if refused:
        return Refused(
            f"{len(refused):,} of {targets:,} targets would fail: {refused[0].message}", standing=standing
        )
    if failures:
        return NotExamined(
            f"{len(failures):,} of {targets:,} targets were not examined: {failures[0].message}",
            standing=standing,
        )
    return None
