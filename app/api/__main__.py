"""Serve the API on this machine, for trying it out: `make api`. Elsewhere: `uvicorn app.api.main:app`."""

from __future__ import annotations

import os
import secrets
import sys
from datetime import timedelta

import uvicorn
from dotenv import dotenv_values
from sqlalchemy.exc import DBAPIError

from app import users
from app.access import NotFound
from app.api.tokens import issue
from app.database import make_engine, session
from app.database_url import ROOT, ConfigurationError
from app.settings import Settings, exit_with, get_settings

_DEMO = "demo@example.org"
_HERE = {None, "", "localhost", "127.0.0.1", "::1"}


def main() -> None:
    """Print how to get in, then serve until interrupted."""
    port = _port()
    if not os.environ.get("JWT_SECRET") and not dotenv_values(ROOT / ".env").get("JWT_SECRET"):
        os.environ["JWT_SECRET"] = secrets.token_urlsafe(48)
        _say("JWT_SECRET is not set: tokens of this run end with it (make env writes a lasting one).")
    try:
        settings = get_settings()
    except ConfigurationError as error:
        exit_with(error)
    if settings.url().host in _HERE:
        _introduce(settings, port)
    _say(f"Documentation: http://127.0.0.1:{port}/docs")
    uvicorn.run("app.api.main:app", host="127.0.0.1", port=port)


def _port() -> int:
    text = os.environ.get("PORT") or "8000"
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        exit_with(ConfigurationError("PORT is a number from 1 to 65535."))
    return int(text)


def _introduce(settings: Settings, port: int) -> None:
    """Register the demo user, once, and print a token of theirs. Done on this machine's databases only."""
    engine = make_engine(settings)
    try:
        with session(engine) as lent:
            try:
                user = users.get_by_email(lent, _DEMO)
            except NotFound:
                user = users.create(lent, _DEMO, name="Demo")
    except DBAPIError:
        return  # the application, started next, says in one line what is wrong with the database
    finally:
        engine.dispose()
    token = issue(user.id, settings.jwt_secret, timedelta(hours=12))
    _say(f"User {_DEMO}, token for 12 hours:\n{token}")
    _say(f"Try: curl -H 'Authorization: Bearer {token}' http://127.0.0.1:{port}/api/{user.id}/tasks")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
