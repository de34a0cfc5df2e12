"""What happens around each step of env.py's run: budgets, marks, the lease's proof, events."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from airlock.catalogue import publications
from airlock.drivers import raw
from airlock.drivers.engine_events import listening
from airlock.drivers.spelling import literal
from airlock.operations.upgrade import leftovers, marks, plan, position
from airlock.operations.upgrade.held import commit_below
from airlock.operations.upgrade.transaction_end import ends_transaction
from airlock.project import environment
from airlock.project.environment import Hooks
from airlock.project.titles import title
from airlock.records.errors import (
    ConnectionLost,
    Refused,
    RevisionFailed,
    StatementBudgetSpent,
    Usage,
    WrongTarget,
)
from airlock.records.upgrade import Noted, Planned, StepBegun, StepDone

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from alembic.runtime.migration import MigrationContext, RevisionStep
    from sqlalchemy.engine import Connection

    from airlock.database.lease import Lease
    from airlock.database.observer import Observer
    from airlock.database.signals import Watch
    from airlock.operations.downgrade import Counted
    from airlock.operations.upgrade.progress import Progress
    from airlock.project.project import Project
    from airlock.records.upgrade import Request

# The server is asked for the lease before a version row is written, but for revisions that follow within this
# time: a lease lost in between is noticed by its heartbeat, and its next holder ends this session as an orphan.
_PROOF_SECONDS = 0.25
_UNBOUND = "airlock_unbound"


class Steps(Hooks):
    """One attempt of env.py: every check between its steps."""

    def __init__(
        self, project: Project, request: Request, lease: Lease, observer: Observer, watch: Watch, progress: Progress,
        losses: Counted | None,
    ) -> None:  # fmt: skip
        self.project = project
        self.request = request
        self.lease = lease
        self.observer = observer
        self.watch = watch
        self.progress = progress
        self.losses = losses
        self.left_over = 0
        self.started = False
        self.inside = False
        self.external = False
        self._ahead = 0
        self._connection: Connection | None = None
        self._rolled_back = False
        self._unfinished: RevisionStep | None = None
        self._since = 0.0
        self._proved = 0.0
        self._published = publications.Publications()

    def start(self, context: MigrationContext, heads: tuple[str, ...]) -> None:
        """Check the version rows against the history."""
        self.started = True
        self.external = context._in_external_transaction
        self.progress.table = marks.VersionTable(
            context.version_table, environment.schema_of_version_table(context)
        )
        if self.progress.table in self.progress.tables_before:
            raise Usage(
                "env.py runs the migrations in another database too: airlock leads all its connections to one.",
                then="a run for each, with what env.py chooses its database by: -x or --env",
            )
        plan.check_rows(self.project, heads)
        self.progress.heads = tuple(sorted(heads))
        if self.progress.before is None:
            self.progress.before = self.progress.heads
        self.progress.comment = marks.read_comment(self.observer.connection, self.progress.table)

    def plan(self, steps: list[RevisionStep]) -> list[RevisionStep]:
        """Check the plan and announce it once; cut it to one step where all would share a transaction.

        A later attempt goes on with what is left of that plan, whatever its target would mean by now.
        """
        self.watch.check()
        if self.progress.planned:
            steps = environment.steps_of(self.project, self.progress.pending, self.request.direction)
        names = tuple(step.revision.revision for step in steps)
        if not self.progress.planned:
            self._require_counted()
            plan.check_target(
                self.project, self.progress.heads, self.request.target, self.request.direction, names
            )
            table = self.progress.table.sql if self.progress.table is not None else ""
            self.request.emit(Planned(self.request.direction, self.progress.heads, names, table))
            self.progress.planned, self.progress.pending = True, deque(names)
        leftovers.look(self.project, self.request, self.observer, self.progress, names)
        shared = self.external and not self.progress.commits_below
        kept = steps[:1] if shared or self.progress.single else steps
        self.left_over, self._ahead = len(steps) - len(kept), len(kept)
        return kept

    def _require_counted(self) -> None:
        counted = self.losses.heads if self.losses is not None else None
        if counted is not None and counted != self.progress.heads:
            raise Refused(
                f"What would be lost was counted at {position.names(counted)}, and the database has been taken to "
                f"{position.names(self.progress.heads)} since."
            )

    def before(self, step: RevisionStep, context: MigrationContext) -> None:  # noqa: ARG002  the hooks' signature
        """Announce the step; begin nothing once the lease is lost or a signal has arrived."""
        self.watch.check()
        self.lease.require()
        require_replicated(self.observer)
        self._since = time.monotonic()
        self.progress.step = step.revision.revision
        self.progress.left_transaction = False
        self.observer.blockers = ()
        self.request.emit(StepBegun(step.revision.revision, self.request.direction, title(step.revision)))

    def begun(self, step: RevisionStep, context: MigrationContext) -> None:
        """Count again what is lost; then mark at once where the connection commits every statement by itself."""
        connection = context.connection
        if connection is None:
            raise WrongTarget("env.py gave Alembic no connection.")
        alone = raw.autocommits(connection)
        if self.progress.publishes:
            self._published = publications.published(lambda query: raw.rows(connection, query))
        if self.losses is not None:
            # Before the mark: what is refused here has left nothing half applied.
            self.losses.recount(step.revision.revision, connection, locking=not alone)
        self.inside, self._connection, self._rolled_back = True, connection, False
        if alone:
            self._leave(connection)

    def done(self, step: RevisionStep, context: MigrationContext) -> None:
        """Ask the server for the lease before the version row is written; clear the mark with it."""
        self.inside = False
        self.observer.outside_transaction = False
        if context.connection is None:
            raise WrongTarget("env.py gave Alembic no connection.")
        if self._rolled_back:
            raise RevisionFailed(f"{step.revision.revision} rolled back its own transaction, and went on.")
        if self.losses is not None and not self.progress.left_transaction:
            self.losses.settle(step.revision.revision, context.connection)
        self.lease.require()
        if time.monotonic() - self._proved > _PROOF_SECONDS:
            if context.connection.exec_driver_sql(self.lease.proof_sql).scalar() is not True:
                raise ConnectionLost("The lease was lost: its session is gone.")
            self._proved = time.monotonic()
        self._tell_published(context.connection)
        # Also a mark that an earlier run left and that this one has made good.
        if self.progress.table is not None and (
            self.progress.left_transaction or marks.read_mark(self.progress.comment) is not None
        ):
            mark = marks.read_mark(self.progress.comment)
            before = mark.comment if mark is not None else self.progress.comment
            raw.execute(context.connection, marks.comment_sql(self.progress.table, before))
            self.progress.comment = before

    def _tell_published(self, connection: Connection) -> None:
        if not self._published.names:
            return
        after = publications.published(lambda query: raw.rows(connection, query))
        for table, told in publications.changes(self._published, after):
            self.request.emit(Noted(f"{self.progress.step}: {table}: {told}."))

    def after(self, step: RevisionStep, context: MigrationContext) -> None:
        """Commit the step where env.py holds the transaction and others follow; announce its end once it is committed."""
        self._ahead -= 1
        if self.external and not self._ahead:
            # env.py itself has yet to commit it.
            self._unfinished = step
            return
        if self.external and context.connection is not None:
            commit_below(context.connection)
        self._finish(step)

    def ended(self) -> None:
        """Follow the regular end of env.py: what it has committed itself is announced now."""
        if self._unfinished is not None:
            self._finish(self._unfinished)

    def _finish(self, step: RevisionStep) -> None:
        ms = (time.monotonic() - self._since) * 1000
        transactional = not self.progress.left_transaction
        self.progress.done += 1
        self.progress.pending.popleft()
        self.progress.step = None
        self.progress.left_transaction = False
        self.request.emit(
            StepDone(step.revision.revision, self.request.direction, title(step.revision), ms, transactional)
        )

    def listening(self) -> AbstractContextManager[None]:
        """Set budgets when a transaction begins, and mark before a revision's own commit, on any connection."""
        return listening(
            {
                "begin": self._on_begin,
                "commit": self._on_commit,
                "rollback": self._on_rollback,
                "before_cursor_execute": self._on_execute,
            }
        )

    def _on_begin(self, connection: Connection) -> None:
        if raw.autocommits(connection):
            if self.inside:
                self._leave(connection)
                self._unbind(connection)
            return
        raw.execute(connection, f"SET LOCAL lock_timeout = {max(1, round(self.request.lock_s * 1000))}")
        # A revision may think between two statements, and take its time as a whole: a role's own limits would end it.
        for name in self.progress.lifted:
            raw.execute(connection, f"SET LOCAL {name} = 0")
        if self.request.statement_s is not None:
            raw.execute(
                connection, f"SET LOCAL statement_timeout = {max(1, round(self.request.statement_s * 1000))}"
            )

    def _unbind(self, connection: Connection) -> None:
        """Take off the role's own timeouts, once a session: outside a transaction they leave INVALID indexes.

        The observer keeps our budgets there. Not behind a pooler, where the session is others' too.
        """
        if self.progress.pooled or connection.info.get(_UNBOUND):
            return
        connection.info[_UNBOUND] = True
        raw.execute(connection, "SET lock_timeout = 0")
        raw.execute(connection, "SET idle_session_timeout = 0")
        if self.request.statement_s is not None:
            raw.execute(connection, "SET statement_timeout = 0")

    def _on_commit(self, connection: Connection) -> None:
        if self.inside:
            self._leave(connection)

    def _on_rollback(self, connection: Connection) -> None:
        if self.inside and connection is self._connection and not self.progress.left_transaction:
            self._rolled_back = True

    def _on_execute(self, connection: Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
        if self.inside and ends_transaction(statement):
            self._leave(connection)

    def _leave(self, connection: Connection) -> None:
        """Write the mark into the transaction that is about to be committed."""
        self.observer.outside_transaction = True
        if self.progress.left_transaction or self.progress.table is None or self.progress.step is None:
            return
        if (
            raw.scalar(connection, f"SELECT pg_catalog.to_regclass({literal(self.progress.table.sql)})")
            is None
        ):
            # Another connection of the first revision, whose own transaction has made the version table: there is
            # nothing yet that a mark could be written on.
            self.progress.left_transaction = True
            return
        found = marks.read_mark(self.progress.comment)
        own = found.comment if found is not None else self.progress.comment
        mark = marks.Mark(self.progress.step, self.request.direction, self.lease.run, own)
        raw.execute(connection, marks.comment_sql(self.progress.table, mark.text()))
        self.progress.left_transaction = True
        self.progress.comment = mark.text()


def require_replicated(observer: Observer) -> None:
    """Raise StatementBudgetSpent where a commit was let go without its synchronous standby's word."""
    if observer.unreplicated_s:
        raise StatementBudgetSpent(
            f"A commit waited {observer.unreplicated_s:.0f} s for a synchronous standby, past --wait, and was let go: "
            "it is committed on this server, and no standby has confirmed it.",
            then="to bring the standby back, or take it out of synchronous_standby_names; then the same again",
        )
