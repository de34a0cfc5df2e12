"""The data access by both drivers through a real PgBouncer in transaction mode."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from app import conversations, tasks, users
from app.database import async_session, make_async_engine, make_engine, session
from app.models import Role
from app.settings import Settings
from tests.pooler import PROGRAM, WHY_NOT, pooled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import Database

pytestmark = [pytest.mark.server, pytest.mark.skipif(PROGRAM is None, reason=WHY_NOT)]
USERS, ROUNDS = 8, 6


@pytest.fixture
def settings(database: Database) -> Iterator[Settings]:
    """Connect through a pooler with three server connections for more clients."""
    with pooled(database, pool_size=3) as url:
        yield Settings.model_validate({"database_url": url, "jwt_secret": "x" * 32, "database_pooled": True})


async def test_many_asynchronous_users_share_three_server_connections(settings: Settings) -> None:
    """The same statements again and again, on whichever connection is free: each sees exactly its own."""
    engines = [make_async_engine(settings) for _ in range(2)]

    async def one(number: int) -> tuple[int, int, int]:
        engine = engines[number % 2]
        async with async_session(engine) as lent:
            me = (await users.create(lent, f"async{number}@example.org")).id
            talk = (await conversations.start(lent, me)).id
        for count in range(ROUNDS):
            async with async_session(engine) as lent:
                task = await tasks.create(lent, me, f"{count}")
                await conversations.append(lent, me, talk, Role.USER, f"{count}")
            async with async_session(engine) as lent:
                await tasks.toggle(lent, me, task.id)
        async with async_session(engine) as lent:
            done = await tasks.list_page(lent, me, status=tasks.Status.DONE)
            history = await conversations.history_page(lent, me, talk)
            listed = await conversations.list_page(lent, me)
        return len(done.items), len(history.items), len(listed.items)

    assert await asyncio.gather(*(one(number) for number in range(USERS))) == [(ROUNDS, ROUNDS, 1)] * USERS
    for engine in engines:
        await engine.dispose()


def test_many_threads_share_three_server_connections(settings: Settings) -> None:
    """The same by psycopg2."""
    engine = make_engine(settings)

    def one(number: int) -> int:
        with session(engine) as lent:
            me = users.create(lent, f"thread{number}@example.org").id
        for count in range(ROUNDS):
            with session(engine) as lent:
                task = tasks.create(lent, me, f"{count}")
                tasks.complete(lent, me, task.id)
        with session(engine) as lent:
            return len(tasks.list_page(lent, me, status=tasks.Status.DONE).items)

    with ThreadPoolExecutor(USERS) as threads:
        assert list(threads.map(one, range(USERS))) == [ROUNDS] * USERS
    engine.dispose()
