"""Engines, sessions, units of work that are tried again, and create_all, on real PostgreSQL."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import Session, select

from app import database as app_database
from app.database import (
    async_session,
    create_all,
    get_session,
    is_connection_fault,
    make_async_engine,
    make_engine,
    retrying,
    session,
)
from app.models import User, metadata
from app.settings import Settings
from tests.catalogue import catalogue, differences
from tests.servers import Database, Server

pytestmark = pytest.mark.server


def emails(engine: sa.Engine) -> set[str]:
    with Session(engine) as reading:
        return set(reading.exec(select(User.email)))


def test_a_session_commits_what_its_block_did(engine: sa.Engine) -> None:
    with session(engine) as lent:
        lent.add(User(email="a@b"))
    assert emails(engine) == {"a@b"}


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt])
def test_a_session_rolls_back_and_is_closed_when_its_block_raises(
    engine: sa.Engine, fault: type[BaseException]
) -> None:
    with pytest.raises(fault), session(engine) as lent:
        lent.add(User(email="a@b"))
        lent.flush()
        raise fault
    assert emails(engine) == set()
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_an_async_session_commits_rolls_back_and_is_closed(
    async_engine: AsyncEngine, engine: sa.Engine
) -> None:
    async with async_session(async_engine) as lent:
        lent.add(User(email="a@b"))
    with pytest.raises(RuntimeError):
        async with async_session(async_engine) as lent:
            lent.add(User(email="c@d"))
            await lent.flush()
            raise RuntimeError
    assert emails(engine) == {"a@b"}
    assert async_engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_get_session_serves_one_request(
    async_engine: AsyncEngine, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows the yield is the end of the request: a commit, or a rollback where the handler raised."""
    monkeypatch.setattr(app_database, "async_engine", lambda: async_engine)
    serving = get_session()
    lent = await anext(serving)
    lent.add(User(email="a@b"))
    with pytest.raises(StopAsyncIteration):
        await anext(serving)
    serving = get_session()
    lent = await anext(serving)
    lent.add(User(email="c@d"))
    await lent.flush()
    with pytest.raises(RuntimeError):
        await serving.athrow(RuntimeError())
    assert emails(engine) == {"a@b"}
    assert async_engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_settings_reach_the_pool(settings: Settings) -> None:
    """The defaults, and that each can be set."""
    pool = make_engine(settings).pool
    assert isinstance(pool, sa.QueuePool)
    assert (pool.size(), pool._max_overflow, pool._timeout, pool._recycle, pool._pre_ping) == (
        5,
        5,
        30,
        3600,
        True,
    )
    other = settings.model_copy(
        update={"database_pool_size": 2, "database_max_overflow": 0, "database_echo": True}
    )
    engine = make_engine(other)
    assert (engine.pool.size(), engine.echo) == (2, True)  # type: ignore[attr-defined]


def test_a_killed_connection_is_noticed_before_it_is_lent(engine: sa.Engine, server: Server) -> None:
    """pre_ping: the pool's dead connection is replaced, the unit of work never sees it."""
    with session(engine) as lent:
        pid = lent.scalar(sa.select(sa.func.pg_backend_pid()))
    server.run(f"SELECT pg_terminate_backend({pid}, 5000)")
    with session(engine) as lent:
        assert lent.scalar(sa.select(sa.func.pg_backend_pid())) != pid


def test_a_unit_of_work_is_tried_again_when_its_connection_dies(engine: sa.Engine, server: Server) -> None:
    """Twice killed, done at the third attempt, once."""
    attempts = 0

    def unit() -> str:
        nonlocal attempts
        attempts += 1
        with session(engine) as lent:
            lent.add(User(email="a@b"))
            lent.flush()
            if attempts < 3:
                server.run(
                    f"SELECT pg_terminate_backend({lent.scalar(sa.select(sa.func.pg_backend_pid()))}, 5000)"
                )
        return "done"

    assert (retrying(unit, longest=0.05), attempts, emails(engine)) == ("done", 3, {"a@b"})


async def test_an_async_unit_of_work_is_tried_again_when_its_connection_dies(
    async_engine: AsyncEngine, server: Server, engine: sa.Engine
) -> None:
    attempts = 0

    async def unit() -> str:
        nonlocal attempts
        attempts += 1
        async with async_session(async_engine) as lent:
            lent.add(User(email="a@b"))
            await lent.flush()
            if attempts < 3:
                server.run(
                    f"SELECT pg_terminate_backend({await lent.scalar(sa.select(sa.func.pg_backend_pid()))}, 5000)"
                )
        return "done"

    assert (await retrying(unit, longest=0.05), attempts, emails(engine)) == ("done", 3, {"a@b"})


async def test_a_lambda_around_a_coroutine_is_tried_again_too() -> None:
    """It is no coroutine function, and its fault comes when its result is awaited."""
    attempts = 0

    async def unit(answer: str) -> str:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise ConnectionResetError
        return answer

    assert (await retrying(lambda: unit("done"), longest=0.01), attempts) == ("done", 3)


def test_other_errors_are_not_tried_again(engine: sa.Engine) -> None:
    """A refusal, a bug, a missing file: raised at once, as it is."""
    for fault in (lambda: _twice(engine), lambda: 1 / 0, lambda: Path("/nowhere/at/all").read_text()):
        attempts = 0

        def unit(fault: object = fault) -> None:
            nonlocal attempts
            attempts += 1
            fault()  # type: ignore[operator]

        with pytest.raises((sa.exc.IntegrityError, ZeroDivisionError, FileNotFoundError)):
            retrying(unit, longest=0.01)
        assert attempts == 1


def _twice(engine: sa.Engine) -> None:
    with session(engine) as lent:
        lent.add_all([User(email="a@b"), User(email="a@b")])


def test_a_server_that_is_not_there_is_a_connection_fault_for_both_drivers(settings: Settings) -> None:
    """Five attempts by default, then the driver's own error."""
    nowhere = Settings.model_validate(
        settings.model_dump() | {"database_url": "postgresql://u@127.0.0.1:1/db", "jwt_secret": "x" * 32}
    )
    attempts = 0
    synchronous, asynchronous = make_engine(nowhere), make_async_engine(nowhere)

    def unit() -> None:
        nonlocal attempts
        attempts += 1
        with session(synchronous) as lent:
            lent.execute(sa.text("SELECT 1"))

    async def async_unit() -> None:
        nonlocal attempts
        attempts += 1
        async with async_session(asynchronous) as lent:
            await lent.connection()

    with pytest.raises(sa.exc.OperationalError):
        retrying(unit, longest=0.01)
    assert attempts == 5
    with pytest.raises((OSError, sa.exc.DBAPIError)):
        asyncio.run(_run(retrying(async_unit, attempts=3, longest=0.01)))
    assert attempts == 8


async def _run(awaitable: object) -> object:
    return await awaitable  # type: ignore[misc]


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ('FATAL:  password authentication failed for user "u"', False),
        ('FATAL:  database "nope" does not exist', False),
        ("connection to server failed: Connection refused", True),
        ("FATAL:  the database system is starting up", True),
        ("server closed the connection unexpectedly", True),
        ("FATAL:  sorry, too many clients already", True),
    ],
)
def test_what_counts_as_a_connection_fault(message: str, fault: bool) -> None:
    """Libpq gives no SQLSTATE for a connection that never came to be: its words decide."""
    error = sa.exc.OperationalError("SELECT 1", {}, psycopg2.OperationalError(message))
    assert is_connection_fault(error) is fault


def test_bound_values_stay_out_of_errors(engine: sa.Engine) -> None:
    with pytest.raises(sa.exc.DBAPIError) as error, session(engine) as lent:
        lent.execute(sa.text("SELECT 1 / :value / 0"), {"value": 424242})
    assert "424242" not in str(error.value)


def test_create_all_makes_the_schema_once_and_says_what_it_made(
    empty_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """The second time it makes nothing and says so; what is missing is made, what is there stays."""
    engine = sa.create_engine(empty_database.sqlalchemy_url, poolclass=sa.NullPool)
    caplog.set_level(logging.INFO, "app.database")
    assert create_all(engine) == [table.name for table in metadata.sorted_tables]
    assert "made user, conversation, idempotency_key, task, message in schema phase2" in caplog.text
    before = catalogue(empty_database)
    assert create_all(engine) == []
    assert "nothing: all tables are there" in caplog.text
    assert differences(before, catalogue(empty_database)) == []
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE phase2.message"))
    assert create_all(engine) == ["message"]
    assert differences(before, catalogue(empty_database)) == []


def test_create_all_says_why_it_failed(empty_database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """And leaves nothing half made."""
    engine = sa.create_engine(empty_database.sqlalchemy_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE SCHEMA phase2; CREATE TYPE phase2.message AS ENUM ('x')"))
    before = catalogue(empty_database)
    with pytest.raises(sa.exc.DBAPIError):
        create_all(engine)
    assert 'made nothing in schema phase2: type "message" already exists' in caplog.text
    assert differences(before, catalogue(empty_database)) == []


def test_several_create_all_at_once_all_succeed(empty_database: Database) -> None:
    """IF NOT EXISTS alone is not race-safe."""

    def one(_: int) -> int:
        return len(create_all(sa.create_engine(empty_database.sqlalchemy_url, poolclass=sa.NullPool)))

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(one, range(6))) == [0, 0, 0, 0, 0, len(metadata.tables)]


async def test_asyncpg_and_psycopg2_reach_the_same_database(
    settings: Settings, engine: sa.Engine, async_engine: AsyncEngine
) -> None:
    """From one setting, over a Unix socket too."""
    question = sa.text("SELECT current_database(), current_user")
    with engine.connect() as connection:
        synchronous = connection.execute(question).one()
    async with async_engine.connect() as connection_:
        asynchronous = (await connection_.execute(question)).one()
    assert tuple(synchronous) == tuple(asynchronous)
    assert settings.url().database == synchronous[0]


async def test_options_and_application_name_reach_the_server_by_both_drivers(database: Database) -> None:
    """A parameter of the URL that asyncpg takes elsewhere."""
    separator = "&" if "?" in database.url else "?"
    url = f"{database.url}{separator}application_name=me&options=-c%20lock_timeout%3D77ms&connect_timeout=5"
    made = Settings.model_validate({"database_url": url, "jwt_secret": "x" * 32})
    question = sa.text("SELECT current_setting('application_name'), current_setting('lock_timeout')")
    engine, async_engine = make_engine(made), make_async_engine(made)
    with engine.connect() as connection:
        assert tuple(connection.execute(question).one()) == ("me", "77ms")
    async with async_engine.connect() as connection_:
        assert tuple((await connection_.execute(question)).one()) == ("me", "77ms")
    engine.dispose()
    await async_engine.dispose()


def test_a_developers_environment_reaches_no_test() -> None:
    assert "DATABASE_URL" not in os.environ
