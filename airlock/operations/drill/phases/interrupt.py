"""Cut a step at every statement by ending its server process, run again, and see where that leads."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airlock.drivers import raw
from airlock.drivers.engine_events import listening
from airlock.operations.drill import compare, failures
from airlock.operations.drill.outcome import NOTHING, Outcome, failed, noted
from airlock.operations.drill.phases.mid_statement import Hold, places
from airlock.operations.drill.step import take
from airlock.project import environment
from airlock.records.drill import Cut
from airlock.records.errors import AirlockError, HalfApplied, NotExamined

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airlock.operations.drill.phases.downgrade import Way
    from airlock.operations.drill.state import Ledger, State
    from airlock.operations.drill.subject import Subject
    from airlock.records.drill import Touched
    from airlock.samples import Table

_MOST_CUTS = 200
_UP, _DOWN = "up", "down"


@dataclass
class _Listener:
    """Counts the statements that env.py's connections send, and acts on one of them."""

    at: int = 0
    seen: int = 0
    sql: str = ""
    alone: list[tuple[int, str]] = field(default_factory=list)
    ledger: Ledger | None = None
    hold: Hold | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        try:
            with listening({"before_cursor_execute": self._before, "after_cursor_execute": self._after}):
                yield
        finally:
            if self.hold is not None:
                self.hold.release()

    def _before(self, connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        self.seen += 1
        if raw.autocommits(connection):
            self.alone.append((self.seen, " ".join(statement.split())))
        if self.seen != self.at:
            return
        pid = _backend_pid(connection)
        if pid is None:
            return
        if self.hold is not None:
            self.hold.wait_for(pid)
        elif self.ledger is not None:
            self.sql = " ".join(statement.split())
            with self.ledger.reading.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    def _after(self, *_rest: Any) -> None:
        if self.hold is not None and self.seen == self.at:
            self.hold.release()


def _backend_pid(connection: Any) -> int | None:
    """Ask the driver for the server process, without a statement."""
    driver = connection.connection.driver_connection
    info = getattr(driver, "info", None)
    if info is not None:
        return int(info.backend_pid)
    ask = getattr(driver, "get_server_pid", None)
    return int(ask()) if ask is not None else None


@dataclass(frozen=True)
class Crashes:
    """How each rerun ended; `whole` where the database stands above the revision as it did before."""

    cuts: tuple[Cut, ...] = ()
    outcome: Outcome = NOTHING
    whole: bool = True


def cut_everywhere(
    subject: Subject,
    way: Way,
    ends: tuple[State, State],
    concerned: tuple[Touched, ...],
    required: Mapping[str, Table] | None,
) -> Crashes:
    """Cut the upgrade and the downgrade at each statement; after each, the rerun must arrive.

    Where a step leaves its transaction, each of its statements is cut inside as well: while it waits for a row or for
    another transaction, with what it has committed until then. Cut steps and reruns go through the runner, as
    `airlock upgrade` and `downgrade` do, but count no losses. The database stands above the revision, before and
    after. A rerun that stops with exit 41 is what the design promises for a revision that left its transaction
    without being `resumable`; then the cuts of that revision end. `way` is how the step went uncut, `ends` the states below
    and above it, `concerned` the tables that the upgrade concerns, and `required` what sample rows must fit there.
    """
    cuts: list[Cut] = []
    notes: list[str] = []
    try:
        target, standing = _below(subject), _UP
        for direction, taken, goal in zip((_DOWN, _UP), (way.step, way.up.step), ends, strict=True):
            leaves = taken is None or taken.touched is None
            course = _Course(subject, direction, goal, leaves, concerned, required, target, standing)
            if course.leaves and (uncut := course.learn()):
                return Crashes(tuple(cuts), noted([*notes, uncut]), whole=False)
            for cut in _cuts_of(course, notes):
                cuts.append(cut)
                if course.lost:
                    return Crashes(tuple(cuts), noted(notes), whole=False)
            standing = course.standing
        if standing == _DOWN:
            take(subject.project, subject.facts.revision, _UP)
    except NotExamined:
        raise
    except Exception as error:  # noqa: BLE001  a revision may raise anything
        why = failed("a step that went through alone fails", error)
        return Crashes(tuple(cuts), noted(notes).then(why), whole=False)
    return Crashes(tuple(cuts), noted(notes))


def _cuts_of(course: _Course, notes: list[str]) -> Iterator[Cut]:
    """Cut one direction before each statement, then inside those that commit by themselves."""
    ledger = course.subject.ledger
    for number in range(1, _MOST_CUTS + 1):
        course.start()
        listener = _Listener(number, ledger=ledger)
        failed = course.cut(listener)
        if not listener.sql:
            break  # past the last statement: the step went through whole
        yield course.rerun(number, listener.sql, failed=failed)
    else:
        notes.append(f"going {course.direction}, only its first {_MOST_CUTS} statements were cut")
    for number, sql in course.alone:
        for place in places(ledger, course.concerned, sql):
            course.start()
            listener = _Listener(number, hold=(hold := Hold(ledger.url, place)))
            failed = course.cut(listener)
            if hold.waited_for is not None:
                inside = f"{sql} [while it waits for {hold.waited_for}]"
                yield course.rerun(number, inside, failed=failed)


@dataclass
class _Course:
    """One direction of a step, taken from the same start again and again; `lost` where a rerun led elsewhere."""

    subject: Subject
    direction: str
    goal: State
    leaves: bool
    concerned: tuple[Touched, ...]
    required: Mapping[str, Table] | None
    target: str | None
    standing: str
    reference: State | None = None
    whole: State | None = None
    steady: frozenset[str] = frozenset()
    unsteady: set[str] = field(default_factory=set)
    alone: list[tuple[int, str]] = field(default_factory=list)
    lost: bool = False

    def learn(self) -> str:
        """Take the step twice, uncut, on equal rows: what comes out the same both times must come out so after a crash.

        Returns why it could not be taken so, else nothing.
        """
        try:
            listener = _Listener()
            self.start()
            before = self.subject.ledger.read()
            with listener.listening():
                self.go()
            self.whole = self.subject.ledger.read(None, None, before)
            self.reference = compare.of_before(before, self.whole)
            self.start()
            self.go()
            again = self.subject.ledger.read(None, None, self.reference)
        except Exception as error:
            if not failures.is_about_rows(error):
                raise
            return f"not cut: it fails on rows made anew: {failures.one_line(error)}"
        self.steady = compare.steady(self.reference, again)
        self.unsteady = {one.object for one in compare.rows_more(self.whole, again)}
        self.alone = [(number, sql) for number, sql in listener.alone if not _only_reads(sql)]
        return ""

    def start(self) -> None:
        """Stand where the step begins; where it leaves its transaction, on rows made anew."""
        if self.standing == _DOWN and self.direction == _DOWN and not self.leaves:
            self._move(_UP)
        if self.standing == _UP and (self.direction == _UP or self.leaves):
            self._move(_DOWN)
        if self.leaves:
            self._renew()
            if self.direction == _DOWN:
                self._move(_UP)

    def _renew(self) -> None:
        """Empty the tables that the step concerns and fill them again: the same rows every time."""
        ledger, concerned = self.subject.ledger, self.concerned
        ledger.empty((one.table for one in concerned), restart=True)
        emptied = {name for name, one in ledger.read().digests.items() if one.count == 0}
        ledger.fill(emptied, required=self.required)
        for it in concerned:
            if it.table in emptied and it.rows > ledger.wanted:
                ledger.add(it.table, it.rows, self.required)

    def _move(self, direction: str) -> None:
        take(self.subject.project, self.subject.facts.revision, direction)
        self.standing = direction

    def go(self) -> None:
        """Take the step as the commands do; by itself where no target says just this step."""
        from airlock.database.target import resolve_target
        from airlock.operations.upgrade import migrate
        from airlock.records.upgrade import Request

        revision = self.subject.facts.revision
        goal = revision if self.direction == _UP else self.target
        if goal is None:
            take(self.subject.project, revision, self.direction)
        else:
            target = resolve_target(self.subject.ledger.url, {}, lambda: None)
            migrate(
                self.subject.project, target, Request(goal, self.direction, wait_s=30.0, count_losses=False)
            )
        self.standing = self.direction

    def cut(self, listener: _Listener) -> bool:
        """Take the step with its cut; return whether it failed."""
        try:
            with listener.listening():
                self.go()
        except Exception:  # noqa: BLE001  it was made to fail
            return True
        return False

    def rerun(self, number: int, sql: str, *, failed: bool) -> Cut:
        """Run again after a cut, and say how that ended."""
        expected = self.leaves and not self.subject.facts.resumable
        outcome, converged = "the rerun arrived", True
        try:
            if failed:
                self.go()
        except HalfApplied as error:
            outcome, converged = f"the rerun stops with exit 41: {error.message}", expected
        except Exception as error:  # noqa: BLE001
            words = error.message if isinstance(error, AirlockError) else failures.one_line(error)
            outcome, converged = f"the rerun fails: {type(error).__name__}: {words}", False
            if expected and self.direction == _DOWN and self.target is None:
                outcome, converged = f"half applied and not resumable: {words}", True
        else:
            now = self.subject.ledger.read(None, None, self.reference)
            found, _ = compare.structure(self.goal, now)
            if self.reference is not None and self.whole is not None:
                found += compare.values(self.reference, now, steady=self.steady)
                found += [
                    one for one in compare.rows_more(self.whole, now) if one.object not in self.unsteady
                ]
            if not found:
                return Cut(self.direction, number, sql, outcome, converged)
            outcome, converged = f"the rerun ends elsewhere: {found[0].object}, {found[0].kind}", False
        self.lost = True
        return Cut(self.direction, number, sql, outcome, converged)


def _below(subject: Subject) -> str | None:
    """Find the target that takes a downgrade over this revision and no other, None where branches leave none."""
    heads = environment.learn(subject.project).heads_before
    below: tuple[str, ...] = subject.facts.down_revisions or ("base",)
    for target in (*below[: len(below) == 1], "-1"):
        try:
            steps = environment.plan_steps(subject.project, heads, target, _DOWN)
        except AirlockError:
            continue
        if [step.revision.revision for step in steps] == [subject.facts.revision]:
            return target
    return None


def _only_reads(sql: str) -> bool:
    return sql.split(" ", 1)[0].upper() in {"SELECT", "SHOW", "SET", "RESET", "COMMENT"}
