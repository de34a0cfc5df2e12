"""Conversations and messages through the data access, in either kind of session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy.exc import StatementError

from app import conversations
from app.access import NotFound
from app.models import Role
from tests.data_access.conftest import select

if TYPE_CHECKING:
    from uuid import UUID

    from tests.data_access.conftest import Do

pytestmark = pytest.mark.server


def test_a_message_renews_its_conversation(do: Do, alice: UUID) -> None:
    """The conversation that was used last comes first; others keep their updated_at."""
    old = do(conversations.start, alice, title="old")
    new = do(conversations.start, alice)
    message = do(conversations.append, alice, old.id, Role.USER, "Hello")
    assert (message.user_id, message.conversation_id, message.role, message.content) == (
        alice, old.id, Role.USER, "Hello",
    )  # fmt: skip
    first, second = do(conversations.list_page, alice).items
    assert (first.id, second) == (old.id, new)
    assert first.updated_at > old.updated_at
    assert do(conversations.get, alice, old.id) == first


def test_a_history_reads_the_same_from_either_end(do: Do, alice: UUID) -> None:
    """Messages of one transaction keep the order they were written in, page after page, both ways."""
    conversation = do(conversations.start, alice)
    written = [
        do(conversations.append, alice, conversation.id, role, f"{number}")
        for number, role in enumerate(
            [Role.SYSTEM, Role.USER, Role.TOOL, Role.ASSISTANT, Role.USER, Role.ASSISTANT]
        )
    ]
    for limit in (1, 3, 6, 10):
        assert pages(do, alice, conversation.id, limit, backwards=False) == written
        assert pages(do, alice, conversation.id, limit, backwards=True) == written[::-1]


def test_messages_of_one_moment_are_all_read(do: Do, alice: UUID) -> None:
    """The id decides among messages with the same created_at, in both directions."""
    conversation = do(conversations.start, alice)
    for number in range(7):
        do(conversations.append, alice, conversation.id, Role.USER, f"{number}")
    do(select, "UPDATE phase2.message SET created_at = now() RETURNING id")
    forwards = pages(do, alice, conversation.id, 2, backwards=False)
    assert [message.id for message in forwards] == sorted(message.id for message in forwards)
    assert len(forwards) == 7
    assert pages(do, alice, conversation.id, 2, backwards=True) == forwards[::-1]


def test_conversations_of_one_moment_are_all_listed(do: Do, alice: UUID) -> None:
    """Pages of one row each show every conversation once although all have the same updated_at."""
    started = {do(conversations.start, alice).id for _ in range(5)}
    seen, after = [], None
    while True:
        page = do(conversations.list_page, alice, limit=1, after=after)
        seen += [item.id for item in page.items]
        if (after := page.next) is None:
            break
    assert seen == sorted(started)


def test_an_empty_conversation_is_not_a_missing_one(do: Do, alice: UUID) -> None:
    """The history of the one is an empty page, of the other not found."""
    conversation = do(conversations.start, alice)
    assert do(conversations.history_page, alice, conversation.id).items == ()
    with pytest.raises(NotFound, match=r"^conversation not found$"):
        do(conversations.history_page, alice, uuid4())


def test_messages_go_with_their_conversation(do: Do, alice: UUID) -> None:
    """One DELETE; the database cascades, and the other conversation stays whole."""
    gone, kept = do(conversations.start, alice), do(conversations.start, alice)
    do(conversations.append, alice, gone.id, Role.USER, "gone")
    message = do(conversations.append, alice, kept.id, Role.USER, "kept")
    do(conversations.delete, alice, gone.id)
    with pytest.raises(NotFound):
        do(conversations.get, alice, gone.id)
    assert do(select, "SELECT id FROM phase2.message") == [message.id]


def test_what_nobody_owns_is_not_found(do: Do, alice: UUID) -> None:
    """Neither a conversation for a user who is gone nor a message for a conversation that is."""
    with pytest.raises(NotFound, match=r"^user not found$"):
        do(conversations.start, uuid4())
    with pytest.raises(NotFound, match=r"^conversation not found$"):
        do(conversations.append, alice, uuid4(), Role.USER, "lost")


def test_an_unknown_role_never_reaches_the_database(do: Do, alice: UUID) -> None:
    """It is refused by name."""
    conversation = do(conversations.start, alice)
    with pytest.raises(StatementError, match="nope"):
        do(conversations.append, alice, conversation.id, "nope", "Hello")


def pages(do: Do, user_id: UUID, conversation_id: UUID, limit: int, *, backwards: bool) -> list[Any]:
    """Read a whole history, page by page."""
    seen: list[Any] = []
    after = None
    while True:
        page = do(
            conversations.history_page,
            user_id,
            conversation_id,
            limit=limit,
            after=after,
            backwards=backwards,
        )
        seen += page.items
        if (after := page.next) is None:
            return seen
