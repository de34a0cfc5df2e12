"""Pages of a list: a position in the order of an index, not a count of rows to skip.

A page costs the same wherever it is, and rows that come or go meanwhile neither repeat nor hide others.
"""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import and_, bindparam, or_, tuple_

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import ColumnElement

T = TypeVar("T")
MAX_LIMIT = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CURSOR = struct.Struct(">q16s")


class InvalidCursor(ValueError):
    """The text is no cursor that a page of ours ended with."""

    def __init__(self) -> None:
        super().__init__("this cursor is not one that a page ended with")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows of a list, and the cursor to the rows after them: None where there are none."""

    items: tuple[T, ...]
    next: str | None


def cursor_of(moment: datetime, id_: UUID) -> str:
    """Write a position, the moment a list is ordered by and the id that decides among equals, as a URL-safe text."""
    return base64.urlsafe_b64encode(_CURSOR.pack((moment - _EPOCH) // _MICROSECOND, id_.bytes)).decode(
        "ascii"
    )


def position_of(cursor: str) -> tuple[datetime, UUID]:
    """Read a cursor. Raises InvalidCursor."""
    try:
        microseconds, id_ = _CURSOR.unpack(
            base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        )
        return _EPOCH + microseconds * _MICROSECOND, UUID(bytes=id_)
    except (UnicodeEncodeError, binascii.Error, struct.error, OverflowError):
        raise InvalidCursor from None


def after_newest_first(moment: Any, id_: Any) -> ColumnElement[bool]:
    """Limit `ORDER BY moment DESC, id` to what comes after the position of `bounds`.

    A row comparison cannot express mixed directions. Of the two conditions the first is the index's range, the
    second drops the rows of that very moment that were already shown.
    """
    at, at_id = bindparam("at", type_=moment.type), bindparam("at_id", type_=id_.type)
    return and_(moment <= at, or_(moment < at, id_ > at_id))


def after_in_time(moment: Any, id_: Any, *, backwards: bool) -> ColumnElement[bool]:
    """Limit `ORDER BY moment, id`, or exactly that order backwards, to what comes after the position of `bounds`."""
    here = tuple_(moment, id_)
    there = tuple_(bindparam("at", type_=moment.type), bindparam("at_id", type_=id_.type))
    return here < there if backwards else here > there


def bounds(limit: int, after: str | None) -> dict[str, Any]:
    """Give a list statement its parameters: one row more than the page holds tells whether another page follows.

    Raises InvalidCursor, and ValueError for a limit that is none.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"a page has 1 to {MAX_LIMIT} rows")
    parameters: dict[str, Any] = {"rows": limit + 1}
    if after is not None:
        parameters["at"], parameters["at_id"] = position_of(after)
    return parameters


def cut(rows: Sequence[T], limit: int, position: Callable[[T], tuple[datetime, UUID]]) -> Page[T]:
    """Make a page of at most `limit` rows out of what the statement returned."""
    items = tuple(rows[:limit])
    return Page(items, cursor_of(*position(items[-1])) if len(rows) > limit else None)
