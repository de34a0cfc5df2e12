"""Apply in scratch what a run would apply to the target: SQL and times, nothing touched."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from airlock.database import server
from airlock.operations import built, versions
from airlock.operations.upgrade import plan
from airlock.project import environment
from airlock.records.errors import AirlockError, NotExamined, RevisionFailed
from airlock.records.upgrade import Planned, Rehearsal, Verdict
from airlock.scratch.isolation import ChildFailed, isolated

if TYPE_CHECKING:
    from airlock.database.target import Target
    from airlock.project.project import Project
    from airlock.records.upgrade import Request


def dry_run(project: Project, target: Target, request: Request) -> Verdict:
    """Read where the target stands, build the same in scratch, and take the steps there.

    Only reads the target's version rows and takes no lease. Raises as `migrate` does for rows, history and target,
    NotExamined without a scratch server, RevisionFailed where a revision fails in scratch.
    """
    plan.check_arguments(project, request.target, request.direction)
    heads, major = _heads(project, target)
    return rehearse_from(project, heads, major, request)


def rehearse_from(project: Project, heads: tuple[str, ...], major: int, request: Request) -> Verdict:
    """Build in scratch what stands at `heads` on a server of that major, and take the steps there.

    Asks no target. Raises HistoryFault where the history does not lead on from there, NotExamined without a scratch
    server, RevisionFailed where a revision fails in scratch.
    """
    started = time.monotonic()
    try:
        steps = environment.plan_steps(project, heads, request.target, request.direction)
        names = tuple(step.revision.revision for step in steps)
        plan.check_target(project, heads, request.target, request.direction, names)
        request.emit(Planned(request.direction, heads, names))
        taken = _rehearse(request, heads, major) if names else 0
    except AirlockError as error:
        request.emit(_verdict(request, heads, started, 0, error))
        raise
    verdict = _verdict(request, heads, started, taken, None)
    request.emit(verdict)
    return verdict


def _heads(project: Project, target: Target) -> tuple[tuple[str, ...], int]:
    with contextlib.closing(
        server.connect(target, application_name="airlock-dry-run", autocommit=True)
    ) as connection:
        table, reason = versions.version_table(connection)
        if reason:
            raise NotExamined(f"Where the database stands is not clear: {reason}.")
        rows = versions.version_rows(connection, table)
        plan.check_rows(project, rows)
        return tuple(sorted(str(row) for row in rows)), server.facts(connection).major


def _rehearse(request: Request, heads: tuple[str, ...], major: int) -> int:
    taken = 0
    with built.built(
        request.config, request.x_arguments, heads, scratch=request.scratch, like_major=major
    ) as (_server, database, _built):
        arguments = {
            "config": str(request.config), "x_arguments": tuple(request.x_arguments), "target": request.target,
            "database": database, "direction": request.direction,
        }  # fmt: skip
        try:
            for step in isolated(
                "airlock.operations.downgrade.rehearse:rehearse", arguments, scratch=database
            ):
                taken += 1
                request.emit(
                    Rehearsal(step.revision, request.direction, step.title, step.ms, step.statements)
                )
        except ChildFailed as error:
            raise RevisionFailed(
                f"In scratch a revision failed: {error.told}", standing="The target was not touched."
            ) from error
    return taken


def _verdict(
    request: Request, heads: tuple[str, ...], started: float, taken: int, error: AirlockError | None
) -> Verdict:
    return Verdict(
        direction=request.direction, before=heads, after=heads, exit_code=error.exit_code if error else 0,
        longest_block_ms=0.0, revisions=taken, ms=(time.monotonic() - started) * 1000,
        message=str(error) if error else "dry run: the target was not touched",
    )  # fmt: skip
