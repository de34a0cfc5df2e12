"""Gather a review: a trace in scratch, a linter's opinion, and the target's sizes, read-only."""

from __future__ import annotations

import contextlib
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from airlock.database.target import Target
    from airlock.project.project import Project
    from airlock.records.trace import TracedRevision


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
    progress: Callable[[TracedRevision], None] = lambda _: None,
) -> Review:
    """Trace the revisions and judge them; with a `target`, put its real sizes beside what was seen.

    `pending` reviews what the target lacks. The target is read in a read-only session that waits for nobody;
    everything else happens in scratch.
    Raises RevisionFailed at the end where a revision fails by itself; its `reviewed` is the review of all.
    """
    with _reading(target) as connection:
        facts = server.facts(connection) if connection is not None else None
        start = _heads(connection) if pending else None
        found: list[object] = []
        failed: RevisionFailed | None = None
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
                progress=progress,
            )
        except RevisionFailed as error:
            if error.seen is None:
                raise
            failed, report = error, error.seen
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
        seen = dangers(connection, revisions, report)
    made = next((one for one in found if isinstance(one, Catalogue)), None)
    made_of = Review(
        server_version=report.server_version,
        rows=report.rows,
        target=target.label if target is not None else None,
        revisions=revisions,
        dangers=seen,
        differences=made.differences if made is not None else (),
        diagram=marked(made.before, made.after) if made is not None else Diagram(),
        unfilled=(*report.unfilled, *unseen(report)),
        linter=linter,
        blocker_s=report.blocker_s,
    )
    if failed is not None:
        failed.reviewed = made_of
        raise failed
    return made_of


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
