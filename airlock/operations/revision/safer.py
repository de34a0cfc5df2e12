"""`airlock revision --safer`: the revisions to write in place of one that blocks, in files, proved like any others."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.catalogue import fingerprint
from airlock.database import server as databases
from airlock.database.target import resolve_target
from airlock.drivers import client
from airlock.operations import versions
from airlock.operations.built import built
from airlock.operations.downgrade import rehearse
from airlock.operations.revision import parent
from airlock.operations.revision.child import Found, written
from airlock.operations.revision.instead import planned, read
from airlock.project import environment
from airlock.project.project import Project
from airlock.records.errors import NotExamined, Refused
from airlock.records.revision import Remark, Revised
from airlock.scratch.isolation import isolated
from airlock.scratch.loading import opened
from airlock.scratch.spare_servers import serving_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import sqlalchemy as sa
    from alembic.runtime.migration import MigrationContext

    from airlock.catalogue.structure import Structure
    from airlock.database.target import Target
    from airlock.project.project import RevisionFacts
    from airlock.records.difference import Difference
    from airlock.records.trace import TracedRevision
    from airlock.scratch.servers import ScratchDatabase, ScratchServer

_CHILD = "airlock.operations.revision.safer"
_NOTHING = "Nothing was written."


def write_safer(
    config: Path,
    revision: str,
    *,
    url: str | None = None,
    scratch: str = "embedded",
    rows: int = parent.ROWS,
    x_arguments: Sequence[str] = (),
    keep: bool = False,
    sql_form: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Revised:
    """Write the revisions that lead where `revision` leads without blocking, beside its file, and prove them in scratch.

    They revise what it revises: the history has two heads until its file is removed, which is left to its author. Writes
    into the versions directory, never over a file, and removes again what fails (as `revise` does), unless `keep`. Only the
    database of `url` is contacted, and only read. Raises Refused where the revision is applied there, where another stands
    on it, or where no other form of it is known; NotExamined where it cannot be traced.
    """
    project = opened(config, x_arguments)
    facts = project.revision(revision)
    _replaceable(project, facts)
    if url:
        _not_applied(project, facts, resolve_target(url, os.environ, lambda: None))
    progress(f"tracing {facts.revision}")
    low = facts.down_revisions[0] if facts.down_revisions else "base"
    step, version = _traced(config, facts, low, scratch, rows, x_arguments)
    if not any(one.dangerous for one in step.statements):
        return Revised(version, (), instead_of=facts.revision)
    with parent.undone_unless_sound(project, keep=keep) as judge, serving_on():
        progress("planning")
        below = (*facts.down_revisions, *facts.depends_on)
        with built(config, x_arguments, below, scratch=scratch, like_major=None) as (
            server,
            database,
            history,
        ):
            arguments = {
                "config": str(config), "revision": facts.revision, "x_arguments": tuple(x_arguments), "sql_form": sql_form,
            }  # fmt: skip
            found, *files = isolated(f"{_CHILD}:write", arguments, scratch=database)
            if found.likely:
                pairs = "; ".join(f"{one.old} -> {one.new}" for one in found.likely)
                raise Refused(
                    f"{facts.revision} may rename ({pairs}): no other form is known of that.",
                    standing=_NOTHING,
                )
            if not files:
                raise Refused(f"No form of {facts.revision} is known that blocks nobody.", standing=_NOTHING)
            progress("looking at what they lead to")
            tables = f"{history.version_table_schema or 'public'}.{history.version_table}"
            differences = _compared(config, x_arguments, server, database, files[-1].revision, tables)
        revised = Revised(
            version, tuple(files), (*found.remarks, *_orders(differences)), tuple(_rows(step)),
            tuple(one for one in differences if one.kind != _ORDER), instead_of=facts.revision,
        )  # fmt: skip
        if revised.failed and not keep:
            return judge(revised)
        span = f"{low}:{files[-1].revision}"
        return judge(parent.proved(config, x_arguments, span, scratch, rows, revised, progress))


def _replaceable(project: Project, facts: RevisionFacts) -> None:
    """Refuse, in one sentence, a revision that others could not do without."""
    above = [
        one.revision for one in project.revisions()
        if facts.revision in (*one.down_revisions, *one.depends_on)
    ]  # fmt: skip
    if above:
        raise Refused(
            f"{' and '.join(above)} {'stands' if len(above) == 1 else 'stand'} on {facts.revision}: only a head is replaced.",
            standing=_NOTHING,
        )
    if len(facts.down_revisions) > 1:
        raise Refused(
            f"{facts.revision} is a merge: write its changes into a revision of their own.", standing=_NOTHING
        )
    if facts.branch_labels:
        raise Refused(
            f"{facts.revision} carries the branch label {facts.branch_labels[0]}, which no second revision may carry.",
            standing=_NOTHING,
        )


def _not_applied(project: Project, facts: RevisionFacts, target: Target) -> None:
    with contextlib.closing(
        databases.connect(target, application_name="airlock-revision", autocommit=True)
    ) as connection:
        table, _ = versions.version_table(connection)
        heads = tuple(str(row) for row in versions.version_rows(connection, table) if row is not None)
    applied = {one.revision for one in project.script.iterate_revisions(heads, "base")} if heads else set()
    if facts.revision in applied:
        raise Refused(
            f"{facts.revision} is applied on {target.label}: what is applied is not replaced.",
            standing=_NOTHING,
        )


def _traced(
    config: Path, facts: RevisionFacts, low: str, scratch: str, rows: int, x_arguments: Sequence[str]
) -> tuple[TracedRevision, str]:
    """Trace the one revision. Raises NotExamined where it was not seen."""
    from airlock.operations.trace import trace

    seen = trace(
        config, from_to=f"{low}:{facts.revision}", scratch=scratch, rows=rows, x_arguments=x_arguments
    )
    step = next(one for one in seen.revisions if (one.revision, one.direction) == (facts.revision, "up"))
    if step.unexamined:
        raise NotExamined(f"{facts.revision} was not examined: {step.unexamined}", standing=_NOTHING)
    return step, seen.server_version


def _rows(step: TracedRevision) -> Iterator[str]:
    """Name what it does with rows: no plan from one catalogue to another knows of that."""
    for one in step.statements:
        if one.rows or any(rehearse.writes((one,))):
            yield f"{one.file}:{one.line} changes rows: {' '.join(one.sql.split())}"


_ORDER = "column order"


def _orders(differences: Sequence[Difference]) -> Iterator[Remark]:
    for one in differences:
        if one.kind == _ORDER:
            yield Remark(one.object, "its columns stand in another order: one that was made anew stands last")


def _compared(
    config: Path,
    x_arguments: Sequence[str],
    server: ScratchServer,
    replaced: ScratchDatabase,
    head: str,
    version_table: str,
) -> tuple[Difference, ...]:
    """Run what was written in a database of its own, and hold its catalogue against the one that the revision made."""
    arguments = {"config": str(config), "x_arguments": tuple(x_arguments), "heads": (head,)}
    with server.database() as database:
        list(isolated("airlock.operations.built:build", arguments, scratch=database))
        wanted, made = (_fingerprint(one) for one in (replaced, database))
    return tuple(
        one for one in fingerprint.differences(wanted, made)
        if not one.is_note and one.object != version_table and not one.object.startswith(f"{version_table}.")
    )  # fmt: skip


def _fingerprint(database: ScratchDatabase) -> fingerprint.Fingerprint:
    with contextlib.closing(client.connect_by_url(database.url)) as connection:
        return fingerprint.read(connection)


def write(config: str, revision: str, x_arguments: Sequence[str], *, sql_form: bool) -> Iterator[Any]:
    """Apply the revision to a database that stands below it, plan from one structure to the other, and write.

    Runs in an isolated child; leaves the revision applied. Yields Found, then each WrittenRevision.
    """
    logging.disable(logging.INFO)
    project = Project.open(Path(config), x_arguments)
    facts = project.revision(revision)
    before: list[Structure] = []

    def look(_heads: object, context: MigrationContext) -> list[Any]:
        before.append(read(_connected(context)))
        return []

    environment.autogenerate(project, look)
    environment.run(project, facts.revision, "up")
    beside = facts.path.parent
    listed = any(Path(one) == beside for one in project.script._version_locations if one is not None)
    yield from written(
        project,
        {
            "message": facts.title.rstrip("."), "head": list(facts.down_revisions) or "base", "splice": True,
            "version_path": str(beside) if listed else None, "depends_on": list(facts.depends_on) or None,
        },
        lambda context: _planned(context, before[-1]),
        sql_form=sql_form,
    )  # fmt: skip


def _connected(context: MigrationContext) -> sa.Connection:
    if context.connection is None:
        raise NotExamined("env.py has no connection.")
    return context.connection


def _planned(context: MigrationContext, before: Structure) -> tuple[Any, Found]:
    connection = _connected(context)
    plan = planned(connection, before, read(connection))
    return plan, Found(tuple(part.what for part in plan.parts), plan.remarks, plan.likely, ())
