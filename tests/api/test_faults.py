"""A database that has no time, or is not there."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from app.settings import Settings
from tests.api.conftest import person, served

if TYPE_CHECKING:
    import sqlalchemy as sa

    from tests.servers import Database

END_THE_OTHERS = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()"""


def others_ended(engine: sa.Engine) -> int:
    """End every other session on the database; tell how many there were."""
    with engine.connect() as connection:
        return len(connection.exec_driver_sql(END_THE_OTHERS).all())


async def test_a_request_that_finds_no_free_connection_is_503_in_time(
    database: Database, engine: sa.Engine
) -> None:
    """With one connection, and that one busy, others wait as long as the settings say and no longer."""
    settings = Settings.model_validate({"database_url": database.url, "jwt_secret": "x" * 32,
        "database_pool_size": 1, "database_max_overflow": 0, "database_pool_timeout": 0.5})  # fmt: skip
    alice = person(engine, settings, "alice@example.org")
    async with served(settings) as client:
        created = await client.post(alice.tasks, headers=alice.headers, json={"title": "Water"})
        where = created.headers["Location"]
        with engine.begin() as connection:
            connection.exec_driver_sql("LOCK TABLE phase2.task IN ACCESS EXCLUSIVE MODE")
            stuck = asyncio.create_task(client.patch(f"{where}/complete", headers=alice.headers))
            await asyncio.sleep(0.2)
            begun = time.monotonic()
            answers = await asyncio.gather(*(client.get("/health") for _ in range(5)))
            waited = time.monotonic() - begun
        assert {answer.status_code for answer in answers} == {503}
        assert answers[0].json()["detail"] == "Every database connection is in use."
        assert waited < 20, "each waited for its own half second, not for the lock"
        assert (await stuck).status_code == 200
        assert (await client.get("/health")).status_code == 200


async def test_a_connection_ended_by_the_server_is_replaced(settings: Settings, engine: sa.Engine) -> None:
    """Between two requests nobody notices; within one it is 503, and the next is served."""
    alice = person(engine, settings, "alice@example.org")
    async with served(settings) as client:
        assert (await client.get(alice.tasks, headers=alice.headers)).status_code == 200
        while others_ended(engine):
            await asyncio.sleep(0.05)
        assert (await client.get(alice.tasks, headers=alice.headers)).status_code == 200
        with engine.connect() as connection:
            connection.exec_driver_sql("LOCK TABLE phase2.task IN ACCESS EXCLUSIVE MODE")
            stuck = asyncio.create_task(client.get(alice.tasks, headers=alice.headers))
            await asyncio.sleep(0.3)
            connection.exec_driver_sql(END_THE_OTHERS)
            answer = await stuck
        assert (answer.status_code, answer.json()["detail"]) == (503, "The database cannot be reached.")
        assert (await client.get(alice.tasks, headers=alice.headers)).status_code == 200


@pytest.mark.proof
async def test_a_database_killed_during_traffic_comes_back_without_a_restart() -> None:
    """While it is gone every request fails clearly; when it is back they are served by the same application."""
    from airlock.scratch.embedded import available, scratch_cluster
    from tests.history import History
    from tests.servers import Database

    with scratch_cluster(max(available())) as cluster:
        url = cluster.url("postgres")
        History(Database("postgres", url)).upgrade()
        settings = Settings.model_validate(
            {"database_url": url, "jwt_secret": "x" * 32, "database_pool_timeout": 5}
        )
        from app.database import make_engine

        engine = make_engine(settings)
        alice = person(engine, settings, "alice@example.org")
        engine.dispose()
        statuses: list[tuple[str, int]] = []
        phase = "before"

        async with served(settings) as client:
            stop = asyncio.Event()

            async def traffic() -> None:
                while not stop.is_set():
                    # As it was when the request went out: its answer may come a moment after the server has gone.
                    then = phase
                    answer = await client.get(alice.tasks, headers=alice.headers)
                    statuses.append((then, answer.status_code))
                    assert answer.status_code == 200 or answer.json()["detail"].startswith("The database")
                    await asyncio.sleep(0.01)

            users = [asyncio.create_task(traffic()) for _ in range(10)]
            await asyncio.sleep(0.5)
            await asyncio.to_thread(cluster.stop, "immediate")
            phase = "gone"
            await asyncio.sleep(1)
            assert (await client.get("/health")).status_code == 503
            phase = "coming"
            await asyncio.to_thread(cluster.start)
            while (await client.get("/health")).status_code != 200:
                await asyncio.sleep(0.05)
            phase = "back"
            await asyncio.sleep(0.5)
            stop.set()
            await asyncio.gather(*users)
        assert {status for when, status in statuses if when == "before"} <= {200, 503}
        assert {status for when, status in statuses if when == "gone"} == {503}
        assert 200 in {status for when, status in statuses if when == "back"}, statuses[-20:]
        assert {status for _, status in statuses} == {200, 503}
        assert [status for when, status in statuses if when == "back"][-10:] == [200] * 10
