"""The driver's own session against SQLAlchemy's: the same errors, transactions and connections."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import CompileError, DBAPIError, MultipleResultsFound, NoResultFound, StatementError

from app import tasks, users
from app.access import TASK, USER, either
from app.database import async_session, driver_session, is_connection_fault, make_async_engine, retrying
from app.driver_session import Compiled, DriverSession, Rows, compiled

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from app.settings import Settings
    from tests.servers import Server

pytestmark = pytest.mark.server
HIDDEN = "[SQL parameters hidden due to hide_parameters=True]\n"


@either
def send(session: Any, statement: Any, /, **values: object) -> list[Any]:
    """Send one statement in any kind of session."""
    return list(session.execute(statement, values).all())


async def in_a_task(engine: AsyncEngine, statement: Any, **values: object) -> list[Any]:
    """Send one statement in a transaction of its own."""
    async with driver_session(engine) as lent:
        return await send(lent, statement, **values)


def refusals() -> dict[str, sa.Executable]:
    """Give one statement for each kind of error."""
    raised = "DO $$BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{}'; END$$"
    user = 'INSERT INTO phase2."user" (email) VALUES ({})'
    return {name: sa.text(sql) for name, sql in {
        "unique": user.format("'a@b'), ('a@b'"), "check": user.format("'A@B'"), "null": user.format("NULL"),
        "foreign key": "INSERT INTO phase2.task (user_id, title) VALUES (gen_random_uuid(), 'x')",
        "too long": f"UPDATE phase2.\"user\" SET name = repeat('x', 201) WHERE {user!r} <> ''",
        "division": "SELECT 1 / 0", "syntax": "SELEC", "no table": "SELECT 1 FROM nowhere", "two": "SELECT 1; SELECT 2",
        "internal": raised.format("XX000"), "serialization": raised.format("40001"), "lock": raised.format("55P03"),
        "read only": raised.format("25006"), "no type": "SELECT cast(:value AS smallint)",
    }.items()}  # fmt: skip


async def test_it_raises_what_an_async_session_raises(async_engine: AsyncEngine) -> None:
    """The classes, the SQLSTATE, the whole message, which has no value of the row, whether the connection is lost."""
    async with driver_session(async_engine) as lent:
        await users.create(lent, "c@d")
    for name, statement in refusals().items():
        values = {"value": 123_456} if name == "no type" else {}
        told = []
        for lending in (async_session, driver_session):
            with pytest.raises(DBAPIError) as caught:
                async with lending(async_engine) as lent:
                    await send(lent, statement, **values)
            error: Any = caught.value
            message = str(error).replace(
                HIDDEN, ""
            )  # there are parameters to hide in the one, none in the other
            told.append(
                (type(error), type(error.orig), error.orig.sqlstate, message, error.connection_invalidated)
            )
            assert "Failing row" not in str(error)
        assert told[0] == told[1], name


async def test_it_commits_rolls_back_and_takes_no_connection_for_nothing(async_engine: AsyncEngine) -> None:
    """As its block ends; and without a statement the pool is not asked."""
    checkedout = async_engine.pool.checkedout  # type: ignore[attr-defined]
    async with driver_session(async_engine) as lent:
        assert checkedout() == 0
        kept = await users.create(lent, "a@b")
        assert checkedout() == 1
    with pytest.raises(RuntimeError):
        async with driver_session(async_engine) as lent:
            await users.delete(lent, kept.id)
            raise RuntimeError
    async with driver_session(async_engine) as lent:
        assert await users.get(lent, kept.id) == kept
        await lent.commit()
        assert checkedout() == 0
        assert await users.get(lent, kept.id) == kept
    assert checkedout() == 0


async def test_a_cancelled_statement_leaves_no_transaction_open(async_engine: AsyncEngine) -> None:
    """What was done before it is undone, and the connection serves the next."""
    started = asyncio.Event()

    async def cancelled() -> None:
        async with driver_session(async_engine) as lent:
            await users.create(lent, "a@b")
            started.set()
            await send(lent, sa.text("SELECT pg_sleep(600)"))

    task = asyncio.create_task(cancelled())
    await started.wait()
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    open_ones = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state ~ 'in transaction'"
    assert await in_a_task(async_engine, sa.text(open_ones)) == [(0,)]
    assert await in_a_task(async_engine, sa.select(USER.c.id)) == []
    assert async_engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_a_commit_that_is_refused_is_raised(async_engine: AsyncEngine) -> None:
    """A deferred constraint speaks at COMMIT; the connection is as good as before."""
    deferred = "CREATE TABLE public.one (n integer UNIQUE DEFERRABLE INITIALLY DEFERRED)"
    await in_a_task(async_engine, sa.text(deferred))
    with pytest.raises(sa.exc.IntegrityError):
        await in_a_task(async_engine, sa.text("INSERT INTO public.one VALUES (1), (1)"))
    assert await in_a_task(async_engine, sa.text("SELECT n FROM public.one")) == []


async def test_a_connection_that_dies_is_a_fault_and_is_replaced(
    async_engine: AsyncEngine, server: Server
) -> None:
    """Within a transaction it is a connection fault, which `retrying` tries again."""
    pid = sa.text("SELECT pg_backend_pid()")
    attempts: list[int] = []

    async def unit() -> str:
        async with driver_session(async_engine) as lent:
            await users.create(lent, "a@b")
            [(mine,)] = await send(lent, pid)
            attempts.append(mine)
            if len(attempts) < 3:
                server.run(f"SELECT pg_terminate_backend({mine}, 5000)")
            try:
                await send(lent, pid)
            except DBAPIError as error:
                assert is_connection_fault(error)
                raise
        return "done"

    assert await retrying(unit, longest=0.05) == "done"
    assert len(set(attempts)) == 3
    assert async_engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_who_is_not_let_in_is_told_as_in_an_async_session(settings: Settings) -> None:
    """No such database: the SQLSTATE comes along. Nobody there: the system's own error."""
    url = settings.url()
    for changed, told in (
        (url.set(database="nowhere"), "3D000"),
        (url.update_query_dict({"port": "1"}), None),
    ):
        made = settings.model_validate(
            {"database_url": changed.render_as_string(hide_password=False), "jwt_secret": "x" * 32}
        )
        engine = make_async_engine(made)
        seen = []
        for lending in (async_session, driver_session):
            with pytest.raises((DBAPIError, OSError)) as caught:
                async with lending(engine) as lent:
                    await send(lent, sa.text("SELECT 1"))
            error: Any = caught.value
            seen.append((type(error), getattr(getattr(error, "orig", None), "sqlstate", None)))
        assert seen[0] == seen[1]
        assert seen[0][1] == told
        await engine.dispose()


async def test_statements_are_logged_without_values(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """DATABASE_ECHO: where SQLAlchemy's own are."""
    engine = make_async_engine(settings.model_copy(update={"database_echo": True}))
    with caplog.at_level(logging.INFO, logger="sqlalchemy.engine.Engine"):
        async with driver_session(engine) as lent:
            await users.create(lent, "hunter2@example.org")
    await engine.dispose()
    assert "INSERT INTO phase2" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_statement_is_compiled_once() -> None:
    """Its values come in the order of its text, those that stand in the statement too."""
    form = compiled(tasks._GET)
    assert form is compiled(tasks._GET)
    assert isinstance(form, Compiled)
    assert form.arguments({"own_id": 1, "mine": 2}) == [1, 2]
    fixed = compiled(sa.select(TASK.c.id).where(TASK.c.title == "one", TASK.c.id == sa.bindparam("own")))
    assert fixed.arguments({"own": 1}) == ["one", 1]
    with pytest.raises(StatementError, match="own_id"):
        form.arguments({"mine": 2})


@pytest.mark.parametrize(
    "statement",
    [
        sa.select(TASK.c.id).where(TASK.c.id.in_([1, 2])),
        sa.insert(USER).values(email="x"),
        sa.select(TASK.c.id).where(TASK.c.title == sa.bindparam("one", callable_=lambda: "x")),
    ],
)
def test_what_is_another_text_or_value_each_time_is_refused(statement: Any) -> None:
    """An IN over a list, a key made in Python, a value that is asked for each time."""
    with pytest.raises(CompileError):
        compiled(statement)


def test_rows_are_asked_for_as_a_result_is() -> None:
    """One, or none, or an error."""
    none, one, two = Rows(), Rows([(1,)]), Rows([(1,), (2,)])
    assert (none.one_or_none(), one.one_or_none(), one.scalar_one(), two.all()) == (None, (1,), 1, two)
    with pytest.raises(NoResultFound):
        none.one()
    with pytest.raises(MultipleResultsFound):
        two.one_or_none()


async def test_a_driver_session_waits_its_turn_for_a_connection(settings: Settings) -> None:
    """The pool's timeout ends the wait, and the line goes on."""
    update = {"database_pool_size": 1, "database_max_overflow": 0, "database_pool_timeout": 0.1}
    engine = make_async_engine(settings.model_copy(update=update))
    held = DriverSession(engine)
    await send(held, sa.text("SELECT 1"))
    with pytest.raises(sa.exc.TimeoutError):
        await in_a_task(engine, sa.text("SELECT 1"))
    await held.commit()
    assert await in_a_task(engine, sa.text("SELECT 1")) == [(1,)]
    await engine.dispose()
