"""Every test here runs twice: in an ordinary session (psycopg2) and in an asynchronous one (asyncpg)."""

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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.settings import Settings


@either
def select(session: sqlalchemy.orm.Session, statement: str) -> list[Any]:
    """Read the first column of a statement's rows, in either kind of session."""
    return list(session.execute(sqlalchemy.text(statement)).scalars())


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
    def __init__(self, runner: asyncio.Runner, session: AsyncSession) -> None:
        self._runner, self._session = runner, session

    def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return self._runner.run(function(self._session, *args, **kwargs))

    def commit(self) -> None:
        self._runner.run(self._session.commit())

    def rollback(self) -> None:
        self._runner.run(self._session.rollback())


@pytest.fixture(params=["psycopg2", "asyncpg"])
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
        async_session = AsyncSession(async_engine, expire_on_commit=False)
        yield InAsyncSession(runner, async_session)
        runner.run(async_session.close())
        runner.run(async_engine.dispose())


@pytest.fixture
def alice(do: Do) -> UUID:
    """Register a first user."""
    return UUID(str(do(users.create, "alice@example.org", name="Alice").id))


@pytest.fixture
def bob(do: Do) -> UUID:
    """Register a second user."""
    return UUID(str(do(users.create, "bob@example.org").id))
