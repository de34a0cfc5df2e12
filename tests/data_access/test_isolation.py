"""No function returns or changes another user's rows, whatever is asked of it, in whatever order."""

from __future__ import annotations

import random
from dataclasses import asdict, is_dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from app import conversations, tasks, users
from app.access import NotFound
from app.models import Role
from app.tasks import Status
from tests.data_access.conftest import select

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.data_access.conftest import Do

pytestmark = pytest.mark.server

TABLES = ("user", "task", "conversation", "message")


def functions_of_one_row(task: UUID, talk: UUID) -> dict[str, Callable[..., Any]]:
    """Give every function that asks for a row by its id, with somebody's ids."""
    return {
        "tasks.get": partial(tasks.get, task_id=task),
        "tasks.update": partial(tasks.update, task_id=task, title="taken"),
        "tasks.update nothing": partial(tasks.update, task_id=task),
        "tasks.complete": partial(tasks.complete, task_id=task),
        "tasks.reopen": partial(tasks.reopen, task_id=task),
        "tasks.toggle": partial(tasks.toggle, task_id=task),
        "tasks.delete": partial(tasks.delete, task_id=task),
        "conversations.get": partial(conversations.get, conversation_id=talk),
        "conversations.append": partial(
            conversations.append, conversation_id=talk, role=Role.USER, content="taken"
        ),
        "conversations.history_page": partial(conversations.history_page, conversation_id=talk),
        "conversations.rename": partial(conversations.rename, conversation_id=talk, title="taken"),
        "conversations.delete": partial(conversations.delete, conversation_id=talk),
    }


def contents(do: Do) -> list[list[Any]]:
    """Read every row of every table."""
    return [do(select, f'SELECT t::text FROM phase2."{table}" t ORDER BY id') for table in TABLES]


def test_a_row_of_another_user_is_not_found_by_any_function(do: Do, alice: UUID, bob: UUID) -> None:
    """Twelve functions with the other's ids: each says not found, and no row of anybody changes."""
    task = do(tasks.create, alice, "hers")
    talk = do(conversations.start, alice)
    do(conversations.append, alice, talk.id, Role.USER, "hers")
    before = contents(do)
    for name, function in functions_of_one_row(task.id, talk.id).items():
        for stranger in (bob, uuid4()):
            with pytest.raises(NotFound):
                do(function, stranger)
            assert contents(do) == before, name
    assert do(tasks.list_page, bob).items == ()
    assert do(conversations.list_page, bob).items == ()
    for name, function in functions_of_one_row(task.id, talk.id).items():
        assert do(function, alice) is not None or name.endswith("delete"), "the owner may"


def test_every_function_is_tried() -> None:
    """A function that is added must be added here: rows by id above, the others in the property below."""
    tried = {name.partition(" ")[0] for name in functions_of_one_row(uuid4(), uuid4())}
    tried |= {"tasks.create", "tasks.list_page", "conversations.start", "conversations.list_page"}
    assert tried == {
        f"{module.__name__.rpartition('.')[2]}.{name}"
        for module in (tasks, conversations)
        for name, function in vars(module).items()
        if hasattr(function, "__wrapped__")
        and function.__module__ == module.__name__
        and not name.startswith("_")
    }


WHAT = ("create", "create", "get", "list", "list", "update", "toggle", "toggle", "delete",
        "start", "talk", "talks", "append", "append", "history", "hang up")  # fmt: skip


def test_three_users_at_once_each_see_only_what_is_theirs(do: Do) -> None:
    """Random calls with one another's ids and cursors: every record returned is the asking user's own."""
    dice = random.Random(8)
    people = [do(users.create, f"{uuid4()}@example.org").id for _ in range(3)]
    task_ids, talk_ids, cursors = [uuid4()], [uuid4()], [None]
    owner: dict[UUID, UUID] = {}
    for _ in range(400):
        what, me = dice.choice(WHAT), dice.choice(people)
        task, talk = dice.choice(task_ids), dice.choice(talk_ids)
        status, backwards = dice.choice(list(Status)), dice.choice([True, False])
        page = {"limit": dice.randint(1, 4), "after": dice.choice(cursors[-6:])}
        calls = {
            "create": partial(do, tasks.create, me, "task"),
            "get": partial(do, tasks.get, me, task),
            "list": partial(do, tasks.list_page, me, status=status, **page),
            "update": partial(do, tasks.update, me, task, title="changed"),
            "toggle": partial(do, tasks.toggle, me, task),
            "delete": partial(do, tasks.delete, me, task),
            "start": partial(do, conversations.start, me),
            "talk": partial(do, conversations.get, me, talk),
            "talks": partial(do, conversations.list_page, me, **page),
            "append": partial(do, conversations.append, me, talk, Role.TOOL, "said"),
            "history": partial(do, conversations.history_page, me, talk, backwards=backwards, **page),
            "hang up": partial(do, conversations.delete, me, talk),
        }
        asked = {"get": task, "update": task, "toggle": task, "delete": task,
                 "talk": talk, "append": talk, "history": talk, "hang up": talk}.get(what)  # fmt: skip
        try:
            result = calls[what]()
        except NotFound:
            assert owner.get(asked or uuid4()) != me, "one's own is found"
            continue
        assert asked is None or owner[asked] == me, "another's is not"
        for record in records(result):
            assert record["user_id"] == me
        if what == "create":
            task_ids.append(result.id)
            owner[result.id] = me
        elif what == "start":
            talk_ids.append(result.id)
            owner[result.id] = me
        elif what in {"delete", "hang up"}:
            assert asked is not None
            del owner[asked]
        elif what in {"list", "talks", "history"} and result.next:
            cursors.append(result.next)
    for each in people:
        listed = (
            *do(tasks.list_page, each, limit=100).items,
            *do(conversations.list_page, each, limit=100).items,
        )
        assert {one.id for one in listed} == {row for row, whose in owner.items() if whose == each}


def records(result: Any) -> Iterator[dict[str, Any]]:
    """Look into a page, or at one record."""
    if hasattr(result, "items"):
        yield from (asdict(item) for item in result.items)
    elif is_dataclass(result) and not isinstance(result, type):
        yield asdict(result)
