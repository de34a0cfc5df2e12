"""Run a project's env.py for one target, with a look at every step.

env.py runs as Alembic runs it, in this process, under any driver, synchronous or not. Two things are
Alembic's own options, set from outside: one transaction per revision, and the list of steps.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import re
from importlib.machinery import SourceFileLoader
from typing import TYPE_CHECKING, Any

from alembic import command
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import RevisionStep
from alembic.util.exc import CommandError

from airlock.drivers import raw
from airlock.drivers.spelling import literal, quoted
from airlock.project import flask_application, given_connection, while_loaded
from airlock.project.ini import ini_url
from airlock.project.output import to_standard_error
from airlock.project.project import NO_DOWNGRADE
from airlock.project.settings import TAG
from airlock.project.version_rows import spelled_once
from airlock.records.errors import AirlockError, HistoryFault, Refused, RevisionFailed, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import CodeType

    from alembic.runtime.migration import MigrationContext

    from airlock.project.project import Project

_ENV = f"{os.sep}env.py"


class Hooks:
    """What a caller may do around the steps; every method here does nothing.

    `context` is Alembic's MigrationContext, `context.connection` env.py's SQLAlchemy connection.
    """

    # Whether `plan` looks at the steps that Alembic would take: to find them takes the longer the longer the history is.
    wants_steps = True

    def start(self, context: MigrationContext, heads: tuple[str, ...]) -> None:
        """Follow env.py's connecting and the reading of the version table."""

    def plan(self, steps: list[RevisionStep]) -> list[RevisionStep]:
        """Return the steps to run: all, or fewer."""
        return steps

    def before(self, step: RevisionStep, context: MigrationContext) -> None:
        """Stand outside the step's transaction, before it begins."""

    def begun(self, step: RevisionStep, context: MigrationContext) -> None:
        """Stand inside the step, before the revision's own function."""

    def done(self, step: RevisionStep, context: MigrationContext) -> None:
        """Stand inside the step, after the revision's own function, before the version row is written."""

    def after(self, step: RevisionStep, context: MigrationContext) -> None:
        """Follow the end of the step's transaction."""


def _unheard(_step: str) -> None:
    """Be told in vain."""


# Told of each step before it is taken, in a process that takes steps for another one which shows how far they are.
told: Callable[[str], None] = _unheard
# Whether this process works on a scratch database alone.
in_scratch = False


@dataclasses.dataclass(frozen=True)
class Environment:
    """What one run of env.py told: where its version table is, and how it holds its transaction."""

    heads_before: tuple[str, ...]
    steps: tuple[str, ...]
    version_table: str
    version_table_schema: str | None
    external_transaction: bool
    # How often it runs the migrations: once, or for each of its schemas or databases.
    turns: int = 1


def run(
    project: Project,
    target: str | None,
    direction: str,
    hooks: Hooks | None = None,
    *,
    transaction_per_migration: bool = True,
) -> Environment:
    """Run env.py and take the steps to `target` (none for None); `direction` is "up" or "down".

    A placeholder in the ini's `sqlalchemy.url` is filled in memory. Where connections really go is the redirect's business,
    not this function's. Where env.py runs the migrations several times, for one tenant after the other, steps are taken in the
    project's `turn` alone.
    Commits per revision. Raises whatever env.py or a revision raises, Usage where the target is none of
    this history or env.py never commits, HistoryFault where version rows and history do not fit. What env.py prints goes to
    standard error: standard output carries airlock's data alone.
    """
    hooks = hooks or Hooks()
    seen: list[Environment] = []
    taken: list[RevisionStep] = []
    connection: Any = None
    turns = 0

    def steps(heads: tuple[str, ...], context: MigrationContext) -> Iterator[RevisionStep]:
        nonlocal connection, turns
        turns += 1
        if turns - 1 != project.turn:
            return
        connection = context.connection
        version_rows.close()
        version_rows.enter_context(spelled_once(context))
        current = tuple(heads)
        hooks.start(context, current)
        plan: list[RevisionStep] = []
        if target is not None and hooks.wants_steps:
            plan = hooks.plan(plan_steps(project, current, target, direction))
        elif target is not None:
            _require_known(project, current)
            with _missing_function(direction):
                plan = hooks.plan([])
        seen.append(
            Environment(
                heads_before=current,
                steps=tuple(step.revision.revision for step in plan),
                version_table=context.version_table,
                version_table_schema=context.version_table_schema
                if target
                else schema_of_version_table(context),
                external_transaction=context._in_external_transaction,
            )
        )
        taken[:] = plan
        for step in plan:
            told(f"{step.revision.revision} {'up' if step.is_upgrade else 'down'}")
            hooks.before(step, context)
            yield _hooked(step, hooks, context)
            commit_what_is_open(context)
            hooks.after(step, context)

    _name_command(project.config, target, direction)
    version_rows = contextlib.ExitStack()
    try:
        with version_rows:
            _execute(
                project, steps, lambda: bool(turns), destination=target or "heads",
                forced=transaction_per_migration,
            )  # fmt: skip
    finally:
        _end_transaction(connection)
    if not seen:
        raise Usage("env.py did not run the migrations.", then="call context.run_migrations() in env.py")
    ran = dataclasses.replace(seen[-1], turns=turns)
    if ran.external_transaction and len({step.is_upgrade for step in taken}) == 1:
        _require_commit(project, ran, connection)
    return ran


def _name_command(config: Any, target: str | None, direction: str) -> None:
    """Say in the configuration which command of Alembic's own runs: an env.py may choose its database by that."""
    asked = config.cmd_opts
    if asked is None:
        return
    if target is None:
        asked.cmd = (command.current, [], ["verbose"])
        return
    asked.cmd = (command.upgrade if direction == "up" else command.downgrade, ["revision"], ["sql", "tag"])
    asked.revision = target


# In the configuration's attributes, Alembic's place for what is not in the ini.
_COMMITS = "airlock_env_commits"


def _require_commit(project: Project, ran: Environment, connection: Any) -> None:
    """Look once whether env.py commits the transaction that it holds by itself: if not, nothing ever happens.

    Bare Alembic ends such a run with exit code 0. Raises Usage.
    """
    if not project.config.attributes.get(_COMMITS):
        with contextlib.suppress(Exception):
            # Left open it would keep its locks, on the version table too. Under asyncio its loop has ended with it.
            connection.close()
        if learn(project).heads_before == ran.heads_before:
            raise Usage(
                "env.py begins a transaction before it configures Alembic, and ends without committing it: "
                f"what {ran.steps[0]} did is rolled back.",
                then="connection.commit() before context.configure() in env.py",
            )
        project.config.attributes[_COMMITS] = True


def _end_transaction(connection: Any) -> None:
    """Roll back what env.py leaves open when it has ended, as the end of Alembic's process does.

    Many never close their connection: its locks, on the version table too, would stop whoever comes next in this process.
    """
    # Under asyncio the loop has ended with env.py; a connection that is lost holds nothing.
    with contextlib.suppress(Exception):
        if connection is not None and not connection.closed and connection.in_transaction():
            connection.rollback()


def commit_what_is_open(context: MigrationContext) -> None:
    """Commit what stands open on Alembic's connection and Alembic commits no more.

    Behind a revision that has ended Alembic's transaction (`op.get_bind().commit()`): its last statements and its version
    row. Inside env.py's own `engine.begin()` its end commits, and nobody else may.
    """
    connection = context.connection
    if connection is not None and not context._in_external_transaction and connection.in_transaction():
        connection.commit()


_WHERE_IT_IS = (
    "SELECT n.nspname FROM pg_catalog.pg_class c"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = "
)


def schema_of_version_table(context: MigrationContext) -> str | None:
    """Name the schema of the version table as env.py's session finds it; None where it is not there.

    The session may have a search_path of its own, and its connection a schema_translate_map, which Alembic's own
    statements follow.
    """
    schema = context.version_table_schema
    if context.connection is None:
        return schema
    translated = context.connection.get_execution_options().get("schema_translate_map") or {}
    schema = translated.get(schema, schema)
    if schema is not None:
        return str(schema)
    name = literal(quoted(context.version_table))
    found = raw.scalar(context.connection, f"{_WHERE_IT_IS}pg_catalog.to_regclass({name})")
    return None if found is None else str(found)


def plan_steps(project: Project, heads: tuple[str, ...], target: str, direction: str) -> list[RevisionStep]:
    """Ask Alembic for the steps from `heads` to `target`. Reads the history only.

    Raises HistoryFault where a head is unknown to this code, Usage where the target does not fit.
    """
    _require_known(project, heads)
    script: Any = project.script
    take = script._upgrade_revs if direction == "up" else script._downgrade_revs
    try:
        with _missing_function(direction):
            return list(take(target, heads))
    except CommandError as error:
        raise Usage(f"{str(error).rstrip('.')}.", then="alembic history, which lists them") from error


def _require_known(project: Project, heads: tuple[str, ...]) -> None:
    for head in heads:
        try:
            known = project.script.get_revision(head)
        except CommandError:
            known = None
        if known is None:
            raise HistoryFault(
                f"The database is at revision {head!r}, which this code does not know.",
                then="deploy the code that made it, or downgrade with that code first",
            )


@contextlib.contextmanager
def _missing_function(direction: str) -> Iterator[None]:
    """Say which revision's file is without its function; Alembic looks for it as it makes a step."""
    try:
        yield
    except AttributeError as error:
        name = getattr(error.obj, "revision", None)
        if name is None or error.name != ("upgrade" if direction == "up" else "downgrade"):
            raise
        if direction == "up":
            raise HistoryFault(f"{name} has no upgrade().") from error
        raise Refused(f"{name} cannot be undone: {NO_DOWNGRADE}.", standing="Nothing changed.") from error


def steps_of(project: Project, names: Sequence[str], direction: str) -> list[RevisionStep]:
    """Make the steps of exactly these revisions, in this order.

    For a plan that takes more than one run of env.py: asked again for the same target half way, Alembic may
    answer with other revisions, such as those of a second branch.
    """
    up = direction == "up"
    return [
        RevisionStep(project.script.revision_map, project.script.get_revision(name), is_upgrade=up)
        for name in names
    ]


def learn(project: Project) -> Environment:
    """Run env.py without a step, to learn its version table and the heads it stands at."""
    return run(project, None, "up")


def _hooked(step: RevisionStep, hooks: Hooks, context: MigrationContext) -> RevisionStep:
    function = step.migration_fn

    @functools.wraps(function)
    def with_hooks(**arguments: Any) -> Any:
        hooks.begun(step, context)
        try:
            while_loaded.load_again(step.revision)
            result = function(**arguments)
        except (SystemExit, GeneratorExit) as stopped:
            name = step.revision.revision
            raise RevisionFailed(f"{name} stopped the program ({type(stopped).__name__}).") from stopped
        except Exception:
            _runs.failed_in = step.revision.revision
            raise
        hooks.done(step, context)
        return result

    step.migration_fn = with_hooks
    return step


def runs() -> int:
    """Count the runs of env.py that have begun or ended in this process: behind another, a catalogue may be another."""
    return _runs.count


def running() -> bool:
    """Tell whether env.py is at work now: what is read meanwhile may be another thing the moment after."""
    return _runs.count % 2 == 1


def failed_in() -> str:
    """Name the revision that raised what the last run of env.py ended with; empty where none did."""
    return _runs.failed_in


@dataclasses.dataclass
class _Runs:
    count: int = 0
    failed_in: str = ""


_runs = _Runs()


def _execute(
    project: Project, steps: Any, begun: Callable[[], bool], *, destination: str, forced: bool
) -> None:
    config = project.config
    flask_application.load(project.script)
    with ini_url(project.config, project.script):
        environment = EnvironmentContext(
            config,
            project.script,
            fn=steps,
            as_sql=False,
            destination_rev=destination,
            tag=os.environ.get(TAG),
        )
        _configure_further(environment, forced=forced)
        with environment, to_standard_error():
            _runs.count += 1
            _runs.failed_in = ""
            try:
                given_connection.run(project, begun)
            except (AirlockError, CommandError):
                raise
            except SystemExit as stopped:
                raise Usage(f"env.py stopped by itself: {stopped.code}") from stopped
            finally:
                _runs.count += 1


def compile_once() -> None:
    """Compile an env.py once in this process for each text that it has: Python may have been told to keep no bytecode."""
    loader: Any = SourceFileLoader
    plain = loader.source_to_code
    known: dict[str, tuple[bytes, CodeType]] = {}

    def source_to_code(self: Any, data: Any, path: Any, **options: Any) -> Any:
        if not str(path).endswith(_ENV):
            return plain(self, data, path, **options)
        if path not in known or known[path][0] != data:
            known[path] = data, plain(self, data, path, **options)
        return known[path][1]

    loader.source_to_code = source_to_code


def _configure_further(environment: EnvironmentContext, *, forced: bool) -> None:
    # On the instance, not in a subclass: Alembic's module proxy knows the one class only.
    configure = environment.configure

    def further(*arguments: Any, **options: Any) -> None:
        if forced:
            options["transaction_per_migration"] = True
        configure(*arguments, **options)
        _seek_version_table_as_text(environment.get_context())
        if in_scratch:
            from airlock.project.version_schema import made_with_its_table

            made_with_its_table(environment.get_context())

    setattr(environment, "configure", further)  # noqa: B010  mypy forbids assigning to a method


# As SQLAlchemy asks whether a table is there, in a schema or in the search path.
_IS_THERE = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE {where} AND c.relkind IN ('r', 'p', 'f', 'v', 'm'))
"""
_IN_SEARCH_PATH = """c.oid = pg_catalog.to_regclass('"{table}"') AND c.relnamespace <> 'pg_catalog'::pg_catalog.regnamespace"""
_IN_SCHEMA = """c.relname = '{table}'
  AND c.relnamespace = (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = '{schema}')"""
_BARE_NAME = re.compile(r"\w+")


def _seek_version_table_as_text(context: MigrationContext) -> None:
    """Let Alembic ask for its version table by a text: SQLAlchemy compiles its own query anew in each engine.

    env.py makes an engine each time it runs, and that query takes as long to compile as a small revision takes to run.
    """
    connection, table, schema = context.connection, context.version_table, context.version_table_schema
    if connection is None or connection.dialect.name != "postgresql":
        return
    if not all(map(_BARE_NAME.fullmatch, (table, schema or table))):
        return  # would have to be spelled, for each driver another way
    where = _IN_SEARCH_PATH if schema is None else _IN_SCHEMA
    query = _IS_THERE.format(where=where.format(table=table, schema=schema))

    def is_there() -> bool:
        return bool(connection.exec_driver_sql(query).scalar())

    setattr(context, "_has_version_table", is_there)  # noqa: B010


def autogenerate(project: Project, retrieve: Any, **given: Any) -> None:
    """Run env.py as `alembic revision --autogenerate` does: no step, `retrieve(heads, context)` in their place.

    env.py's models are then in `context.opts["target_metadata"]`. Raises Usage where env.py stops by itself.
    """
    begun: list[bool] = []
    turn = project.turn
    if project.config.cmd_opts is not None:
        project.config.cmd_opts.cmd = (command.check, [], [])

    def look(heads: Any, context: Any) -> Any:
        begun.append(True)
        return retrieve(heads, context) if len(begun) == turn + 1 else []

    flask_application.load(project.script)
    environment = EnvironmentContext(project.config, project.script, fn=look, as_sql=False, **given)
    with ini_url(project.config, project.script), environment, to_standard_error():
        try:
            given_connection.run(project, lambda: bool(begun))
        except SystemExit as stopped:
            raise Usage(f"env.py stopped by itself: {stopped.code}") from stopped
