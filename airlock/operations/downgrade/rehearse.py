"""The child's side of counting losses: the downgrade in scratch, with a recorder and a snapshot around each step."""

from __future__ import annotations

import contextlib
import logging
import re
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.catalogue.fingerprint.model import plain
from airlock.database.server_errors import first_line
from airlock.drivers import client
from airlock.drivers.spelling import command, quoted, start
from airlock.operations.downgrade import snapshot
from airlock.operations.downgrade.recasts import recast
from airlock.project import environment
from airlock.project.environment import Hooks
from airlock.project.project import Project
from airlock.recorder import Recorder, installed, row_changes, tap
from airlock.recorder.tokens import ends_within, statements
from airlock.records.errors import AirlockError, Refused, RevisionFailed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from alembic.runtime.migration import MigrationContext, RevisionStep

    from airlock.records.trace import StatementRecord
    from airlock.scratch.servers import ScratchDatabase

_ONLY_INSERTS = re.compile(r"\s*(INSERT|COPY)\b(?!.*\bDO\s+UPDATE\b)", re.IGNORECASE | re.DOTALL)
_TRUNCATE, _TRUNCATES = "TRUNCATE", re.compile(r"\btruncate\b", re.IGNORECASE)
_ENTERING = frozenset({"DO", "CALL", "SELECT", "EXECUTE"})
_CHANGING = frozenset({"UPDATE", "DELETE", "MERGE", _TRUNCATE, "WITH", "DO", "CALL", "SELECT"})


@dataclass(frozen=True)
class Rehearsed:
    """One step of the downgrade, as it went in scratch.

    `writes` names tables whose rows a statement may have changed, with what the statement was.
    """

    revision: str
    before: snapshot.Snapshot
    after: snapshot.Snapshot
    writes: tuple[tuple[str, str], ...]
    reads_rows: bool
    recast: tuple[str, ...]
    leaves_transaction: bool = False
    title: str = ""
    ms: float = 0.0
    statements: tuple[tuple[str, float], ...] = ()


def rehearse(
    *,
    config: str,
    x_arguments: Sequence[str],
    target: str,
    database: ScratchDatabase,
    direction: str = "down",
    turn: int = 0,
) -> Iterator[Rehearsed]:
    """Take the scratch database to `target` and yield each step. Runs in an isolated child."""
    logging.disable(logging.INFO)
    project = replace(Project.open(Path(config), x_arguments), turn=turn)
    with contextlib.closing(_connect(database)) as connection:
        recorder = Recorder(lambda: _connect(database))
        hooks = _Rehearsal(recorder, connection, project, direction=direction)
        with contextlib.closing(recorder), installed(recorder):
            while True:
                try:
                    environment.run(project, hooks.target or target, direction, hooks)
                except (NotImplementedError, RuntimeError) as error:
                    if direction != "down":
                        raise
                    # How a revision says by itself that there is no way back.
                    said = str(error).strip() or f"it raises {type(error).__name__}"
                    raise Refused(
                        f"{hooks.revision} cannot be undone: {said}", standing="Nothing changed."
                    ) from error
                except AirlockError:
                    raise
                except Exception as error:
                    if direction != "down" or not hooks.revision:
                        raise
                    raise RevisionFailed(f"{hooks.revision}: {first_line(error)}") from error
                hooks.committed()
                if not hooks.left_over:
                    break
    yield from hooks.steps


@dataclass
class _Rehearsal(Hooks):
    recorder: Recorder
    connection: Any
    project: Project
    steps: list[Rehearsed] = field(default_factory=list)
    direction: str = "down"
    left_over: int = 0
    revision: str = ""
    # Of a run after the first the target only has to be one: the steps are what is left of the first one's plan.
    target: str = ""
    _one_by_one: bool = False
    _pending: tuple[str, ...] = ()
    _before: snapshot.Snapshot | None = None
    _records: tuple[StatementRecord, ...] = ()
    _ended: str | None = None
    _since: float = 0.0
    _ms: float = 0.0

    def start(self, context: MigrationContext, heads: tuple[str, ...]) -> None:  # noqa: ARG002  the hooks' signature
        # In a transaction of env.py's own nothing is committed between steps: then one run each.
        self._one_by_one = context._in_external_transaction
        version_table = f"{context.version_table_schema or self._schema_of(context.version_table)}.{context.version_table}"
        self.recorder.ignored = frozenset({version_table})

    def _schema_of(self, table: str) -> str:
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = to_regclass(%s)",
                (quoted(table),),
            )
            row = cursor.fetchone()
        return row[0] if row else "public"

    def plan(self, steps: list[RevisionStep]) -> list[RevisionStep]:
        if self.target:
            steps = environment.steps_of(self.project, self._pending, self.direction)
        kept = steps[:1] if self._one_by_one else steps
        self._pending = tuple(step.revision.revision for step in steps[len(kept) :])
        self.left_over = len(self._pending)
        self.target = "heads" if self.direction == "up" else "base"
        return kept

    def before(self, step: RevisionStep, context: MigrationContext) -> None:  # noqa: ARG002
        self._before = snapshot.take(self.connection)

    def begun(self, step: RevisionStep, context: MigrationContext) -> None:
        self.revision = step.revision.revision
        driver: Any = context.connection
        tap(driver.connection.dbapi_connection, self.recorder)
        path = self.project.revision(step.revision.revision).path
        self.recorder.begin(str(path), path.name)
        self._since = time.perf_counter()

    def done(self, step: RevisionStep, context: MigrationContext) -> None:  # noqa: ARG002
        self._ms = (time.perf_counter() - self._since) * 1000
        self._records = self.recorder.end()

    def after(self, step: RevisionStep, context: MigrationContext) -> None:  # noqa: ARG002
        self._ended = step.revision.revision
        if not self._one_by_one:
            self.committed()

    def committed(self) -> None:
        """Keep the step that has ended, now that its transaction has too."""
        if self._ended is None:
            return
        after = snapshot.take(self.connection)
        made = Rehearsed(
            revision=self._ended,
            before=self._before or after,
            after=after,
            writes=tuple(dict.fromkeys(writes(self._records, after.tables.values()))),
            reads_rows=self.recorder.depends_on_rows,
            recast=tuple(dict.fromkeys(recast(self._records))),
            leaves_transaction=not all(record.transactional for record in self._records),
            title=self.project.revision(self._ended).title,
            ms=self._ms,
            statements=tuple((record.sql, round(record.ms, 3)) for record in self._records),
        )
        self.steps.append(made)
        self._ended = None


def writes(
    records: tuple[StatementRecord, ...], tables: Collection[tuple[str, str]] = ()
) -> Iterator[tuple[str, str]]:
    """Name the tables on which a statement took the lock of changing rows, INSERT and COPY left out.

    A text is more than its first statement; of one that has given its locks back itself, what it names of `tables`
    (schema and name) counts.
    """
    for record in records:
        acts = [one for one in statements(record.sql) if not _ONLY_INSERTS.match(one, start(one))]
        words = [command(one) for one in acts]
        if not words:
            continue
        word = next((one for one in words if one in _CHANGING), words[0])
        inside = not _ENTERING.isdisjoint(words)
        emptied = _TRUNCATE in words or (inside and _TRUNCATES.search(record.sql) is not None)
        for lock in record.locks:
            # What a body does to an empty table shows by its new file alone.
            if lock.mode == "ACCESS EXCLUSIVE" and (emptied or (inside and lock.object in record.rewrites)):
                yield lock.object, _TRUNCATE if emptied else word
            elif lock.mode == "ROW EXCLUSIVE":
                yield lock.object, word
        for lock in record.held:
            # Locked by an earlier statement already; named by this one.
            if word in _CHANGING and lock.object.rpartition(".")[2] in record.sql:
                yield lock.object, word
        if ends_within(record.sql):
            yield from _named(acts, tables)


def _named(acts: Iterable[str], tables: Collection[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for one in acts:
        bodies = (data for body in row_changes.bodies(one) for data in row_changes.body_data_statements(body))
        for data in (*row_changes.data_statements(one), *bodies):
            if data.kind in (row_changes.READ, row_changes.INSERT, row_changes.COPY):
                continue
            for table in tables:
                if table[1].lower() == data.relation.lower():
                    yield ".".join(map(plain, table)), data.kind


def _connect(database: ScratchDatabase) -> Any:
    """Connect as the scratch server's administrator, past every redirect and tap of this process."""
    return client.connect(database.admin_url, autocommit=True)
