"""Every revision up, down and up again, a recorder around each step, sample rows between them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic.runtime.migration import RevisionStep
from alembic.util.exc import CommandError

from airlock.operations.downgrade import rehearse, snapshot
from airlock.operations.downgrade.items import items, unknowns
from airlock.operations.drill.failures import is_about_rows
from airlock.project import environment
from airlock.project.environment import Hooks
from airlock.recorder import Recorder, flush, tap
from airlock.records.errors import AirlockError, RevisionFailed
from airlock.records.secrets import scrub
from airlock.records.trace import StatementRecord, TracedRevision

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext

    from airlock.operations.trace.sample_rows import Samples
    from airlock.project.project import Project


@dataclass(frozen=True)
class _Action:
    """One step that is still to be taken; `script` is Alembic's record of the revision."""

    script: Any
    up: bool
    recorded: bool


@dataclass
class Tracing(Hooks):
    """Takes every revision up, down and up again, in as many runs of env.py as it needs.

    One run takes all, but for two cases: env.py keeps a transaction of its own open (each step then gets
    its own run, so that it is committed), or a downgrade failed (the rest goes on from where the rollback left
    the database).
    """

    project: Project
    recorder: Recorder
    samples: Samples
    # Where the catalogue is read around each downgrade, to tell its losses; None where nobody asks for them.
    losses_from: Any = None
    traced: list[TracedRevision] = field(default_factory=list)
    version_table: str = ""
    _todo: deque[_Action] | None = None
    _one_by_one: bool = False
    _fitted: str = ""
    _before: snapshot.Snapshot | None = None

    def run(self, url: str, target: str) -> None:
        """Trace every step to `target`. Raises RevisionFailed where one cannot be applied."""
        self._one_by_one = environment.learn(self.project, url).external_transaction
        while self._todo is None or self._todo:
            try:
                environment.run(self.project, url, target, "up", self)
            except (AirlockError, CommandError):
                raise
            except Exception as error:  # noqa: BLE001  whatever a revision raises
                if not self._rows_made_to_fit(url, error):
                    self._failed(error)

    def plan(self, steps: list[RevisionStep]) -> list[RevisionStep]:
        """Keep the upgrades asked for first; return what is left to do of them."""
        if self._todo is None:
            self._todo = deque(action for step in steps for action in self._actions(step.revision))
        ready = list(self._todo)[: 1 if self._one_by_one else None]
        return [RevisionStep(self.project.script.revision_map, one.script, one.up) for one in ready]

    def before(self, step: RevisionStep, context: MigrationContext) -> None:  # noqa: ARG002
        """Give tables their rows before a step that is recorded."""
        if self._now.recorded:
            self.version_table = f"{context.version_table_schema or 'public'}.{context.version_table}"
            self.recorder.ignored = frozenset({self.version_table})
            self.samples.fill(except_for=self.version_table)
            # In a transaction of env.py's own nothing is committed when a step ends: nothing could be compared.
            looks = self.losses_from is not None and not self._now.up and not self._one_by_one
            self._before = snapshot.take(self.losses_from) if looks else None

    def begun(self, step: RevisionStep, context: MigrationContext) -> None:  # noqa: ARG002
        """Start recording."""
        if self._now.recorded:
            tap(_driver_connection(context), self.recorder)
            self.recorder.begin(self._now.script.path, self._shown())

    def done(self, step: RevisionStep, context: MigrationContext) -> None:  # noqa: ARG002
        """Keep what was recorded."""
        if self._now.recorded:
            drops = self.recorder.drops()
            self._keep(self.recorder.end(), drops=drops)
        else:
            flush(_driver_connection(context))

    def after(self, step: RevisionStep, context: MigrationContext) -> None:  # noqa: ARG002
        """Tell what a downgrade took away, and go on to the next."""
        if self._before is not None:
            self.traced[-1] = _with_losses(self.traced[-1], self._before, snapshot.take(self.losses_from))
            self._before = None
        if self._todo:
            self._todo.popleft()

    @property
    def _now(self) -> _Action:
        if not self._todo:  # no step is ever planned without its action
            raise AirlockError("A step ran that was not planned.")
        return self._todo[0]

    def _actions(self, script: Any) -> tuple[_Action, ...]:
        up = _Action(script, up=True, recorded=True)
        if self.project.revision(script.revision).irreversible:
            return (up,)
        return up, _Action(script, up=False, recorded=True), _Action(script, up=True, recorded=False)

    def _keep(
        self,
        statements: tuple[StatementRecord, ...],
        *,
        refused: str = "",
        drops: tuple[str, ...] = (),
    ) -> None:
        facts = self.project.revision(self._now.script.revision)
        made = TracedRevision(
            revision=facts.revision, title=facts.title, direction="up" if self._now.up else "down",
            transactional=all(statement.transactional for statement in statements),
            depends_on_rows=self.recorder.depends_on_rows, statements=statements, path=self._shown(),
            # The statements' own time: what observing them took is not the revision's.
            ms=sum(statement.ms for statement in statements), refused=refused, accepted=dict(facts.accepted), drops=drops,
        )  # fmt: skip
        self.traced.append(made)
        if self._now.up and facts.irreversible:
            self.traced.append(
                replace(made, direction="down", statements=(), ms=0.0, refused=facts.irreversible)
            )

    def _rows_made_to_fit(self, url: str, error: Exception) -> bool:
        """Where sample rows are what an upgrade refuses, make others that meet what it demands; once a revision.

        The upgrade runs on empty tables to show its demands, and back; then rows are made that meet them.
        """
        if (
            not self._todo
            or not self._now.up
            or not is_about_rows(error)
            or self._fitted == self._now.script.revision
        ):
            return False
        now = self._now.script
        self._fitted = now.revision
        self.recorder.abandon()
        self.samples.empty(except_for=self.version_table)
        environment.run(self.project, url, now.revision, "up")
        demands = self.samples.demands(except_for=self.version_table)
        try:
            environment.run(self.project, url, now.down_revision or "base", "down")
        except Exception:  # noqa: BLE001  without a way back nothing can be learnt
            return False
        self.samples.fill(except_for=self.version_table, required=demands)
        return True

    def _failed(self, error: Exception) -> None:
        """Go on after a downgrade that was rolled back; raise for anything else."""
        statements = self.recorder.abandon()
        said = scrub(str(error).strip().partition("\n")[0]) or type(error).__name__
        if not self._todo:
            raise error
        now = self._now
        undone = all(statement.transactional for statement in statements)
        if now.up or not now.recorded or not undone:
            way = "upgrade" if now.up else "downgrade, half of which is committed,"
            raise RevisionFailed(f"The {way} of {now.script.revision} failed in scratch: {said}") from error
        self._keep(statements, refused=said)
        # Neither the downgrade nor the second upgrade that was to follow it.
        self._todo.popleft()
        self._todo.popleft()

    def _shown(self) -> str:
        path = Path(self._now.script.path).resolve()
        directory = self.project.directory
        return path.relative_to(directory).as_posix() if path.is_relative_to(directory) else path.name


def _with_losses(step: TracedRevision, before: snapshot.Snapshot, after: snapshot.Snapshot) -> TracedRevision:
    made = rehearse.Rehearsed(
        revision=step.revision,
        before=before,
        after=after,
        writes=tuple(dict.fromkeys(rehearse.writes(step.statements))),
        reads_rows=step.depends_on_rows,
        recast=tuple(dict.fromkeys(rehearse.recast(step.statements))),
    )
    counted = [(item.object, item.why) for item in items([made])]
    uncounted = [(name, why.removeprefix(f"{step.revision}: ")) for name, why in unknowns([made])]
    return replace(step, losses=(*counted, *uncounted))


def _driver_connection(context: MigrationContext) -> Any:
    connection: Any = context.connection
    return connection.connection.dbapi_connection
