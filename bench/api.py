"""Measure the API and the data access on 1,000 users x 1,000 tasks, in a throwaway database: `make bench-api`.

SECONDS=5 is how long each kind of traffic runs, a turn of the data access or of asyncpg a fifth of it; TASKS=1000 how many
tasks each user has.
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
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from airlock.scratch.embedded import available, scratch_cluster
from app import tasks
from app.api.tokens import issue
from app.database import async_session, make_async_engine, make_engine, session
from app.database_url import ROOT
from app.settings import Settings
from bench.mix import PAGE, Asyncpg, DataAccess, Load, Owned, Way, run
from bench.wire import ASGI, FASTAPI, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from pydantic import SecretStr

USERS, CONCURRENT = 1000, 100
MEASURED = ("get", "list", "create")
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

    def __init__(self, wire: Wire, secret: SecretStr) -> None:
        self._wire, self._secret = wire, secret
        self._tokens: dict[UUID, str] = {}

    async def __call__(self, operation: str, user_id: UUID, task_id: UUID) -> None:
        """Do one operation by one request; anything but its documented success is an error."""
        path = f"/api/{user_id}/tasks"
        body: dict[str, object] | None = None
        match operation:
            case "list":
                method, url, expected = "GET", f"{path}?limit={PAGE}", 200
            case "get":
                method, url, expected = "GET", f"{path}/{task_id}", 200
            case "create":
                method, url, expected = "POST", path, 201
                body = {"title": "measure", "priority": 2}
            case "update":
                method, url, expected = "PUT", f"{path}/{task_id}", 200
                body = {"title": "measured", "priority": 3}
            case _:
                method, url, expected = "PATCH", f"{path}/{task_id}/complete", 200
        status = await self._wire.request(method, url, token=self._token(user_id), body=body)
        assert status == expected, f"{status} instead of {expected}"

    def _token(self, user_id: UUID) -> str:
        if user_id not in self._tokens:
            self._tokens[user_id] = issue(user_id, self._secret, timedelta(hours=1))
        return self._tokens[user_id]


class Nothing:
    """An endpoint that does nothing, on the same server by the same client: what the API is compared with."""

    def __init__(self, wire: Wire, path: str) -> None:
        self._wire, self._path = wire, path

    async def __call__(self, operation: str, user_id: UUID, task_id: UUID) -> None:  # noqa: ARG002
        """Do one request."""
        assert await self._wire.request("GET", self._path) == 200


@dataclass(frozen=True)
class Served:
    """What a load did, and what it cost the server and the client in CPU time."""

    load: Load
    server_ms: float
    client_ms: float


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


@dataclass(frozen=True)
class Beside:
    """One operation by one way: the medians of several turns."""

    throughput: float
    processor_ms: float
    errors: tuple[str, ...]


async def side_by_side(
    settings: Settings, owned: Owned, *, seconds: float, users: int = CONCURRENT, turns: int = 5
) -> dict[str, dict[str, Beside]]:
    """Do each operation of MEASURED by each way in turns, with ten connections each; what each way costs this process."""
    engine = make_async_engine(settings)
    pool = await asyncpg.create_pool(settings.database_url.get_secret_value(), min_size=10, max_size=10)
    ways: dict[str, Way] = {
        "asyncpg": Asyncpg(pool),
        "data access": DataAccess(engine),
        "in an AsyncSession": DataAccess(engine, async_session),
    }
    found = {}
    for operation in MEASURED:
        seen: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        errors: dict[str, tuple[str, ...]] = dict.fromkeys(ways, ())
        for turn in range(turns + 1):
            for name, way in ways.items():
                begun = time.process_time()
                load = await run(way, owned, users=users, seconds=seconds, only=operation)
                took = (time.process_time() - begun) * 1e3 / load.requests
                errors[name] += load.errors
                if turn:  # the first makes connections and fills caches
                    seen[name].append((load.throughput, took))
        found[operation] = {
            name: Beside(
                statistics.median(throughput for throughput, _ in of),
                statistics.median(took for _, took in of),
                errors[name],
            )
            for name, of in seen.items()
        }
    await pool.close()
    await engine.dispose()
    return found


def told_beside(operation: str, ways: dict[str, Beside]) -> str:
    """Say what each way got done and cost, and which part of asyncpg's throughput that is, at its cost."""
    direct = ways["asyncpg"]
    return f"  {operation:7}" + "; ".join(
        f"{name} {one.throughput:,.0f}/s, {one.processor_ms:.3f} ms"
        + ("" if one is direct else f" ({one.throughput / direct.throughput:.0%}, {share(ways, name):.0%})")
        for name, one in ways.items()
    )


def share(ways: dict[str, Beside], name: str) -> float:
    """Divide asyncpg's processor time for an operation by that of another way: unlike throughput, others hardly change it."""
    return ways["asyncpg"].processor_ms / ways[name].processor_ms


async def over_http(settings: Settings, owned: Owned) -> dict[str, Served]:
    """Serve the API by uvicorn in a process of its own; let the users loose on nothing, then on it."""
    with served(settings) as (port, pid):
        async with Wire("127.0.0.1", port) as wire:
            await answering(wire)
            ways: dict[str, Way] = {
                "nothing, bare ASGI": Nothing(wire, ASGI),
                "nothing, FastAPI": Nothing(wire, FASTAPI),
                "API": Http(wire, settings.jwt_secret),
            }
            return {name: await _measured(way, owned, pid) for name, way in ways.items()}


async def answering(wire: Wire) -> None:
    """Wait until the application answers that it is ready."""
    while True:
        with contextlib.suppress(OSError):
            if await wire.request("GET", "/health") == 200:
                return
        await asyncio.sleep(0.1)


async def _measured(way: Way, owned: Owned, pid: int) -> Served:
    await run(way, owned, users=CONCURRENT, seconds=1)  # connections and caches
    server, client = _cpu_ms(pid), time.process_time() * 1e3
    load = await run(way, owned, users=CONCURRENT, seconds=SECONDS)
    return Served(
        load, (_cpu_ms(pid) - server) / load.requests, (time.process_time() * 1e3 - client) / load.requests
    )


def _cpu_ms(pid: int) -> float:
    """Read the CPU time of a process: unlike requests a second, other processes hardly change it."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) * 1e3 / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def served(settings: Settings) -> Iterator[tuple[int, int]]:
    """Run uvicorn on a free port of 127.0.0.1 until the block ends; port and pid."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "JWT_SECRET": settings.jwt_secret.get_secret_value(),
        "DATABASE_POOLED": str(settings.pooled()),
    }
    arguments = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning", "--no-access-log"]
    # A slow machine must not find its idle connections closed: that would be an error of the measurement.
    arguments += ["--timeout-keep-alive", "120"]
    with subprocess.Popen(
        [sys.executable, "-m", "uvicorn", *arguments, "bench.served:app"], cwd=ROOT, env=environment
    ) as process:
        try:
            yield port, process.pid
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
        beside = asyncio.run(side_by_side(settings, owned, seconds=SECONDS / 5))
        print(
            f"data access beside asyncpg, {CONCURRENT} users on ten connections, medians of five turns:"
            " transactions a second, processor time of one (and asyncpg's share of each)"
        )
        for operation, by_way in beside.items():
            print(told_beside(operation, by_way))
        http = asyncio.run(over_http(settings, owned))
        print(f"over HTTP, one uvicorn process, {CONCURRENT} users on as many kept connections:")
        for name, one in http.items():
            print(
                f"  {name}: {told(one.load)}; CPU a request: {one.server_ms:.2f} ms server, {one.client_ms:.2f} ms client"
            )
        bare, framework, api = http.values()
        print(
            f"API at {api.load.throughput / bare.load.throughput:.0%} of bare ASGI's throughput,"
            f" {api.load.throughput / framework.load.throughput:.0%} of FastAPI's"
        )
    errors = [error for by_way in beside.values() for one in by_way.values() for error in one.errors]
    errors += [error for one in http.values() for error in one.load.errors]
    print("\n".join(errors[:5]), end="\n" if errors else "")
    missed = [
        bound
        for bound, held in (
            ("no error", not errors),
            ("60 % of asyncpg", min(share(by_way, "data access") for by_way in beside.values()) >= 0.6),
            ("at least 5 x slower without the index", slow >= 5 * fast),
            ("a client that costs less than the API", api.client_ms < api.server_ms),
        )
        if not held
    ]
    print(f"missed: {'; '.join(missed)}" if missed else "every bound held")
    return 1 if missed else 0


def told(load: Load) -> str:
    """Say what a load got done, in a few words."""
    p50, p99 = (load.percentile(share) * 1e3 for share in (0.5, 0.99))
    return f"{load.throughput:,.0f}/s (p50 {p50:.0f} ms, p99 {p99:.0f} ms, {len(load.errors)} errors)"


if __name__ == "__main__":
    sys.exit(main())
