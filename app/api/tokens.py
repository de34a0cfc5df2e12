"""Who asks: a bearer token, signed with JWT_SECRET, whose subject is the user."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import jwt
from fastapi import Depends, HTTPException, Path, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

if TYPE_CHECKING:
    from pydantic import SecretStr

    from app.settings import Settings

# The only one: a token cannot choose its own algorithm, least of all "none".
_ALGORITHM = "HS256"
_bearer = HTTPBearer(
    auto_error=False, bearerFormat="JWT", description="HS256; `sub` is the user's id, `exp` required."
)


class InvalidToken(ValueError):
    """The token is not one of ours, or no longer valid."""


def issue(user_id: UUID, secret: SecretStr, lifetime: timedelta) -> str:
    """Make a token for a user."""
    claims = {"sub": str(user_id), "exp": datetime.now(UTC) + lifetime}
    return jwt.encode(claims, secret.get_secret_value(), algorithm=_ALGORITHM)


def subject(token: str, secret: SecretStr) -> UUID:
    """Read whose token it is. Raises InvalidToken, without saying what is wrong with it."""
    try:
        claims = jwt.decode(
            token, secret.get_secret_value(), algorithms=[_ALGORITHM], options={"require": ["exp", "sub"]}
        )
        return UUID(claims["sub"])
    # The last two: what JSON and its numbers do to a decoder that did not expect them.
    except (jwt.PyJWTError, ValueError, OverflowError, RecursionError):
        raise InvalidToken("The token is not valid.") from None


def asking(authorization: str | None, settings: Settings) -> UUID:
    """Read from an Authorization header who asks. Raises InvalidToken where there is no bearer token, or not a valid one."""
    scheme, _, credentials = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not credentials.strip():
        raise InvalidToken("A bearer token is needed.")
    return _subject_by_either(credentials.strip(), settings)


def _subject_by_either(token: str, settings: Settings) -> UUID:
    """Read whose token it is, signed with today's secret or, during a rotation, the one before. Raises InvalidToken."""
    try:
        return subject(token, settings.jwt_secret)
    except InvalidToken:
        if settings.jwt_secret_previous is None:
            raise
    return subject(token, settings.jwt_secret_previous)


async def _own_id(
    request: Request,
    user_id: Annotated[UUID, Path(description="Whose they are; the token's subject.")],
    _credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> UUID:
    """Let a user pass to what is their own: 401 without a valid token, 403 with another user's."""
    # Asynchronous although it waits for nothing: otherwise every request would visit a thread for it.
    asks: UUID | None = request.scope.get("asking")  # known already where there was a body to read
    if asks is None:
        try:
            asks = asking(request.headers.get("Authorization"), request.app.state.settings)
        except InvalidToken as error:
            raise _unauthorized(str(error)) from None
    if asks != user_id:
        raise HTTPException(403, "The token is another user's.")
    return user_id


OwnId = Annotated[UUID, Depends(_own_id)]


def _unauthorized(detail: str) -> HTTPException:
    return HTTPException(401, detail, headers={"WWW-Authenticate": "Bearer"})
