"""Write revisions as SQL scripts, the way `alembic upgrade --sql` does; no database is asked anything."""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import RevisionStep

from airlock.project.flask_application import load, run_env
from airlock.records.errors import AirlockError
from airlock.records.secrets import scrub

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alembic.runtime.migration import MigrationContext

    from airlock.project.project import Project


@dataclass(frozen=True)
class Written:
    """One step as SQL, its own transaction and version row included; `failed` says why it could not be."""

    revision: str
    direction: str
    sql: str
    failed: str = ""


def scripts(project: Project, revisions: Sequence[str], direction: str) -> tuple[Written, ...]:
    """Write each revision of the list, which runs in the direction's order, as one script.

    Runs env.py offline. A revision that needs a database (it reads rows) is returned with its reason, and so
    is each that Alembic cannot write: of a merge it does not know all the version rows.
    """
    if not revisions:
        return ()
    try:
        return _run(project, revisions, direction)
    except AirlockError:
        raise
    except Exception as error:  # noqa: BLE001  Alembic's version rows, or whatever env.py raises offline
        if len(revisions) > 1:
            return tuple(one for name in revisions for one in scripts(project, [name], direction))
        return (Written(revisions[0], direction, "", _said(error)),)


def _run(project: Project, revisions: Sequence[str], direction: str) -> tuple[Written, ...]:
    buffer = io.StringIO()
    written: list[Written] = []

    def steps(_heads: Any, _context: MigrationContext) -> Iterator[RevisionStep]:
        for name in revisions:
            step = RevisionStep(
                project.script.revision_map, project.script.get_revision(name), direction == "up"
            )
            failed: list[str] = []
            step.migration_fn = _forgiving(step.migration_fn, failed)
            # What env.py itself writes first (a schema, say) belongs to the first script.
            start = buffer.tell() if written else 0
            yield step
            written.append(Written(name, direction, buffer.getvalue()[start:], "".join(failed)))

    load(project.script)
    before = _before(project, revisions[0]) if direction == "up" else revisions[0]
    environment = EnvironmentContext(
        project.config,
        project.script,
        fn=steps,
        as_sql=True,
        starting_rev=before,
        destination_rev=revisions[-1],
        output_buffer=buffer,
    )
    configure = environment.configure

    def forced(*arguments: Any, **options: Any) -> None:
        options = {**options, "transaction_per_migration": True, "output_buffer": buffer}
        # An env.py without an offline half brings a connection; nothing may be asked through it here.
        options["connection"] = None
        if not options.get("url"):
            options["dialect_name"] = "postgresql"
        # Named parameters: with psycopg2's own style a literal % would be written twice.
        options.setdefault("dialect_opts", {"paramstyle": "named"})
        configure(*arguments, **options)

    setattr(environment, "configure", forced)  # noqa: B010  mypy forbids assigning to a method
    with environment:
        run_env(project.script)
    return tuple(written)


def _before(project: Project, revision: str) -> str | None:
    down = project.revision(revision).down_revisions
    return down[0] if down else None


def _forgiving(function: Any, failed: list[str]) -> Any:
    @functools.wraps(function)
    def run(**arguments: Any) -> None:
        try:
            function(**arguments)
        except Exception as error:  # noqa: BLE001  whatever a revision raises without a database
            failed.append(_said(error))

    return run


def _said(error: Exception) -> str:
    return scrub(str(error).strip().partition("\n")[0]) or type(error).__name__
