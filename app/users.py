"""Users: everything else belongs to one. The contract of every function here is in `app.access`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select
from sqlalchemy import delete as delete_from
from sqlalchemy.dialects.postgresql import insert

from app.access import DEFAULT, MINE, USER, AlreadyExists, NotFound, columns, either

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from app.access import Statements


@dataclass(frozen=True, slots=True)
class UserRecord:
    """One user, as the database has it."""

    id: UUID
    email: str
    name: str | None
    created_at: datetime
    updated_at: datetime


_COLUMNS = columns(UserRecord, USER)
# A taken address is an empty result; the unique key's error would end the caller's transaction.
_CREATE = (
    insert(USER)
    .values(id=DEFAULT, email=bindparam("new_email"), name=bindparam("new_name"))
    .on_conflict_do_nothing(index_elements=[USER.c.email])
    .returning(*_COLUMNS)
)
_GET = select(*_COLUMNS).where(USER.c.id == MINE)
_GET_BY_EMAIL = select(*_COLUMNS).where(USER.c.email == bindparam("address"))
_DELETE = delete_from(USER).where(USER.c.id == MINE).returning(USER.c.id)


@either
def create(session: Statements, email: str, *, name: str | None = None) -> UserRecord:
    """Register a user. Raises AlreadyExists where the address, in whatever case, is taken."""
    row = session.execute(_CREATE, {"new_email": email.lower(), "new_name": name}).one_or_none()
    if row is None:
        raise AlreadyExists("email address")
    return UserRecord(*row)


@either
def get(session: Statements, user_id: UUID) -> UserRecord:
    """Read one user. Raises NotFound."""
    row = session.execute(_GET, {"mine": user_id}).one_or_none()
    if row is None:
        raise NotFound("user")
    return UserRecord(*row)


@either
def get_by_email(session: Statements, email: str) -> UserRecord:
    """Read the user with an address; its case does not matter. Raises NotFound."""
    row = session.execute(_GET_BY_EMAIL, {"address": email.lower()}).one_or_none()
    if row is None:
        raise NotFound("user")
    return UserRecord(*row)


@either
def delete(session: Statements, user_id: UUID) -> None:
    """Delete a user and, by the database's cascades, all tasks, conversations and messages. Raises NotFound."""
    if session.execute(_DELETE, {"mine": user_id}).one_or_none() is None:
        raise NotFound("user")
