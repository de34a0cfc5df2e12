"""What the database refuses, what it takes along, and what the models make of it."""

from __future__ import annotations

import datetime as dt
from uuid import UUID, uuid4

import psycopg2
import pytest
import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import Session, col, select

from app.database import async_session
from app.models import Conversation, Message, Role, Task, User
from app.models.base import CLOCK
from tests.servers import Database

pytestmark = pytest.mark.server


def populate(session: Session, email: str = "ada@example.org") -> User:
    """Store a user with two tasks and a conversation of three messages."""
    user = User(email=email, tasks=[Task(title="one"), Task(title="two", completed=True, priority=4)])
    talk = Conversation(user=user, title="talk")
    talk.messages = [
        Message(role=role, content=str(role)) for role in (Role.SYSTEM, Role.USER, Role.ASSISTANT)
    ]
    session.add(user)
    session.commit()
    return user


def counts(session: Session) -> dict[str, int]:
    return {
        model.__name__: session.scalar(sa.select(sa.func.count()).select_from(model)) or 0
        for model in (User, Task, Conversation, Message)
    }


def test_everything_stored_is_read_back_as_it_was(session: Session, engine: sa.Engine) -> None:
    """Types, defaults and relationships survive the database, in both directions."""
    user = populate(session)
    with Session(engine) as fresh:
        read = fresh.get_one(User, user.id)
        assert {task.title: (task.completed, task.priority, task.description) for task in read.tasks} == {
            "one": (False, 1, None),
            "two": (True, 4, None),
        }
        (talk,) = read.conversations
        assert [message.role for message in talk.messages] == [Role.SYSTEM, Role.USER, Role.ASSISTANT]
        assert {message.user_id for message in talk.messages} == {user.id}
        assert talk.messages[0].conversation is talk
        assert talk.user is read
        assert read.tasks[0].user is read


# Every CHECK and unique, and every NOT NULL that a client can forget: table, values, the constraint that says no.
GOOD: dict[str, dict[str, object]] = {
    "user": {"email": "a@b.c"},
    "task": {"title": "t", "user_id": "USER"},
    "conversation": {"user_id": "USER"},
    "message": {"user_id": "USER", "conversation_id": "TALK", "role": "user", "content": "c"},
}
REFUSED = [
    ("user", {"email": "A@b.c"}, "ck_user_email_lower"),
    ("user", {"email": "taken@example.org"}, "uq_user_email"),
    ("user", {"email": None}, "email"),
    ("user", {"email": "a" * 321}, "character varying(320)"),
    ("user", {"name": "n" * 201}, "character varying(200)"),
    ("user", {"id": "USER"}, "pk_user"),
    ("task", {"title": ""}, "ck_task_title_not_blank"),
    ("task", {"title": " \t\n "}, "ck_task_title_not_blank"),
    ("task", {"title": None}, "title"),
    ("task", {"title": "t" * 201}, "character varying(200)"),
    ("task", {"priority": 0}, "ck_task_priority_range"),
    ("task", {"priority": 5}, "ck_task_priority_range"),
    ("task", {"priority": None}, "priority"),
    ("task", {"completed": None}, "completed"),
    ("task", {"user_id": None}, "user_id"),
    ("task", {"user_id": "NOBODY"}, "fk_task_user_id"),
    ("conversation", {"user_id": "NOBODY"}, "fk_conversation_user_id"),
    ("conversation", {"title": "t" * 201}, "character varying(200)"),
    ("message", {"role": "root"}, "ck_message_role"),
    ("message", {"role": "User"}, "ck_message_role"),
    ("message", {"role": None}, "role"),
    ("message", {"content": ""}, "ck_message_content_not_empty"),
    ("message", {"content": None}, "content"),
    ("message", {"conversation_id": "NOBODY"}, "fk_message_user_id_conversation_id"),
    ("message", {"user_id": "OTHER"}, "fk_message_user_id_conversation_id"),
    ("message", {"created_at": None}, "created_at"),
]


@pytest.mark.parametrize(("table", "values", "by"), REFUSED, ids=lambda value: str(value)[:40])
def test_the_database_refuses(session: Session, table: str, values: dict[str, object], by: str) -> None:
    """Each rule is the database's own: plain SQL runs into it, and the good row does not."""
    user, other = populate(session), populate(session, "taken@example.org")
    names = {"USER": user.id, "OTHER": other.id, "TALK": user.conversations[0].id, "NOBODY": uuid4()}

    def store(row: dict[str, object]) -> None:
        row = {
            name: str(names.get(str(value), value)) if value is not None else None
            for name, value in row.items()
        }
        columns, binds = ", ".join(row), ", ".join(f":{name}" for name in row)
        session.execute(sa.text(f'INSERT INTO phase2."{table}" ({columns}) VALUES ({binds})'), row)

    store(GOOD[table])
    session.rollback()
    with pytest.raises((sa.exc.IntegrityError, sa.exc.DataError)) as refusal:
        store(GOOD[table] | values)
    assert by in str(refusal.value.orig).replace("value too long for type ", "")


def test_deleting_a_user_by_the_orm_takes_everything_along(session: Session) -> None:
    """One DELETE is sent; the database cascades; another user's rows stay."""
    user, other = populate(session), populate(session, "other@example.org")
    sent: list[str] = []
    sa.event.listen(session.connection(), "before_cursor_execute", lambda *a: sent.append(a[2]))
    session.expire_all()
    session.delete(session.get_one(User, user.id))
    session.commit()
    assert [statement for statement in sent if statement.startswith("DELETE")] == [
        'DELETE FROM phase2."user" WHERE phase2."user".id = %(id)s::UUID'
    ]
    assert counts(session) == {"User": 1, "Task": 2, "Conversation": 1, "Message": 3}
    assert session.get_one(User, other.id).tasks


@pytest.mark.parametrize(
    ("table", "left"),
    [
        ("user", {"User": 0, "Task": 0, "Conversation": 0, "Message": 0}),
        ("conversation", {"User": 1, "Task": 2, "Conversation": 0, "Message": 0}),
        ("message", {"User": 1, "Task": 2, "Conversation": 1, "Message": 0}),
        ("task", {"User": 1, "Task": 0, "Conversation": 1, "Message": 3}),
    ],
)
def test_a_plain_delete_cascades_in_the_database(
    session: Session, database: Database, table: str, left: dict[str, int]
) -> None:
    populate(session)
    with psycopg2.connect(database.url) as connection, connection.cursor() as cursor:
        cursor.execute(f'DELETE FROM phase2."{table}"')
    assert counts(session) == left


def test_removing_from_a_collection_deletes(session: Session) -> None:
    """delete-orphan, for each collection: what is taken out of it is gone."""
    user = populate(session)
    talk = user.conversations[0]
    talk.messages.remove(talk.messages[1])
    session.commit()
    assert counts(session)["Message"] == 2
    user.tasks.remove(user.tasks[0])
    user.conversations.clear()
    session.commit()
    assert counts(session) == {"User": 1, "Task": 1, "Conversation": 0, "Message": 0}


def test_deleting_a_conversation_by_the_orm_takes_its_messages_along(session: Session) -> None:
    user = populate(session)
    session.delete(user.conversations[0])
    session.commit()
    assert counts(session) == {"User": 1, "Task": 2, "Conversation": 0, "Message": 0}


def test_a_message_cannot_join_another_users_conversation(session: Session) -> None:
    """Refused in Python whichever way it is tried: the ORM would silently rewrite its user."""
    talk, foreign = (
        populate(session).conversations[0],
        populate(session, "other@example.org").conversations[0],
    )
    message = foreign.messages[0]
    with pytest.raises(ValueError, match="another user's conversation"):
        talk.messages.append(message)
    with pytest.raises(ValueError, match="another user's conversation"):
        message.conversation = talk
    with pytest.raises(ValueError, match="another user's conversation"):
        Message(role=Role.USER, content="x", user_id=foreign.user_id, conversation=talk)
    with pytest.raises(ValueError, match="user of its conversation"):
        message.user_id = talk.user_id
    session.rollback()
    own = Message(role=Role.USER, content="x")
    talk.messages.append(own)
    session.commit()
    assert own.user_id == talk.user_id


def test_the_database_refuses_another_users_conversation(session: Session) -> None:
    """And by keys alone, where Python cannot know, the database does."""
    talk, other = populate(session).conversations[0], populate(session, "other@example.org")
    session.add(Message(user_id=other.id, conversation_id=talk.id, role=Role.USER, content="x"))
    with pytest.raises(sa.exc.IntegrityError, match="fk_message_user_id_conversation_id"):
        session.commit()


def test_a_conversation_with_messages_cannot_change_hands(session: Session) -> None:
    talk, other = populate(session).conversations[0], populate(session, "other@example.org")
    with pytest.raises(sa.exc.IntegrityError, match="fk_message_user_id_conversation_id"):
        session.execute(
            sa.update(Conversation).where(col(Conversation.id) == talk.id).values(user_id=other.id)
        )


def test_an_email_address_is_stored_in_lower_case(session: Session) -> None:
    """However it is set; the second spelling of one address is the same user."""
    user = User(email="Ada@Example.ORG")
    assert user.email == "ada@example.org"
    user.email = "ADA@example.org"
    assert User.model_validate({"email": "ADA@x.y"}).email == "ada@x.y"
    session.add(user)
    session.commit()
    assert session.exec(select(User.email)).one() == "ada@example.org"
    session.add(User(email="aDa@example.org"))
    with pytest.raises(sa.exc.IntegrityError, match="uq_user_email"):
        session.commit()


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (User, {"email": "x" * 321}),
        (User, {"email": 123}),
        (User, {}),
        (Task, {"title": "", "user_id": uuid4()}),
        (Task, {"title": "t", "user_id": "no uuid"}),
        (Task, {"title": "t", "user_id": uuid4(), "priority": 5}),
        (Message, {"user_id": uuid4(), "conversation_id": uuid4(), "role": "root", "content": "c"}),
    ],
)
def test_model_validate_refuses(model: type[User | Task | Message], values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(values)


def test_an_object_knows_its_key_before_it_is_stored_and_sql_gets_one_too(session: Session) -> None:
    user = User(email="a@b")
    assert isinstance(user.id, UUID)
    session.execute(sa.text("INSERT INTO phase2.\"user\" (email) VALUES ('c@d')"))
    session.add(user)
    session.commit()
    assert len(set(session.exec(select(User.id)))) == 2


def test_timestamps_are_aware_and_in_utc(session: Session) -> None:
    """Whatever the server's or the session's time zone is."""
    session.execute(sa.text("SET TimeZone = 'America/New_York'"))
    user = populate(session)
    session.expire_all()
    session.execute(sa.text("SET TimeZone = 'Asia/Kathmandu'"))
    for row in (user, user.tasks[0], user.conversations[0], user.conversations[0].messages[0]):
        for moment in (row.created_at, row.updated_at):
            assert moment.utcoffset() == dt.timedelta(0)
            assert abs(dt.datetime.now(dt.UTC) - moment) < dt.timedelta(minutes=5)


def test_a_naive_timestamp_is_refused(session: Session) -> None:
    session.add(User(email="a@b", created_at=dt.datetime(2026, 1, 1)))  # noqa: DTZ001  (the point of it)
    with pytest.raises(sa.exc.StatementError, match="timezone"):
        session.commit()


def test_every_update_renews_updated_at_and_only_that(session: Session) -> None:
    """By the ORM and by Core, more than once within one transaction."""
    task = populate(session).tasks[0]
    created, seen = task.created_at, [task.updated_at]
    for title in ("a", "b"):
        task.title = title
        session.flush()
        seen.append(task.updated_at)
    for title in ("c", "d"):
        session.execute(sa.update(Task).where(col(Task.id) == task.id).values(title=title))
        session.refresh(task)
        seen.append(task.updated_at)
    assert seen == sorted(set(seen))
    assert task.created_at == created


def test_an_upsert_sets_updated_at_itself(session: Session) -> None:
    """`on_conflict_do_update` knows no onupdate: CLOCK is there to be named."""
    user = populate(session)
    before = user.updated_at
    statement = insert(User).values(email=user.email, name="new")
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["email"], set_={"name": statement.excluded.name, "updated_at": CLOCK}
        )
    )
    session.refresh(user)
    assert user.name == "new"
    assert user.updated_at > before


def test_messages_of_one_transaction_come_back_in_their_order(session: Session, engine: sa.Engine) -> None:
    """Three hundred at once, each with the moment of its own row."""
    talk = populate(session).conversations[0]
    talk.messages += [Message(role=Role.USER, content=str(number)) for number in range(300)]
    session.commit()
    with Session(engine) as fresh:
        read = fresh.get_one(Conversation, (talk.user_id, talk.id)).messages
        assert [message.content for message in read[3:]] == [str(number) for number in range(300)]
        assert all(message.updated_at >= message.created_at for message in read)


async def test_an_async_session_has_what_the_database_computed(async_engine: AsyncEngine) -> None:
    """Timestamps come back with INSERT and UPDATE: nothing is loaded behind the event loop's back."""
    async with async_session(async_engine) as session:
        user = User(email="a@b", tasks=[Task(title="t")])
        session.add(user)
        await session.flush()
        before = user.updated_at
        user.name = "n"
        await session.flush()
        assert user.updated_at > before
        assert user.tasks[0].priority == 1
