"""One run: lease, orphans, attempts, verdict."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import time
from typing import TYPE_CHECKING

from airlock.catalogue import publications
from airlock.database import poolers, server, server_errors
from airlock.database.lease import Lease, new_run, take
from airlock.database.observer import Budget, Observer
from airlock.database.orphans import end_abandoned, end_orphans
from airlock.database.signals import Stopped, Watch, watching
from airlock.operations.upgrade import held, marks, plan, position, surroundings
from airlock.operations.upgrade.judge import judge
from airlock.operations.upgrade.leftovers import invalid_left
from airlock.operations.upgrade.progress import Progress
from airlock.operations.upgrade.proof import prove
from airlock.operations.upgrade.steps import Steps, require_replicated
from airlock.project import environment
from airlock.records.errors import (
    AirlockError,
    ConnectionLost,
    Interrupted,
    LeaseHeld,
    LockBudgetSpent,
    WrongTarget,
)
from airlock.records.upgrade import DOWN, UP, Blocked, Leased, Noted, OrphansEnded, Retrying, Verdict, Waiting
from airlock.scratch.redirect import redirected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.database.observer import Blocker
    from airlock.database.target import Target
    from airlock.operations.downgrade import Counted
    from airlock.project.project import Project
    from airlock.records.upgrade import Request

# Full jitter: the n-th sleep is drawn from 0 to 1, 2, 4, ... 30 seconds.
_LONGEST_SLEEP = 30.0
_FIRST_SLEEP = 1.0


def migrate(project: Project, target: Target, request: Request, losses: Counted | None = None) -> Verdict:
    """Bring the target database to the requested revision and return the verdict.

    Takes the lease and holds it to the end; commits once per revision; retries a revision that got no lock.
    Every event, the verdict last, goes to `request.emit`, also when an AirlockError is raised. With `losses`, a
    downgrade is held to what was counted before, at the version rows that it was counted at.

    Where env.py runs the migrations several times, each is a run of its own with its own verdict, and what is raised by one
    stops those behind it. Returns the verdict of the last.
    """
    run = _Run(project, target, request, losses)
    verdict = _through(run)
    tables = [run.progress.table]
    for turn in range(1, run.turns):
        request.emit(Noted(f"env.py runs the migrations {run.turns} times; this is number {turn + 1}."))
        again = _Run(
            dataclasses.replace(project, turn=turn), target, dataclasses.replace(request, turn=turn), None
        )
        again.progress.tables_before = tuple(tables)
        verdict = _through(again)
        tables.append(again.progress.table)
    return verdict


def _through(run: _Run) -> Verdict:
    try:
        run.go()
    except AirlockError as error:
        run.request.emit(run.verdict(error))
        raise
    verdict = run.verdict(None)
    run.request.emit(verdict)
    return verdict


class _Run:
    def __init__(self, project: Project, target: Target, request: Request, losses: Counted | None) -> None:
        self.project = project
        self.named = self.target = target
        self.request = request
        self.progress = Progress()
        self.started = time.monotonic()
        self.deadline = self.started + request.wait_s
        self.longest_block_s = 0.0
        self.losses = losses
        self.turns = 1

    def go(self) -> None:
        plan.check_arguments(self.project, self.request.target, self.request.direction)
        for note in self.target.notes:
            self.request.emit(Noted(note))
        run = new_run()
        with (
            watching() as watch,
            self._leased(run, watch) as lease,
            self._naming_losses(lease),
            self._observed(run, lease) as observer,
        ):
            watch.on_signal = lambda: observer.cancel("signal")
            lease.on_loss = lambda: observer.cancel("lease")
            lease.sever_with(observer.connection)
            self._announce(lease, observer)
            ended = end_orphans(observer.connection, run)
            if ended:
                self.request.emit(OrphansEnded(ended))
            observer.start()
            if self.request.direction == DOWN and self.request.count_losses and self.losses is None:
                self._count_losses(lease, observer, watch)
            self._attempt_all(lease, observer, watch)
            self.progress.heads = position.read_heads(observer.connection, self.progress.table)
            self._require_replicated(observer)
            self._look_afterwards(observer)

    @contextlib.contextmanager
    def _leased(self, run: str, watch: Watch) -> Iterator[Lease]:
        try:
            lease = take(
                self.target,
                run=run,
                what=f"{self.request.direction} {self.request.target}",
                wait_s=self.request.wait_s,
                on_wait=lambda holder: self.request.emit(Waiting(str(holder or "a run that is just ending"))),
                wake=watch.arrived,
            )
        except LeaseHeld:
            if watch.number:
                raise Interrupted(watch.number, standing="Nothing changed.") from None
            raise
        with lease:
            # Where it leads to several servers, the run goes on on the one that is leased.
            self.target = lease.target
            yield lease

    @contextlib.contextmanager
    def _naming_losses(self, lease: Lease) -> Iterator[None]:
        """Put into the tree what befalls airlock's own connections between two attempts."""
        try:
            yield
        except Exception as error:
            if not server_errors.is_drivers(error):
                raise
            lost = ConnectionLost(f"The lease was lost: {lease.reason}.") if lease.lost.is_set() else None
            failure = lost or server_errors.classify(error)
            failure.standing = "Nothing changed." if not self.progress.done else f"{self.progress.done} done."
            raise failure from error

    @contextlib.contextmanager
    def _observed(self, run: str, lease: Lease) -> Iterator[Observer]:
        budget = Budget(self.request.lock_s, self.request.statement_s, self.deadline)
        observer = Observer(self.target, run, budget, self._blocked)
        try:
            poolers.refuse_balanced(observer.connection, self.target.label)
            # Proved like any worker: an address that leads to two servers must not be trusted here either.
            with observer.connection.cursor() as cursor:
                cursor.execute(f"{lease.proof_sql}, pg_backend_pid(), {publications.ANY}")
                proved, answering, publishes = cursor.fetchone()
            if proved is not True:
                lease.require_in_sight()
                raise WrongTarget(
                    "The lease is not to be seen from a second connection: the address leads to several servers."
                )
            self.progress.publishes = publishes
            self.progress.pooled = poolers.pooled(observer.connection, self.target, answering)
            yield observer
        finally:
            observer.close()
            self.longest_block_s = observer.longest_block_s

    def _announce(self, lease: Lease, observer: Observer) -> None:
        facts, pooled = lease.server, self.progress.pooled
        waited = (time.monotonic() - self.started) * 1000
        self.request.emit(Leased(lease.run, self.target.label, facts.version, facts.user, pooled, waited))
        if pooled:
            self.request.emit(
                Noted(
                    "This is a transaction pooler; it works, but a direct host (DATABASE_URL_UNPOOLED) is better for revisions."
                )
            )
        lifted, kept = server.role_settings(observer.connection)
        self.progress.lifted = tuple(lifted)
        for name, value in lifted.items():
            self.request.emit(
                Noted(f"{name} = {value} stands on this role or database; lifted for this run.")
            )
        if "session_replication_role" in kept:
            self.request.emit(
                Noted(
                    f"session_replication_role = {kept['session_replication_role']} stands on this role or database: no trigger "
                    "and no foreign key acts on what the revisions write."
                )
            )
        if "statement_timeout" in kept and self.request.statement_s is None:
            self.request.emit(
                Noted(
                    f"statement_timeout = {kept['statement_timeout']} stands on this role or database, and holds for each "
                    "statement of a transaction; --statement-timeout takes its place."
                )
            )

    def _blocked(self, blockers: tuple[Blocker, ...]) -> None:
        step = self.progress.step or ""
        self.request.emit(
            Blocked(step, self.request.direction, tuple(str(one) for one in blockers), blockers[0].waited_for)
        )

    def _attempt_all(self, lease: Lease, observer: Observer, watch: Watch) -> None:
        tries, done_before = 0, 0
        while True:
            steps = Steps(self.project, self.request, lease, observer, watch, self.progress, self.losses)
            # Of a later attempt the target only has to be one: the steps are what is left of the plan.
            end = "heads" if self.request.direction == UP else "base"
            target = end if self.progress.planned else self.request.target
            error = self._attempt(steps, lease, watch, target)
            if error is None:
                if steps.left_over == 0:
                    return
                if steps.external and not self.progress.single and self.progress.commits_below is None:
                    self.progress.commits_below = self._probe(steps, lease, watch)
                continue
            failure = judge(error, steps, lambda: position.standing(self.progress, self.target, observer))
            if self.progress.done > done_before:
                tries, done_before = 0, self.progress.done
            tries += 1
            sleep = random.uniform(0, min(_LONGEST_SLEEP, _FIRST_SLEEP * 2 ** (tries - 1)))  # noqa: S311
            if not self._may_retry(failure, sleep):
                raise failure from error
            self.request.emit(
                Retrying(
                    self.progress.step or "", self.request.direction, failure.message, tries, sleep * 1000
                )
            )
            observer.clear()
            # After a failure one env.py run per step: what a run has left in env.py's memory must not spread.
            self.progress.single = True
            if watch.arrived.wait(sleep):
                raise Interrupted(
                    watch.number, standing=position.standing(self.progress, self.target, observer)
                )

    def _count_losses(self, lease: Lease, observer: Observer, watch: Watch) -> None:
        """Learn where the database stands, then count what the way down takes away; touch nothing."""
        steps = Steps(self.project, self.request, lease, observer, watch, self.progress, None)
        error = self._attempt(steps, lease, watch, None)
        if error is not None:
            raise judge(
                error, steps, lambda: position.standing(self.progress, self.target, observer)
            ) from error
        heads = self.progress.heads
        planned = environment.plan_steps(self.project, heads, self.request.target, DOWN)
        names = tuple(step.revision.revision for step in planned)
        plan.check_target(self.project, heads, self.request.target, DOWN, names)
        if names:
            # The losing act loads the recorder and the fingerprint: only a downgrade pays for them.
            from airlock.operations.downgrade import count

            table = self.progress.table.name if self.progress.table is not None else ""
            try:
                with watch.arm():
                    self.losses = count(
                        self.target, self.request, heads=heads, major=lease.server.major, version_table=table
                    )
            except Stopped:
                raise Interrupted(watch.number, standing="Nothing changed.") from None

    def _probe(self, steps: Steps, lease: Lease, watch: Watch) -> bool:
        """Learn whether revisions may be committed below the transaction that env.py holds."""
        probe = held.Probe()
        try:
            with self._within(lease, watch, steps.listening(), probe.listening()):
                environment.run(self.project, None, self.request.direction, probe)
        except Stopped:
            raise Interrupted(watch.number, standing=f"{self.progress.done} done.") from None
        except Exception:  # noqa: BLE001 - what env.py raises now it raises in the next run too, and is judged there
            return False
        return probe.outlives

    @contextlib.contextmanager
    def _within(
        self, lease: Lease, watch: Watch, *listening: contextlib.AbstractContextManager[None]
    ) -> Iterator[None]:
        """Lead env.py to the target, proved by the lease, and let signals end it."""
        with (
            contextlib.ExitStack() as listeners,
            surroundings.environment_of(self.named),
            surroundings.quiet(),
            redirected(self.target.url, prove(lease), application_name=lease.worker_name),
        ):
            for one in listening:
                listeners.enter_context(one)
            with watch.arm():
                yield

    def _attempt(self, steps: Steps, lease: Lease, watch: Watch, target: str | None) -> BaseException | None:
        error: BaseException | None = None
        try:
            with self._within(lease, watch, steps.listening()):
                self.turns = environment.run(self.project, target, self.request.direction, steps).turns
                steps.ended()
        except BaseException as raised:  # noqa: BLE001 - whatever env.py raises is judged, asyncio's CancelledError too
            error = raised
        # A connection that is lost is found to be so by whoever needs it next.
        with contextlib.suppress(Exception):
            end_abandoned(steps.observer.connection, lease.run)
        return error

    def _may_retry(self, failure: AirlockError, sleep: float) -> bool:
        left = self.deadline - time.monotonic()
        if not isinstance(failure, LockBudgetSpent) or left <= 0:
            return False
        return sleep < left or left > self.request.lock_s

    def _require_replicated(self, observer: Observer) -> None:
        try:
            require_replicated(observer)
        except AirlockError as error:
            error.standing = position.standing(self.progress, self.target, observer)
            raise

    def _look_afterwards(self, observer: Observer) -> None:
        if self.progress.done == 0:
            return
        invalid = marks.invalid_indexes(observer.connection)
        if invalid:
            raise invalid_left(
                invalid,
                f"The revisions are recorded; the database is at {position.names(self.progress.heads)}.",
            )

    def verdict(self, error: AirlockError | None) -> Verdict:
        return Verdict(
            direction=self.request.direction,
            before=self.progress.before or (),
            after=self.progress.heads,
            exit_code=error.exit_code if error else 0,
            longest_block_ms=round(self.longest_block_s * 1000, 1),
            revisions=self.progress.done,
            ms=(time.monotonic() - self.started) * 1000,
            message=str(error) if error else "",
        )
