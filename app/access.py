"""Data access in either kind of session: what a function does is written once, as ordinary code.

The functions of `app.users`, `app.tasks`, `app.conversations` and `app.idempotency` keep to one contract. They take a session,
then the id of the user on whose behalf they act, and every statement is limited to that user's rows: what is
someone else's is not found. They return records, which nothing ties to the session, and leave objects that the
caller has loaded as they are. They never commit, so that a caller can group several in one transaction. A
refusal (`NotFound`, `AlreadyExists`) leaves that transaction usable; a value that the schema does not allow is
refused by the database and does not.
"""

from __future__ import annotations

import functools
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, overload

from sqlalchemy import Uuid, bindparam, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import metadata
from app.naming import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from _typeshed import DataclassInstance
    from sqlalchemy import Column, Insert, Table
    from sqlalchemy.orm import Session

P = ParamSpec("P")
T_co = TypeVar("T_co", covariant=True)

USER = metadata.tables[f"{SCHEMA}.user"]
TASK = metadata.tables[f"{SCHEMA}.task"]
CONVERSATION = metadata.tables[f"{SCHEMA}.conversation"]
IDEMPOTENCY_KEY = metadata.tables[f"{SCHEMA}.idempotency_key"]
MESSAGE = metadata.tables[f"{SCHEMA}.message"]

# The user on whose behalf a statement runs. Statements are built once and run with parameters.
MINE = bindparam("mine", type_=Uuid())


class NotFound(LookupError):
    """There is no such row, or it is another user's: the two are not told apart."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} not found")


class AlreadyExists(ValueError):
    """Another row already has what must be unique."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} already exists")


def columns(record: type[DataclassInstance], table: Table) -> list[Column[Any]]:
    """List the table's columns in the order of a record's fields."""
    return [table.c[field.name] for field in fields(record)]


def insert_for_user(table: Table, *names: str) -> Insert:
    """Build an INSERT of a row that belongs to MINE; where there is no such user it inserts nothing.

    Selecting from the user's own row does that: a refused foreign key would end the caller's transaction. Its
    parameters are `mine` and `new_<name>`; what to return is for the caller to add.
    """
    values = [MINE, *(bindparam(f"new_{name}", type_=table.c[name].type) for name in names)]
    owner = select(*values).where(USER.c.id == MINE)
    return insert(table).from_select(["user_id", *names], owner)


class InEitherSession(Protocol[P, T_co]):
    """A function of a session: called with an AsyncSession, it is awaited."""

    @overload
    def __call__(
        self, session: AsyncSession, /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, T_co]: ...

    @overload
    def __call__(self, session: Session, /, *args: P.args, **kwargs: P.kwargs) -> T_co: ...


def either(function: Callable[Concatenate[Session, P], T_co]) -> InEitherSession[P, T_co]:
    """Let a function written for a Session also be awaited with an AsyncSession: same code, same statements."""

    @functools.wraps(function)
    def call(session: Session | AsyncSession, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        if isinstance(session, AsyncSession):
            return session.run_sync(function, *args, **kwargs)
        return function(session, *args, **kwargs)

    return cast("InEitherSession[P, T_co]", call)
