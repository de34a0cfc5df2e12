"""A POST with Idempotency-Key: done once, answered the same however often it comes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from app import idempotency, tasks
from app.database import session
from tests.api.test_bad_input import problem

if TYPE_CHECKING:
    import httpx

    from tests.api.conftest import Person

KEY = {"Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}


def kept(engine: sa.Engine) -> list[str]:
    """Name the endpoints whose answers are kept."""
    with engine.connect() as connection:
        return list(
            connection.scalars(sa.text("SELECT endpoint FROM phase2.idempotency_key ORDER BY created_at"))
        )


async def ask(
    client: httpx.AsyncClient, who: Person, path: str, body: dict[str, Any], key: dict[str, str] = KEY
) -> httpx.Response:
    return await client.post(path, headers=who.headers | key, json=body)


async def test_the_same_request_is_done_once_and_answered_alike(
    client: httpx.AsyncClient, alice: Person, engine: sa.Engine
) -> None:
    """Each POST: status, headers and body are the first ones', byte for byte; one row is made."""
    talk = (await ask(client, alice, alice.conversations, {"title": "one"}, {})).headers["Location"]
    for path, body in (
        (alice.tasks, {"title": "Wässern", "priority": 2}),
        (alice.conversations, {"title": "two"}),
        (f"{talk}/messages", {"role": "user", "content": "ü 'x' \\ \u2028"}),
    ):
        first = await ask(client, alice, path, body)
        again = await ask(client, alice, path, dict(reversed(body.items())))
        assert first.status_code == again.status_code == 201
        assert first.content == again.content
        for name in ("Location", "ETag", "Content-Type"):
            assert first.headers.get(name) == again.headers.get(name)
    counted = [
        (await client.get(alice.tasks, headers=alice.headers)).json()["items"],
        (await client.get(alice.conversations, headers=alice.headers)).json()["items"],
        (await client.get(talk, headers=alice.headers)).json()["messages"]["items"],
    ]
    assert list(map(len, counted)) == [1, 2, 1]
    assert len(kept(engine)) == 3
    # What was made is gone: the answer is still the first.
    await client.delete(f"{alice.tasks}/{counted[0][0]['id']}", headers=alice.headers)
    again = await ask(client, alice, alice.tasks, {"title": "Wässern", "priority": 2})
    assert (again.status_code, again.json()) == (201, counted[0][0])


async def test_an_answer_with_a_key_is_the_one_without(client: httpx.AsyncClient, alice: Person) -> None:
    """Same members, same headers: the key changes nothing but what a second request does."""
    plain = await ask(client, alice, alice.tasks, {"title": "one"}, {})
    keyed = await ask(client, alice, alice.tasks, {"title": "one"})
    assert plain.json().keys() == keyed.json().keys()
    assert plain.headers.keys() == keyed.headers.keys()
    read = await client.get(keyed.headers["Location"], headers=alice.headers)
    assert (read.json(), read.headers["ETag"]) == (keyed.json(), keyed.headers["ETag"])


async def test_a_key_is_its_users_and_its_endpoints(
    client: httpx.AsyncClient, alice: Person, bob: Person, engine: sa.Engine
) -> None:
    """The same key elsewhere is another key; two conversations are two endpoints."""
    talks = [
        (await ask(client, alice, alice.conversations, {"title": "x"}, {})).headers["Location"]
        for _ in range(2)
    ]
    answers = [
        await ask(client, alice, alice.tasks, {"title": "one"}),
        await ask(client, bob, bob.tasks, {"title": "other"}),
        await ask(client, alice, alice.conversations, {"title": "one"}),
        *[await ask(client, alice, f"{talk}/messages", {"role": "user", "content": talk}) for talk in talks],
    ]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == len(answers) == len(kept(engine))


async def test_another_body_under_the_same_key_is_refused(client: httpx.AsyncClient, alice: Person) -> None:
    """422, a problem that repeats nothing; the first answer stays."""
    first = await ask(client, alice, alice.tasks, {"title": "one"})
    other = await ask(client, alice, alice.tasks, {"title": "hunter2"})
    assert other.status_code == 422
    assert problem(other)["errors"][0]["type"] == "key_reused"
    assert "hunter2" not in other.text
    assert (await ask(client, alice, alice.tasks, {"title": "one"})).content == first.content


async def test_while_the_first_is_being_done_another_is_told_so(
    client: httpx.AsyncClient, alice: Person, engine: sa.Engine
) -> None:
    """409 at once, without waiting; where the first fails the next one is done."""
    first = idempotency.Repeatable(alice.id, "tasks", KEY["Idempotency-Key"], b"\0" * 32)
    with session(engine) as lent:
        assert idempotency.claim(lent, first) is None
        answer = await ask(client, alice, alice.tasks, {"title": "one"})
        assert answer.status_code == 409
        problem(answer)
        lent.rollback()
    assert (await ask(client, alice, alice.tasks, {"title": "one"})).status_code == 201


async def test_of_many_at_once_one_is_done(client: httpx.AsyncClient, alice: Person) -> None:
    """Thirty at a time, then all that were told to wait again: one task, one answer."""
    answers = await asyncio.gather(*(ask(client, alice, alice.tasks, {"title": "one"}) for _ in range(30)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    answers += [await ask(client, alice, alice.tasks, {"title": "one"})]
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    listed = (await client.get(alice.tasks, headers=alice.headers)).json()["items"]
    assert [task["title"] for task in listed] == ["one"]


async def test_what_failed_is_not_kept(client: httpx.AsyncClient, alice: Person, engine: sa.Engine) -> None:
    """Refused or not found: nothing is there, and the same key does it later."""
    talk = (await ask(client, alice, alice.conversations, {"title": "x"}, {})).headers["Location"]
    assert (await ask(client, alice, alice.tasks, {"title": ""})).status_code == 422
    missing = f"{alice.conversations}/{alice.id}/messages"
    assert (await ask(client, alice, missing, {"role": "user", "content": "x"})).status_code == 404
    assert kept(engine) == []
    assert (await ask(client, alice, alice.tasks, {"title": "one"})).status_code == 201
    message = {"role": "user", "content": "x"}
    assert (await ask(client, alice, f"{talk}/messages", message)).status_code == 201


async def test_a_day_later_the_key_is_forgotten(
    client: httpx.AsyncClient, alice: Person, bob: Person, engine: sa.Engine
) -> None:
    """The request is done again, another body too; what else the user's keys left of that age goes with it."""
    for key in ("a", "b", "c"):
        await ask(client, alice, alice.tasks, {"title": key}, {"Idempotency-Key": key})
    await ask(client, bob, bob.tasks, {"title": "x"})
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "UPDATE phase2.idempotency_key SET created_at = now() - interval '24 hours 1 second' WHERE key <> 'c'"
            )
        )
    again = await ask(client, alice, alice.tasks, {"title": "other"}, {"Idempotency-Key": "a"})
    assert (again.status_code, again.json()["title"]) == (201, "other")
    with engine.connect() as connection:
        left = connection.execute(sa.text("SELECT user_id, key FROM phase2.idempotency_key")).all()
    assert sorted(left) == sorted([(alice.id, "a"), (alice.id, "c"), (bob.id, KEY["Idempotency-Key"])])


def test_what_was_done_elsewhere_meanwhile_is_undone_here(alice: Person, engine: sa.Engine) -> None:
    """The lock is one server's; on several, the key decides: the second to write it is told so and keeps nothing."""
    request = idempotency.Repeatable(alice.id, "tasks", "k", b"\0" * 32)
    done = idempotency.Answer(201, {}, "{}")
    with pytest.raises(idempotency.InFlight), session(engine) as ours:
        assert idempotency.claim(ours, request) is None
        with session(engine) as theirs:
            idempotency.keep(theirs, request, done)
        tasks.create(ours, alice.id, "twice")
        idempotency.keep(ours, request, done)
    with session(engine) as lent:
        assert tasks.list_page(lent, alice.id).items == ()
        assert idempotency.claim(lent, request) == done


def test_two_of_a_user_forget_at_a_time_without_waiting(alice: Person, engine: sa.Engine) -> None:
    """What another transaction is deleting is left to it."""
    with session(engine) as lent:
        for number in range(3):
            request = idempotency.Repeatable(alice.id, "tasks", str(number), b"\0" * 32)
            idempotency.keep(lent, request, idempotency.Answer(201, {}, "{}"))
        lent.connection().exec_driver_sql("UPDATE phase2.idempotency_key SET created_at = 'epoch'")
    with session(engine) as one, session(engine) as other:
        other.connection().exec_driver_sql("SET LOCAL lock_timeout = '2s'")
        for lent, key in ((one, "a"), (other, "b")):
            request = idempotency.Repeatable(alice.id, "tasks", key, b"\0" * 32)
            idempotency.keep(lent, request, idempotency.Answer(201, {}, "{}"))
    assert len(kept(engine)) == 2
