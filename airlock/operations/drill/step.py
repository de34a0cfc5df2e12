"""Take one step of the history and nothing else, and note what it locked."""

from __future__ import annotations

import contextlib
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from alembic.runtime.migration import MigrationStep

from airlock.catalogue.fingerprint.model import plain
from airlock.operations.drill.reach.coverage import watching
from airlock.project import environment
from airlock.project.environment import Hooks
from airlock.records.drill import Held
from airlock.records.locks import LockMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from alembic.runtime.migration import MigrationContext, RevisionStep

    from airlock.operations.drill.reach.coverage import Reach
    from airlock.operations.drill.state import Ledger, State
    from airlock.project.project import Project
    from airlock.recorder.row_changes import DataStatement
    from airlock.records.drill import Met

_LOCKS = """
SELECT n.nspname, c.relname, c.relkind::text, l.mode
FROM pg_locks l JOIN pg_class o ON o.oid = l.relation
JOIN pg_class c ON c.oid = CASE o.relkind WHEN 'f' THEN o.oid ELSE coalesce(pg_partition_root(o.oid), o.oid) END
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.mode NOT IN ('AccessShareLock', 'SIReadLock')
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND c.relkind IN ('r', 'p', 'm', 'S', 'i', 'c', 'f') AND n.nspname NOT LIKE 'pg\\_%'
"""
# ALTER TYPE … DROP ATTRIBUTE locks the type alone: whose columns are of it, in an array, a domain or another type too?
_USERS = """
WITH RECURSIVE used (type) AS (
  SELECT c.reltype FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
  WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND c.relkind = 'c' AND l.mode <> 'AccessShareLock'
  UNION SELECT t.oid FROM used JOIN pg_type t ON used.type IN (t.typelem, t.typbasetype) OR EXISTS (
    SELECT FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relkind = 'c' AND c.reltype = t.oid AND a.atttypid = used.type))
SELECT DISTINCT n.nspname, r.relname FROM used JOIN pg_attribute a ON a.atttypid = used.type
JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
JOIN pg_class r ON r.oid = coalesce(pg_partition_root(c.oid), c.oid) JOIN pg_namespace n ON n.oid = r.relnamespace
"""
_COLUMNS = """
SELECT a.attrelid::bigint, a.attname::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND c.relnamespace::regnamespace::text NOT LIKE 'pg\\_%'
  AND c.relnamespace <> 'information_schema'::regnamespace
"""
# Holds until the transaction ends, and takes no snapshot: SET TRANSACTION may still come after it.
_MARK = "SET LOCAL airlock.step = '{}'"
_MARKED = "SELECT current_setting('airlock.step', true)"


@dataclass(slots=True)
class StepTaken:
    """What one step did: how long, what it locked at its end; `touched` None where it left its transaction.

    `far` are the foreign tables that it wrote into, `retypings` the statements that changed the type of a column, as they
    were sent.
    """

    ms: float = 0.0
    touched: frozenset[str] | None = frozenset()
    far: frozenset[str] = frozenset()
    held: tuple[Held, ...] = ()
    search_path: str | None = None
    met: tuple[Met, ...] = ()
    data_statements: tuple[DataStatement, ...] = ()
    retypings: tuple[str, ...] = ()

    def concerns(self, names: Iterable[str]) -> bool:
        """Tell whether the step may have locked one of these relations."""
        return self.touched is None or not self.touched.isdisjoint(names)


@dataclass(slots=True)
class _Look(Hooks):
    """Hooks that run one step, whatever Alembic would have planned, and read its locks before it commits."""

    project: Project
    revision: str
    direction: str
    at_end: Callable[[MigrationContext], None] | None = None
    around: Callable[[MigrationContext], None] | None = None
    reach: Reach | None = None
    below: frozenset[tuple[int, str]] | None = None
    taken: StepTaken = field(default_factory=StepTaken)
    began: float = 0.0
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    wants_steps = False

    def plan(self, _steps: list[RevisionStep]) -> list[RevisionStep]:
        script = self.project.script.get_revision(self.revision)
        make: Any = (
            MigrationStep.upgrade_from_script
            if self.direction == "up"
            else MigrationStep.downgrade_from_script
        )
        return [make(self.project.script.revision_map, script)]

    def begun(self, _step: RevisionStep, context: MigrationContext) -> None:
        if context.connection is not None:
            context.connection.exec_driver_sql(_MARK.format(self.mark))
        self.taken.search_path = _first(context, "SHOW search_path")
        if self.around is not None:
            self.around(context)
        if self.reach is not None:
            below = self.below
            if below is None:
                below = frozenset((int(oid), str(name)) for oid, name in _rows(context, _COLUMNS))
            self.reach.begin(self.project.revision(self.revision).path, below)
        self.began = time.perf_counter()

    def done(self, _step: RevisionStep, context: MigrationContext) -> None:
        self.taken.ms = (time.perf_counter() - self.began) * 1000
        if self.reach is not None:
            self.reach.end()
            self.taken.retypings = tuple(self.reach.retypings)
            self.taken.met, self.taken.data_statements = (
                self.reach.met(self.direction),
                self.reach.data_statements(),
            )
        if _first(context, _MARKED) != self.mark:
            self.taken.touched = None
        else:
            rows = _rows(context, _LOCKS)
            users = _rows(context, _USERS) if any(row[2] == "c" for row in rows) else []
            self.taken.touched = frozenset(
                f"{plain(row[0])}.{plain(row[1])}"
                for row in [*users, *(one for one in rows if one[2] not in "icf")]
            )
            self.taken.far = frozenset(
                f"{plain(row[0])}.{plain(row[1])}"
                for row in rows
                if row[2] == "f" and row[3] == "RowExclusiveLock"
            )
            self.taken.held = tuple(
                sorted({
                    Held(f"{plain(row[0])}.{plain(row[1])}", str(LockMode.observed(row[3])), self.direction)
                    for row in rows
                    if row[2] in {"r", "p", "m"}
                })
            )  # fmt: skip
        if self.at_end is not None:
            self.at_end(context)

    def after(self, _step: RevisionStep, _context: MigrationContext) -> None:
        spent = self.reach.spent_ms if self.reach is not None else 0.0
        self.taken.ms = (time.perf_counter() - self.began) * 1000 - spent


def take(
    project: Project,
    revision: str,
    direction: str,
    *,
    at_end: Callable[[MigrationContext], None] | None = None,
    around: Callable[[MigrationContext], None] | None = None,
    counting: bool = False,
    below: frozenset[tuple[int, str]] | None = None,
    asked: list[str] | None = None,
) -> StepTaken:
    """Run env.py for one step of one revision, `direction` "up" or "down"; raise whatever it raises.

    `around` is called inside the step before the revision's function, `at_end` after it, before the commit. `counting`
    has the rows counted that its data statements meet, `below` are the columns that are there, where that is known; then
    `asked` is filled with what it sent, also where it raises.
    """
    look = _Look(project, revision, direction, at_end, around, below=below)
    with watching() if counting else contextlib.nullcontext() as look.reach:
        try:
            environment.run(project, revision, "up", look)
        finally:
            if asked is not None and look.reach is not None:
                asked[:] = look.reach.queries
    return look.taken


def take_seen(
    ledger: Ledger, project: Project, revision: str, direction: str, *, counting: bool = False
) -> StepTaken:
    """Take a step as `take` does, and keep the search_path that env.py works under in the ledger.

    Where another session has written meanwhile (a revision may open one), the step's locks do not tell all.
    """
    began, others = ledger.transactions(), False

    def look(_context: MigrationContext) -> None:
        nonlocal others
        ended = ledger.transactions()
        others = ended != began and ledger.others_wrote(began, ended)

    below = ledger.columns() if counting else None
    taken = take(
        project, revision, direction, at_end=look, counting=counting, below=below, asked=ledger.asked
    )
    if others:
        taken.touched = None
    if taken.search_path is not None:
        ledger.search_path = taken.search_path
    return taken


def touched_tables(taken: StepTaken, before: State, after: State) -> frozenset[str]:
    """Name the tables a step concerns: those it locked, or all that changed where locks could not be seen."""
    if taken.touched is not None:
        return taken.touched
    old, new = before.catalogue.objects, after.catalogue.objects
    changed = {name for name in {*old, *new} if old.get(name) != new.get(name)}
    parents = {
        thing.parent for name in changed for thing in (old.get(name), new.get(name)) if thing is not None
    }
    rows = {
        name for name, one in after.digests.items() if name in before.digests and before.digests[name] != one
    }
    tables = before.tables() | after.tables()
    return frozenset(tables & {*changed, *rows, *(parent for parent in parents if parent is not None)})


def _first(context: MigrationContext, query: str) -> Any:
    rows = _rows(context, query)
    return rows[0][0] if rows else None


def _rows(context: MigrationContext, query: str) -> list[Any]:
    connection = context.connection
    return [] if connection is None else list(connection.exec_driver_sql(query.replace("%", "%%")).fetchall())
