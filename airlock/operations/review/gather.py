"""Gather a review: a trace in scratch, a linter's opinion, and the target's sizes, read-only."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airlock.catalogue.diagram import marked
from airlock.database import server, sizes
from airlock.operations import versions
from airlock.operations.review import second_reader
from airlock.operations.review.judging import dangers, losses, published_there, reviewed, unseen
from airlock.operations.trace import Catalogue, trace
from airlock.project.offline import Written
from airlock.records.diagram import Diagram
from airlock.records.errors import RevisionFailed
from airlock.records.review import Review
from airlock.records.trace import Stopped
from airlock.scratch.isolation import ended_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from airlock.database.target import Target
    from airlock.project.project import Project
    from airlock.records.trace import TracedRevision, TraceReport


def review(
    project: Project,
    config: Path,
    *,
    from_to: str | None = None,
    pending: bool = False,
    target: Target | None = None,
    scratch: str = "embedded",
    rows: int,
    blocker_s: float = 0.0,
    x_arguments: Sequence[str] = (),
    cut_short: Callable[[Review], None] = lambda _: None,
    progress: Callable[[TracedRevision], None] = lambda _: None,
) -> Review:
    """Trace the revisions and judge them; with a `target`, put its real sizes beside what was seen.

    `pending` reviews what the target lacks. The target is read in a read-only session that waits for nobody;
    everything else happens in scratch.
    Raises RevisionFailed at the end where a revision fails by itself; its `reviewed` is the review of all. Of anything else that
    ends it, a signal too, `cut_short` gets the review of what was seen, judged without the target.
    """
    found: list[object] = []
    ended: list[TraceReport] = []
    failed: RevisionFailed | None = None
    with _reading(target) as connection:
        facts = server.facts(connection) if connection is not None else None
        start = _heads(connection) if pending else None
        try:
            report = trace(
                config,
                from_to=from_to,
                start=start,
                scratch=scratch,
                like_major=facts.major if facts is not None else None,
                rows=rows,
                blocker_s=blocker_s,
                x_arguments=x_arguments,
                bundle=found.append,
                cut_short=ended.append,
                progress=progress,
            )
        except RevisionFailed as error:
            if error.seen is None:
                raise
            failed, report = error, error.seen
        except BaseException:
            if ended:
                cut_short(_judged(project, ended[-1], found))
            raise
        try:
            made = _judged(project, report, found, target, connection)
        except BaseException as error:
            if connection is not None:
                stopped = Stopped(ended_by(error), ())
                cut_short(_judged(project, replace(report, stopped=stopped), found))
            raise
    if failed is not None:
        failed.reviewed = made
        raise failed
    return made


def _judged(
    project: Project,
    report: TraceReport,
    found: Sequence[object],
    target: Target | None = None,
    connection: Any = None,
) -> Review:
    """Judge what a trace saw; with a connection to the `target`, by its real sizes too."""
    if connection is not None:
        report = published_there(connection, report)
    written = [one for one in found if isinstance(one, Written)]
    linter, said = second_reader.second(report)
    revisions = tuple(
        reviewed(project, report, written, said, revision)
        for revision in dict.fromkeys(one.revision for one in report.revisions)
    )
    if connection is not None:
        revisions = losses(connection, revisions)
    made = next((one for one in found if isinstance(one, Catalogue)), None)
    return Review(
        server_version=report.server_version,
        rows=report.rows,
        target=target.label if target is not None else None,
        revisions=revisions,
        dangers=dangers(connection, revisions, report),
        differences=made.differences if made is not None else (),
        diagram=marked(made.before, made.after) if made is not None else Diagram(),
        unfilled=(*report.unfilled, *unseen(report)),
        linter=linter,
        blocker_s=report.blocker_s,
        stopped=report.stopped,
    )


@contextlib.contextmanager
def _reading(target: Target | None) -> Iterator[Any]:
    if target is None:
        yield None
        return
    connection = server.connect(target, application_name="airlock-review", autocommit=True)
    with contextlib.closing(connection):
        sizes.prepare(connection)
        yield connection


def _heads(connection: Any) -> tuple[str, ...]:
    table, _ = versions.version_table(connection)
    return tuple(sorted(str(row) for row in versions.version_rows(connection, table) if row is not None))
