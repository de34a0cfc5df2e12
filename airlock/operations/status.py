"""Say where a database stands. Only reads it: env.py runs in scratch alone."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from airlock.catalogue.publications import published
from airlock.database import lease, poolers, server
from airlock.operations import versions
from airlock.operations.upgrade import marks, plan, position
from airlock.records.errors import AirlockError, HistoryFault, NotExamined
from airlock.records.status import Drifted, Pending, Status, WayBack
from airlock.records.upgrade import DOWN

if TYPE_CHECKING:
    from pathlib import Path

    from airlock.database.server import type_connection
    from airlock.database.target import Target
    from airlock.project.project import Project

_NOT_VALIDATED = (
    "SELECT format('%I.%I.%I', n.nspname, r.relname, c.conname) FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid "
    "JOIN pg_namespace n ON n.oid = r.relnamespace WHERE NOT c.convalidated AND n.nspname NOT LIKE 'pg\\_%' ORDER BY 1"
)


def status(
    project: Project,
    target: Target,
    *,
    config: Path,
    x_arguments: tuple[str, ...],
    scratch: str,
    back_to: str | None = None,
    drift: bool = True,
) -> Status:
    """Read a target's facts, version rows, leftovers and drift. Writes nothing, locks nothing but the catalogue.

    Without `drift`, or a scratch server, the drift is not examined, and the record says why. `back_to` has the rows counted
    that a way down to there would lose or be stopped by: that reads the tables they are in.
    """
    with (
        poolers.naming_a_statement_pooler(target),
        contextlib.closing(
            server.connect(target, application_name="airlock-status", autocommit=True)
        ) as connection,
    ):
        facts = server.facts(connection)
        notes = target.notes
        if not facts.read_only and not facts.standby and poolers.reads_elsewhere(connection):
            notes += (
                "Some of this was read from a standby, by way of a balancing pooler: it may be of a moment ago.",
            )
        table, built_reason = versions.version_table(connection)
        rows = versions.version_rows(connection, table)
        if built_reason and table is not None:
            notes += _elsewhere(connection, table)
        fault = ""
        try:
            plan.check_rows(project, rows)
        except HistoryFault as error:
            fault = str(error)
        current = tuple(sorted(str(row) for row in rows if row is not None))
        mark = marks.read_mark(marks.read_comment(connection, table)) if table is not None else None
        holder = lease.holder(connection)
        drifted: tuple[Drifted, ...] | None = None
        reason = built_reason or fault or ("" if drift else "--no-drift")
        if not reason:
            # They load what reads a catalogue and starts a server: only who asks pays for them.
            from airlock.operations import built
            from airlock.operations.drift import drift_from

            try:
                schemas = built.schemas_of(connection, table.name) if table is not None else ()
                with built.built(
                    config, x_arguments, current, scratch=scratch, like_major=facts.major, schemas=schemas
                ) as (_, made, _):
                    drifted = drift_from(connection, made)
            except (NotExamined, AirlockError) as error:
                reason = str(error)
        found = published(lambda query: _rows(connection, query))
        return Status(
            database=target.label,
            server_version=facts.version,
            user=facts.user,
            pooled=poolers.pooled(connection, target),
            read_only=facts.read_only,
            standby=facts.standby,
            lease=str(holder) if holder is not None else None,
            half_applied=f"{mark.revision} ({mark.direction}, run {mark.run})" if mark is not None else None,
            current=current,
            heads=project.heads,
            pending=() if fault else _pending(project, current),
            invalid_indexes=tuple(index.index for index in marks.invalid_indexes(connection)),
            not_validated=_column(connection, _NOT_VALIDATED),
            drift=drifted,
            drift_reason=reason,
            fault=fault,
            address=_address(connection),
            notes=notes,
            published=tuple(str(one) for one in found.tables.values() if one.mute or not one.below),
            way_back=None
            if back_to is None
            else _way_back(
                project, target, back_to, config=config, x_arguments=x_arguments, scratch=scratch, heads=current,
                major=facts.major, version_table=table.name if table is not None else "",
            ),
        )  # fmt: skip


def _elsewhere(connection: type_connection, table: marks.VersionTable) -> tuple[str, ...]:
    """Say where the other version tables of a database stand: an env.py may keep one for each of its schemas."""
    return tuple(
        f"By {other.schema}.{other.name} it stands at "
        f"{position.names(tuple(sorted(map(str, versions.version_rows(connection, other)))))}."
        for other in versions.version_tables(connection)
        if other != table
    )


def _way_back(project: Project, target: Target, to: str, *, heads: tuple[str, ...], **how: Any) -> WayBack:
    """Look at the way down; raises Usage where there is no such revision below."""
    # They load the recorder and the fingerprint: only who asks pays for them.
    from airlock.operations.way_back import way_back
    from airlock.project import environment

    if not environment.plan_steps(project, heads, to, DOWN):
        return WayBack(to)
    return way_back(target, to, heads=heads, **how)


def _address(connection: type_connection) -> str | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT host(inet_server_addr()), inet_server_port()")
        host, port = cursor.fetchone()
    return None if host is None else f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _pending(project: Project, current: tuple[str, ...]) -> tuple[Pending, ...]:
    applied = (
        {one.revision for one in project.script.iterate_revisions(current, "base", implicit_base=True)}
        if current
        else set()
    )
    return tuple(
        Pending(one.revision, one.title) for one in project.revisions() if one.revision not in applied
    )


def _column(connection: type_connection, query: str) -> tuple[str, ...]:
    return tuple(str(row[0]) for row in _rows(connection, query))


def _rows(connection: type_connection, query: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())
