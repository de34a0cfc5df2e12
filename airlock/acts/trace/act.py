"""The parent's side of a trace: a scratch database, a child that cannot reach any other, and its report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.instruments.isolation import isolated
from airlock.instruments.scratch import scratch_server
from airlock.words.trace import TracedRevision, TraceReport, Unfilled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

ROWS = 2_000


def trace(
    config: Path,
    *,
    from_to: str | None = None,
    start: tuple[str, ...] | None = None,
    scratch: str = "embedded",
    like_major: int | None = None,
    rows: int = ROWS,
    x_arguments: Sequence[str] = (),
    bundle: Callable[[object], None] | None = None,
) -> TraceReport:
    """Run the revisions of `from_to` up, down and up again in a scratch database, and report each.

    `start` names the heads that a database stands at; the revisions traced are then those up to the
    range's end that it lacks. `bundle` gets what only a review needs: the `Catalogue` and each `Written`
    script. No target is contacted. Roles that the history names and the scratch server lacks are made there.
    Raises RevisionFailed where a revision cannot be applied.
    """
    revisions: list[TracedRevision] = []
    unfilled: list[Unfilled] = []
    with scratch_server(scratch, like_major) as server, server.database() as database:
        arguments = {
            "config": config, "x_arguments": tuple(x_arguments), "from_to": from_to, "start": start,
            "rows": rows, "database": database, "bundle": bundle is not None,
        }  # fmt: skip
        for message in isolated("airlock.acts.trace.observing:observe", arguments, scratch=database):
            if isinstance(message, TracedRevision):
                revisions.append(message)
            elif isinstance(message, Unfilled):
                unfilled.append(message)
            elif bundle is not None:
                bundle(message)
        return TraceReport(server.version, rows, tuple(revisions), tuple(unfilled))
