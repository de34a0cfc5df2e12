"""What requests carry and responses hold. The OpenAPI document is made from these."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

# PostgreSQL's text has no NUL; a title has something to read in it.
Title = Annotated[
    str,
    Field(
        min_length=1, max_length=200, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$", examples=["Water the plants"]
    ),
]
Description = Annotated[
    str, Field(max_length=10_000, pattern=r"^[^\x00]*$", examples=["The ones on the balcony too."])
]
Priority = Annotated[int, Field(ge=1, le=4, description="From 1, usual, to 4, urgent.")]


class _Request(BaseModel):
    # Strict: a number is no title, and a field that does not exist is a mistake worth hearing about.
    model_config = ConfigDict(strict=True, extra="forbid")


class TaskCreate(_Request):
    """A task to be."""

    title: Title
    description: Description | None = None
    priority: Priority = 1


class TaskUpdate(_Request):
    """What to change of a task: what is left out stays as it is."""

    # Defaults that are never read: only what was sent is used. A factory keeps them out of the document.
    title: Title = Field(default_factory=str)
    description: Description | None = Field(default_factory=str)
    completed: bool = Field(default_factory=bool)
    priority: Priority = Field(default_factory=int)


class TaskRead(BaseModel):
    """A task, as it is stored."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    user_id: UUID
    title: str
    description: str | None
    completed: bool
    priority: int
    created_at: datetime
    updated_at: datetime


class TaskPage(BaseModel):
    """Some of a user's tasks, the newest first."""

    model_config = ConfigDict(from_attributes=True)

    items: list[TaskRead]
    next: Annotated[
        str | None, Field(description="Give it as `after` to read the page that follows; null at the end.")
    ]


class Health(BaseModel):
    """The database answers, and is at the head this code expects."""

    status: Annotated[str, Field(examples=["ok"])]
    heads: list[str]


class Problem(BaseModel):
    """Why a request was not done."""

    detail: str


class Fault(BaseModel):
    """One thing that is wrong with a request, and where."""

    loc: list[str | int]
    msg: str
    type: str


class Invalid(BaseModel):
    """Everything that is wrong with a request."""

    detail: list[Fault]
