"""Measure the API and the data access on 1,000 users x 1,000 tasks, in a throwaway database: `make bench-api`.

SECONDS=5 is how long each kind of traffic runs, TASKS=1000 how many tasks each user has.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import socket
import statistics
import subprocess
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
import httpx
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from airlock.instruments.embedded import available, scratch_cluster
from app import tasks
from app.api.tokens import issue
from app.database import make_async_engine, make_engine, session
from app.database_url import ROOT
from app.settings import Settings
from bench.mix import PAGE, Asyncpg, DataAccess, Load, Owned, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from pydantic import SecretStr

USERS, CONCURRENT = 1000, 100
SECONDS = float(os.environ.get("SECONDS") or 5)
TASKS = int(os.environ.get("TASKS") or 1000)

FILL = f"""
INSERT INTO phase2."user" (email) SELECT 'user' || n || '@example.org' FROM generate_series(1, {USERS}) n;
INSERT INTO phase2.task (user_id, title, completed, created_at)
    SELECT u.id, 'task ' || n, n % 3 = 0, now() - n * interval '1 minute'
    FROM phase2."user" u, generate_series(1, {TASKS}) n;
"""


class Http:
    """Through the API, over HTTP, with each user's own token."""

    def __init__(self, client: httpx.AsyncClient, secret: SecretStr) -> None:
        self._client, self._secret = client, secret
        self._headers: dict[UUID, dict[str, str]] = {}

    async def __call__(self, operation: str, user_id: UUID, task_id: UUID) -> None:
        """Do one operation by one request; anything but its documented success is an error."""
        path = f"/api/{user_id}/tasks"
        body: dict[str, object] | None = None
        match operation:
            case "list":
                method, url, status = "GET", f"{path}?limit={PAGE}", 200
            case "get":
                method, url, status = "GET", f"{path}/{task_id}", 200
            case "create":
                method, url, status = "POST", path, 201
                body = {"title": "measure", "priority": 2}
            case "update":
                method, url, status = "PUT", f"{path}/{task_id}", 200
                body = {"title": "measured", "priority": 3}
            case _:
                method, url, status = "PATCH", f"{path}/{task_id}/complete", 200
        answer = await self._client.request(method, url, json=body, headers=self._token(user_id))
        assert answer.status_code == status, answer.text

    def _token(self, user_id: UUID) -> dict[str, str]:
        if user_id not in self._headers:
            token = issue(user_id, self._secret, timedelta(hours=1))
            self._headers[user_id] = {"Authorization": f"Bearer {token}"}
        return self._headers[user_id]


def fill(engine: sa.Engine) -> Owned:
    """Migrate, write users and tasks, and choose the tasks that the traffic asks for."""
    config = Config(ROOT / "alembic.ini")
    config.attributes |= {"connection": engine, "configure_logger": False}
    command.upgrade(config, "head")
    with engine.begin() as connection:
        connection.execute(sa.text(FILL))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")
        some = connection.exec_driver_sql(
            "SELECT user_id, id FROM phase2.task TABLESAMPLE SYSTEM (5) ORDER BY random() LIMIT 20000"
        )
        return Owned(tuple((user_id, task_id) for user_id, task_id in some))


def with_and_without_index(engine: sa.Engine, owned: Owned) -> tuple[float, float]:
    """Time the list of the newest tasks; then the same in a transaction that has dropped its index."""
    dice = random.Random(1)  # noqa: S311  (traffic, not a secret)

    def seconds(lent: sa.orm.Session) -> float:
        user_id = dice.choice(owned.pairs)[0]
        begun = time.perf_counter()
        tasks.list_page(lent, user_id, limit=PAGE)
        return time.perf_counter() - begun

    with session(engine) as lent:
        for _ in range(20):
            seconds(lent)
        fast = statistics.median(seconds(lent) for _ in range(50))
        lent.connection().exec_driver_sql("DROP INDEX phase2.ix_task_user_id_created_at_id")
        slow = statistics.median(seconds(lent) for _ in range(5))
        lent.rollback()
    return fast, slow


async def side_by_side(settings: Settings, owned: Owned) -> tuple[list[Load], list[Load]]:
    """Run the mix through the data access and by asyncpg, in turns, each with ten connections."""
    url = settings.url()
    engine = make_async_engine(settings)
    pool = await asyncpg.create_pool(
        host=str(url.query["host"]), user=url.username, database=url.database, min_size=10, max_size=10
    )
    ways = DataAccess(engine), Asyncpg(pool)
    for way in ways:
        await run(way, owned, users=CONCURRENT, seconds=1)  # connections and caches
    ours, direct = [], []
    for _ in range(3):
        ours.append(await run(ways[0], owned, users=CONCURRENT, seconds=SECONDS))
        direct.append(await run(ways[1], owned, users=CONCURRENT, seconds=SECONDS))
    await pool.close()
    await engine.dispose()
    return ours, direct


async def over_http(settings: Settings, owned: Owned) -> Load:
    """Serve the API by uvicorn in a process of its own and let the users loose on it."""
    with served(settings) as address:
        async with httpx.AsyncClient(
            base_url=address, limits=httpx.Limits(max_connections=CONCURRENT), timeout=60, trust_env=False
        ) as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get("/health")).status_code == 200:
                        break
                await asyncio.sleep(0.1)
            way = Http(client, settings.jwt_secret)
            await run(way, owned, users=CONCURRENT, seconds=1)
            return await run(way, owned, users=CONCURRENT, seconds=SECONDS)


@contextlib.contextmanager
def served(settings: Settings) -> Iterator[str]:
    """Run `uvicorn app.api.main:app` on a free port of 127.0.0.1 until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "JWT_SECRET": settings.jwt_secret.get_secret_value(),
    }
    arguments = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning", "--no-access-log"]
    # A slow machine must not find its idle connections closed: that would be an error of the measurement.
    arguments += ["--timeout-keep-alive", "120"]
    with subprocess.Popen(
        [sys.executable, "-m", "uvicorn", *arguments, "app.api.main:app"], cwd=ROOT, env=environment
    ) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def main() -> int:
    """Measure everything once; 1 where a bound of the project is missed."""
    major = max(available())
    with scratch_cluster(major) as cluster:
        settings = Settings.model_validate(
            {"database_url": cluster.url("postgres"), "jwt_secret": secrets.token_urlsafe(48)}
        )
        engine = make_engine(settings)
        print(
            f"PostgreSQL {major}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {USERS * TASKS:,} tasks"
        )
        owned = fill(engine)
        fast, slow = with_and_without_index(engine, owned)
        engine.dispose()
        print(
            f"list of {PAGE}: {fast * 1e3:.2f} ms; without its index {slow * 1e3:.1f} ms, {slow / fast:.0f} x"
        )
        ours, direct = asyncio.run(side_by_side(settings, owned))
        for name, loads in (("data access", ours), ("asyncpg", direct)):
            print(f"{name}, {CONCURRENT} users: {', '.join(map(told, loads))}")
        share = sum(load.throughput for load in ours) / sum(load.throughput for load in direct)
        print(f"data access at {share:.0%} of asyncpg's throughput")
        http = asyncio.run(over_http(settings, owned))
        print(f"API over HTTP, {CONCURRENT} users: {told(http)}, p50 {http.percentile(0.5) * 1e3:.0f} ms")
    errors = [error for load in (*ours, *direct, http) for error in load.errors]
    print("\n".join(errors[:5]), end="\n" if errors else "")
    missed = [
        bound
        for bound, held in (
            ("no error", not errors),
            ("at least 35 % of asyncpg", share >= 0.35),
            ("at least 10 x slower without the index", slow >= 10 * fast),
        )
        if not held
    ]
    print(f"missed: {'; '.join(missed)}" if missed else "every bound held")
    return 1 if missed else 0


def told(load: Load) -> str:
    """Say what a load got done, in a few words."""
    return f"{load.throughput:,.0f}/s (p99 {load.percentile(0.99) * 1e3:.0f} ms, {len(load.errors)} errors)"


if __name__ == "__main__":
    sys.exit(main())
