"""Requests that may be sent again: the first is done, the others get its answer. The contract is that of `app.access`.

The answer is kept in the transaction that does the work: either both are there or neither, and nothing has to be
cleared away behind a request that failed. A key is its user's and its endpoint's, for a day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from app.access import IDEMPOTENCY_KEY as KEPT
from app.access import MINE, columns, either

if TYPE_CHECKING:
    from uuid import UUID

    from app.access import Statements


KEPT_FOR = timedelta(days=1)


class InFlight(RuntimeError):
    """A request under this key is being done at this moment."""


class OtherRequest(ValueError):
    """The key was used for a request with another body."""


@dataclass(frozen=True, slots=True)
class Repeatable:
    """One request that may come again: `request` is the SHA-256 of its body."""

    user_id: UUID
    endpoint: str
    key: str
    request: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered."""

    status: int
    headers: dict[str, str]
    body: str


_COLUMNS = columns(Answer, KEPT)
_OWN = (
    KEPT.c.user_id == MINE,
    KEPT.c.endpoint == bindparam("own_endpoint"),
    KEPT.c.key == bindparam("own_key"),
)
_EXPIRED = KEPT.c.created_at < func.now() - KEPT_FOR
# Tried, never waited for. Behind a transaction pooler too it ends with the transaction.
_LOCK = select(
    func.pg_try_advisory_xact_lock(func.hashtextextended(bindparam("name"), bindparam("seed", value=0)))
)
_FIND = select(KEPT.c.request, *_COLUMNS).where(*_OWN, ~_EXPIRED)
_FORGET_OWN = delete(KEPT).where(*_OWN, _EXPIRED)
# What another transaction is about to forget is left to it: two never wait for each other.
_FORGET = delete(KEPT).where(
    KEPT.c.user_id == MINE,
    tuple_(KEPT.c.endpoint, KEPT.c.key).in_(
        select(KEPT.c.endpoint, KEPT.c.key)
        .where(KEPT.c.user_id == MINE, _EXPIRED)
        .limit(100)
        .with_for_update(skip_locked=True)
    ),
)
_KEEP = (
    insert(KEPT)
    .values(
        {name: bindparam(f"new_{name}") for name in ("endpoint", "key", "request", *Answer.__slots__)}
        | {"user_id": MINE}
    )
    .on_conflict_do_nothing()
    .returning(KEPT.c.key)
)


@either
def claim(session: Statements, request: Repeatable) -> Answer | None:
    """Read what was answered to this request; None where it is to be done now.

    Until the transaction ends the key is this one's. Raises InFlight, OtherRequest.
    """
    name = f"{request.user_id} {request.endpoint} {request.key}"
    if not session.execute(_LOCK, {"name": name}).scalar_one():
        raise InFlight
    row = session.execute(_FIND, _own(request)).one_or_none()
    if row is None:
        return None
    kept, *answer = row
    if kept != request.request:
        raise OtherRequest
    return Answer(*answer)


@either
def keep(session: Statements, request: Repeatable, answer: Answer) -> None:
    """Keep the answer with the work of this transaction, and forget some of the user's that are older than a day.

    Raises InFlight where the same was done elsewhere meanwhile (the lock of `claim` is one server's); what this
    transaction did must then be undone.
    """
    own = _own(request)
    session.execute(_FORGET_OWN, own)
    session.execute(_FORGET, {"mine": request.user_id})
    values = {
        "mine": request.user_id, "new_endpoint": request.endpoint, "new_key": request.key, "new_request": request.request,
        "new_status": answer.status, "new_headers": answer.headers, "new_body": answer.body,
    }  # fmt: skip
    if session.execute(_KEEP, values).one_or_none() is None:
        raise InFlight


def _own(request: Repeatable) -> dict[str, Any]:
    return {"mine": request.user_id, "own_endpoint": request.endpoint, "own_key": request.key}
