"""Where every target of a fleet stands. Only reads; env.py is not run."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from airlock.database import lease, server, server_errors
from airlock.operations import versions
from airlock.operations.upgrade import marks, plan
from airlock.records.errors import HistoryFault, NotExamined
from airlock.records.fleet import FleetStatus, Standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airlock.database.server import type_connection
    from airlock.operations.fleet.targets import FleetTarget
    from airlock.project.project import Project


def fleet_status(project: Project, targets: Sequence[FleetTarget], concurrency: int) -> FleetStatus:
    """Read the version rows of every target, `concurrency` at a time. Writes nothing, locks nothing but the catalogue.

    A target that cannot be read is not examined, and its record says why.
    """
    order = [one.revision for one in project.revisions()]
    with ThreadPoolExecutor(concurrency) as pool:
        found = tuple(pool.map(lambda one: _standing(project, one, order), targets))
    return FleetStatus(project.heads, found)


def _standing(project: Project, one: FleetTarget, order: Sequence[str]) -> Standing:
    try:
        with contextlib.closing(
            server.connect(one.target, application_name="airlock-status", autocommit=True)
        ) as connection:
            table = table_of(connection, one)
            rows = versions.version_rows(connection, table)
            comment = marks.read_comment(connection, table) if table is not None else None
            holder = lease.holder(connection)
    except Exception as error:  # noqa: BLE001  any of a thousand targets may fail in any way
        found = server_errors.classify(error)
        return Standing(one.name, None, reason=str(found), exit_code=found.exit_code)
    current = tuple(sorted(str(row) for row in rows if row is not None))
    mark = marks.read_mark(comment)
    half = f"{mark.revision} ({mark.direction}, run {mark.run})" if mark is not None else None
    fault = ""
    behind: tuple[str, ...] = ()
    try:
        plan.check_rows(project, rows)
        behind = _behind(project, current, order)
    except HistoryFault as error:
        fault = str(error)
    return Standing(
        one.name,
        current,
        behind=behind,
        half_applied=half,
        lease=str(holder) if holder is not None else None,
        fault=fault,
    )


def _behind(project: Project, current: tuple[str, ...], order: Sequence[str]) -> tuple[str, ...]:
    if not current:
        return tuple(order)
    applied = {one.revision for one in project.script.iterate_revisions(current, "base", implicit_base=True)}
    return tuple(revision for revision in order if revision not in applied)


def table_of(connection: type_connection, one: FleetTarget) -> marks.VersionTable | None:
    """Find the version table of one target: among those of several schemas the one that an argument of env.py names.

    Raises NotExamined where only env.py could say which it is.
    """
    found = versions.version_tables(connection)
    values = [argument.partition("=")[2] for argument in one.own_arguments]
    if not values:
        table, several = versions.version_table(connection)
        if several:
            raise NotExamined(several)
        return table
    mine = [
        table
        for table in found
        if table.schema in values or any(table.name.endswith(f"_{value}") for value in values)
    ]
    if len(mine) == 1:
        return mine[0]
    if not mine and (not found or _is_schema(connection, values)):
        return None
    raise NotExamined(
        f"only env.py knows which of {len(found)} version tables is that of {' '.join(one.own_arguments)}"
    )


def _is_schema(connection: type_connection, values: Sequence[str]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = ANY (%s))", (list(values),))
        return bool(cursor.fetchone()[0])
