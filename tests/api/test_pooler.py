"""The API, served by two processes, through a real PgBouncer in transaction mode."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from app.database_url import ROOT
from app.settings import Settings
from tests.api.conftest import person
from tests.pooler import PROGRAM, WHY_NOT, pooled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    import sqlalchemy as sa

    from tests.api.conftest import Person
    from tests.servers import Database

    Ask = Callable[..., Awaitable[httpx.Response]]

pytestmark = [
    pytest.mark.server,
    pytest.mark.proof,
    pytest.mark.skipif(PROGRAM is None, reason=WHY_NOT),
]
USERS, ROUNDS = 12, 5


@pytest.fixture
def addresses(database: Database, settings: Settings) -> Iterator[list[str]]:
    """Serve the API twice: six connections of each process, three of PostgreSQL's for all of them."""
    with pooled(database, pool_size=3) as url, contextlib.ExitStack() as stack:
        environment = os.environ | {
            "DATABASE_URL": url,
            "DATABASE_POOLED": "true",
            "DATABASE_POOL_SIZE": "6",
            "DATABASE_MAX_OVERFLOW": "0",
            "JWT_SECRET": settings.jwt_secret.get_secret_value(),
        }
        yield [stack.enter_context(serving(environment)) for _ in range(2)]


@contextlib.contextmanager
def serving(environment: dict[str, str]) -> Iterator[str]:
    """Run uvicorn on a port of its own until the block ends; gives its address once it answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(100)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "--fd", str(listening.fileno()), "--log-level", "error",
             "app.api.main:app"],
            cwd=ROOT, env=environment, pass_fds=(listening.fileno(),),
        ) as process:  # fmt: skip
            try:
                # The socket listens already: the first request waits until somebody accepts it.
                assert httpx.get(f"{address}/health", timeout=30, trust_env=False).status_code == 200
                yield address
            finally:
                process.terminate()


async def test_users_at_once_share_three_server_connections(
    addresses: list[str], engine: sa.Engine, settings: Settings
) -> None:
    """Create, list page by page, read, change, toggle, delete, from both processes in turn: each sees its own."""
    people = [person(engine, settings, f"user{number}@example.org") for number in range(USERS)]
    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=address, timeout=30, trust_env=False))
            for address in addresses
        ]
        assert await asyncio.gather(*(walk(clients, each) for each in people)) == [ROUNDS] * USERS


async def walk(clients: list[httpx.AsyncClient], me: Person) -> int:
    """Do everything that there is to do, asking the processes in turn; return how many rounds went well."""
    turn = 0

    async def ask(method: str, path: str = "", body: object = None, key: str = "") -> httpx.Response:
        nonlocal turn
        turn += 1
        headers = me.headers | ({"Idempotency-Key": key} if key else {})
        return await clients[turn % 2].request(method, me.tasks + path, headers=headers, json=body)

    kept: list[str] = []
    for number in range(ROUNDS):
        # Both processes are asked to do it; one does.
        made, again = [await ask("POST", body={"title": f"task {number}"}, key=str(number)) for _ in range(2)]
        assert (made.status_code, again.status_code, again.content) == (201, 201, made.content)
        task = f"/{made.json()['id']}"
        changed = await ask("PUT", task, body={"title": f"changed {number}", "priority": 4})
        assert (changed.status_code, changed.json()["priority"]) == (200, 4)
        assert (await ask("PATCH", f"{task}/complete")).json()["completed"] is True
        assert (await ask("GET", task)).json()["title"] == f"changed {number}"
        if number % 2:
            assert (await ask("DELETE", task)).status_code == 204
            assert (await ask("GET", task)).status_code == 404
        else:
            kept.insert(0, made.json()["id"])
        assert await listed(ask) == kept
    return ROUNDS


async def listed(ask: Ask) -> list[str]:
    """Read the list two by two."""
    found: list[str] = []
    after = ""
    while True:
        page = (await ask("GET", f"?limit=2{after}")).json()
        found += [one["id"] for one in page["items"]]
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"
