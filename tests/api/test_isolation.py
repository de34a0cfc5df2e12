"""Every endpoint with another user's ids: nothing is shown, nothing changes."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from app.api.application import create_app
from tests.api.conftest import person, served

if TYPE_CHECKING:
    import httpx
    import sqlalchemy as sa

    from app.settings import Settings
    from tests.api.conftest import Person

ENDPOINTS = {
    "list": ("GET", ""),
    "create": ("POST", ""),
    "get": ("GET", "/{task}"),
    "update": ("PUT", "/{task}"),
    "delete": ("DELETE", "/{task}"),
    "toggle": ("PATCH", "/{task}/complete"),
}


# What is below a user's conversations, and what a request for it carries.
OF_CONVERSATIONS: dict[tuple[str, str], dict[str, str] | None] = {
    ("GET", ""): None,
    ("POST", ""): {"title": "taken"},
    ("GET", "/{conversation_id}"): None,
    ("PUT", "/{conversation_id}"): {"title": "taken"},
    ("DELETE", "/{conversation_id}"): None,
    ("POST", "/{conversation_id}/messages"): {"role": "user", "content": "taken"},
}


async def ask(
    client: httpx.AsyncClient, endpoint: str, asking: Person, path: str, task: object
) -> httpx.Response:
    """Send one request, with whoever's token, to whoever's path, for whoever's task."""
    method, tail = ENDPOINTS[endpoint]
    body = {"title": "taken"} if method in {"POST", "PUT"} else None
    return await client.request(method, path + tail.format(task=task), headers=asking.headers, json=body)


async def test_every_endpoint_is_closed_to_another_user(
    client: httpx.AsyncClient, alice: Person, bob: Person, engine: sa.Engine
) -> None:
    """Her path is 403 for him; her task on his own path is 404, like one that never was; no row changes."""
    task = (await client.post(alice.tasks, headers=alice.headers, json={"title": "hers"})).json()
    before = stored(engine)
    for endpoint, (_, tail) in ENDPOINTS.items():
        on_hers = await ask(client, endpoint, bob, alice.tasks, task["id"])
        assert (on_hers.status_code, on_hers.json()["detail"]) == (403, "The token is another user's.")
        if tail:
            on_his = await ask(client, endpoint, bob, bob.tasks, task["id"])
            nowhere = await ask(client, endpoint, bob, bob.tasks, uuid4())
            assert on_his.json() == nowhere.json() | {"request_id": on_his.json()["request_id"]}
            assert on_his.status_code == 404
    assert (await client.get(bob.tasks, headers=bob.headers)).json()["items"] == []
    assert stored(engine) == before


async def test_conversations_are_closed_to_another_user(
    client: httpx.AsyncClient, alice: Person, bob: Person, engine: sa.Engine
) -> None:
    """Her path is 403 for him; her conversation on his own path is 404, like one that never was; no row changes."""
    hers = (await client.post(alice.conversations, headers=alice.headers, json={"title": "hers"})).json()
    said = {"role": "user", "content": "a secret"}
    where = f"{alice.conversations}/{hers['id']}"
    assert (await client.post(f"{where}/messages", headers=alice.headers, json=said)).status_code == 201
    before = (await client.get(where, headers=alice.headers)).json()
    for (method, tail), body in OF_CONVERSATIONS.items():

        async def answer(base: str, id_: object) -> httpx.Response:
            path = base + tail.format(conversation_id=id_)  # noqa: B023  (awaited within this turn)
            return await client.request(method, path, headers=bob.headers, json=body)  # noqa: B023

        assert (await answer(alice.conversations, hers["id"])).status_code == 403
        if tail:
            on_his = await answer(bob.conversations, hers["id"])
            nowhere = await answer(bob.conversations, uuid4())
            assert on_his.json() == nowhere.json() | {"request_id": on_his.json()["request_id"]}
            assert on_his.status_code == 404
    assert (await client.get(where, headers=alice.headers)).json() == before
    assert (await client.get(bob.conversations, headers=bob.headers)).json()["items"] == []


def test_the_tables_above_have_every_endpoint(settings: Settings) -> None:
    """An endpoint that is added must be added to ENDPOINTS or OF_CONVERSATIONS."""
    paths = create_app(settings).openapi()["paths"]
    under_user = {
        (method.upper(), path.removeprefix("/api/{user_id}").replace("task_id", "task"))
        for path, item in paths.items()
        if path.startswith("/api/")
        for method in item
    }
    of_tasks = {(method, f"/tasks{tail}") for method, tail in ENDPOINTS.values()}
    assert under_user == of_tasks | {(method, f"/conversations{tail}") for method, tail in OF_CONVERSATIONS}


async def test_random_requests_of_three_users_never_show_a_foreign_task(
    settings: Settings, engine: sa.Engine
) -> None:
    """Any token, any path, any task, any cursor: 403 off one's own path, else only one's own tasks or 404."""
    dice = random.Random(14)
    people = [person(engine, settings, f"user{number}@example.org") for number in range(3)]
    async with served(settings) as client:
        world = World(client, people)
        await world.settle()
        for _ in range(200):
            await world.request(
                dice.choice(["list", "list", *ENDPOINTS]),
                dice.randrange(3),
                dice.choice([0, 0, 0, 1]),
                dice.randrange(1000),
                dice.choice(["all", "open", "done"]),
            )
        await world.judge()


class World:
    """Three users, whose each task is, and every cursor that anyone was ever given."""

    def __init__(self, client: httpx.AsyncClient, people: list[Person]) -> None:
        self.client, self.people = client, people
        self.owner: dict[str, UUID] = {}
        self.known = [str(uuid4())]
        self.cursors: list[str] = []

    async def settle(self) -> None:
        """Give everyone an open and a done task, so that every list has something to show by mistake."""
        for who in range(3):
            for _ in range(2):
                await self.request("create", who, 0, 0, "all")
            await self.request("toggle", who, 0, len(self.known) - 1, "all")

    async def request(self, endpoint: str, who: int, off: int, which: int, status: str) -> None:
        """Send one request and judge its answer."""
        asking, task = self.people[who], self.known[which % len(self.known)]
        path = self.people[(who + off) % 3].tasks
        if endpoint == "list":
            after = [None, *self.cursors][which % (len(self.cursors) + 1)]
            path += f"?status={status}&limit={1 + which % 3}" + (f"&after={after}" if after else "")
        answer = await ask(self.client, endpoint, asking, path, task)
        if off:
            assert answer.status_code == 403
            return
        if "{task}" in ENDPOINTS[endpoint][1] and self.owner.get(task) != asking.id:
            assert answer.status_code == 404
            return
        assert answer.status_code in {200, 201, 204}
        for shown in items(answer):
            assert shown["user_id"] == str(asking.id)
        if endpoint == "list" and (following := answer.json()["next"]):
            self.cursors.append(following)
        elif endpoint == "create":
            self.known.append(answer.json()["id"])
            self.owner[self.known[-1]] = asking.id
        elif endpoint == "delete":
            del self.owner[task]

    async def judge(self) -> None:
        """Everyone has exactly what they made and did not delete, to the last task."""
        for each in self.people:
            answer = await self.client.get(f"{each.tasks}?limit=100", headers=each.headers)
            mine = {task for task, owner in self.owner.items() if owner == each.id}
            assert {shown["id"] for shown in items(answer)} == mine


def items(answer: httpx.Response) -> list[dict[str, Any]]:
    """Read the tasks that an answer shows."""
    if not answer.content:
        return []
    body = answer.json()
    return list(body["items"]) if "items" in body else [body]


def stored(engine: sa.Engine) -> list[str]:
    """Read every task."""
    with engine.connect() as connection:
        return list(connection.exec_driver_sql("SELECT t::text FROM phase2.task t ORDER BY id").scalars())
