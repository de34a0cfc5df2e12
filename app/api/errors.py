"""What can go wrong, as HTTP: every error is a problem of RFC 9457; none repeats what was sent, or a statement."""

from __future__ import annotations

import contextlib
import contextvars
import json
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException as StarletteHTTPException

from app.access import NotFound
from app.api.schemas import Invalid, Problem
from app.database import is_connection_fault
from app.idempotency import InFlight, OtherRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fastapi import FastAPI

log = logging.getLogger(__name__)

# Classes of SQLSTATE: data exception, integrity constraint violation.
_REFUSED_VALUES = ("22", "23")
# The transaction was undone in favour of another's, cancelled, met a server that writes nothing now or has run out
# of something, or a statement that was prepared before the table changed.
_TRY_AGAIN = ("40001", "40P01", "55P03", "57014", "25006", "53", "0A000")
# Wrong password or role, no such database.
_NO_ENTRY = ("28", "3D")
# What this code asks for is not there: the database was migrated away from under it.
_OTHER_SCHEMA = ("42P01", "42703", "3F000")

UNAVAILABLE: dict[int | str, dict[str, Any]] = {
    503: {"model": Problem, "description": "The database does not answer, or not in time."}
}
FOR_USER: dict[int | str, dict[str, Any]] = UNAVAILABLE | {
    401: {"model": Problem, "description": "No token, or not a valid one."},
    403: {"model": Problem, "description": "The token is another user's."},
    422: {"model": Invalid, "description": "The request is not as this document says."},
}
FOR_TASK: dict[int | str, dict[str, Any]] = FOR_USER | {
    404: {"model": Problem, "description": "The user has no such task."}
}
FOR_CONVERSATION: dict[int | str, dict[str, Any]] = FOR_USER | {
    404: {"model": Problem, "description": "The user has no such conversation."}
}
WITH_BODY: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body cannot be read."},
    408: {"model": Problem, "description": "The body did not arrive in time."},
    413: {"model": Problem, "description": "The body is too large."},
    415: {"model": Problem, "description": "The body is not JSON in UTF-8."},
}


class Unavailable(Exception):
    """The database cannot do it now; the message is for the client."""


def reason(error: BaseException) -> str | None:
    """Say why the database could not be used; None where the error is about something else."""
    if isinstance(error, PoolTimeout):
        return "Every database connection is in use."
    if is_connection_fault(error):
        return "The database cannot be reached."
    if isinstance(error, DBAPIError):
        code = sqlstate(error)
        if code.startswith(_NO_ENTRY):
            return "The database does not let this application in."
        if code.startswith(_TRY_AGAIN):
            return "The database could not do it now."
        if code.startswith(_OTHER_SCHEMA):
            return "The database is not at the revision that this code expects."
    return None


def sqlstate(error: DBAPIError) -> str:
    """Read the error's SQLSTATE; empty where the driver gave none."""
    return getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None) or ""


@contextlib.contextmanager
def database_faults() -> Iterator[None]:
    """Raise Unavailable for whatever says that the database cannot be used now; leave other errors alone."""
    try:
        yield
    except Exception as error:
        why = reason(error)
        if why is None:
            raise
        log.warning("%s (%s)", why, type(getattr(error, "orig", None) or error).__name__)
        raise Unavailable(why) from error


PROBLEM = "application/problem+json"
# Of the request that this task serves. Whoever sends X-Request-ID chooses it.
request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="-")


def answer(
    status: int,
    detail: str,
    errors: list[dict[str, Any]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Make an error's response. ASCII only: a lone surrogate in a field's name cannot be written as UTF-8."""
    problem: dict[str, Any] = {
        "type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail,
        "request_id": request_id.get(),
    }  # fmt: skip
    if errors is not None:
        problem["errors"] = errors
    body = json.dumps(problem, separators=(",", ":"))
    return Response(body, status, dict(headers or {}), media_type=PROBLEM)


def install(app: FastAPI) -> None:
    """Let the application answer with our errors."""

    @app.exception_handler(NotFound)
    async def not_found(_request: Request, error: NotFound) -> Response:
        return answer(404, f"{str(error).capitalize()}.")

    @app.exception_handler(InFlight)
    async def in_flight(_request: Request, _error: InFlight) -> Response:
        return answer(409, "The request of this Idempotency-Key is being done.")

    @app.exception_handler(OtherRequest)
    async def other_request(_request: Request, _error: OtherRequest) -> Response:
        said = "This Idempotency-Key was used for another body."
        return answer(422, said, [{"loc": ["header", "Idempotency-Key"], "msg": said, "type": "key_reused"}])

    @app.exception_handler(StarletteHTTPException)
    async def refused_by_http(_request: Request, error: StarletteHTTPException) -> Response:
        return answer(error.status_code, error.detail, headers=error.headers)

    @app.exception_handler(Unavailable)
    async def unavailable(_request: Request, error: Unavailable) -> Response:
        return answer(503, str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        faults = [
            {"loc": list(fault["loc"]), "msg": fault["msg"], "type": fault["type"]}
            for fault in error.errors()
        ]
        return answer(422, "The request is not as the document says.", faults)

    @app.exception_handler(DBAPIError)
    async def refused(_request: Request, error: DBAPIError) -> Response:
        if not sqlstate(error).startswith(_REFUSED_VALUES):
            raise error
        fault = {
            "loc": ["body"],
            "msg": "The database does not accept a value.",
            "type": "refused_by_database",
        }
        return answer(422, "The database does not accept a value.", [fault])

    @app.exception_handler(Exception)
    async def unforeseen(_request: Request, _error: Exception) -> Response:
        log.error("Request %s failed.", request_id.get())
        return answer(500, "Something went wrong here; it has been logged.")
