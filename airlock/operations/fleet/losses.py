"""What a downgrade takes from all targets together: counted on each of them before the first is touched."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from airlock.database import server_errors
from airlock.operations.downgrade import Counted, Rehearsal, count_on, rehearsed
from airlock.operations.fleet.standing import Stands, stands, type_key
from airlock.project import environment
from airlock.records.errors import AirlockError, NotExamined, Refused
from airlock.records.fleet import FleetLosses, TargetEvent, TargetLoss
from airlock.records.upgrade import DOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from airlock.operations.fleet.targets import FleetTarget
    from airlock.project.project import Project
    from airlock.records.fleet import FleetRequest
    from airlock.records.upgrade import Event, Request


def count_losses(
    project: Project, targets: Sequence[FleetTarget], request: Request, fleet: FleetRequest
) -> dict[str, Counted]:
    """Count what the downgrade loses on every target, tell it as one event, and refuse what was not accepted.

    The downgrade is rehearsed in scratch once for all targets that stand at the same revisions, on the same major, with
    the same arguments of env.py. Each target is read in one read-only transaction; nothing is held between it and the
    target's own run, which is held to its own count. Returns the counts by identity. Raises Refused where more is lost
    than `request.accept_loss` over all targets, NotExamined where something could not be counted and
    `request.accept_unknown_loss` is not given.
    """
    with ThreadPoolExecutor(fleet.concurrency) as pool:
        standing = list(pool.map(stands, targets))
        losing = [one for one in standing if not one.reason and _is_undone(project, one, request)]
        unknown = [f"{one.one.name}: {one.reason}" for one in standing if one.reason]
        rehearsals: dict[type_key, Rehearsal] = {}
        for one in losing:
            if one.key not in rehearsals:
                asked = replace(request, x_arguments=one.one.x_arguments)
                rehearsals[one.key] = rehearsed(asked, one.heads, one.major)
        found = dict(
            zip(
                (one.one.identity for one in losing),
                pool.map(lambda one: _counted(one, request, fleet, rehearsals[one.key]), losing),
                strict=True,
            )
        )
    names = {one.one.identity: one.one.name for one in losing}
    unknown += [f"{names[key]}: {found[key]}" for key in found if isinstance(found[key], str)]
    counts = {key: count for key, count in found.items() if isinstance(count, Counted)}
    unknown += _reasons(names, counts)
    losses = FleetLosses(
        _by_object(counts.values()), sum(one.rows for one in counts.values()), len(targets), tuple(unknown)
    )
    if losses.losses or losses.unknown:
        fleet.emit(losses)
    _refuse(losses, counts, request)
    return counts


def _is_undone(project: Project, one: Stands, request: Request) -> bool:
    """Tell whether anything is to be undone there; what does not fit the history fails in the target's own run."""
    try:
        return bool(environment.plan_steps(project, one.heads, request.target, DOWN))
    except AirlockError:
        return False


def _counted(one: Stands, request: Request, fleet: FleetRequest, rehearsal: Rehearsal) -> Counted | str:
    """Count on one target; the reason where that fails."""
    name = one.one.name
    asked = replace(
        request,
        x_arguments=one.one.x_arguments,
        export=_directory(request, one.one),
        emit=_telling(name, fleet),
    )
    try:
        found = count_on(one.one.target, asked, rehearsal, one.version_table)
    except Exception as error:
        failure = server_errors.classify(error)
        if request.export is not None:
            raise failure from error
        return str(failure)
    # Its own run may lose what was counted here, and nothing more.
    found.allowed, found.heads = found.rows, one.heads
    return found


def _telling(name: str, fleet: FleetRequest) -> Callable[[Event], None]:
    return lambda event: fleet.emit(TargetEvent(name, event))


def _directory(request: Request, one: FleetTarget) -> str | None:
    if request.export is None:
        return None
    plain = re.sub(r"[^\w.=-]", "_", one.name)
    return str(Path(request.export) / (plain if plain == one.name else f"{plain}-{one.identity[:6]}"))


def _reasons(names: Mapping[str, str], counts: Mapping[str, Counted]) -> list[str]:
    """Say each reason once, with the targets that it holds for."""
    where: dict[str, list[str]] = {}
    for key, count in counts.items():
        for reason in count.unknown:
            where.setdefault(reason, []).append(names[key])
    return [
        f"{found[0]}: {reason}" if len(found) == 1 else f"{found[0]} and {len(found) - 1:,} more: {reason}"
        for reason, found in sorted(where.items())
    ]


def _by_object(counts: Iterable[Counted]) -> tuple[TargetLoss, ...]:
    found: dict[tuple[str, str], list[int]] = {}
    for count in counts:
        for loss in count.losses:
            sums = found.setdefault((loss.object, loss.why), [0, 0, 0])
            sums[0] += loss.rows or 0
            sums[1] += 1
            sums[2] += loss.rows is None
    return tuple(
        TargetLoss(name, rows, targets, uncounted, why)
        for (name, why), (rows, targets, uncounted) in sorted(found.items())
    )


def _refuse(losses: FleetLosses, counts: Mapping[str, Counted], request: Request) -> None:
    again = f"airlock fleet downgrade {request.target}"
    unknown = bool(losses.unknown) or any(one.uncounted for one in losses.losses)
    losing = sum(1 for one in counts.values() if one.rows)
    if losses.rows > max(request.accept_loss or 0, 0):
        accepted = f"; {request.accept_loss:,} were accepted" if request.accept_loss is not None else ""
        more = " --accept-unknown-loss" if unknown and not request.accept_unknown_loss else ""
        keep = "" if request.export is not None else ", with --export DIR to keep them"
        raise Refused(
            f"This downgrade loses {losses.rows:,} rows and values in {losing:,} of {losses.targets:,} targets{accepted}.",
            standing="Nothing changed.",
            then=f"{again} --accept-loss {losses.rows}{more}{keep}",
        )
    if unknown and not request.accept_unknown_loss:
        raise NotExamined(
            f"What this downgrade loses in {losses.targets:,} targets could not be counted in full.",
            standing="Nothing changed.",
            then=f"{again} --accept-unknown-loss" + (f" --accept-loss {losses.rows}" if losses.rows else ""),
        )
