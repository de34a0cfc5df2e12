"""Bodies of requests: who may send one is known before it is read, how much and how long is bounded while it is."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING
from uuid import UUID

from starlette.datastructures import Headers

from app.api.errors import answer
from app.api.tokens import InvalidToken, asking

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from app.settings import Settings

# The longest message, every character of it written as two escapes, and what stands around it.
LIMIT = 2 << 20
_METHODS = frozenset({"POST", "PUT", "PATCH"})
_USERS = re.compile(r"/api/([^/]+)/")
_JSON = re.compile(
    r"\s*application/(?:[\w.-]+\+)?json\s*(?:;\s*charset\s*=\s*\"?utf-?8\"?\s*)?", re.IGNORECASE
)


class _Refused(Exception):
    def __init__(self, status: int, detail: str) -> None:
        self.status = status
        self.detail = detail


class Bodies:
    """Middleware that reads a body before the application does, and refuses it before or while it reads."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on a request whose body has arrived whole; answer every other one here, and close its connection."""
        path = _USERS.match(scope["path"]) if scope["type"] == "http" else None
        if path is None or scope["method"] not in _METHODS:
            await self.app(scope, receive, send)
            return
        refusal = self._not_allowed(scope, path[1])
        if refusal is None:
            try:
                body = await self._read(Headers(scope=scope), receive)
            except _Refused as error:
                refusal = answer(error.status, error.detail)
        if refusal is not None:
            # What is left of the body is not read: nothing can follow it on this connection.
            refusal.headers["Connection"] = "close"
            await refusal(scope, receive, send)
            return
        await self.app(scope, _once(body, receive), send)

    def _not_allowed(self, scope: Scope, user: str) -> Response | None:
        """Answer 401 or 403 from the head of a request alone; leave a path that names no user to the application."""
        try:
            scope["asking"] = asking(Headers(scope=scope).get("Authorization"), self.settings)
        except InvalidToken as error:
            return answer(401, str(error), headers={"WWW-Authenticate": "Bearer"})
        with contextlib.suppress(ValueError):
            if scope["asking"] != UUID(user):
                return answer(403, "The token is another user's.")
        return None

    async def _read(self, headers: Headers, receive: Receive) -> bytes:
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            raise _Refused(415, "A body is sent as it is, not compressed.")
        length = headers.get("Content-Length", "")
        if length.isascii() and length.isdigit() and (len(length) > 18 or int(length) > LIMIT):
            raise _Refused(413, f"A body has at most {LIMIT:,} bytes.")
        pieces: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.settings.request_body_seconds):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Refused(400, "The client went away.")
                    pieces.append(message.get("body", b""))
                    size += len(pieces[-1])
                    if size > LIMIT:
                        raise _Refused(413, f"A body has at most {LIMIT:,} bytes.")
                    more = message.get("more_body", False)
        except TimeoutError:
            raise _Refused(408, "The body did not arrive in time.") from None
        if size and not _JSON.fullmatch(headers.get("Content-Type", "application/json")):
            raise _Refused(415, "A body is JSON in UTF-8: Content-Type: application/json.")
        body = b"".join(pieces)
        # Python's json would read UTF-16 and UTF-32 too; neither gets by without a NUL, which JSON in UTF-8 never has.
        if b"\0" in body or not _is_utf_8(body):
            raise _Refused(400, "The body is not UTF-8.")
        return body


def _is_utf_8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _once(body: bytes, receive: Receive) -> Receive:
    """Hand the body over in one piece; afterwards there is only the end of the connection to hear of."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return left.pop() if left else await receive()

    return replay
