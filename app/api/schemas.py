"""What requests carry and responses hold. The OpenAPI document is made from these."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.models import Role

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


Content = Annotated[
    str, Field(min_length=1, max_length=100_000, pattern=r"^[^\x00]*$", examples=["What grows in the shade?"])
]


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


_NEXT = Field(description="Give it as `after` to read the page that follows; null at the end.")


class ConversationCreate(_Request):
    """A conversation to be."""

    title: Title | None = None


class ConversationRename(_Request):
    """A conversation's other title; null takes it away."""

    title: Title | None


class ConversationRead(BaseModel):
    """A conversation, as it is stored, without its messages."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    user_id: UUID
    title: str | None
    created_at: datetime
    updated_at: datetime


class ConversationPage(BaseModel):
    """Some of a user's conversations, the last used first."""

    model_config = ConfigDict(from_attributes=True)

    items: list[ConversationRead]
    next: Annotated[str | None, _NEXT]


class MessageCreate(_Request):
    """What to add to a conversation."""

    # Not strict: JSON has no enumerations, a role arrives as its text.
    role: Annotated[Role, Field(strict=False)]
    content: Content


class MessageRead(BaseModel):
    """A message, as it is stored."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    user_id: UUID
    conversation_id: UUID
    role: Role
    content: str
    created_at: datetime
    updated_at: datetime


class MessagePage(BaseModel):
    """Some of a conversation's messages, in the order they were written or, backwards, the other way."""

    model_config = ConfigDict(from_attributes=True)

    items: list[MessageRead]
    next: Annotated[str | None, _NEXT]


class ConversationWithMessages(ConversationRead):
    """A conversation and a page of its messages."""

    messages: MessagePage


class Live(BaseModel):
    """The process runs and answers."""

    status: Annotated[str, Field(examples=["ok"])]


class Health(BaseModel):
    """The database answers, and this code's statements run there."""

    status: Annotated[str, Field(examples=["ok"])]
    heads: list[str]


class Problem(BaseModel):
    """Why a request was not done (RFC 9457)."""

    type: Annotated[str, Field(examples=["about:blank"])]
    title: Annotated[str, Field(examples=["Not Found"])]
    status: int
    detail: str
    request_id: Annotated[str, Field(description="As in the header X-Request-ID, and in the log.")]


class Fault(BaseModel):
    """One thing that is wrong with a request, and where."""

    loc: list[str | int]
    msg: str
    type: str


class Invalid(Problem):
    """Everything that is wrong with a request."""

    errors: list[Fault]
