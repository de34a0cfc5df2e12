"""ETag and If-Match: who changes what another has changed meanwhile is told so, with 412."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from fastapi import Header, HTTPException

from app.api.schemas import Problem

if TYPE_CHECKING:
    from fastapi import Response

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="The `ETag` of what is to be changed: 412 where it was changed since. Left out, it is changed anyway.",
    ),
]
CHANGED: dict[int | str, dict[str, Any]] = {
    412: {"model": Problem, "description": "It was changed since the `ETag` of `If-Match`."}
}


class Dated(Protocol):
    """What has a moment of its last change: every change renews it, by the database's clock."""

    @property
    def updated_at(self) -> datetime:
        """Tell the moment."""


def etag(record: Dated) -> str:
    """Spell the state of a record as a strong ETag."""
    return f'"{(record.updated_at - _EPOCH) // timedelta(microseconds=1):x}"'


def tell(response: Response, record: Dated) -> None:
    """Put the record's ETag into a response."""
    response.headers["ETag"] = etag(record)


def require(if_match: str, record: Dated) -> None:
    """Raise 412 where the record is none of those that If-Match names. The caller holds its row locked."""
    named = {one.strip() for one in if_match.split(",")}
    if "*" not in named and etag(record) not in named:
        raise HTTPException(412, "It was changed meanwhile: read it again.")
