"""Every endpoint with another user's ids: nothing is shown, nothing changes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as configured
from hypothesis import strategies as st

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
        assert (on_hers.status_code, on_hers.json()) == (403, {"detail": "The token is another user's."})
        if tail:
            on_his = await ask(client, endpoint, bob, bob.tasks, task["id"])
            nowhere = await ask(client, endpoint, bob, bob.tasks, uuid4())
            assert (on_his.status_code, on_his.content) == (nowhere.status_code, nowhere.content)
            assert on_his.status_code == 404
    assert (await client.get(bob.tasks, headers=bob.headers)).json()["items"] == []
    assert stored(engine) == before


def test_the_table_above_has_every_endpoint(settings: Settings) -> None:
    """An endpoint that is added must be added to ENDPOINTS."""
    paths = create_app(settings).openapi()["paths"]
    under_user = {
        (method.upper(), path.removeprefix("/api/{user_id}/tasks").replace("task_id", "task"))
        for path, item in paths.items()
        if path.startswith("/api/")
        for method in item
    }
    assert under_user == set(ENDPOINTS.values())


CALLS = st.lists(
    st.tuples(
        st.sampled_from(sorted(ENDPOINTS)), st.integers(0, 2), st.sampled_from([0, 0, 1]), st.integers(0, 5)
    ),
    min_size=5,
    max_size=25,
)


def test_random_requests_of_three_users_never_show_a_foreign_task(
    settings: Settings, engine: sa.Engine
) -> None:
    """Any token, any path, any task: 403 off one's own path, else only one's own tasks or 404."""
    people = [person(engine, settings, f"user{number}@example.org") for number in range(3)]
    with asyncio.Runner() as runner:
        serving = served(settings)
        client = runner.run(serving.__aenter__())

        @configured(
            max_examples=12,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(CALLS)
        def walk(calls: list[tuple[str, int, int, int]]) -> None:
            runner.run(walked(client, people, calls))

        walk()
        runner.run(serving.__aexit__(None, None, None))


async def walked(
    client: httpx.AsyncClient, people: list[Person], calls: list[tuple[str, int, int, int]]
) -> None:
    """Send the requests one after the other and judge every answer."""
    owner: dict[str, UUID] = {}
    known = [str(uuid4())]
    for each in people:
        known.append((await ask(client, "create", each, each.tasks, "")).json()["id"])
        owner[known[-1]] = each.id
    for endpoint, who, off, which in calls:
        asking, task = people[who], known[which % len(known)]
        answer = await ask(client, endpoint, asking, people[(who + off) % 3].tasks, task)
        if off:
            assert answer.status_code == 403
            continue
        if "{task}" in ENDPOINTS[endpoint][1] and owner.get(task) != asking.id:
            assert answer.status_code == 404
            continue
        assert answer.status_code in {200, 201, 204}
        for shown in items(answer):
            assert shown["user_id"] == str(asking.id)
        if endpoint == "create":
            known.append(answer.json()["id"])
            owner[known[-1]] = asking.id
        elif endpoint == "delete":
            del owner[task]


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
