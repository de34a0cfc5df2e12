"""Conversations and their messages. The contract of every function here is in `app.access`."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy import delete as delete_from

from app.access import CONVERSATION, DEFAULT, MESSAGE, MINE, NotFound, columns, either, insert_for_user
from app.models.base import CLOCK
from app.pages import Page, after_in_time, after_newest_first, bounds, cut

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy import Select

    from app.access import Statements
    from app.models import Role


@dataclass(frozen=True, slots=True)
class ConversationRecord:
    """One conversation, as the database has it."""

    id: UUID
    user_id: UUID
    title: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class MessageRecord:
    """One message, as the database has it."""

    id: UUID
    user_id: UUID
    conversation_id: UUID
    role: Role
    content: str
    created_at: datetime
    updated_at: datetime


_COLUMNS = columns(ConversationRecord, CONVERSATION)
_MESSAGE_COLUMNS = columns(MessageRecord, MESSAGE)
_OWN = (CONVERSATION.c.id == bindparam("own_id"), CONVERSATION.c.user_id == MINE)
_START = insert_for_user(CONVERSATION, "title").returning(*_COLUMNS)
_GET = select(*_COLUMNS).where(*_OWN)
_GET_TO_CHANGE = _GET.with_for_update()
_BUMP = update(CONVERSATION).where(*_OWN).values(updated_at=CLOCK).returning(CONVERSATION.c.id)
_APPEND = (
    insert(MESSAGE)
    .values(
        id=DEFAULT, user_id=MINE, conversation_id=bindparam("own_id"), role=bindparam("new_role"),
        content=bindparam("new_content"),
    )
    .returning(*_MESSAGE_COLUMNS)
)  # fmt: skip
_RENAME = update(CONVERSATION).where(*_OWN).values(title=bindparam("new_title")).returning(*_COLUMNS)
_DELETE = delete_from(CONVERSATION).where(*_OWN).returning(CONVERSATION.c.id)


@functools.cache
def _list(*, further: bool) -> Select[Any]:
    """Build the statement for the first page of conversations, or for further pages."""
    updated_at, id_ = CONVERSATION.c.updated_at, CONVERSATION.c.id
    statement = (
        select(*_COLUMNS)
        .where(CONVERSATION.c.user_id == MINE)
        .order_by(updated_at.desc(), id_)
        .limit(bindparam("rows"))
    )
    return statement.where(after_newest_first(updated_at, id_)) if further else statement


@functools.cache
def _history(*, further: bool, backwards: bool) -> Select[Any]:
    """Build the statement for the first page of a conversation's messages, or for further pages."""
    created_at, id_ = MESSAGE.c.created_at, MESSAGE.c.id
    statement = (
        select(*_MESSAGE_COLUMNS)
        .where(MESSAGE.c.user_id == MINE, MESSAGE.c.conversation_id == bindparam("own_id"))
        .order_by(*((created_at.desc(), id_.desc()) if backwards else (created_at, id_)))
        .limit(bindparam("rows"))
    )
    return statement.where(after_in_time(created_at, id_, backwards=backwards)) if further else statement


@either
def start(session: Statements, user_id: UUID, *, title: str | None = None) -> ConversationRecord:
    """Open a conversation, without messages. Raises NotFound where there is no such user."""
    row = session.execute(_START, {"mine": user_id, "new_title": title}).one_or_none()
    if row is None:
        raise NotFound("user")
    return ConversationRecord(*row)


@either
def get(
    session: Statements, user_id: UUID, conversation_id: UUID, *, to_change: bool = False
) -> ConversationRecord:
    """Read one conversation; `to_change` locks its row until the transaction ends. Raises NotFound."""
    return _get(session, user_id, conversation_id, _GET_TO_CHANGE if to_change else _GET)


@either
def list_page(
    session: Statements, user_id: UUID, *, limit: int = 50, after: str | None = None
) -> Page[ConversationRecord]:
    """Read a page of a user's conversations, the last used first. Raises InvalidCursor."""
    statement = _list(further=after is not None)
    rows = session.execute(statement, {"mine": user_id} | bounds(limit, after)).all()
    return cut([ConversationRecord(*row) for row in rows], limit, lambda item: (item.updated_at, item.id))


@either
def rename(
    session: Statements, user_id: UUID, conversation_id: UUID, title: str | None
) -> ConversationRecord:
    """Give a conversation another title, or none, and renew its `updated_at`. Raises NotFound."""
    values = {"mine": user_id, "own_id": conversation_id, "new_title": title}
    row = session.execute(_RENAME, values).one_or_none()
    if row is None:
        raise NotFound("conversation")
    return ConversationRecord(*row)


@either
def append(
    session: Statements, user_id: UUID, conversation_id: UUID, role: Role, content: str
) -> MessageRecord:
    """Add a message and renew the conversation's `updated_at`. Raises NotFound.

    Locks the conversation's row until the transaction ends: messages of one conversation are written one after
    the other, so that a reader who pages through it never misses one that was committed late.
    """
    own = {"mine": user_id, "own_id": conversation_id}
    if session.execute(_BUMP, own).one_or_none() is None:
        raise NotFound("conversation")
    message = {**own, "new_role": role, "new_content": content}
    return MessageRecord(*session.execute(_APPEND, message).one())


@either
def history_page(
    session: Statements,
    user_id: UUID,
    conversation_id: UUID,
    *,
    limit: int = 50,
    after: str | None = None,
    backwards: bool = False,
) -> Page[MessageRecord]:
    """Read a page of a conversation, from its beginning or, backwards, from its end.

    Raises NotFound, InvalidCursor.
    """
    statement = _history(further=after is not None, backwards=backwards)
    parameters = {"mine": user_id, "own_id": conversation_id} | bounds(limit, after)
    rows = session.execute(statement, parameters).all()
    if not rows:
        _get(session, user_id, conversation_id)  # an empty conversation is not a missing one
    return cut([MessageRecord(*row) for row in rows], limit, lambda item: (item.created_at, item.id))


@either
def delete(session: Statements, user_id: UUID, conversation_id: UUID) -> None:
    """Delete a conversation and, by the database's cascade, its messages. Raises NotFound."""
    if session.execute(_DELETE, {"mine": user_id, "own_id": conversation_id}).one_or_none() is None:
        raise NotFound("conversation")


def _get(
    session: Statements, user_id: UUID, conversation_id: UUID, statement: Select[Any] = _GET
) -> ConversationRecord:
    row = session.execute(statement, {"mine": user_id, "own_id": conversation_id}).one_or_none()
    if row is None:
        raise NotFound("conversation")
    return ConversationRecord(*row)
