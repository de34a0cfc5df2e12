"""The child's side of `airlock revision`: env.py with the models, on a scratch database at head."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic.autogenerate import RevisionContext
from alembic.util.exc import CommandError

from airlock.database import missing
from airlock.operations.revision import directives
from airlock.operations.revision.foreign import spoken_for
from airlock.operations.revision.parts import Plan, Stage
from airlock.operations.revision.registered import described, found_by_others
from airlock.operations.revision.shadow import create
from airlock.operations.revision.written.questions import NO_RENAME, open_questions
from airlock.project import environment
from airlock.project.models_apart import models_apart
from airlock.project.project import Project
from airlock.project.titles import title
from airlock.records.errors import NotExamined, Refused, Usage
from airlock.records.revision import UNPLACED, Likely, Placement, Remark, WrittenRevision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from alembic.operations.ops import MigrateOperation
    from alembic.runtime.migration import MigrationContext


@dataclasses.dataclass(frozen=True)
class Found:
    """What a comparison found: what would be written, what is only said, what may have been renamed."""

    what: tuple[str, ...]
    remarks: tuple[Remark, ...]
    likely: tuple[Likely, ...]
    schemas: tuple[str, ...]
    left_out: frozenset[str] = frozenset()
    unmade: tuple[str, ...] = ()


def write(
    config: str,
    message: str | None,
    renames: Sequence[str],
    x_arguments: Sequence[str],
    *,
    ask: bool,
    sql_form: bool = False,
    reshaped: Sequence[str] = (),
    placement: Placement = UNPLACED,
    behind: int = 0,
) -> Iterator[Any]:
    """Compare and write; yields Found, then each WrittenRevision. Writes files only where nothing is open.

    Stops after Found where a rename is likely and `ask` says that somebody will be asked. Raises Refused where
    it is likely and nobody can be.
    """
    logging.disable(logging.INFO)
    with models_apart():
        project = Project.open(Path(config), x_arguments, begun=False)
    for one in written(
        project,
        {
            "message": message,
            "head": placement.head or "head",
            "branch_label": placement.branch_label,
            "version_path": placement.version_path,
            "depends_on": list(placement.depends_on) or None,
            "rev_id": placement.rev_id,
        },
        lambda context: _compared_with_some(context, tuple(renames), tuple(reshaped)),
        sql_form=sql_form,
        behind=behind,
    ):
        yield one
        if isinstance(one, Found) and one.likely and not ask:
            raise Refused(
                directives.perhaps_renamed(one.likely),
                standing="Nothing was written.",
                then=f"--rename {one.likely[0].option}, or --rename {NO_RENAME}",
            )


def written(
    project: Project,
    given: dict[str, Any],
    compare: Callable[[MigrationContext], tuple[Plan, Found]],
    *,
    sql_form: bool,
    behind: int = 0,
) -> Iterator[Any]:
    """Plan by `compare` and write the plan's revisions, as `alembic revision` would with the arguments `given`.

    `behind` revisions of the same call come before them.
    Yields Found, then each WrittenRevision; none where a rename is likely. Raises Refused for a name that a file has.
    """
    plans: list[tuple[Plan, Found]] = []
    arguments: dict[str, Any] = {
        "autogenerate": True, "sql": False, "head": "head", "splice": False, "branch_label": None, "version_path": None,
        "rev_id": None, "depends_on": None, **given,
    }  # fmt: skip

    def directed(context: MigrationContext, _heads: object, scripts: list[Any]) -> None:
        context.opts[directives.PLANNED] = True
        found = compare(context)
        plans.append(found)
        if found[1].what and not found[1].likely:
            scripts[0].upgrade_ops_list[-1].ops[:] = found[0].others
            directives.rewrite(context, scripts, found[0], sql_form=sql_form, behind=behind)

    revision = RevisionContext(
        project.config, project.script, arguments, process_revision_directives=directed
    )

    def retrieve(heads: Any, context: MigrationContext) -> list[Any]:
        # Alembic's own comparison is not asked: some catalogues make it raise, and ours sees more.
        revision.run_no_autogenerate(heads, context)
        return []

    environment.autogenerate(
        project, retrieve, template_args=revision.template_args, revision_context=revision
    )
    if not plans:
        raise Usage("env.py did not run the migrations.", then="call context.run_migrations() in env.py")
    _, found = plans[-1]
    yield found
    if found.likely or not found.what:
        return
    _never_over_a_file(project.script)
    scripts = revision.generated_revisions
    # A hook of env.py may have given other ids.
    for before, after in itertools.pairwise(scripts):
        after.head = before.rev_id or ""
    for script in _generated(revision, project.script):
        if script is not None:
            path = Path(script.path)
            yield WrittenRevision(
                script.revision, title(script).rstrip("."), str(path), tuple(open_questions(path.read_text()))
            )


def _generated(revision: RevisionContext, script: Any) -> Iterator[Any]:
    """Have Alembic write the files. Raises Usage where one cannot be, or the project's template fails."""
    try:
        yield from revision.generate_scripts()
    except (OSError, CommandError) as error:
        said = (
            f"{error.filename or script.versions}: {error.strerror}"
            if isinstance(error, OSError)
            else f"{error}"
        )
        raise Usage(f"The revision could not be written: {said.rstrip('.')}.") from error


def _never_over_a_file(script: Any) -> None:
    """Have Alembic refuse a name that some file has: it writes over it (a template without the id names two files alike)."""
    named = script._rev_path

    def checked(*arguments: Any, **more: Any) -> Any:
        found = named(*arguments, **more)
        path = Path(found)
        if path.exists():
            raise Refused(
                f"{path.name} is there already, and is not written over.",
                then="another -m, or file_template with %%(rev)s",
            )
        return found

    script._rev_path = checked


def compare(config: str, x_arguments: Sequence[str], *, upgrade: bool) -> Iterator[Found]:
    """Bring the database to head, where asked, and say what would be written."""
    logging.disable(logging.INFO)
    with models_apart():
        project = Project.open(Path(config), x_arguments, begun=False)
        if upgrade:
            environment.run(project, "heads", "up")
    results: list[Found] = []

    def retrieve(_heads: Any, context: MigrationContext) -> list[Any]:
        results.append(_compared(context, (NO_RENAME,))[1])
        return []

    environment.autogenerate(project, retrieve)
    yield from results[-1:]


def create_all(config: str, x_arguments: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Create the models in an empty database and yield their schemas."""
    logging.disable(logging.INFO)
    with models_apart():
        project = Project.open(Path(config), x_arguments, begun=False)
    schemas: list[tuple[str, ...]] = []

    def retrieve(_heads: Any, context: MigrationContext) -> list[Any]:
        schemas.append(create(context))
        return []

    environment.autogenerate(project, retrieve)
    yield from schemas[-1:]


def _compared_with_some(
    context: MigrationContext, renames: tuple[str, ...], reshaped: tuple[str, ...]
) -> tuple[Plan, Found]:
    """Compare. Raises Usage where every table would go, since env.py has not loaded the modules that the models are in."""
    made, found = _compared(context, renames, reshaped)
    given = context.opts["target_metadata"]
    none = not any(one.tables for one in (given if isinstance(given, (list, tuple)) else [given]))
    if none and any(part.stage is Stage.DROP for part in made.parts):
        raise Usage(
            "The models that env.py gives have no table: every table of the history would be dropped.",
            standing="Nothing was written.",
            then="import the modules of the models in env.py",
        )
    return made, found


def _of_others(context: MigrationContext, made: Plan) -> list[MigrateOperation]:
    """Ask other extensions what they find; nothing yet where what they have stands on what is still to be made."""
    try:
        return found_by_others(context)
    except sa.exc.DBAPIError:
        if not made.parts:
            raise
        return []


def _compared(
    context: MigrationContext, renames: tuple[str, ...], reshaped: tuple[str, ...] = ()
) -> tuple[Plan, Found]:
    if context.opts.get("target_metadata") is None:
        raise Usage("env.py gives no models.", then="target_metadata=… in context.configure of env.py")
    try:
        try:
            made, schemas = directives.compare(context, renames, reshaped)
        except sa.exc.DBAPIError as error:
            # Models may stand on a function that another extension has and the database lacks: that comes first.
            others = found_by_others(context) if missing.function_name(str(error.orig)) is not None else []
            if not others or reshaped or set(renames) - {NO_RENAME}:
                raise
            made, schemas = Plan(), ()
        made = dataclasses.replace(made, others=tuple(_of_others(context, made)))
    except CommandError as error:
        raise Usage(str(error)) from error
    except Exception as error:
        text = (str(getattr(error, "orig", None) or error).splitlines() or [type(error).__name__])[0].strip()
        raise NotExamined(f"The models cannot be created in scratch: {text}.".replace("..", ".")) from error
    others, parts = spoken_for(list(made.others), made.parts)
    what = (*(part.what for part in parts), *(described(one) for one in others))
    return made, Found(what, made.remarks, made.likely, schemas, made.left_out, made.unmade)
