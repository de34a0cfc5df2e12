"""Idempotency-Key: a POST that is sent again is answered as the first was, and done once."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Header, Response
from pydantic import BaseModel

from app import idempotency
from app.api.schemas import Problem
from app.api.tokens import OwnId
from app.api.transaction import Transaction
from app.driver_session import DriverSession

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern="^[!-~]{1,255}$",
        description="Drawn for this request, say a UUID. Sent again within a day under it, the request is not done "
        "again: the answer is the first one. 422 with another body, 409 while the first is being done.",
    ),
]
REPEATABLE: dict[int | str, dict[str, Any]] = {
    409: {"model": Problem, "description": "The request of this `Idempotency-Key` is being done."}
}


@dataclass(frozen=True)
class Created:
    """What a POST made: the body of its answer, and headers."""

    body: BaseModel
    headers: dict[str, str]


@dataclass(frozen=True)
class Once:
    """Does the work of a request, once for each key; without a key, each time."""

    session: DriverSession
    user_id: UUID
    key: str | None

    async def __call__(
        self, endpoint: str, body: BaseModel, work: Callable[[], Awaitable[Created]]
    ) -> Response:
        """Answer with what `work` makes, or made. Two bodies that mean the same are the same.

        Raises InFlight, OtherRequest, and what `work` raises: then nothing is kept.
        """
        if self.key is None:
            return _response(_answer(await work()))
        digest = hashlib.sha256(body.model_dump_json().encode()).digest()
        request = idempotency.Repeatable(self.user_id, endpoint, self.key, digest)
        answer = await idempotency.claim(self.session, request)
        if answer is None:
            answer = _answer(await work())
            await idempotency.keep(self.session, request, answer)
        return _response(answer)


async def _once(session: Transaction, user_id: OwnId, key: Key = None) -> Once:
    return Once(session, user_id, key)


Repeatable = Annotated[Once, Depends(_once)]


def _answer(created: Created) -> idempotency.Answer:
    return idempotency.Answer(201, created.headers, created.body.model_dump_json())


def _response(answer: idempotency.Answer) -> Response:
    return Response(answer.body, answer.status, answer.headers, media_type="application/json")
