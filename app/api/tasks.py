"""The endpoints of a user's tasks."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from fastapi.exceptions import RequestValidationError

from app import tasks
from app.api.errors import FOR_TASK, FOR_USER, WITH_BODY
from app.api.etags import CHANGED, IfMatch, etag, require, tell
from app.api.repeatable import REPEATABLE, Created, Repeatable
from app.api.schemas import TaskCreate, TaskPage, TaskRead, TaskUpdate
from app.api.tokens import OwnId
from app.api.transaction import Transaction
from app.pages import MAX_LIMIT, InvalidCursor

router = APIRouter(prefix="/api/{user_id}/tasks", tags=["tasks"], responses=FOR_USER)

TaskId = Annotated[UUID, Path(description="One of the user's tasks.")]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many tasks at most.")]
After = Annotated[
    str | None,
    Query(
        pattern="^[A-Za-z0-9_-]{32}$",
        description="Where the page before ended: its `next`.",
        examples=["AAZg08yO6bSgtWPmJixBtZM7CJVy748S"],
    ),
]


@router.get("", summary="List tasks, the newest first")
async def list_tasks(
    user_id: OwnId,
    session: Transaction,
    status: Annotated[tasks.Status, Query(description="Which of them.")] = tasks.Status.ALL,
    limit: Limit = 50,
    after: After = None,
) -> TaskPage:
    """Read one page. `next`, where it is not null, leads to the page that follows."""
    try:
        page = await tasks.list_page(session, user_id, status=status, limit=limit, after=after)
    except InvalidCursor as error:
        fault = {"loc": ("query", "after"), "msg": str(error), "type": "invalid_cursor"}
        raise RequestValidationError([fault]) from None
    return TaskPage.model_validate(page)


@router.post(
    "",
    status_code=201,
    summary="Add a task",
    response_model=TaskRead,
    responses=FOR_TASK | WITH_BODY | REPEATABLE,
)
async def create_task(user_id: OwnId, session: Transaction, task: TaskCreate, once: Repeatable) -> Response:
    """Add an open task. 404 where the user no longer exists."""

    async def add() -> Created:
        created = await tasks.create(
            session, user_id, task.title, description=task.description, priority=task.priority
        )
        where = f"/api/{user_id}/tasks/{created.id}"
        return Created(TaskRead.model_validate(created), {"Location": where, "ETag": etag(created)})

    return await once("tasks", task, add)


@router.get("/{task_id}", summary="Read a task", responses=FOR_TASK)
async def get_task(user_id: OwnId, session: Transaction, task_id: TaskId, response: Response) -> TaskRead:
    """Read one task; its `ETag` names this state of it."""
    found = await tasks.get(session, user_id, task_id)
    tell(response, found)
    return TaskRead.model_validate(found)


@router.put("/{task_id}", summary="Change a task", responses=FOR_TASK | WITH_BODY | CHANGED)
async def update_task(
    user_id: OwnId,
    session: Transaction,
    task_id: TaskId,
    task: TaskUpdate,
    response: Response,
    if_match: IfMatch = None,
) -> TaskRead:
    """Change what is given; what is left out stays as it is."""
    if if_match is not None:
        require(if_match, await tasks.get(session, user_id, task_id, to_change=True))
    changes: Any = task.model_dump(exclude_unset=True)
    updated = await tasks.update(session, user_id, task_id, **changes)
    tell(response, updated)
    return TaskRead.model_validate(updated)


@router.delete("/{task_id}", status_code=204, summary="Delete a task", responses=FOR_TASK | CHANGED)
async def delete_task(
    user_id: OwnId, session: Transaction, task_id: TaskId, if_match: IfMatch = None
) -> None:
    """Delete it for good."""
    if if_match is not None:
        require(if_match, await tasks.get(session, user_id, task_id, to_change=True))
    await tasks.delete(session, user_id, task_id)


@router.patch(
    "/{task_id}/complete", summary="Turn done into open and back", responses=FOR_TASK | WITH_BODY | CHANGED
)
async def toggle_task(
    user_id: OwnId, session: Transaction, task_id: TaskId, response: Response, if_match: IfMatch = None
) -> TaskRead:
    """Complete an open task, reopen a completed one."""
    if if_match is not None:
        require(if_match, await tasks.get(session, user_id, task_id, to_change=True))
    toggled = await tasks.toggle(session, user_id, task_id)
    tell(response, toggled)
    return TaskRead.model_validate(toggled)
