"""The application on the database of this test, started, and two users with tokens."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import httpx
import pytest

from app import users
from app.api.application import Application, create_app
from app.api.tokens import issue
from app.database import session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import sqlalchemy as sa

    from app.settings import Settings


@dataclass(frozen=True)
class Person:
    """A user, and what they send along."""

    id: UUID
    headers: dict[str, str]

    @property
    def tasks(self) -> str:
        return f"/api/{self.id}/tasks"

    @property
    def conversations(self) -> str:
        return f"/api/{self.id}/conversations"


def client_of(app: Application) -> httpx.AsyncClient:
    """Talk to the application within this process; what it did not foresee is raised here."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api")


@contextlib.asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Start the application, talk to it, stop it."""
    app = create_app(settings)
    async with app.router.lifespan_context(app), client_of(app) as client:
        yield client


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Talk to the application on the database of this test."""
    async with served(settings) as opened:
        yield opened


def person(engine: sa.Engine, settings: Settings, email: str) -> Person:
    """Register a user and issue a token."""
    with session(engine) as lent:
        user_id = users.create(lent, email).id
    token = issue(user_id, settings.jwt_secret, timedelta(hours=1))
    return Person(user_id, {"Authorization": f"Bearer {token}"})


@pytest.fixture
def alice(engine: sa.Engine, settings: Settings) -> Person:
    return person(engine, settings, "alice@example.org")


@pytest.fixture
def bob(engine: sa.Engine, settings: Settings) -> Person:
    return person(engine, settings, "bob@example.org")
