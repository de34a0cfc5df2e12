"""What a program may use of airlock: its operations, each one function that returns a record.

The commands are thin faces of these. Every function takes the project's ini (or pyproject.toml) first and raises an
`AirlockError`, whose `exit_code` is the command's. None prints, exits or asks. While one runs, the process stands in
the ini's directory, from where Alembic and env.py count relative paths: run no two at once in threads of one process.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from airlock.project.place import working_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airlock.database.target import Target
    from airlock.project.project import Project
    from airlock.records.drill import DrillProgress, DrillReport
    from airlock.records.fleet import FleetRequest, FleetStatus, FleetVerdict
    from airlock.records.review import Review
    from airlock.records.status import Status
    from airlock.records.trace import TracedRevision, TraceReport
    from airlock.records.upgrade import Event, Request, Verdict

ConfigPath = str | os.PathLike[str]
DRILL_ROWS = 40
TRACE_ROWS = 2_000
LOCK_TIMEOUT_S = 1.0
WAIT_S = 600.0


def drill(
    config: ConfigPath = "alembic.ini",
    *,
    revisions: str | None = None,
    last: int | None = None,
    pending: bool = False,
    url: str | None = None,
    scratch: str = "embedded",
    rows: int = DRILL_ROWS,
    traffic: int = 0,
    blocker: bool = False,
    crash: bool = False,
    x_arguments: Sequence[str] = (),
    progress: Callable[[DrillProgress], None] | None = None,
    cut_short: Callable[[DrillReport], None] | None = None,
) -> DrillReport:
    """Rehearse in scratch databases that each revision of a range can be undone, with `rows` rows in every table.

    `revisions` is FROM:TO (None: the whole history), `last` keeps the range's last so many. `pending` drills what the
    target lacks: its version rows are read, and nothing else of it. No other target is contacted. `traffic` clients of
    the other release work during each step, with `blocker` one that stays in its transaction; `crash` cuts each step
    at every statement. `cut_short` gets what was examined where an exception ends the drill before it could be returned.
    Raises NotExamined where there is no scratch server, Usage for a range that is none.
    """
    from airlock.operations import drill as operation

    with standing_at(config) as path:
        start, major = None, None
        if pending:
            from airlock.operations.heads import heads_of

            start, major = heads_of(_target(_project(path, x_arguments), url))
        return operation.drill(
            path, from_to=revisions, last=last, start=start, scratch=scratch, like_major=major, rows=rows,
            traffic=traffic, blocker=blocker, crash=crash, x_arguments=tuple(x_arguments), progress=progress,
            cut_short=cut_short or _unheard,
        )  # fmt: skip


def trace(
    config: ConfigPath = "alembic.ini",
    *,
    revisions: str | None = None,
    scratch: str = "embedded",
    rows: int = TRACE_ROWS,
    blocker_s: float = 0.0,
    x_arguments: Sequence[str] = (),
    cut_short: Callable[[TraceReport], None] | None = None,
    progress: Callable[[TracedRevision], None] | None = None,
) -> TraceReport:
    """Run a range of revisions in scratch and tell what each statement locked, rewrote and scanned.

    `revisions` is FROM:TO (None: the whole history). Scans are judged from 1,000 rows on. With `blocker_s` a reader of so many
    seconds stands before each statement, and who waits behind is told. No target is contacted.
    `cut_short` gets what was seen where an exception ends the trace before it could be returned, `progress` each step at once.
    Raises RevisionFailed where a revision cannot be applied; its `seen` is the report of those below it.
    """
    from airlock.operations import trace as operation

    with standing_at(config) as path:
        return operation.trace(
            path,
            from_to=revisions,
            scratch=scratch,
            rows=rows,
            x_arguments=tuple(x_arguments),
            blocker_s=blocker_s,
            cut_short=cut_short or _unheard,
            progress=progress or _unheard,
        )


def review(
    config: ConfigPath = "alembic.ini",
    *,
    revisions: str | None = None,
    pending: bool = False,
    url: str | None = None,
    scratch: str = "embedded",
    rows: int = TRACE_ROWS,
    blocker_s: float = 0.0,
    x_arguments: Sequence[str] = (),
    cut_short: Callable[[Review], None] | None = None,
    progress: Callable[[TracedRevision], None] | None = None,
) -> Review:
    """Gather what a DBA needs to approve revisions: a trace, a linter's opinion, a target's sizes.

    `pending` reviews what the target lacks; `blocker_s` and `progress` are trace's. The target is contacted for `pending`
    or with `url` only, in a read-only session that waits for nobody. Writes no file. `cut_short` gets what
    was seen, without the target's sizes, where an exception ends the review. Raises Usage where `pending` and
    `revisions` are both given.
    """
    from airlock.operations import review as operation
    from airlock.records.errors import Usage

    if pending and revisions:
        raise Usage("--pending and a range exclude each other.")
    with standing_at(config) as path:
        project = _project(path, x_arguments)
        return operation.review(
            project, path, from_to=revisions, pending=pending,
            target=_target(project, url) if pending or url else None,
            scratch=scratch, rows=rows, blocker_s=blocker_s, x_arguments=tuple(x_arguments),
            cut_short=cut_short or _unheard, progress=progress or _unheard,
        )  # fmt: skip


def upgrade(
    config: ConfigPath = "alembic.ini",
    target: str = "head",
    *,
    url: str | None = None,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
    statement_timeout_s: float | None = None,
    wait_s: float = WAIT_S,
    repair: bool = False,
    dry_run: bool = False,
    scratch: str = "embedded",
    x_arguments: Sequence[str] = (),
    emit: Callable[[Event], None] | None = None,
) -> Verdict:
    """Take a database up to a revision: under the lease, one transaction a revision, locks waited for in short tries.

    The database is that of `url`, else DATABASE_URL_UNPOOLED, DATABASE_URL, the ini. `lock_timeout_s` is how long
    others may have to wait behind one try, `statement_timeout_s` how long one statement may run (None: no limit),
    `wait_s` the deadline of the whole run. `repair` drops INVALID indexes and goes on with a half-applied revision.
    `dry_run` applies all in scratch and only reads the database. Every event, the verdict last, goes to `emit`.
    Raises an AirlockError that says where the database stands.
    """
    from airlock.records.upgrade import UP, Request

    with standing_at(config) as path:
        request = Request(
            target=target, direction=UP, lock_s=lock_timeout_s, statement_s=statement_timeout_s, wait_s=wait_s,
            repair=repair, config=path, x_arguments=tuple(x_arguments), scratch=scratch, emit=emit or _unheard,
        )  # fmt: skip
        return _migrate(request, url, dry_run=dry_run)


def downgrade(
    config: ConfigPath,
    target: str,
    *,
    url: str | None = None,
    accept_loss: int | None = None,
    accept_unknown_loss: bool = False,
    export: str | os.PathLike[str] | None = None,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
    statement_timeout_s: float | None = None,
    wait_s: float = WAIT_S,
    repair: bool = False,
    dry_run: bool = False,
    scratch: str = "embedded",
    x_arguments: Sequence[str] = (),
    emit: Callable[[Event], None] | None = None,
) -> Verdict:
    """Take a database down to a revision, counting first what would be lost; the rest as `upgrade`.

    Raises Refused, with the count, where rows or values would be lost and `accept_loss` is smaller, or where something
    could not be counted and `accept_unknown_loss` is not set. `export` is a directory for the losses as CSV.
    """
    from airlock.records.upgrade import DOWN, Request

    exported = None if export is None else str(Path(export).absolute())
    with standing_at(config) as path:
        request = Request(
            target=target, direction=DOWN, lock_s=lock_timeout_s, statement_s=statement_timeout_s, wait_s=wait_s,
            repair=repair, config=path, x_arguments=tuple(x_arguments), scratch=scratch, emit=emit or _unheard,
            accept_loss=accept_loss, accept_unknown_loss=accept_unknown_loss, export=exported,
        )  # fmt: skip
        return _migrate(request, url, dry_run=dry_run)


def status(
    config: ConfigPath = "alembic.ini",
    *,
    url: str | None = None,
    scratch: str = "embedded",
    x_arguments: Sequence[str] = (),
    back_to: str | None = None,
    drift: bool = True,
) -> Status:
    """Read where a database stands: revisions, what is pending, leftovers, drift. Writes nothing.

    The database is that of `url`, else DATABASE_URL_UNPOOLED, DATABASE_URL, the ini. What it should look like is built
    in scratch; without a scratch server, or `drift`, that is not examined, and the record says why. `back_to`, a revision
    below, has the rows counted that a downgrade to there would lose or be stopped by.
    """
    from airlock.operations import status as operation
    from airlock.project.project import Project

    with standing_at(config) as path:
        project = Project.open(path, x_arguments)
        return operation.status(
            project, _target(project, url), config=path, x_arguments=tuple(x_arguments), scratch=scratch,
            back_to=back_to, drift=drift,
        )  # fmt: skip


def fleet_upgrade(
    config: ConfigPath,
    targets: str | os.PathLike[str],
    target: str = "head",
    *,
    url: str | None = None,
    request: FleetRequest | None = None,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
    statement_timeout_s: float | None = None,
    wait_s: float = WAIT_S,
    repair: bool = False,
    dry_run: bool = False,
    scratch: str = "embedded",
    x_arguments: Sequence[str] = (),
) -> FleetVerdict:
    """Take every target of a list up to a revision, each as `upgrade` does, in a process and under a lease of its own.

    `targets` is a file with one target a line, or a query to the database of `url` (else as `upgrade`). `request` holds
    waves, concurrency, the failures after which nothing further is begun, the journal that the same call goes on from,
    and where events go. With `dry_run` no target is touched. Forks, and handles signals: call it from the main thread
    of a process that has no other. Raises an AirlockError with the exit code that the failed targets have in common.
    """
    from airlock.records.upgrade import UP, Request

    listed = list_of(targets)
    with standing_at(config) as path:
        return _migrate_fleet(
            Request(
                target=target, direction=UP, lock_s=lock_timeout_s, statement_s=statement_timeout_s, wait_s=wait_s,
                repair=repair, config=path, x_arguments=tuple(x_arguments), scratch=scratch,
            ),
            listed, url, request, dry_run=dry_run,
        )  # fmt: skip


def fleet_downgrade(
    config: ConfigPath,
    targets: str | os.PathLike[str],
    target: str,
    *,
    url: str | None = None,
    request: FleetRequest | None = None,
    accept_loss: int | None = None,
    accept_unknown_loss: bool = False,
    export: str | os.PathLike[str] | None = None,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
    statement_timeout_s: float | None = None,
    wait_s: float = WAIT_S,
    repair: bool = False,
    dry_run: bool = False,
    scratch: str = "embedded",
    x_arguments: Sequence[str] = (),
) -> FleetVerdict:
    """Take every target of a list down to a revision, counting first what all of them lose; the rest as `fleet_upgrade`.

    Raises Refused, with the sum, where more rows or values would be lost than `accept_loss`, or NotExamined where
    something could not be counted and `accept_unknown_loss` is not set: then no target was touched.
    """
    from airlock.records.upgrade import DOWN, Request

    exported = None if export is None else str(Path(export).absolute())
    listed = list_of(targets)
    with standing_at(config) as path:
        return _migrate_fleet(
            Request(
                target=target, direction=DOWN, lock_s=lock_timeout_s, statement_s=statement_timeout_s, wait_s=wait_s,
                repair=repair, config=path, x_arguments=tuple(x_arguments), scratch=scratch,
                accept_loss=accept_loss, accept_unknown_loss=accept_unknown_loss, export=exported,
            ),
            listed, url, request, dry_run=dry_run,
        )  # fmt: skip


def fleet_status(
    config: ConfigPath,
    targets: str | os.PathLike[str],
    *,
    url: str | None = None,
    concurrency: int = 4,
    x_arguments: Sequence[str] = (),
) -> FleetStatus:
    """Read where every target of a list stands, `concurrency` at a time; runs no env.py and writes nothing.

    A target that cannot be read has a record that says why.
    """
    from airlock.operations.fleet import read_targets
    from airlock.operations.fleet.status import fleet_status as status_of
    from airlock.project.project import Project

    listed = list_of(targets)
    with standing_at(config) as path:
        project = Project.open(path, x_arguments)
        return status_of(project, read_targets(project, listed, url, tuple(x_arguments)), concurrency)


def list_of(targets: str | os.PathLike[str]) -> str:
    """Give a file's absolute name, from where the caller stands; a query, and `-`, as they are."""
    given = os.fspath(targets)
    try:
        return str(Path(given).absolute()) if given != "-" and Path(given).is_file() else given
    except (OSError, ValueError):
        return given


@contextlib.contextmanager
def standing_at(config: ConfigPath) -> Iterator[Path]:
    """Stand in the project's directory for a while, and give the ini's absolute path."""
    path = Path(config).absolute()
    # A directory that is not there is told by whoever reads the ini.
    if not path.parent.is_dir():
        yield path
        return
    before = Path.cwd()
    os.chdir(working_directory(path))
    try:
        yield path
    finally:
        os.chdir(before)


def _project(config: Path, x_arguments: Sequence[str]) -> Project:
    from airlock.scratch.loading import opened

    return opened(config, x_arguments)


def _target(project: Project, url: str | None) -> Target:
    from airlock.database.target import resolve_target

    return resolve_target(url, os.environ, project.ini_url)


def _migrate(request: Request, url: str | None, *, dry_run: bool) -> Verdict:
    from airlock.project.project import Project

    project = Project.open(request.config, request.x_arguments)
    target = _target(project, url)
    if dry_run:
        from airlock.operations import dry_run as rehearsal

        return rehearsal.dry_run(project, target, request)
    from airlock.operations.upgrade import migrate

    return migrate(project, target, request)


def _unheard(_told: object) -> None:
    """Tell nobody."""


def _migrate_fleet(
    request: Request, targets: str, url: str | None, fleet: FleetRequest | None, *, dry_run: bool
) -> FleetVerdict:  # fmt: skip
    from airlock.operations.fleet import migrate_all, read_targets
    from airlock.operations.fleet.dry_run import rehearse_all
    from airlock.project.project import Project
    from airlock.records.fleet import FleetRequest

    project = Project.open(request.config, request.x_arguments)
    found = read_targets(project, targets, url, request.x_arguments)
    return (rehearse_all if dry_run else migrate_all)(project, found, request, fleet or FleetRequest())
