"""Tasks: what a user means to do. The contract of every function here is in `app.access`."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from sqlalchemy import bindparam, not_, select
from sqlalchemy import delete as delete_from
from sqlalchemy import update as update_of

from app.access import MINE, TASK, NotFound, columns, either, insert_for_user
from app.pages import Page, after_newest_first, bounds, cut

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy import Executable, Select
    from sqlalchemy.sql.dml import ReturningUpdate

    from app.access import Statements


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One task, as the database has it."""

    id: UUID
    user_id: UUID
    title: str
    description: str | None
    completed: bool
    priority: int
    created_at: datetime
    updated_at: datetime


class Status(StrEnum):
    """Which tasks a list shows."""

    ALL = "all"
    OPEN = "open"
    DONE = "done"


class Changes(TypedDict, total=False):
    """What `update` may change; what is left out stays as it is."""

    title: str
    description: str | None
    completed: bool
    priority: int


_COLUMNS = columns(TaskRecord, TASK)
_OWN = (TASK.c.id == bindparam("own_id"), TASK.c.user_id == MINE)
_CREATE = insert_for_user(TASK, "title", "description", "priority").returning(*_COLUMNS)
_GET = select(*_COLUMNS).where(*_OWN)
_GET_TO_CHANGE = _GET.with_for_update()
_TOGGLE = update_of(TASK).where(*_OWN).values(completed=not_(TASK.c.completed)).returning(*_COLUMNS)
_DELETE = delete_from(TASK).where(*_OWN).returning(TASK.c.id)


@functools.cache
def _list(status: Status, *, further: bool) -> Select[Any]:
    """Build the statement for a status' first page, or for its further pages."""
    statement = (
        select(*_COLUMNS)
        .where(TASK.c.user_id == MINE)
        .order_by(TASK.c.created_at.desc(), TASK.c.id)
        .limit(bindparam("rows"))
    )
    if further:
        statement = statement.where(after_newest_first(TASK.c.created_at, TASK.c.id))
    if status is Status.OPEN:
        statement = statement.where(not_(TASK.c.completed))
    elif status is Status.DONE:
        statement = statement.where(TASK.c.completed)
    return statement


@functools.cache
def _update(*names: str) -> ReturningUpdate[Any]:
    """Build the statement that changes these columns, and `updated_at` with them."""
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
    return update_of(TASK).where(*_OWN).values(values).returning(*_COLUMNS)


@either
def create(
    session: Statements, user_id: UUID, title: str, *, description: str | None = None, priority: int = 1
) -> TaskRecord:
    """Add an open task. Raises NotFound where there is no such user."""
    values = {"mine": user_id, "new_title": title, "new_description": description, "new_priority": priority}
    row = session.execute(_CREATE, values).one_or_none()
    if row is None:
        raise NotFound("user")
    return TaskRecord(*row)


@either
def get(session: Statements, user_id: UUID, task_id: UUID, *, to_change: bool = False) -> TaskRecord:
    """Read one task; `to_change` locks its row until the transaction ends. Raises NotFound."""
    return _one(session, _GET_TO_CHANGE if to_change else _GET, user_id, task_id)


@either
def list_page(
    session: Statements,
    user_id: UUID,
    *,
    status: Status = Status.ALL,
    limit: int = 50,
    after: str | None = None,
) -> Page[TaskRecord]:
    """Read a page of a user's tasks, the newest first. Raises InvalidCursor."""
    statement = _list(status, further=after is not None)
    rows = session.execute(statement, {"mine": user_id} | bounds(limit, after)).all()
    return cut([TaskRecord(*row) for row in rows], limit, lambda task: (task.created_at, task.id))


@either
def update(session: Statements, user_id: UUID, task_id: UUID, **changes: Unpack[Changes]) -> TaskRecord:
    """Change what is given, and with it `updated_at`; with nothing given, only read. Raises NotFound."""
    if not changes:
        return _one(session, _GET, user_id, task_id)
    values = {f"new_{name}": value for name, value in changes.items()}
    return _one(session, _update(*sorted(changes)), user_id, task_id, values)


@either
def complete(session: Statements, user_id: UUID, task_id: UUID) -> TaskRecord:
    """Mark a task as done. Raises NotFound."""
    return _one(session, _update("completed"), user_id, task_id, {"new_completed": True})


@either
def reopen(session: Statements, user_id: UUID, task_id: UUID) -> TaskRecord:
    """Mark a task as not done. Raises NotFound."""
    return _one(session, _update("completed"), user_id, task_id, {"new_completed": False})


@either
def toggle(session: Statements, user_id: UUID, task_id: UUID) -> TaskRecord:
    """Turn done into open and back, in one statement: of two at a time none is lost. Raises NotFound."""
    return _one(session, _TOGGLE, user_id, task_id)


@either
def delete(session: Statements, user_id: UUID, task_id: UUID) -> None:
    """Delete a task. Raises NotFound."""
    if session.execute(_DELETE, {"mine": user_id, "own_id": task_id}).one_or_none() is None:
        raise NotFound("task")


def _one(
    session: Statements,
    statement: Executable,
    user_id: UUID,
    task_id: UUID,
    values: dict[str, Any] | None = None,
) -> TaskRecord:
    parameters = {"mine": user_id, "own_id": task_id, **(values or {})}
    row = session.execute(statement, parameters).one_or_none()
    if row is None:
        raise NotFound("task")
    return TaskRecord(*row)
