"""Data access in every kind of session: what a function does is written once, as ordinary code.

The functions of `app.users`, `app.tasks`, `app.conversations` and `app.idempotency` keep to one contract. They take a session
(a Session; an AsyncSession or, at less than half of its cost, a DriverSession, and are awaited then),
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

from sqlalchemy import Uuid, bindparam, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.driver_session import DriverSession
from app.models import metadata
from app.naming import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from _typeshed import DataclassInstance
    from sqlalchemy import Column, Executable, Insert, Table
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
# In the place of a value: the schema's default, not the one that the ORM would make in Python.
DEFAULT = text("DEFAULT")


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
    return insert(table).from_select(["user_id", *names], owner, include_defaults=False)


class Rows(Protocol):
    """What a statement returned: a Result, or a DriverSession's rows."""

    def all(self) -> Sequence[Any]:
        """Give every row."""

    def one(self) -> Any:
        """Give the only row."""

    def one_or_none(self) -> Any:
        """Give the only row; None where there is none."""

    def scalar_one(self) -> Any:
        """Give the first value of the only row."""


class Statements(Protocol):
    """What the functions need of a session: a Session has it, and a DriverSession."""

    def execute(self, statement: Executable, parameters: dict[str, Any], /) -> Rows:
        """Send one statement, built once from the models, with these values."""


class InEitherSession(Protocol[P, T_co]):
    """A function of a session: called with an asynchronous one, it is awaited."""

    @overload
    def __call__(
        self, session: AsyncSession | DriverSession, /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, T_co]: ...

    @overload
    def __call__(self, session: Session, /, *args: P.args, **kwargs: P.kwargs) -> T_co: ...


def either(function: Callable[Concatenate[Any, P], T_co]) -> InEitherSession[P, T_co]:
    """Let a function written for a Session also be awaited with an asynchronous one: same code, same statements."""

    @functools.wraps(function)
    def call(session: Session | AsyncSession | DriverSession, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        if isinstance(session, (DriverSession, AsyncSession)):
            return session.run_sync(function, *args, **kwargs)
        return function(session, *args, **kwargs)

    return cast("InEitherSession[P, T_co]", call)
