"""The application: routes, errors, CORS, and a start that refuses a database it was not written for."""

from __future__ import annotations

import contextlib
import logging
import re
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from fastapi import APIRouter, FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from starlette.datastructures import Headers

from app.api import conversations, errors, tasks
from app.api.bodies import Bodies
from app.api.errors import PROBLEM, UNAVAILABLE, Unavailable, database_faults, request_id
from app.api.schemas import Health, Live
from app.api.standing import Standing, expected, look
from app.database import async_session, make_async_engine, retrying

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncEngine
    from starlette.types import Message, Receive, Scope, Send

    from app.settings import Settings

log = logging.getLogger(__name__)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_health = APIRouter(tags=["health"])


class Refusal(Exception):
    """The application does not start on this database; the message is one line."""


class Application(FastAPI):
    """FastAPI whose start, where it is refused, says so in one line instead of a traceback."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle what the server hands over."""
        if scope["type"] == "lifespan":
            send = self._briefly(send)
        elif scope["type"] == "http":
            send = _identified(scope, send)
        await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """Describe the application; errors are problems, of a content type of their own."""
        if self.openapi_schema is None:
            for path in super().openapi()["paths"].values():
                for operation in path.values():
                    for status, response in operation["responses"].items():
                        if status >= "400":
                            response["content"] = {PROBLEM: response["content"].pop("application/json")}
        return super().openapi()

    def _briefly(self, send: Send) -> Send:
        async def send_one_line(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed" and self.state.refusal is not None:
                message["message"] = self.state.refusal
            await send(message)

        return send_one_line


def _identified(scope: Scope, send: Send) -> Send:
    """Give a request its id: the one it brings along, where that can be written anywhere, else a random one."""
    given = Headers(scope=scope).get("X-Request-ID", "")
    name = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
    request_id.set(name)

    async def send_with_id(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", name.encode())]
        await send(message)

    return send_with_id


def create_app(settings: Settings) -> Application:
    """Make the application; connects to nothing before it is started."""
    app = Application(
        title="Tasks",
        version="1.0.0",
        summary="What users mean to do, and what they talk about.",
        description="Every endpoint under `/api/{user_id}` needs that user's bearer token. Errors are problems of RFC 9457.",
        lifespan=_lifespan,
    )
    app.state.settings = settings
    app.state.expected = expected()
    app.state.refusal = None
    app.state.doubted = set()
    app.add_middleware(Bodies, settings=settings)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["DELETE", "GET", "PATCH", "POST", "PUT"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "X-Request-ID"],
        expose_headers=["ETag", "Location", "X-Request-ID"],
    )
    errors.install(app)
    app.include_router(_health)
    app.include_router(tasks.router)
    app.include_router(conversations.router)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep one engine while the application runs. Raises Refusal where the database is not as expected."""
    engine = app.state.engine = make_async_engine(app.state.settings)
    try:
        await _refuse_another_database(app, engine)
        yield
    finally:
        await engine.dispose()


async def _refuse_another_database(app: FastAPI, engine: AsyncEngine) -> None:
    async def asked() -> Standing:
        return await _look(app, engine)

    try:
        with database_faults():
            standing = await retrying(asked, longest=2)
        difference = standing.fault
        _warn_once(app, standing)
    except Unavailable as error:
        difference = str(error)
    if difference is not None:
        app.state.refusal = difference
        raise Refusal(difference)


async def _look(app: FastAPI, engine: AsyncEngine) -> Standing:
    async with async_session(engine) as session:
        return await look(session, app.state.expected)


def _warn_once(app: FastAPI, standing: Standing) -> None:
    """Write a doubt into the log once for each place in which the database stands."""
    if standing.doubt is not None and standing.heads not in app.state.doubted:
        app.state.doubted.add(standing.heads)
        log.warning("%s", standing.doubt)


@_health.get("/live", summary="Ask whether the process runs")
async def live() -> Live:
    """Answer 200 without asking the database: restarting this process would not bring that back."""
    return Live(status="ok")


@_health.get("/health", summary="Ask whether requests can be served", responses=UNAVAILABLE)
async def health(request: Request) -> Health:
    """Answer 200 where the database answers and this code's statements run there, else 503 with the reason.

    They run at the head that this code expects, and ahead of it while newer revisions keep what they need.
    """
    with database_faults():
        standing = await _look(request.app, request.app.state.engine)
    if standing.fault is not None:
        raise Unavailable(standing.fault)
    _warn_once(request.app, standing)
    return Health(status="ok", heads=list(standing.heads))
