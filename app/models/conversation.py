"""A user's talk with an assistant."""

from typing import TYPE_CHECKING, Optional
from uuid import UUID

from sqlalchemy import Index, PrimaryKeyConstraint, text
from sqlalchemy.orm import validates
from sqlmodel import Field, Relationship

from app.models.base import Base
from app.naming import SCHEMA

if TYPE_CHECKING:
    from app.models.message import Message
    from app.models.user import User


class Conversation(Base, table=True):
    """A thread of messages between one user and an assistant; its messages go with it.

    A message refers to both columns of the key: a message's owner is its conversation's.
    """

    __tablename__ = "conversation"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "id"),
        Index("ix_conversation_user_id_updated_at_id", "user_id", text("updated_at DESC"), "id"),
        {"comment": "Threads of messages between a user and an assistant."},
    )

    user_id: UUID = Field(foreign_key=f"{SCHEMA}.user.id", ondelete="CASCADE", primary_key=True)
    title: str | None = Field(default=None, max_length=200)

    user: Optional["User"] = Relationship(back_populates="conversations")
    messages: list["Message"] = Relationship(
        back_populates="conversation",
        cascade_delete=True,
        passive_deletes=True,
        sa_relationship_kwargs={"order_by": "(Message.created_at, Message.id)"},
    )

    @validates("messages")
    def _own_messages_only(self, _key: str, message: "Message") -> "Message":
        """Refuse another user's message; the ORM would silently rewrite its `user_id`."""
        message.must_belong_to(self)
        return message

    def owner_id(self) -> UUID | None:
        """Know whose this is, also where the user was given as an object and nothing is flushed yet."""
        user = self.__dict__.get("user")
        return user.id if user is not None else self.__dict__.get("user_id")
