"""Tasks through the data access, in either kind of session."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import sqlalchemy as sa
import sqlalchemy.orm
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlmodel import Session

from app import tasks, users
from app.access import NotFound, either
from app.tasks import Status

if TYPE_CHECKING:
    from uuid import UUID

    from tests.data_access.conftest import Do

pytestmark = pytest.mark.server


def test_a_created_task_is_open_usual_and_stamped_by_the_database(do: Do, alice: UUID) -> None:
    """What was not given has the schema's defaults; both timestamps are aware and equal."""
    task = do(tasks.create, alice, "Water the plants")
    assert (task.user_id, task.title, task.description, task.completed, task.priority) == (
        alice, "Water the plants", None, False, 1,
    )  # fmt: skip
    assert task.created_at == task.updated_at
    assert task.created_at.tzinfo is UTC
    assert do(tasks.get, alice, task.id) == task


def test_a_task_of_nobody_is_not_found_and_the_transaction_goes_on(do: Do, alice: UUID) -> None:
    """A user who is gone costs a refusal, not the work already done in this transaction."""
    before = do(tasks.create, alice, "first")
    with pytest.raises(NotFound, match=r"^user not found$"):
        do(tasks.create, uuid4(), "lost")
    assert do(tasks.get, alice, before.id) == before


def test_an_update_changes_what_is_given_and_nothing_else(do: Do, alice: UUID) -> None:
    """Everything else stays, except updated_at, which moves even within one transaction."""
    task = do(tasks.create, alice, "one", description="kept", priority=2)
    changed = do(tasks.update, alice, task.id, title="two", priority=4)
    assert (changed.title, changed.description, changed.priority) == ("two", "kept", 4)
    assert changed.created_at == task.created_at
    assert changed.updated_at > task.updated_at
    cleared = do(tasks.update, alice, task.id, description=None)
    assert cleared.description is None
    assert cleared.updated_at > changed.updated_at
    assert do(tasks.update, alice, task.id) == cleared, "nothing given, nothing changed"


def test_tasks_are_completed_reopened_and_toggled(do: Do, alice: UUID) -> None:
    """Completing and reopening say what to be; toggling turns it round."""
    task = do(tasks.create, alice, "one")
    for function, done in (
        (tasks.complete, True), (tasks.complete, True), (tasks.reopen, False), (tasks.toggle, True), (tasks.toggle, False),
    ):  # fmt: skip
        changed = do(function, alice, task.id)
        assert changed.completed is done
        assert changed.updated_at > task.updated_at
        task = changed


def test_a_deleted_task_is_gone(do: Do, alice: UUID) -> None:
    """Reading, changing and deleting it again all say not found."""
    task = do(tasks.create, alice, "one")
    do(tasks.delete, alice, task.id)
    for function in (tasks.get, tasks.complete, tasks.toggle, tasks.delete):
        with pytest.raises(NotFound, match=r"^task not found$"):
            do(function, alice, task.id)
    assert do(tasks.list_page, alice).items == ()


def test_the_database_refuses_what_the_schema_does_not_allow(do: Do, alice: UUID) -> None:
    """A blank or overlong title and a priority out of range are errors of the database."""
    task = do(tasks.create, alice, "one")
    do.commit()
    for values in ({"title": " \t"}, {"title": "x" * 201}, {"title": "x", "priority": 5}):
        with pytest.raises(DBAPIError):
            do(tasks.update, alice, task.id, **values)
        do.rollback()
        with pytest.raises(DBAPIError):
            do(tasks.create, alice, **values)
        do.rollback()
    assert do(tasks.get, alice, task.id) == task


def test_several_calls_share_one_transaction(do: Do, alice: UUID) -> None:
    """Nothing is committed on the way: a rollback takes all of it back."""
    do.commit()
    task = do(tasks.create, alice, "one")
    do(tasks.complete, alice, task.id)
    do(tasks.create, alice, "two")
    do.rollback()
    assert do(tasks.list_page, alice).items == ()
    assert do(users.get, alice).id == alice


def test_a_list_shows_all_open_or_done_tasks(do: Do, alice: UUID) -> None:
    """The status selects; the order is the same."""
    made = [do(tasks.create, alice, f"task {number}") for number in range(6)]
    do(tasks.complete, alice, made[1].id)
    do(tasks.complete, alice, made[4].id)
    titles = {
        status: {task.title for task in do(tasks.list_page, alice, status=status).items} for status in Status
    }
    assert titles[Status.ALL] == {task.title for task in made}
    assert titles[Status.DONE] == {"task 1", "task 4"}
    assert titles[Status.OPEN] == titles[Status.ALL] - titles[Status.DONE]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 20])
def test_pages_show_every_task_once_in_order_however_many_share_a_moment(
    do: Do, alice: UUID, limit: int
) -> None:
    """Ties on created_at, longer than a page too, neither repeat nor hide a task; the last page has no cursor."""
    for moment, count in ((3, 1), (1, 9), (2, 5)):
        for number in range(count):
            task = do(tasks.create, alice, f"{moment}.{number}")
            do(move, task.id, datetime(2026, 1, moment, tzinfo=UTC))
    everything = sorted(
        do(tasks.list_page, alice).items, key=lambda task: (-task.created_at.timestamp(), task.id)
    )
    assert len(everything) == 15
    for limit in (1, 2, 3, 7, 20):
        seen, after = [], None
        while True:
            page = do(tasks.list_page, alice, limit=limit, after=after)
            assert 1 <= len(page.items) <= limit
            seen += page.items
            if (after := page.next) is None:
                break
        assert seen == everything


def test_rows_that_come_and_go_do_not_disturb_the_pages_that_follow(do: Do, alice: UUID) -> None:
    """A new task at the top repeats nothing; the deleted last row of a page is still a position."""
    for number in range(6):
        task = do(tasks.create, alice, str(number))
        do(move, task.id, datetime(2026, 1, 1 + number, tzinfo=UTC))
    first = do(tasks.list_page, alice, limit=2)
    do(tasks.create, alice, "new")
    do(tasks.delete, alice, first.items[-1].id)
    second = do(tasks.list_page, alice, limit=2, after=first.next)
    assert [task.title for task in first.items + second.items] == ["5", "4", "3", "2"]


def test_two_toggles_at_a_time_both_count(engine: sa.Engine) -> None:
    """The second waits for the first and turns its result round; a read and a write would lose one."""
    with Session(engine) as one, Session(engine) as two:
        user = users.create(one, "x@example.org")
        task = tasks.create(one, user.id, "one")
        one.commit()
        tasks.toggle(one, user.id, task.id)

        def toggle_too() -> None:
            tasks.toggle(two, user.id, task.id)
            two.commit()

        waiting = threading.Thread(target=toggle_too)
        waiting.start()
        one.commit()
        waiting.join(30)
        assert tasks.get(one, user.id, task.id).completed is False


def test_the_model_refuses_what_the_table_refuses(engine: sa.Engine) -> None:
    """An IntegrityError, by name of the constraint."""
    with Session(engine) as session:
        user = users.create(session, "x@example.org")
        with pytest.raises(IntegrityError, match="ck_task_title_not_blank"):
            tasks.create(session, user.id, " ")


@either
def move(session: sa.orm.Session, task_id: UUID, moment: datetime) -> object:
    """Give a task another created_at, in either kind of session."""
    return session.execute(
        sa.text("UPDATE phase2.task SET created_at = :moment WHERE id = :id"),
        {"moment": moment, "id": task_id},
    )
