"""The endpoints of a user's conversations and their messages."""

import contextlib
from collections.abc import Iterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from fastapi.exceptions import RequestValidationError

from app import conversations
from app.api.errors import FOR_CONVERSATION, FOR_USER, WITH_BODY
from app.api.etags import CHANGED, IfMatch, etag, require, tell
from app.api.repeatable import REPEATABLE, Created, Repeatable
from app.api.schemas import (
    ConversationCreate,
    ConversationPage,
    ConversationRead,
    ConversationRename,
    ConversationWithMessages,
    MessageCreate,
    MessagePage,
    MessageRead,
)
from app.api.tasks import After
from app.api.tokens import OwnId
from app.api.transaction import Transaction
from app.pages import MAX_LIMIT, InvalidCursor

router = APIRouter(prefix="/api/{user_id}/conversations", tags=["conversations"], responses=FOR_USER)

ConversationId = Annotated[UUID, Path(description="One of the user's conversations.")]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many at most.")]


@contextlib.contextmanager
def _cursor_of_the_query() -> Iterator[None]:
    try:
        yield
    except InvalidCursor as error:
        fault = {"loc": ("query", "after"), "msg": str(error), "type": "invalid_cursor"}
        raise RequestValidationError([fault]) from None


@router.get("", summary="List conversations, the last used first")
async def list_conversations(
    user_id: OwnId, session: Transaction, limit: Limit = 50, after: After = None
) -> ConversationPage:
    """Read one page. `next`, where it is not null, leads to the page that follows."""
    with _cursor_of_the_query():
        page = await conversations.list_page(session, user_id, limit=limit, after=after)
    return ConversationPage.model_validate(page)


@router.post(
    "",
    status_code=201,
    summary="Start a conversation",
    response_model=ConversationRead,
    responses=FOR_CONVERSATION | WITH_BODY | REPEATABLE,
)
async def start_conversation(
    user_id: OwnId, session: Transaction, conversation: ConversationCreate, once: Repeatable
) -> Response:
    """Open it without messages. 404 where the user no longer exists."""

    async def start() -> Created:
        started = await conversations.start(session, user_id, title=conversation.title)
        where = f"/api/{user_id}/conversations/{started.id}"
        return Created(ConversationRead.model_validate(started), {"Location": where, "ETag": etag(started)})

    return await once("conversations", conversation, start)


@router.get("/{conversation_id}", summary="Read a conversation", responses=FOR_CONVERSATION)
async def get_conversation(
    user_id: OwnId,
    session: Transaction,
    conversation_id: ConversationId,
    response: Response,
    limit: Limit = 50,
    after: After = None,
    backwards: Annotated[bool, Query(description="The last message first.")] = False,
) -> ConversationWithMessages:
    """Read it and one page of its messages; `messages.next` leads to the page that follows."""
    found = await conversations.get(session, user_id, conversation_id)
    with _cursor_of_the_query():
        page = await conversations.history_page(
            session, user_id, conversation_id, limit=limit, after=after, backwards=backwards
        )
    tell(response, found)
    read = ConversationRead.model_validate(found)
    return ConversationWithMessages(**read.model_dump(), messages=MessagePage.model_validate(page))


@router.put(
    "/{conversation_id}",
    summary="Rename a conversation",
    responses=FOR_CONVERSATION | WITH_BODY | CHANGED,
)
async def rename_conversation(
    user_id: OwnId,
    session: Transaction,
    conversation_id: ConversationId,
    conversation: ConversationRename,
    response: Response,
    if_match: IfMatch = None,
) -> ConversationRead:
    """Give it another title, or none."""
    if if_match is not None:
        require(if_match, await conversations.get(session, user_id, conversation_id, to_change=True))
    renamed = await conversations.rename(session, user_id, conversation_id, conversation.title)
    tell(response, renamed)
    return ConversationRead.model_validate(renamed)


@router.delete(
    "/{conversation_id}",
    status_code=204,
    summary="Delete a conversation",
    responses=FOR_CONVERSATION | CHANGED,
)
async def delete_conversation(
    user_id: OwnId, session: Transaction, conversation_id: ConversationId, if_match: IfMatch = None
) -> None:
    """Delete it and its messages for good."""
    if if_match is not None:
        require(if_match, await conversations.get(session, user_id, conversation_id, to_change=True))
    await conversations.delete(session, user_id, conversation_id)


@router.post(
    "/{conversation_id}/messages",
    status_code=201,
    summary="Add a message",
    response_model=MessageRead,
    responses=FOR_CONVERSATION | WITH_BODY | REPEATABLE,
)
async def append_message(
    user_id: OwnId,
    session: Transaction,
    conversation_id: ConversationId,
    message: MessageCreate,
    once: Repeatable,
) -> Response:
    """Write it at the end of the conversation, which thereby becomes the last used."""

    async def append() -> Created:
        added = await conversations.append(session, user_id, conversation_id, message.role, message.content)
        return Created(MessageRead.model_validate(added), {})

    return await once(f"conversations/{conversation_id}/messages", message, append)
