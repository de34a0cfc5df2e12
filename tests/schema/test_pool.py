"""Connections of the asynchronous pool go to whoever has waited longest."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database import async_session, make_async_engine
from app.settings import Settings


@pytest.fixture
async def one_connection(settings: Settings) -> AsyncIterator[AsyncEngine]:
    made = make_async_engine(
        settings.model_copy(
            update={"database_pool_size": 1, "database_max_overflow": 0, "database_pool_timeout": 20}
        )
    )
    yield made
    await made.dispose()


async def test_nobody_is_served_twice_while_others_wait(one_connection: AsyncEngine) -> None:
    """Five clients on one connection take turns, although each asks again the moment it is done."""
    served: list[int] = []

    async def client(number: int) -> None:
        for _ in range(4):
            async with async_session(one_connection) as lent:
                await (await lent.connection()).execute(sa.text("SELECT 1"))
                served.append(number)

    await asyncio.gather(*(client(number) for number in range(5)))
    assert served == [0, 1, 2, 3, 4] * 4


@pytest.mark.parametrize("pauses", range(4))
async def test_who_gives_up_waiting_takes_no_connection_along(
    one_connection: AsyncEngine, pauses: int
) -> None:
    """Cancelled before, while and after the connection is handed over: the next in line gets it."""
    held = await one_connection.connect()
    first, second = (asyncio.create_task(_select(one_connection)) for _ in range(2))
    await asyncio.sleep(0.01)
    assert one_connection.pool.checkedout() == 1  # type: ignore[attr-defined]
    back = asyncio.create_task(held.close())
    for _ in range(pauses):
        await asyncio.sleep(0)
    first.cancel()
    await back
    assert await asyncio.wait_for(second, 10) == 1
    with contextlib.suppress(asyncio.CancelledError):
        await first
    assert one_connection.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_who_waits_too_long_is_told_so(settings: Settings) -> None:
    """The pool's timeout still ends a wait, and leaves the line in order."""
    engine = make_async_engine(
        settings.model_copy(
            update={"database_pool_size": 1, "database_max_overflow": 0, "database_pool_timeout": 0.1}
        )
    )
    held = await engine.connect()
    with pytest.raises(sa.exc.TimeoutError):
        await _select(engine)
    await held.close()
    assert await _select(engine) == 1
    await engine.dispose()


async def _select(engine: AsyncEngine) -> object:
    async with engine.connect() as connection:
        return (await connection.execute(sa.text("SELECT 1"))).scalar_one()
