"""What env.py and `airlock revision` hand to Alembic: its directives replaced by the zero-downtime form."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import logging
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic.util import CommandError

from airlock.database import missing
from airlock.operations.revision.changes.renames import rename_part
from airlock.operations.revision.foreign import around, foreign, spoken_for
from airlock.operations.revision.parts import Plan
from airlock.operations.revision.plan import plan
from airlock.operations.revision.probe import run
from airlock.operations.revision.shadow import sides
from airlock.operations.revision.written.questions import NO_RENAME
from airlock.operations.revision.written.scripts import scripts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from alembic.operations.ops import MigrationScript
    from alembic.runtime.migration import MigrationContext

    from airlock.catalogue.structure import Table
    from airlock.operations.revision.parts import Part
    from airlock.records.revision import Likely


log = logging.getLogger(__name__)


# Of a context whose revisions `airlock revision` writes itself: the hook of env.py then has nothing to say.
PLANNED = "airlock_planned"


def process_revision_directives(
    context: MigrationContext, _revision: object, directives: list[MigrationScript]
) -> None:
    """Replace what autogenerate found by the zero-downtime form; for env.py's `context.configure`.

    `--rename` comes as `-x rename=old:new` (`-x rename=none`: nothing is renamed), `--split` and `--merge` as `-x split=…` and
    `-x merge=…`, `--sql-form` as `-x form=sql`; `-x form=alembic` leaves all as autogenerate found it.
    Raises CommandError where a rename is likely and nothing was said about it, and where the models cannot be created
    beside the database; `alembic check`, which writes nothing, then has Alembic's own comparison. Reads and compares in
    a savepoint that is rolled back.
    """
    if not directives or context.opts.get("target_metadata") is None or context.opts.get(PLANNED):
        return
    if "form=alembic" in _x_arguments(context):
        return
    given = [one.partition("=") for one in _x_arguments(context)]
    try:
        made, _ = compare(
            context, tuple(value for key, _, value in given if key == "rename"),
            tuple(value for key, _, value in given if key in {"split", "merge"}),
        )  # fmt: skip
    except sa.exc.DBAPIError as error:
        reason = str(error.orig).splitlines()[0].strip()
        if _only_asked(context):
            log.warning("Compared as Alembic does, which sees less: %s", reason)
            return
        # Models may stand on a function that another extension has and the database lacks: that comes first.
        if missing.function_name(str(error.orig)) is None or not foreign(directives[0]):
            raise CommandError(
                f"The models cannot be created beside the database: {reason}. Nothing was written. `airlock revision` creates"
                " them in a scratch database; `-x form=alembic` has Alembic's own form, which may block."
            ) from error
        made = Plan()
    if made.likely:
        say = f"Say --rename {made.likely[0].option} or --rename {NO_RENAME}."
        raise CommandError(f"{perhaps_renamed(made.likely)} {say}")
    for remark in made.remarks:
        log.warning("%s: %s", remark.object, remark.text)
    for one in made.unmade:
        log.warning("Not examined: %s", one)
    rewrite(context, directives, made, sql_form="form=sql" in _x_arguments(context))


def _only_asked(context: MigrationContext) -> bool:
    """Tell whether it is `alembic check` that compares."""
    asking = getattr(context.environment_context, "context_opts", {}).get("fn")
    return getattr(asking, "__qualname__", "").startswith("check.")


def perhaps_renamed(likely: Sequence[Likely]) -> str:
    """Ask, in one line, whether something was renamed."""
    return f"Renamed, or dropped and added? {'; '.join(f'{one.old} -> {one.new}' for one in likely)}."


def compare(
    context: MigrationContext, renames: tuple[str, ...] = (), reshaped: tuple[str, ...] = ()
) -> tuple[Plan, tuple[str, ...]]:
    """Plan what leads from the connected database to the models, and name the models' schemas.

    `reshaped` are splits and merges of columns. Leaves the database as it was. Raises CommandError for a rename, a split
    or a merge of nothing that is there, and where env.py translates schemas of the models.
    """
    if elsewhere := _translated(context):
        raise CommandError(
            f"env.py translates {elsewhere} (schema_translate_map), and only some of what is compared and written would follow."
            " Let search_path lead there, and dialect.default_schema_name, as Alembic's cookbook does for tenants."
        )
    parts: list[Part] = []
    moved: Mapping[tuple[str, str], Table] = {}
    for one in (one for one in renames if one != NO_RENAME):
        # Each as the ones before it leave the database.
        with sides(context, _ups(parts)) as both:
            try:
                part, moved = rename_part(one, both.live, both.missing, moved)
                for statement in part.up:
                    run(both.connection, statement.text)
            except ValueError as error:
                raise CommandError(f"{error}.") from error
            except sa.exc.DBAPIError as error:
                raise CommandError(f"{one!r}: {str(error.orig).splitlines()[0].strip()}.") from error
            parts.append(part)
    with sides(context, _ups(parts)) as both:
        try:
            made = plan(both, reshaped)
        except ValueError as error:
            raise CommandError(f"{error}.") from error
        schemas = tuple(both.real.values())
    if NO_RENAME in renames:
        made = dataclasses.replace(made, likely=())
    return dataclasses.replace(made, parts=(*parts, *made.parts)), schemas


def _translated(context: MigrationContext) -> str:
    """Say which schema of the models env.py's connection takes for which other one; "" where none."""
    connection, target = context.connection, context.opts.get("target_metadata")
    if connection is None or target is None:
        return ""
    names = {
        table.schema for one in (target if isinstance(target, (list, tuple)) else [target]) for table in one.tables.values()
    }  # fmt: skip
    for name, other in (connection.get_execution_options().get("schema_translate_map") or {}).items():
        default = connection.dialect.default_schema_name
        if name in names and (other or default) != (name or default):
            return f"{'the default schema' if name is None else name} to {other or 'the default schema'}"
    return ""


def _ups(parts: Sequence[Part]) -> tuple[str, ...]:
    return tuple(it.text for one in parts for it in one.up)


def rewrite(
    context: MigrationContext,
    directives: list[MigrationScript],
    made: Plan,
    *,
    sql_form: bool = False,
    behind: int = 0,
) -> None:
    """Put one script per revision into `directives`; none where there is nothing to do.

    `sql_form`: all as SQL; `behind`: so many were written before, by the same call.
    """
    first = directives[0]
    others, parts = spoken_for(foreign(first), made.parts)
    if not parts and others:
        first.upgrade_ops_list[-1].ops[:] = others
        first.downgrade_ops_list[-1].ops[:] = [one.reverse() for one in reversed(others)]
        return
    if not parts:
        first.upgrade_ops_list[-1].ops[:] = []
        first.downgrade_ops_list[-1].ops[:] = []
        if getattr(getattr(context.config, "cmd_opts", None), "autogenerate", False):
            log.info("The models and the history agree: there is nothing to write.")
            directives[:] = []
        return
    directives[:] = around(first, scripts(first, parts, None if sql_form else made.words), others)
    _date_in_order(context, behind)


def _x_arguments(context: MigrationContext) -> list[str]:
    return list(getattr(getattr(context.config, "cmd_opts", None), "x", None) or ())


def _date_in_order(context: MigrationContext, behind: int) -> None:
    """Date each revision of one call a second after the one before: file names then sort as the chain runs."""
    script: Any = getattr(context.environment_context, "script", None)
    if script is None or getattr(script, "_airlock_dates", False):
        return
    make, number = script._generate_create_date, itertools.count(behind)
    start: list[dt.datetime] = []

    def dated() -> dt.datetime:
        start.append(make())
        return start[0] + dt.timedelta(seconds=next(number))

    script._generate_create_date, script._airlock_dates = dated, True
