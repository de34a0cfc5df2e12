"""Every revision up, down and up again, a recorder around each step, sample rows between them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic.util.exc import CommandError

from airlock.catalogue import fingerprint, publications
from airlock.database import missing
from airlock.drivers import raw
from airlock.operations.downgrade import snapshot
from airlock.operations.drill.failures import (
    beyond_scratch,
    comes_of,
    is_about_rows,
    missing_shared,
    one_line,
    own_refusal,
    raised_at,
)
from airlock.operations.drill.missing_objects import advice, needs
from airlock.operations.drill.rows import extremes, ordered_bounds
from airlock.operations.drill.stepping_over import as_far_as_it_goes
from airlock.operations.trace import rows_read
from airlock.operations.trace.judging import judged, unseen, with_losses
from airlock.operations.trace.kin import Kin, read_kin
from airlock.operations.trace.undoing import (
    Failed,
    RaisedByRevision,
    Stuck,
    Undo,
    Undone,
    WantsShared,
)
from airlock.operations.trace.waiting import holds_and_waits
from airlock.project import environment
from airlock.project.environment import Hooks
from airlock.recorder import Recorder, flush, tap
from airlock.records.errors import AirlockError
from airlock.records.findings import Finding
from airlock.records.trace import StatementRecord, TracedRevision

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.runtime.migration import MigrationContext, RevisionStep

    from airlock.operations.drill.missing_objects import Gap
    from airlock.operations.trace.consequences import Consequences
    from airlock.operations.trace.sample_rows import Samples
    from airlock.project.project import Project
    from airlock.records.shared import Shared
    from airlock.samples import Table


# So many kinds of rows are made beside for one upgrade: without NULLs, of texts that can be read as something.
_MORE_TRIES = 3
# How far values at the edge have been taken away: nowhere, in the tables that the revision names, in all.
_TAMED = (False, True, False)
_NO_ROWS_FIT = "no sample rows fit what it demands: {}"


@dataclass(frozen=True)
class _Action:
    """One step that is being taken; `script` is Alembic's record of the revision.

    `undone`: it is rolled back when it has been seen, where one transaction holds all of it.
    """

    script: Any
    up: bool
    recorded: bool
    undone: bool = False


@dataclass
class Tracing(Hooks):
    """Takes every revision up, and down to be seen, one run of env.py for each step.

    One run for all would hide steps from each other: a migration context remembers every enum type that it has created,
    and sends no second CREATE TYPE after a downgrade dropped one by SQL. A downgrade is rolled back when it has been
    seen. Where it commits (it leaves its transaction, or its losses are asked for) the revision goes up again, and what
    does not come back as it was seen after the first upgrade is given up (Stuck): a revision is never seen on another's
    leftovers.
    """

    project: Project
    recorder: Recorder
    samples: Samples
    reader: fingerprint.Reader
    # Where the catalogue is read around each downgrade, to tell its losses; None where nobody asks for them.
    losses_from: Any = None
    # Told of each step what it means for others; None where nobody wants to know.
    consequences: Consequences | None = None
    # What the upgrade at the first position asks of rows, learnt in another database; or why it meets none.
    required: dict[str, Table] | None = None
    empty: str = ""
    # What lies below and could not be applied; roles and tablespaces that the scratch server does not take.
    gaps: tuple[Gap, ...] = ()
    beyond_help: frozenset[Shared] = frozenset()
    # How the first revision fails that fails by itself, and the first extension that scratch lacks.
    fault: str = ""
    extension: str = ""
    # What is not told yet; and of what is, the revisions that were undone.
    traced: list[TracedRevision] = field(default_factory=list)
    downs: tuple[str, ...] = ()
    version_table: str = ""
    _action: _Action | None = None
    _before: snapshot.Snapshot | None = None
    _few: dict[str, int] = field(default_factory=dict)
    _kin: Kin = field(default_factory=Kin)
    _undo: Undo | None = None
    _published: publications.Publications = field(default_factory=publications.Publications)

    def run(self, order: tuple[str, ...], position: int) -> Iterator[TracedRevision]:
        """Trace `order` from `position` on, yielding what is through; every revision is left applied.

        What the last one told when this raises is in `untold`. Raises Failed where one cannot be applied and half of it is
        committed, WantsShared, Stuck where another database must go on.
        """
        for now in range(position, len(order)):
            script = self.project.script.get_revision(order[now])
            try:
                self._up(script, now, order)
            except Failed as failed:
                self._go_over(failed)
                yield from self.untold()
                continue
            if not self.project.revision(order[now]).irreversible:
                self._down_and_back(script, now, order)
            yield from self.untold()

    def untold(self) -> Iterator[TracedRevision]:
        """Give what was traced since the last time, and keep none of it: a history may be long."""
        told, self.traced = self.traced, []
        self.downs += tuple(one.revision for one in told if one.direction == "down" and not one.stays)
        yield from told

    def _down_and_back(self, script: Any, now: int, order: tuple[str, ...]) -> None:
        """See the downgrade, and have the revision applied again. Raises Stuck where it does not come back as it was."""
        above = self.reader.read()
        if not self._down(script, now, order):
            self._tell_way_back()
            return
        try:
            self._take(script, up=True, recorded=False)
        except (AirlockError, CommandError):
            raise
        except Exception as error:
            raise Stuck(now + 1, order) from error
        if fingerprint.differences(above, self.reader.read()):
            raise Stuck(now + 1, order)
        self._tell_way_back()

    def _tell_way_back(self) -> None:
        if self.consequences is not None:
            self.traced[-1] = self.consequences.of_downgrade(self.traced[-1])

    def _take(self, script: Any, *, up: bool, recorded: bool, undone: bool = False) -> None:
        """Run env.py for one step. Raises what it raises, and RaisedByRevision for what the revision's own code says so."""
        self._action = _Action(script, up, recorded, undone)
        try:
            environment.run(self.project, "heads", "up", self)
        except (AirlockError, CommandError) as error:
            if comes_of(error, script.path):
                raise RaisedByRevision(one_line(error)) from error
            raise
        if recorded:
            # The next revision may be deployed a year later: what this one emptied holds rows again by then.
            self.samples.recount(self.recorder.shrunk())

    def _up(
        self, script: Any, now: int, order: tuple[str, ...], more: int = _MORE_TRIES, *, tamed: int = 0
    ) -> None:
        """Upgrade on sample rows; where they are what it refuses, on others that fit, else on none, unexamined.

        The others meet what the tables ask above the upgrade, then, up to `more` times, what its own code was seen to ask;
        at last they are `tamed`: no value at the edge of its type, where it computes past one, at first in the tables that it
        names, then in all, since it may write others by triggers and functions.
        """
        required, empty, self.required, self.empty = self.required, self.empty, None, ""
        if not empty:
            try:
                if required is not None:
                    self.samples.fill(except_for=self._named_version_table(), required=required)
                self._take(script, up=True, recorded=True)
            except (AirlockError, CommandError):
                raise
            except Exception as error:
                statements = self.recorder.abandon()
                if not is_about_rows(error) or self.samples.rows <= 0:
                    raise self._fails(script, now, order, error, statements) from error
                whole = all(statement.transactional for statement in statements)
                if required is None:
                    self.required = self._learn(script, now, order, error, whole=whole)
                    self._up(script, now, order)
                    return
                if whole and more:
                    below = self.samples.demands(except_for=self._named_version_table())
                    self.required = rows_read.fitting(below, required, error, Path(script.path).read_text())
                if self.required is not None:
                    self.samples.empty(except_for=self._named_version_table())
                    self._up(script, now, order, more - 1, tamed=tamed)
                    return
                if whole and (further := self._tame(script, error, tamed)):
                    self.required = required
                    self._up(script, now, order, more, tamed=further)
                    return
                empty = one_line(error)
                if not whole:
                    raise Stuck(now, order, None, empty) from error
                self._keep(statements, unexamined=_NO_ROWS_FIT.format(empty))
            else:
                self._tell_broken()
                return
        else:
            self._look()
            self._action = _Action(script, up=True, recorded=True)
            self._keep((), unexamined=_NO_ROWS_FIT.format(empty))
        self.samples.empty(except_for=self._named_version_table())
        try:
            self._take(script, up=True, recorded=False)
        except (AirlockError, CommandError):
            raise
        except Exception as error:
            raise self._fails(script, now, order, error, whole=False) from error
        self._tell_broken()

    def _tame(self, script: Any, error: Exception, tamed: int) -> int:
        """Give the values that it computes past, or that are out of order, others; return how far that went, 0 for nowhere."""
        source, except_for = Path(script.path).read_text(), self._named_version_table()
        if ordered_bounds.is_out_of_order(error):
            return int(not tamed and self.samples.order_bounds(source, except_for=except_for))
        texts = extremes.is_too_long(error)
        if not (texts or extremes.is_past_the_edge(error)):
            return 0
        further = range(tamed + 1, len(_TAMED))
        return next(
            (
                one
                for one in further
                if self.samples.tame(source, texts=texts, named=_TAMED[one], except_for=except_for)
            ),
            0,
        )

    def _go_over(self, failed: Failed) -> None:
        """Apply a revision that failed as far as it goes, where nothing of it is committed; raise `failed` where some is."""
        if failed.error is None:
            raise failed
        facts = self.project.revision(failed.order[failed.position - 1])
        try:
            self.samples.empty(except_for=self._named_version_table())
            gap = as_far_as_it_goes(self.project, facts, self.gaps, self.beyond_help, failed.error)
        except Exception as error:
            lacks = missing_shared(error)
            if lacks is None or lacks in self.beyond_help:
                raise failed from error
            # It is taken once more when that is there, and told then.
            self.traced = [one for one in self.traced if one.revision != facts.revision]
            raise WantsShared(failed.position - 1, failed.order, lacks) from error
        self.gaps = (*self.gaps, gap)
        self.fault, self.extension = self.fault or failed.fault, self.extension or failed.extension

    def _look(self) -> None:
        if self.consequences is not None:
            self.consequences.look(except_for=self._named_version_table())

    def _tell_broken(self) -> None:
        """Have the last upgrade told what it means for others; it is committed by now."""
        place = max(place for place, one in enumerate(self.traced) if one.direction == "up")
        if self.consequences is not None:
            self.traced[place] = self.consequences.of_upgrade(
                self.traced[place], except_for=self._named_version_table()
            )

    def _learn(
        self, script: Any, now: int, order: tuple[str, ...], error: Exception, *, whole: bool
    ) -> dict[str, Table]:
        """Upgrade on empty tables to see what is asked of rows, and go back below it; `whole`: nothing of it is committed.

        Raises Stuck, with what was learnt, where the way back does not lead there.
        """
        below = self.reader.read()
        self.samples.empty(except_for=self._named_version_table())
        try:
            self._take(script, up=True, recorded=False)
        except (AirlockError, CommandError):
            raise
        except Exception as second:
            if whole:
                # Without any row too: what it says now is no matter of the sample's.
                raise self._fails(script, now, order, second) from second
            # Half of the first attempt is committed: only a database that never saw it tells.
            raise Stuck(now, order, None, one_line(error)) from second
        demands = self.samples.demands(except_for=self._named_version_table())
        try:
            self._take(script, up=False, recorded=False)
        except (AirlockError, CommandError):
            raise
        except Exception as second:
            raise Stuck(now, order, demands) from second
        if not whole or fingerprint.differences(below, self.reader.read()):
            raise Stuck(now, order, demands)
        return demands

    def _down(self, script: Any, now: int, order: tuple[str, ...]) -> bool:
        """Downgrade; False where it was rolled back whole. Raises Stuck where half of it is committed."""
        try:
            self._take(script, up=False, recorded=True, undone=self.losses_from is None)
        except (AirlockError, CommandError):
            raise
        except Undone:
            return False
        except Exception as error:
            statements = self.recorder.abandon()
            self._before = None
            whole = all(statement.transactional for statement in statements)
            meant = own_refusal(error, self.project.revision(script.revision))
            why = (meant or one_line(error)) + ("" if whole else " (half of it is committed)")
            self._keep(statements, refused="" if meant else why, irreversible=why if meant else "")
            if whole:
                return False
            raise Stuck(now + 1, order) from error
        # Here also what env.py's own transaction did is committed.
        if self._before is not None:
            self.traced[-1] = with_losses(self.traced[-1], self._before, snapshot.take(self.losses_from))
            self._before = None
        return True

    def _fails(
        self, script: Any, now: int, order: tuple[str, ...], error: Exception,
        statements: tuple[StatementRecord, ...] = (), *, whole: bool = True,
    ) -> Exception:  # fmt: skip
        """Keep what was seen of an upgrade that fails, as not examined, and say how others go on.

        `whole`: beside `statements` nothing of it has been sent that could be committed.
        """
        lacks = missing_shared(error)
        if lacks is not None and lacks not in self.beyond_help:
            return WantsShared(now, order, lacks)
        lacking = needs(error, self.gaps) or beyond_scratch(error)
        why = lacking or (lacks.beyond_help if lacks else None)
        self._action = _Action(script, up=True, recorded=True)
        if not any((one.revision, one.direction) == (script.revision, "up") for one in self.traced):
            self._keep(statements, unexamined=f"the upgrade fails: {why or one_line(error) + advice(error)}")
        place = raised_at(error, script.path)
        fault = (
            ""
            if why
            else f"The upgrade of {script.revision} failed in scratch: {one_line(error).rstrip('.')}{place}"
        )
        whole = whole and all(statement.transactional for statement in statements)
        return Failed(now + 1, order, fault, missing.extension(str(error)) or "", error if whole else None)

    def _named_version_table(self) -> str:
        if not self.version_table:
            ran = environment.learn(self.project)
            self.version_table = f"{ran.version_table_schema or 'public'}.{ran.version_table}"
        return self.version_table

    def plan(self, steps: list[RevisionStep]) -> list[RevisionStep]:  # noqa: ARG002
        """Take the one step that is asked for."""
        script = self._now.script
        return environment.steps_of(self.project, (script.revision,), "up" if self._now.up else "down")

    def before(self, step: RevisionStep, context: MigrationContext) -> None:  # noqa: ARG002
        """Give tables their rows before a step that is recorded."""
        if self._now.recorded:
            schema = environment.schema_of_version_table(context)
            self.version_table = f"{schema or 'public'}.{context.version_table}"
            self.recorder.ignored = frozenset({self.version_table})
            self.samples.fill(except_for=self.version_table)
            self._few = self.samples.few()
            self._kin = read_kin(self.samples.connection)
            self._published = publications.published(self._ask)
            looks = self.losses_from is not None and not self._now.up
            self._before = snapshot.take(self.losses_from) if looks else None
            if self._now.up:
                self._look()

    def begun(self, step: RevisionStep, context: MigrationContext) -> None:  # noqa: ARG002
        """Start recording."""
        if self._now.undone:
            self._undo = Undo(context, self.samples.connection)
        if self._now.recorded:
            tap(_driver_connection(context), self.recorder)
            self.recorder.begin(self._now.script.path, self._shown())

    def done(self, step: RevisionStep, context: MigrationContext) -> None:  # noqa: ARG002
        """Keep what was recorded."""
        if self._now.recorded:
            drops = self.recorder.drops()
            statements, refused = self.recorder.end(), ""
            # What is asked from here on is no statement of the revision's.
            told = self._changed(context)
            undo = self._undo if self._now.undone and self._undo and self._undo.holds_all() else None
            if undo is not None:
                refused = undo.would_not_commit()
            self._keep(statements, drops=() if refused else drops, refused=refused, findings=told)
            if undo is not None:
                raise Undone
        else:
            flush(_driver_connection(context))

    def _changed(self, context: MigrationContext) -> tuple[Finding, ...]:
        """Find what the step did to tables that were published before it, in its own transaction."""
        if not self._published.names or context.connection is None:
            return ()
        connection = context.connection
        after = publications.published(lambda query: raw.rows(connection, query))
        return tuple(
            Finding("published", table, told, file=self._shown())
            for table, told in publications.changes(self._published, after)
        )

    def _ask(self, query: str) -> list[Any]:
        with self.samples.connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    @property
    def _now(self) -> _Action:
        if self._action is None:  # no step is ever planned without its action
            raise AirlockError("A step ran that was not planned.")
        return self._action

    def _keep(
        self,
        statements: tuple[StatementRecord, ...],
        *,
        refused: str = "",
        irreversible: str = "",
        drops: tuple[str, ...] = (),
        unexamined: str = "",
        findings: tuple[Finding, ...] = (),
    ) -> None:
        statements = tuple(judged(one, self._few, self._kin) for one in statements)
        facts = self.project.revision(self._now.script.revision)
        made = TracedRevision(
            revision=facts.revision, title=facts.title, direction="up" if self._now.up else "down",
            transactional=all(statement.transactional for statement in statements),
            depends_on_rows=self.recorder.depends_on_rows, statements=statements, path=self._shown(),
            # The statements' own time: what observing them took is not the revision's.
            ms=sum(statement.ms for statement in statements), refused=refused, accepted=dict(facts.accepted), drops=drops,
            irreversible=irreversible, unexamined=unexamined or unseen(statements),
            findings=(*holds_and_waits(statements, self._kin.roots), *findings),
        )  # fmt: skip
        self.traced.append(made)
        if self._now.up and facts.irreversible:
            self.traced.append(
                replace(
                    made,
                    direction="down",
                    statements=(),
                    ms=0.0,
                    irreversible=facts.irreversible,
                    unexamined="",
                )
            )

    def _shown(self) -> str:
        path = Path(self._now.script.path).resolve()
        directory = self.project.directory
        return path.relative_to(directory).as_posix() if path.is_relative_to(directory) else path.name


def _driver_connection(context: MigrationContext) -> Any:
    connection: Any = context.connection
    return connection.connection.dbapi_connection
