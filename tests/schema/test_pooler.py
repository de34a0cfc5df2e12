"""Both drivers, and the history, through a real PgBouncer in transaction mode."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from sqlmodel import col, select

from app.database import async_session, make_async_engine, make_engine, session
from app.models import Task, User
from app.settings import Settings
from tests.catalogue import catalogue, differences
from tests.history import History
from tests.pooler import PROGRAM, WHY_NOT, pooled
from tests.servers import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.server, pytest.mark.skipif(PROGRAM is None, reason=WHY_NOT)]


@pytest.fixture
def pooled_settings(database: Database) -> Iterator[Settings]:
    with pooled(database) as url:
        yield Settings.model_validate({"database_url": url, "jwt_secret": "x" * 32, "database_pooled": True})


async def test_asyncpg_shares_server_connections_without_mixing_statements(pooled_settings: Settings) -> None:
    """Three engines, twenty tasks each, three server connections, the same statements again and again."""
    engines = [make_async_engine(pooled_settings) for _ in range(3)]

    async def work(number: int) -> int:
        engine = engines[number % 3]
        async with async_session(engine) as lent:
            user = User(email=f"u{number}@b", tasks=[Task(title=f"t{count}") for count in range(3)])
            lent.add(user)
        async with async_session(engine) as lent:
            titles = (await lent.exec(select(Task.title).where(col(Task.user_id) == user.id))).all()
        return len(titles)

    assert await asyncio.gather(*(work(number) for number in range(60))) == [3] * 60
    for engine in engines:
        await engine.dispose()


def test_psycopg2_works_through_the_pooler(pooled_settings: Settings) -> None:
    engine = make_engine(pooled_settings)
    for number in range(20):
        with session(engine) as lent:
            lent.add(User(email=f"u{number}@b"))
    with session(engine) as lent:
        assert lent.scalar(sa.select(sa.func.count()).select_from(User)) == 20
    engine.dispose()


def test_the_history_runs_through_the_pooler(empty_database: Database, history: History) -> None:
    """Also what is outside transactions; and no session setting stays on the shared connections."""
    with pooled(empty_database, pool_size=1) as url:
        through = History(Database(empty_database.name, url))
        through.upgrade()
        assert differences(catalogue(history.database), catalogue(empty_database)) == []
        through.check()
        engine = sa.create_engine(Database("", url).sqlalchemy_url, poolclass=sa.NullPool)
        with engine.connect() as connection:
            assert connection.scalar(sa.text("SHOW search_path")) == '"$user", public'
        through.downgrade()
