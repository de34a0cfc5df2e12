"""One run over many targets: waves, places, a journal, one verdict."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import random
import selectors
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airlock.operations.fleet import child as children
from airlock.operations.fleet.destination import destination
from airlock.operations.fleet.journal import Journal
from airlock.operations.fleet.signals import arrived, signal_socket
from airlock.operations.fleet.tally import Tally
from airlock.operations.fleet.waves import waves_of
from airlock.records.errors import (
    AirlockError,
    ConnectionLost,
    Interrupted,
    StatementBudgetSpent,
    Usage,
)
from airlock.records.fleet import (
    FleetBegun,
    FleetNoted,
    FleetProgress,
    FleetStopped,
    FleetVerdict,
    TargetBegun,
    TargetDone,
    TargetEvent,
    TargetRetrying,
    TargetSaid,
    WaveBegun,
)
from airlock.records.upgrade import DOWN, Planned, Verdict

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

    from airlock.operations.downgrade import Counted
    from airlock.operations.fleet.child import Child, End
    from airlock.operations.fleet.targets import FleetTarget
    from airlock.project.project import Project
    from airlock.records.fleet import FleetRequest
    from airlock.records.upgrade import Request

# A child that is asked to end cancels its statement and rolls back; after this long it is killed.
_FAREWELL_SECONDS = 15.0
_INSISTING_SECONDS = 2.0
_PROGRESS_SECONDS = 1.0
# While connections are used up: full jitter, the n-th sleep from 0 to 1, 2, 4, 8 seconds.
_LONGEST_SLEEP = 8.0


def migrate_all(
    project: Project, targets: Sequence[FleetTarget], request: Request, fleet: FleetRequest
) -> FleetVerdict:  # fmt: skip
    """Bring every target to the request's revision, each in a process of its own under its own lease; return the verdict.

    Each target gets what `migrate` promises for one. Nothing is begun that the journal does not say; what an earlier
    run of the same journal has done is not done again. Before a downgrade what is lost is counted over all targets.
    Every event, the verdict last, goes to `fleet.emit`, also when an AirlockError is raised: one with the exit code of
    the targets that failed where they have it in common, Interrupted after a signal, Usage where the journal cannot be
    written.
    """
    to = destination(project, request.target, request.direction)
    with Journal(fleet.journal, request.direction, to) as journal:
        run = _Fleet(project, targets, request, fleet, to, journal)
        error: AirlockError | None = None
        try:
            run.go()
            error = run.failure()
        except AirlockError as raised:
            error = raised
        verdict = run.tally.verdict(request.direction, to, error)
        fleet.emit(verdict)
        if error is not None:
            raise error
        journal.finish()
        return verdict


@dataclass
class _Queued:
    one: FleetTarget
    attempt: int = 1
    not_before: float = 0.0
    deadline: float | None = None


class _Fleet:
    def __init__(
        self, project: Project, targets: Sequence[FleetTarget], request: Request, fleet: FleetRequest,
        to: tuple[str, ...], journal: Journal,
    ) -> None:  # fmt: skip
        self.project = project
        self.targets = targets
        self.request = request
        self.fleet = fleet
        self.losses: Mapping[str, Counted] = {}
        self.to = to
        self.journal = journal
        self.tally = Tally(targets, journal)
        self.stopped = ""
        self.fault: AirlockError | None = None
        self.signal = 0
        self._signal_at = 0.0
        self._children: dict[int, Child] = {}
        self._verdicts: dict[int, Verdict] = {}
        self._tables: dict[int, str] = {}
        self._queue: list[_Queued] = []
        self._deadlines: dict[str, float] = {}
        self._told_at = 0.0
        self._warm = False
        self._life = (-1, -1)

    def go(self) -> None:
        ends = waves_of(len(self.targets), self.fleet.waves)
        self._announce(ends)
        if self.request.direction == DOWN and self.request.count_losses:
            # The losing act loads the recorder and the fingerprint: only a downgrade pays for them.
            from airlock.operations.fleet.losses import count_losses

            left = [one for one in self.targets if one.identity not in self.journal.done]
            self.losses = count_losses(self.project, left, self.request, self.fleet)
        self._life = os.pipe()
        # What stands now is shared with every child for as long as nobody writes to it.
        gc.collect()
        gc.freeze()
        try:
            with signal_socket() as signals, selectors.DefaultSelector() as selector:
                selector.register(signals, selectors.EVENT_READ)
                for number, end in enumerate(ends):
                    wave = self.targets[ends[number - 1] if number else 0 : end]
                    left = [one for one in wave if one.identity not in self.journal.done]
                    if not left or self.stopped:
                        continue
                    self.fleet.emit(WaveBegun(number + 1, len(ends), len(left)))
                    self._queue = [_Queued(one) for one in left]
                    self._work(selector, signals)
                    if self.tally.failed and number == 0 and len(ends) > 1 and not self.stopped:
                        self._stop("the first wave has failed")
        finally:
            gc.unfreeze()
            # A fault of our own leaves no child behind: at the end of this pipe each rolls back.
            for descriptor in self._life:
                os.close(descriptor)

    def failure(self) -> AirlockError | None:
        """Say why the run has not ended well; None where it has."""
        if self.signal:
            return Interrupted(self.signal, standing=self.tally.standing(), then="the same again")
        if self.fault is not None:
            self.fault.standing = self.fault.standing or self.tally.standing()
            return self.fault
        return self.tally.failure()

    def _announce(self, ends: tuple[int, ...]) -> None:
        if self.journal.set_aside is not None:
            self.fleet.emit(
                FleetNoted(
                    f"the journal of another run, which had not ended, is now {self.journal.set_aside.name}"
                )
            )
        self.fleet.emit(
            FleetBegun(
                self.request.direction, self.to, len(self.targets), self.tally.done_before, ends,
                self.fleet.concurrency, self.journal.path.name,
            )
        )  # fmt: skip

    def _work(self, selector: selectors.BaseSelector, signals: socket.socket) -> None:
        while True:
            while (
                not self.stopped and len(self._children) < self.fleet.concurrency and (ready := self._next())
            ):
                self._begin(ready, selector)
            if not self._children and (self.stopped or not self._queue):
                return
            for key, _ in selector.select(self._patience()):
                if key.fileobj is signals:
                    self._signalled(arrived(signals))
                elif key.data in self._children:
                    self._hear(self._children[key.data], selector)
            self._end_overdue()
            self._progress()

    def _next(self) -> _Queued | None:
        """Take the first that may begin: one database holds one lease, so its schemas come one after the other."""
        now = time.monotonic()
        busy = {one.one.place for one in self._children.values()}
        for index, queued in enumerate(self._queue):
            if queued.not_before <= now and queued.one.place not in busy:
                return self._queue.pop(index)
        return None

    def _patience(self) -> float:
        now = time.monotonic()
        waits = [_PROGRESS_SECONDS]
        if len(self._children) < self.fleet.concurrency and not self.stopped:
            waits += [queued.not_before - now for queued in self._queue if queued.not_before > now]
        return max(0.0, min(waits))

    def _begin(self, queued: _Queued, selector: selectors.BaseSelector) -> None:
        try:
            self.journal.begun(queued.one, queued.attempt)
        except AirlockError as error:
            self._journal_failed(error)
            return
        self.fleet.emit(TargetBegun(queued.one.name, queued.attempt))
        closing = [self.journal.descriptor, *(one.descriptor for one in self._children.values())]
        try:
            begun = children.start(
                queued.one, queued.attempt, self.project, self.request, self._life,
                closing=closing, losses=self.losses.get(queued.one.identity), ask_libraries=not self._warm,
            )  # fmt: skip
        except OSError as error:
            self.fault = Usage(
                f"No process could be started: {error.strerror}.", then="a smaller --concurrency"
            )
            self._stop("no process could be started")
            return
        deadline = queued.deadline or time.monotonic() + self.request.wait_s
        self._deadlines[queued.one.identity] = deadline
        self._children[begun.pid] = begun
        selector.register(begun.descriptor, selectors.EVENT_READ, begun.pid)

    def _hear(self, one: Child, selector: selectors.BaseSelector) -> None:
        try:
            for record in one.records():
                if isinstance(record, children.End):
                    self._ended(one, record, selector)
                    return
                self._told(one, record)
        except EOFError:
            self._ended(one, None, selector)

    def _told(self, one: Child, record: Any) -> None:
        if isinstance(record, TargetSaid):
            self.fleet.emit(record)
            return
        if isinstance(record, Verdict):
            self._verdicts[one.pid] = record
            return
        if isinstance(record, Planned):
            self._tables[one.pid] = record.version_table
        self.fleet.emit(TargetEvent(one.one.name, record))

    def _ended(self, one: Child, end: End | None, selector: selectors.BaseSelector) -> None:
        selector.unregister(one.descriptor)
        del self._children[one.pid]
        status = one.reap()
        verdict, table = self._verdicts.pop(one.pid, None), self._tables.pop(one.pid, "")
        if one.overdue and not self.signal and (end is None or end.exit_code):
            end = children.End(
                StatementBudgetSpent.exit_code,
                f"It ran past --target-timeout ({self.fleet.target_s:g} s) and was ended.",
            )
        elif end is None:
            end = self._without_a_word(status)
        elif end.libraries and not self._warm:
            self._warm_up(end.libraries)
        deadline = self._deadlines.pop(one.one.identity)
        sleep = random.uniform(0, min(_LONGEST_SLEEP, 2.0 ** (one.attempt - 1)))  # noqa: S311
        now = time.monotonic()
        if end.no_connection_left and not self.stopped and now + sleep < deadline:
            self._queue.append(_Queued(one.one, one.attempt + 1, now + sleep, deadline))
            self.fleet.emit(TargetRetrying(one.one.name, end.message, one.attempt, sleep * 1000))
            return
        self._record(one, end, verdict, table)

    def _record(self, one: Child, end: End, verdict: Verdict | None, table: str) -> None:
        code, message = end.exit_code, end.message
        twin = self.tally.twin(one.one, table) if code == 0 else None
        if twin is not None:
            code = Usage.exit_code
            message = (
                f"env.py kept the version rows in {table}, as for {twin}: it does not tell the two apart. "
                f"Try: a version table of its own for each (version_table_schema in env.py)"
            )
        outcome = TargetDone(
            one.one.name,
            self.request.direction,
            verdict.before if verdict is not None else (),
            verdict.after if verdict is not None else (),
            verdict.revisions if verdict is not None else 0,
            code,
            (time.monotonic() - one.since) * 1000,
            verdict.longest_block_ms if verdict is not None else 0.0,
            table,
            message,
        )
        self.tally.count(outcome)
        self.fleet.emit(outcome)
        try:
            self.journal.ended(one.one, outcome)
        except AirlockError as error:
            self._journal_failed(error)
        failed = self.tally.failed
        if failed >= self.fleet.max_failures and not self.stopped:
            self._stop(f"{failed} failed" if failed > 1 else f"{outcome.target} failed")

    def _without_a_word(self, status: int) -> End:
        how = f"by signal {-status}" if status < 0 else f"with exit code {status}"
        return children.End(
            ConnectionLost.exit_code,
            f"Its process ended {how} before it was done; where it stands says airlock fleet status.",
        )

    def _warm_up(self, libraries: Sequence[str]) -> None:
        """Import what env.py imports, so that no other child has to; the project's own modules stay unread."""
        self._warm = True
        for name in libraries:
            # One that wants more than an import is left to env.py.
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        gc.freeze()

    def _signalled(self, number: int) -> None:
        if not number:
            return
        insists = self.signal and time.monotonic() - self._signal_at > _INSISTING_SECONDS
        if not self.signal:
            self.signal, self._signal_at = number, time.monotonic()
            self._stop(f"{signal.Signals(number).name} has arrived")
        for one in self._children.values():
            one.end(signal.SIGKILL if insists else signal.SIGTERM)

    def _end_overdue(self) -> None:
        now, limit = time.monotonic(), self.fleet.target_s
        for one in self._children.values():
            if one.asked_to_end is None and limit is not None and now - one.since > limit:
                one.overdue = True
                one.end(signal.SIGTERM)
            elif (
                one.asked_to_end is not None and not one.killed and now - one.asked_to_end > _FAREWELL_SECONDS
            ):
                one.end(signal.SIGKILL)

    def _stop(self, reason: str) -> None:
        self.stopped = reason
        self.fleet.emit(FleetStopped(reason))

    def _journal_failed(self, error: AirlockError) -> None:
        """Begin nothing more that could not be recorded; what runs may end."""
        self.fault = self.fault or error
        if not self.stopped:
            self._stop("the journal cannot be written")

    def _progress(self) -> None:
        now = time.monotonic()
        if now - self._told_at < _PROGRESS_SECONDS:
            return
        self._told_at = now
        ended, ms = self.tally.ended, (now - self.tally.since) * 1000
        left = len(self.targets) - self.tally.done_before - ended
        self.fleet.emit(
            FleetProgress(
                self.tally.done, self.tally.failed, len(self.targets),
                tuple(sorted(one.one.name for one in self._children.values())),
                ms, ms / ended * left if ended else None,
            )
        )  # fmt: skip
