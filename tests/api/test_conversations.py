"""The conversation endpoints, on a real database."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx
    import sqlalchemy as sa

    from tests.api.conftest import Person


async def test_a_conversation_lives_through_all_endpoints(
    client: httpx.AsyncClient, alice: Person, engine: sa.Engine
) -> None:
    """Started, written to, read, renamed, listed, deleted with its messages; then it is not found."""
    started = await client.post(alice.conversations, headers=alice.headers, json={"title": "Garden"})
    assert started.status_code == 201
    where = started.headers["Location"]
    assert where == f"{alice.conversations}/{started.json()['id']}"
    said = [
        (await client.post(f"{where}/messages", headers=alice.headers, json={"role": role, "content": role}))
        for role in ("system", "user", "assistant", "tool")
    ]
    assert {answer.status_code for answer in said} == {201}
    read = (await client.get(where, headers=alice.headers)).json()
    assert read["messages"] == {"items": [answer.json() for answer in said], "next": None}
    assert read["updated_at"] > started.json()["updated_at"]
    renamed = (await client.put(where, headers=alice.headers, json={"title": None})).json()
    assert renamed == started.json() | {"title": None, "updated_at": renamed["updated_at"]}
    assert renamed["updated_at"] > read["updated_at"]
    listed = (await client.get(alice.conversations, headers=alice.headers)).json()
    assert listed == {"items": [renamed], "next": None}
    deleted = await client.delete(where, headers=alice.headers)
    assert (deleted.status_code, deleted.content) == (204, b"")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM phase2.message").scalar_one() == 0
    gone = await client.get(where, headers=alice.headers)
    assert (gone.status_code, gone.json()["detail"]) == (404, "Conversation not found.")


async def test_pages_of_conversations_and_of_messages_follow_each_other(
    client: httpx.AsyncClient, alice: Person
) -> None:
    """Every row once, in order: the last used conversation first, messages as written or backwards."""
    places = []
    for title in "abcde":
        started = await client.post(alice.conversations, headers=alice.headers, json={"title": title})
        places.append(started.headers["Location"])
    for content in "12345":
        message = {"role": "user", "content": content}
        await client.post(f"{places[0]}/messages", headers=alice.headers, json=message)

    titles: list[str] = []
    after: dict[str, str] = {}
    while True:
        query = {"limit": "2"} | after
        page = (await client.get(alice.conversations, headers=alice.headers, params=query)).json()
        titles += [item["title"] for item in page["items"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert titles == ["a", "e", "d", "c", "b"]

    for backwards, wanted in (("false", list("12345")), ("true", list("54321"))):
        contents: list[str] = []
        after = {}
        while True:
            query = {"limit": "2", "backwards": backwards} | after
            page = (await client.get(places[0], headers=alice.headers, params=query)).json()["messages"]
            contents += [item["content"] for item in page["items"]]
            if page["next"] is None:
                break
            after = {"after": page["next"]}
        assert contents == wanted


BAD = [
    ("POST", "", {"title": ""}), ("POST", "", {"title": 3}), ("POST", "", {"title": "x", "user_id": "x"}),
    ("PUT", "/{id}", {}), ("PUT", "/{id}", {"title": "x" * 201}), ("PUT", "/{id}", {"title": "a\0b"}),
    ("PUT", "/x", {"title": "x"}), ("GET", "?limit=0", None), ("GET", "?limit=101", None), ("GET", "?after=x", None),
    ("GET", "?after=" + "f" + "_" * 31, None), ("GET", "/{id}?after=" + "f" + "_" * 31, None), ("GET", "/x", None),
    ("POST", "/{id}/messages", {"role": "user", "content": ""}), ("POST", "/{id}/messages", {"role": "user"}),
    ("POST", "/{id}/messages", {"role": "nobody", "content": "x"}),
    ("POST", "/{id}/messages", {"role": "user", "content": "\0"}),
    ("POST", "/{id}/messages", {"role": "user", "content": "x" * 100_001}),
]  # fmt: skip


async def test_a_request_that_the_document_does_not_allow_is_refused(
    client: httpx.AsyncClient, alice: Person
) -> None:
    """422, and nothing is stored."""
    started = (await client.post(alice.conversations, headers=alice.headers, json={"title": "one"})).json()
    for method, tail, body in BAD:
        path = alice.conversations + tail.format(id=started["id"])
        answer = await client.request(method, path, headers=alice.headers, json=body)
        assert answer.status_code == 422, (method, tail, body, answer.text)
    read = (await client.get(f"{alice.conversations}/{started['id']}", headers=alice.headers)).json()
    assert read == started | {"messages": {"items": [], "next": None}}
