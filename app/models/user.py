"""Whoever owns tasks and conversations."""

from typing import TYPE_CHECKING, Any

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlmodel import Field, Relationship

from app.models.base import Base

if TYPE_CHECKING:
    from app.models.conversation import Conversation
    from app.models.task import Task


class User(Base, table=True):
    """A person who signs in. Deleting one deletes everything that is theirs, in the database, by cascade.

    The email address is stored in lower case, so that one address is one user; the database refuses others.
    """

    __tablename__ = "user"
    __table_args__ = (
        UniqueConstraint("email"),
        CheckConstraint("email = lower(email)", name="email_lower"),
        {"comment": "People who sign in; owners of tasks and conversations."},
    )

    email: str = Field(min_length=3, max_length=320)
    name: str | None = Field(default=None, max_length=200)

    tasks: list["Task"] = Relationship(back_populates="user", cascade_delete=True, passive_deletes=True)
    conversations: list["Conversation"] = Relationship(
        back_populates="user", cascade_delete=True, passive_deletes=True
    )

    def __setattr__(self, name: str, value: Any) -> None:
        """Put the address into lower case whichever way it is set (SQLModel ignores what `@validates` returns)."""
        super().__setattr__(name, value.lower() if name == "email" and isinstance(value, str) else value)
