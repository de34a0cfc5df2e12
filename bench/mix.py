"""One mix of traffic, or one operation of it: through the data access, in either session, and by asyncpg directly.

Of a hundred requests fifty list the newest tasks, thirty read one, twenty write: eight create, eight change,
four toggle. Each is one transaction of its own on either side.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from app import tasks
from app.database import driver_session

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from uuid import UUID

    import asyncpg
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

    from app.driver_session import DriverSession

    Lending = Callable[[AsyncEngine], AbstractAsyncContextManager[AsyncSession | DriverSession]]

OPERATIONS = ("list", "get", "create", "update", "toggle")
WEIGHTS = (50, 30, 8, 8, 4)
PAGE = 20


@dataclass(frozen=True)
class Owned:
    """Some tasks, each with its user: what the traffic asks for."""

    pairs: tuple[tuple[UUID, UUID], ...]


@dataclass(frozen=True)
class Load:
    """What a number of users got done."""

    requests: int
    seconds: float
    errors: tuple[str, ...]
    latencies: tuple[float, ...]

    @property
    def throughput(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    def percentile(self, share: float) -> float:
        """Seconds within which this share of the requests was answered."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Way(Protocol):
    """One way of doing the five operations."""

    async def __call__(self, operation: str, user_id: UUID, task_id: UUID) -> None:
        """Do one operation for one user."""


class DataAccess:
    """Through `app.tasks`, with the application's own engine and a session for each transaction: the API's, or another."""

    def __init__(self, engine: AsyncEngine, session: Lending = driver_session) -> None:
        self._engine, self._session = engine, session

    async def __call__(self, operation: str, user_id: UUID, task_id: UUID) -> None:
        """Do one operation in a transaction of its own."""
        async with self._session(self._engine) as session:
            match operation:
                case "list":
                    page = await tasks.list_page(session, user_id, limit=PAGE)
                    assert len(page.items) == PAGE
                case "get":
                    await tasks.get(session, user_id, task_id)
                case "create":
                    await tasks.create(session, user_id, "measure", priority=2)
                case "update":
                    await tasks.update(session, user_id, task_id, title="measured", priority=3)
                case _:
                    await tasks.toggle(session, user_id, task_id)


_COLUMNS = "id, created_at, updated_at, user_id, title, description, completed, priority"
_LIST = f"SELECT {_COLUMNS} FROM phase2.task WHERE user_id = $1 ORDER BY created_at DESC, id LIMIT $2"
_GET = f"SELECT {_COLUMNS} FROM phase2.task WHERE id = $2 AND user_id = $1"
_CREATE = f"""INSERT INTO phase2.task (user_id, title, description, priority)
SELECT id, $2, $3, $4 FROM phase2."user" WHERE id = $1 RETURNING {_COLUMNS}"""
_UPDATE = f"""UPDATE phase2.task SET title = $3, priority = $4, updated_at = clock_timestamp()
WHERE id = $2 AND user_id = $1 RETURNING {_COLUMNS}"""
_TOGGLE = f"""UPDATE phase2.task SET completed = NOT completed, updated_at = clock_timestamp()
WHERE id = $2 AND user_id = $1 RETURNING {_COLUMNS}"""


class Asyncpg:
    """The same statements, transactions and number of connections, without SQLAlchemy."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def __call__(self, operation: str, user_id: UUID, task_id: UUID) -> None:
        """Do one operation in a transaction of its own."""
        async with self._pool.acquire() as connection, connection.transaction():
            match operation:
                case "list":
                    rows = await connection.fetch(_LIST, user_id, PAGE + 1)
                    assert len(rows) > PAGE
                case "get":
                    assert await connection.fetchrow(_GET, user_id, task_id)
                case "create":
                    assert await connection.fetchrow(_CREATE, user_id, "measure", None, 2)
                case "update":
                    assert await connection.fetchrow(_UPDATE, user_id, task_id, "measured", 3)
                case _:
                    assert await connection.fetchrow(_TOGGLE, user_id, task_id)


async def run(way: Way, owned: Owned, *, users: int, seconds: float, only: str | None = None) -> Load:
    """Let so many users do the mix, or one operation of it, each one request at a time, for so long."""
    latencies: list[float] = []
    errors: list[str] = []
    begun = time.perf_counter()
    end = begun + seconds

    async def one_user(number: int) -> None:
        dice = random.Random(number)  # noqa: S311  (traffic, not a secret)
        while True:  # once at least, however busy the machine is
            start = time.perf_counter()
            operation = only or dice.choices(OPERATIONS, WEIGHTS)[0]
            user_id, task_id = dice.choice(owned.pairs)
            try:
                await way(operation, user_id, task_id)
            except Exception as error:  # noqa: BLE001  (every kind counts)
                errors.append(f"{operation}: {type(error).__name__}: {error}"[:200])
            latencies.append(time.perf_counter() - start)
            if start + latencies[-1] >= end:
                return

    await asyncio.gather(*(one_user(number) for number in range(users)))
    return Load(len(latencies), time.perf_counter() - begun, tuple(errors), tuple(latencies))
