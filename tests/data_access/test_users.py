"""Users through the data access, in either kind of session."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from app import conversations, tasks, users
from app.access import AlreadyExists, NotFound
from app.models import Role
from tests.data_access.conftest import select

if TYPE_CHECKING:
    from uuid import UUID

    from tests.data_access.conftest import Do

pytestmark = pytest.mark.server


def test_an_address_means_one_user_in_whatever_case(do: Do) -> None:
    """It is stored in lower case, found in any, and taken in any; the refusal leaves the transaction usable."""
    user = do(users.create, "Ada@Example.ORG", name="Ada")
    assert (user.email, user.name) == ("ada@example.org", "Ada")
    for address in ("ada@example.org", "ADA@example.org"):
        assert do(users.get_by_email, address) == user
        with pytest.raises(AlreadyExists, match=r"^email address already exists$"):
            do(users.create, address)
    assert do(users.get, user.id) == user


def test_with_a_user_goes_everything_that_is_theirs(do: Do, alice: UUID, bob: UUID) -> None:
    """And nothing that is somebody else's."""
    for user_id in (alice, bob):
        do(tasks.create, user_id, "task")
        conversation = do(conversations.start, user_id)
        do(conversations.append, user_id, conversation.id, Role.USER, "Hello")
    do(users.delete, alice)
    for table in ("task", "conversation", "message"):
        assert do(select, f"SELECT user_id FROM phase2.{table}") == [bob], table
    with pytest.raises(NotFound, match=r"^user not found$"):
        do(users.get, alice)
    with pytest.raises(NotFound):
        do(users.get_by_email, "alice@example.org")
    with pytest.raises(NotFound):
        do(users.delete, alice)


def test_who_never_was_is_not_found(do: Do) -> None:
    """By id or by address."""
    with pytest.raises(NotFound):
        do(users.get, uuid4())
    with pytest.raises(NotFound):
        do(users.get_by_email, "nobody@example.org")
