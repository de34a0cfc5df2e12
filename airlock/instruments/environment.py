"""Run a project's env.py for one target, with a look at every step.

env.py runs as Alembic runs it, in this process, under any driver, synchronous or not. Two things are
Alembic's own options, set from outside: one transaction per revision, and the list of steps.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
from typing import TYPE_CHECKING, Any

from alembic.runtime.environment import EnvironmentContext
from alembic.util.exc import CommandError

from airlock.instruments.redirect import driver_of
from airlock.words.errors import AirlockError, HistoryFault, Usage
from airlock.words.secrets import scrub

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from alembic.runtime.migration import MigrationContext, RevisionStep

    from airlock.instruments.project import Project


class Hooks:
    """What a caller may do around the steps; every method here does nothing.

    `context` is Alembic's MigrationContext, `context.connection` env.py's SQLAlchemy connection.
    """

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


@dataclasses.dataclass(frozen=True)
class Environment:
    """What one run of env.py told: where its version table is, and how it holds its transaction."""

    heads_before: tuple[str, ...]
    steps: tuple[str, ...]
    version_table: str
    version_table_schema: str | None
    external_transaction: bool


def run(
    project: Project,
    url: str | None,
    target: str | None,
    direction: str,
    hooks: Hooks | None = None,
    *,
    transaction_per_migration: bool = True,
) -> Environment:
    """Run env.py and take the steps to `target` (none for None); `direction` is "up" or "down".

    `url` (libpq) becomes `sqlalchemy.url` in memory, under the driver that the ini asks for; `None`
    leaves the ini alone. Where connections really go is the redirect's business, not this function's.
    Commits per revision. Raises whatever env.py or a revision raises, Usage where the target is none of
    this history, HistoryFault where version rows and history do not fit. What env.py prints goes to
    standard error: standard output carries airlock's data alone.
    """
    hooks = hooks or Hooks()
    seen: list[Environment] = []

    def steps(heads: tuple[str, ...], context: MigrationContext) -> Iterator[RevisionStep]:
        current = tuple(heads)
        hooks.start(context, current)
        plan = hooks.plan(plan_steps(project, current, target, direction)) if target is not None else []
        seen.append(
            Environment(
                heads_before=current,
                steps=tuple(step.revision.revision for step in plan),
                version_table=context.version_table,
                version_table_schema=context.version_table_schema,
                external_transaction=context._in_external_transaction,
            )
        )
        for step in plan:
            hooks.before(step, context)
            yield _hooked(step, hooks, context)
            hooks.after(step, context)

    _execute(project, url, steps, destination=target or "heads", forced=transaction_per_migration)
    if not seen:
        raise Usage("env.py did not run the migrations.", then="call context.run_migrations() in env.py")
    return seen[-1]


def plan_steps(project: Project, heads: tuple[str, ...], target: str, direction: str) -> list[RevisionStep]:
    """Ask Alembic for the steps from `heads` to `target`. Reads the history only.

    Raises HistoryFault where a head is unknown to this code, Usage where the target does not fit.
    """
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
    script: Any = project.script
    take = script._upgrade_revs if direction == "up" else script._downgrade_revs
    try:
        return list(take(target, heads))
    except CommandError as error:
        raise Usage(f"{error}") from error


def learn(project: Project, url: str | None) -> Environment:
    """Run env.py without a step, to learn its version table and the heads it stands at."""
    return run(project, url, None, "up")


def _hooked(step: RevisionStep, hooks: Hooks, context: MigrationContext) -> RevisionStep:
    function = step.migration_fn

    @functools.wraps(function)
    def with_hooks(**arguments: Any) -> Any:
        hooks.begun(step, context)
        result = function(**arguments)
        hooks.done(step, context)
        return result

    step.migration_fn = with_hooks
    return step


def _execute(project: Project, url: str | None, steps: Any, *, destination: str, forced: bool) -> None:
    config = project.config
    with _ini_url(project, url):
        environment = EnvironmentContext(
            config, project.script, fn=steps, as_sql=False, destination_rev=destination
        )
        if forced:
            _force_transaction_per_migration(environment)
        with environment, _listening():
            try:
                project.script.run_env()
            except (AirlockError, CommandError):
                raise
            except SystemExit as stopped:
                raise Usage(f"env.py stopped by itself: {stopped.code}") from stopped


def _force_transaction_per_migration(environment: EnvironmentContext) -> None:
    # On the instance, not in a subclass: Alembic's module proxy knows the one class only.
    configure = environment.configure

    def forced(*arguments: Any, **options: Any) -> None:
        configure(*arguments, **{**options, "transaction_per_migration": True})

    setattr(environment, "configure", forced)  # noqa: B010  mypy forbids assigning to a method


@contextlib.contextmanager
def _ini_url(project: Project, url: str | None) -> Iterator[None]:
    """Give the ini a URL of the right driver while env.py runs. `%` is doubled: the ini interpolates."""
    if url is None:
        yield
        return
    config = project.config
    section = config.config_ini_section
    try:
        before = config.get_main_option("sqlalchemy.url")
    except Exception:  # noqa: BLE001  an ini whose own URL does not interpolate
        before = None
    spelled = url.replace("postgresql://", f"postgresql+{driver_of(before)}://", 1)
    config.set_section_option(section, "sqlalchemy.url", spelled.replace("%", "%%"))
    try:
        yield
    finally:
        if before is None:
            config.file_config.remove_option(section, "sqlalchemy.url")
        else:
            config.set_section_option(section, "sqlalchemy.url", before.replace("%", "%%"))


class _Said:
    """What env.py prints, warns and logs: to standard error, without a password, and never a reason to stop.

    A reader that went away would raise into env.py, and end a run half way through the history.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(scrub(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def close(self) -> None:
        """Stay open: the stream is not env.py's."""


@contextlib.contextmanager
def _listening() -> Iterator[None]:
    """Send both standard streams of env.py to standard error: standard output carries airlock's data alone."""
    said: Any = _Said(sys.stderr)
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        yield


def autogenerate(project: Project, retrieve: Any, **given: Any) -> None:
    """Run env.py as `alembic revision --autogenerate` does: no step, `retrieve(heads, context)` in their place.

    env.py's models are then in `context.opts["target_metadata"]`. Raises Usage where env.py stops by itself.
    """
    environment = EnvironmentContext(project.config, project.script, fn=retrieve, as_sql=False, **given)
    with environment, _listening():
        try:
            project.script.run_env()
        except SystemExit as stopped:
            raise Usage(f"env.py stopped by itself: {stopped.code}") from stopped
