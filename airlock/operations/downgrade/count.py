"""Count on the target, read-only and in one snapshot; export; refuse."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.database import server, server_errors
from airlock.drivers.spelling import quoted
from airlock.operations import built, drift
from airlock.operations.downgrade.beyond import beyond
from airlock.operations.downgrade.items import Item, items, unknowns
from airlock.operations.downgrade.recount import Counted
from airlock.records.errors import AirlockError, LockBudgetSpent, NotExamined, Refused, Usage
from airlock.records.upgrade import Exported, Loss, LossesCounted
from airlock.scratch.isolation import ChildFailed, isolated, tell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airlock.database.server import type_connection
    from airlock.database.target import Target
    from airlock.operations.downgrade.rehearse import Rehearsed
    from airlock.records.upgrade import Request


def count(
    target: Target, request: Request, *, heads: Sequence[str], major: int, version_table: str
) -> Counted:
    """Find and count what the downgrade from `heads` loses, tell it as an event, and refuse what was not accepted.

    Runs the history and the downgrade in scratch; reads the target in one REPEATABLE READ, READ ONLY
    transaction. With `--export` the lost rows are written there first. Raises Refused where more is lost than
    `--accept-loss` says, NotExamined where something could not be counted and `--accept-unknown-loss` is not given.
    """
    with contextlib.closing(
        server.connect(target, application_name="airlock-losses", autocommit=True)
    ) as connection:
        schemas = built.schemas_of(connection, version_table)
    found = count_on(target, request, rehearsed(request, heads, major, schemas), version_table)
    if found.losses or found.unknown:
        request.emit(LossesCounted(found.losses, found.rows, found.unknown))
    _refuse(found, request)
    return found


@dataclass(frozen=True)
class Rehearsal:
    """The downgrade as it went in scratch; `reason` is why it did not go there."""

    steps: tuple[Rehearsed, ...] = ()
    expected: drift.Expected | None = None
    reason: str = ""


def rehearsed(request: Request, heads: Sequence[str], major: int, schemas: Sequence[str] = ()) -> Rehearsal:
    """Run the history to `heads` and the downgrade from there in scratch, names looked up in `schemas`. Touches no target.

    Raises Refused where a step is irreversible.
    """
    try:
        with built.built(
            request.config,
            request.x_arguments,
            heads,
            scratch=request.scratch,
            like_major=major,
            schemas=schemas,
        ) as (_, database, _built):
            expected = drift.expected(database)
            arguments = {
                "config": str(request.config), "x_arguments": tuple(request.x_arguments),
                "target": request.target, "database": database, "turn": request.turn,
            }  # fmt: skip
            steps = tuple(
                isolated("airlock.operations.downgrade.rehearse:rehearse", arguments, scratch=database)
            )
            return Rehearsal(steps, expected)
    except (AirlockError, ChildFailed) as error:
        if isinstance(error, Refused):
            raise
        said = error.told if isinstance(error, ChildFailed) else error
        return Rehearsal(reason=f"the downgrade did not run in scratch: {said}")


def count_on(target: Target, request: Request, rehearsal: Rehearsal, version_table: str) -> Counted:
    """Count on one target what the rehearsed downgrade loses, in one REPEATABLE READ, READ ONLY transaction.

    Refuses nothing. With `request.export` the lost rows are written there first.
    """
    reasons = [rehearsal.reason] if rehearsal.reason else []
    steps, drifted = rehearsal.steps, set[str]()
    try:
        drifted = _drifted(target, rehearsal)
    except AirlockError as error:
        reasons.append(f"its catalogue was not compared with the history's: {error}")
        steps = ()
    wanted = tuple(item for item in items(steps) if item.object != version_table)
    losses = [Loss(name, None, why) for name, why in dict.fromkeys(unknowns(steps)) if name != version_table]
    reasons += [
        f"{step.revision} reads rows: what it does here may differ" for step in steps if step.reads_rows
    ]
    sure = tuple(item for item in wanted if item.table_at_start is None or not _has_drifted(item, drifted))
    reasons += sorted(
        {
            f"{item.object} is not as the history makes it"
            for item in wanted
            if item not in sure and item.table_at_start
        }
    )
    with contextlib.closing(server.connect(target, application_name="airlock-losses")) as connection:
        _begin(connection, request)
        with connection.cursor() as cursor:
            more = tuple(beyond(cursor, steps, wanted))
        counted, failed = _count_all(connection, (*sure, *more), request)
    reasons += [*_unlocked(steps, (*wanted, *more)), *failed]
    return Counted(
        (*sure, *more),
        (*counted, *losses),
        tuple(reasons),
        max(request.accept_loss or 0, 0),
        request.accept_unknown_loss,
        frozenset((item.revision, (item.table_at_step, item.column_at_step)) for item in (*wanted, *more)),
    )


def _drifted(target: Target, rehearsal: Rehearsal) -> set[str]:
    if rehearsal.expected is None:
        return set()
    with contextlib.closing(
        server.connect(target, application_name="airlock-losses", autocommit=True)
    ) as connection:
        return {one.object for one in drift.differences_from(connection, rehearsal.expected)}


def _unlocked(steps: Sequence[Rehearsed], wanted: Sequence[Item]) -> list[str]:
    """Name the losses that a step may make without a lock that holds from its own count to its end."""
    leaving = {step.revision for step in steps if step.leaves_transaction}
    return [
        f"{revision} leaves its transaction: what is written to {', '.join(names)} after the count is lost uncounted"
        for revision in dict.fromkeys(item.revision for item in wanted)
        if revision in leaving
        and (names := [item.object for item in wanted if item.revision == revision and not item.enforced])
    ]


def _has_drifted(item: Item, drifted: set[str]) -> bool:
    """Tell whether the target's table is another one than the history's: counting by its columns would mislead."""
    table = item.object if item.column_at_step is None else item.object.rpartition(".")[0]
    return any(name == table or name.startswith(f"{table}.") for name in drifted)


def _begin(connection: type_connection, request: Request) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute(f"SET LOCAL lock_timeout = {max(1, round(request.lock_s * 1000))}")
        # Under row-level security a count of what one may see would be taken for a count of what there is.
        cursor.execute("SET LOCAL row_security = off")


def _count_all(
    connection: type_connection, wanted: Sequence[Item], request: Request
) -> tuple[list[Loss], list[str]]:
    losses: list[Loss] = []
    failed: list[str] = []
    with connection.cursor() as cursor:
        for item in wanted:
            if item.table_at_start is None:
                continue
            tell(f"counting {item.object}")
            cursor.execute("SAVEPOINT counting")
            try:
                cursor.execute(item.count_sql(at_step=False))
                rows = int(cursor.fetchone()[0])
            except Exception as error:
                if server_errors.sqlstate(error) == "55P03":
                    raise LockBudgetSpent(
                        f"{item.object} is locked by another session: what is in it could not be counted.",
                        standing="Nothing changed.",
                        then="again when that session has ended its transaction",
                    ) from error
                if server_errors.sqlstate(error) in {None, "57014"}:
                    raise server_errors.classify(error) from error
                cursor.execute("ROLLBACK TO counting")
                failed.append(f"{item.object} could not be counted: {server_errors.first_line(error)}")
                continue
            if rows:
                losses.append(Loss(item.object, rows, f"{item.revision}: {item.why}"))
                if request.export is not None:
                    _export(cursor, item, rows, request)
    connection.rollback()
    return losses, failed


def _export(cursor: Any, item: Item, rows: int, request: Request) -> None:
    """Write the rows of one loss as CSV, with the keys that lead back to them."""
    table = item.table_at_start or item.table_at_step
    columns = "*"
    if item.column_at_start is not None:
        columns = ", ".join([*_keys(cursor, table), quoted(item.column_at_start)])
    directory = Path(request.export or ".")
    path = directory / f"{item.object.replace('/', '_')}.csv"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Rows may be personal: for the owner's eyes, and never over an earlier export.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Usage(
            f"--export cannot write {path.name}: {error.strerror}.",
            standing="Nothing changed.",
            then="--export with an empty directory",
        ) from error
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        query = f"SELECT {columns} FROM ONLY {quoted(*table)} WHERE {item.where(at_step=False)}"  # noqa: S608
        cursor.copy_expert(f"COPY ({query}) TO STDOUT WITH (FORMAT csv, HEADER)", file)
    request.emit(Exported(item.object, str(path), rows))


def _keys(cursor: Any, table: tuple[str, str]) -> list[str]:
    cursor.execute(
        "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) "
        "WHERE i.indisprimary AND i.indrelid = %s::regclass ORDER BY array_position(i.indkey::int2[], a.attnum)",
        (quoted(*table),),
    )
    return [quoted(row[0]) for row in cursor.fetchall()] or ["ctid"]


def _refuse(found: Counted, request: Request) -> None:
    again = f"airlock downgrade {request.target}"
    unknown = bool(found.unknown) or any(loss.rows is None for loss in found.losses)
    if found.rows > found.allowed:
        then = f"{again} --accept-loss {found.rows}" + (
            " --accept-unknown-loss" if unknown and not request.accept_unknown_loss else ""
        )
        raise Refused(
            f"This downgrade loses {found.rows} rows and values"
            + (f"; {found.allowed} were accepted." if request.accept_loss is not None else "."),
            standing="Nothing changed.",
            then=f"{then}, with --export DIR to keep them" if request.export is None else then,
        )
    if unknown and not request.accept_unknown_loss:
        raise NotExamined(
            "What this downgrade loses could not be counted in full.",
            standing="Nothing changed.",
            then=f"{again} --accept-unknown-loss" + (f" --accept-loss {found.rows}" if found.rows else ""),
        )
