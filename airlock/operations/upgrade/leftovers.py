"""What an earlier run has left behind: a half-applied revision, an INVALID index. Found, named, repaired on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.operations.upgrade import marks
from airlock.records.errors import HalfApplied
from airlock.records.upgrade import Noted, Repaired

if TYPE_CHECKING:
    from airlock.database.observer import Observer
    from airlock.operations.upgrade.progress import Progress
    from airlock.project.project import Project
    from airlock.records.upgrade import Request


def look(
    project: Project, request: Request, observer: Observer, progress: Progress, names: tuple[str, ...]
) -> None:
    """Refuse to go on over leftovers (HalfApplied), unless the next revision resumes or `--repair` removes them.

    `names` are the revisions to come. Reads the catalogue; with `--repair` clears the mark and drops INVALID indexes
    concurrently, each in a transaction of its own.
    """
    mark = marks.read_mark(progress.comment)
    if mark is not None and progress.table is not None:
        _marked(project, request, observer, progress, mark, names)
    if not names:
        return
    invalid = marks.invalid_indexes(observer.connection)
    if invalid and request.repair:
        for index in invalid:
            _run(observer, index.repair_sql)
            request.emit(Repaired(index.repair_sql))
    elif invalid and not any(project.revision(name).resumable for name in names):
        raise invalid_left(invalid, "")


def invalid_left(invalid: tuple[marks.InvalidIndex, ...], standing: str) -> HalfApplied:
    """Name the INVALID indexes and the statement that removes the first."""
    names = ", ".join(index.index for index in invalid)
    return HalfApplied(
        f"INVALID index: {names}.",
        standing=standing,
        then=f"airlock upgrade --repair, or {invalid[0].repair_sql}",
    )


def _marked(
    project: Project,
    request: Request,
    observer: Observer,
    progress: Progress,
    mark: marks.Mark,
    names: tuple[str, ...],
) -> None:
    resumes = bool(names) and (mark.revision, mark.direction) == (names[0], request.direction)
    if resumes and project.revision(names[0]).resumable:
        if progress.done == 0:
            said = f"{mark.revision} was left half applied by run {mark.run}; it is resumable and goes on."
            request.emit(Noted(said))
        return
    if progress.table is None or not request.repair:
        raise _half_applied(mark, progress.table.sql if progress.table is not None else "the version table")
    _run(observer, marks.comment_sql(progress.table, mark.comment))
    progress.comment = mark.comment
    request.emit(Repaired(f"cleared the mark of {mark.revision}"))


def _run(observer: Observer, statement: str) -> None:
    with observer.connection.cursor() as cursor:
        cursor.execute(statement)


def _half_applied(mark: marks.Mark, table: str) -> HalfApplied:
    verb = "upgrade" if mark.direction == "up" else "downgrade"
    return HalfApplied(
        f"{mark.revision} is half applied ({verb}, run {mark.run}): it left its transaction, did not finish, "
        "and does not say that it is resumable.",
        standing=f"Compare the database with {mark.revision}'s own statements and undo those that were committed.",
        then=f"airlock {verb} --repair: it drops INVALID indexes, clears the mark (the COMMENT of {table}) and runs it again",
    )
