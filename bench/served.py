"""What `make bench-api` serves: the API, and two endpoints beside it that do nothing, to compare it with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.api.main import app as api
from app.api.schemas import Health
from bench.wire import ASGI, FASTAPI

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_BODY = b'{"status":"ok","heads":[]}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(_BODY)).encode())]


@api.get(FASTAPI)
async def nothing() -> Health:
    """Answer what the framework and the middleware alone cost."""
    return Health(status="ok", heads=[])


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one path by the bare protocol, hand everything else to the API."""
    if scope.get("path") == ASGI:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": _BODY})
    else:
        await api(scope, receive, send)
