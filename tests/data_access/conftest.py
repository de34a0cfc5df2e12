"""Every test here runs three times: in an ordinary session (psycopg2), an asynchronous one and a driver session (asyncpg)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import pytest
import sqlalchemy.orm
from sqlmodel import Session
from sqlmodel.ext.asyncio.session import AsyncSession

from app import users
from app.access import either
from app.database import make_async_engine, make_engine
from app.driver_session import DriverSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.settings import Settings


@either
def select(session: sqlalchemy.orm.Session, statement: str) -> list[Any]:
    """Read the first column of a statement's rows, in any kind of session."""
    return [row[0] for row in session.execute(sqlalchemy.text(statement), {}).all()]


class Do(Protocol):
    """Call a function of the data access in this test's session, whichever kind it is."""

    def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any: ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...


class InSession:
    def __init__(self, session: Session) -> None:
        self._session = session

    def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return function(self._session, *args, **kwargs)

    def commit(self) -> None:
        self._session.commit()

    def rollback(self) -> None:
        self._session.rollback()


class InAsyncSession:
    def __init__(self, runner: asyncio.Runner, session: AsyncSession | DriverSession) -> None:
        self._runner, self._session = runner, session

    def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return self._runner.run(function(self._session, *args, **kwargs))

    def commit(self) -> None:
        self._runner.run(self._session.commit())

    def rollback(self) -> None:
        self._runner.run(self._session.rollback())


@pytest.fixture(params=["psycopg2", "asyncpg", "driver"])
def do(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Do]:
    """Open a session of either kind on the database of this test."""
    if request.param == "psycopg2":
        engine = make_engine(settings)
        with Session(engine, expire_on_commit=False) as session:
            yield InSession(session)
        engine.dispose()
        return
    with asyncio.Runner() as runner:
        async_engine = make_async_engine(settings)
        opened: AsyncSession | DriverSession = DriverSession(async_engine)
        if request.param == "asyncpg":
            opened = AsyncSession(async_engine, expire_on_commit=False)
        yield InAsyncSession(runner, opened)
        runner.run(opened.rollback())
        runner.run(async_engine.dispose())


@pytest.fixture
def alice(do: Do) -> UUID:
    """Register a first user."""
    return UUID(str(do(users.create, "alice@example.org", name="Alice").id))


@pytest.fixture
def bob(do: Do) -> UUID:
    """Register a second user."""
    return UUID(str(do(users.create, "bob@example.org").id))
