"""The parent's side of a trace: a scratch database, a child that cannot reach any other, and its report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.database import missing
from airlock.records.errors import AirlockError, NotExamined
from airlock.records.trace import TracedRevision, TraceReport, Unfilled
from airlock.scratch.isolation import ChildFailed, isolated
from airlock.scratch.servers import scratch_server

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_MOST_ROLES = 50


def trace(
    config: Path,
    *,
    from_to: str | None = None,
    start: tuple[str, ...] | None = None,
    scratch: str = "embedded",
    like_major: int | None = None,
    rows: int = 2_000,
    x_arguments: Sequence[str] = (),
    bundle: Callable[[object], None] | None = None,
) -> TraceReport:
    """Run the revisions of `from_to` up, down and up again in a scratch database, and report each.

    `start` names the heads that a database stands at; the revisions traced are then those up to the
    range's end that it lacks. `bundle` gets what only a review needs: the `Catalogue` and each `Written`
    script. No target is contacted. Roles that the history names and the scratch server lacks are made there.
    Raises RevisionFailed where a revision cannot be applied.
    """
    with scratch_server(scratch, like_major) as server:
        made: set[str] = set()
        while True:
            revisions: list[TracedRevision] = []
            unfilled: list[Unfilled] = []
            others: list[object] = []
            with server.database() as database:
                arguments = {
                    "config": config, "x_arguments": tuple(x_arguments), "from_to": from_to, "start": start,
                    "rows": rows, "database": database, "bundle": bundle is not None,
                }  # fmt: skip
                try:
                    for message in isolated(
                        "airlock.operations.trace.child:observe", arguments, scratch=database
                    ):
                        if isinstance(message, TracedRevision):
                            revisions.append(message)
                        elif isinstance(message, Unfilled):
                            unfilled.append(message)
                        else:
                            others.append(message)
                except (AirlockError, ChildFailed) as error:
                    role = missing.role(str(error))
                    if role is None or role in made or len(made) >= _MOST_ROLES:
                        raise _told(error, server.version) from error
                    made |= {role, *server.ensure_roles((role,))}
                    continue
            if bundle is not None:
                for one in others:
                    bundle(one)
            return TraceReport(server.version, rows, tuple(revisions), tuple(unfilled), tuple(sorted(made)))


def _told(error: AirlockError | ChildFailed, version: str) -> AirlockError:
    """Tell what scratch lacks from what the revision does wrong, and both from a fault of airlock."""
    extension = missing.extension(str(error))
    if extension is not None:
        return NotExamined(
            f"The scratch server (PostgreSQL {version}) does not have the extension {extension}.",
            then="--scratch container, or --scratch with the URL of a server like the target",
        )
    if isinstance(error, AirlockError):
        return error
    return NotExamined(f"env.py failed in scratch: {error.line}", then="the same with --debug")
