"""Users and what they own: tasks, conversations, messages. One file, since each of them refers to others both ways."""

# No `from __future__ import annotations` in the models: SQLModel reads relationships from real annotations.
from datetime import datetime
from enum import StrEnum
from typing import Any, Optional
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Enum,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    SmallInteger,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import validates
from sqlmodel import Field, Relationship

from app.models.base import CLOCK, Base, moment
from app.naming import SCHEMA


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


class Task(Base, table=True):
    """One item of a user's list: a title, perhaps a description, done or not, priority 1 (usual) to 4 (urgent)."""

    __tablename__ = "task"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "id"),
        CheckConstraint(r"title ~ '\S'", name="title_not_blank"),
        CheckConstraint("priority BETWEEN 1 AND 4", name="priority_range"),
        Index("ix_task_user_id_created_at_id", "user_id", text("created_at DESC"), "id"),
        Index("ix_task_user_id_open", "user_id", postgresql_where=text("NOT completed")),
        {"comment": "What users mean to do."},
    )

    user_id: UUID = Field(foreign_key=f"{SCHEMA}.user.id", ondelete="CASCADE", primary_key=True)
    title: str = Field(min_length=1, max_length=200)
    description: str | None = Field(default=None, sa_type=Text)
    completed: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    priority: int = Field(
        default=1, ge=1, le=4, sa_type=SmallInteger, sa_column_kwargs={"server_default": text("1")}
    )

    user: Optional["User"] = Relationship(back_populates="tasks")


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


class Role(StrEnum):
    """Who speaks."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    TOOL = "tool"


# VARCHAR and a named CHECK, not a native ENUM: a value is added and removed in one transaction, and
# `DROP TABLE` leaves no type behind. The CHECK is spelt below: what SQLAlchemy writes, `role IN (…)`, comes back
# from a sharded table in other words.
ROLE = Enum(
    Role,
    name="role",
    native_enum=False,
    length=20,
    validate_strings=True,
    values_callable=lambda roles: [role.value for role in roles],
)
ROLES = ", ".join(f"'{role}'::text" for role in Role)


class Message(Base, table=True):
    """One turn of a conversation. Its user is its conversation's: the two-column foreign key sees to that."""

    __tablename__ = "message"
    __table_args__ = (
        ForeignKeyConstraint(
            ["user_id", "conversation_id"],
            [f"{SCHEMA}.conversation.user_id", f"{SCHEMA}.conversation.id"],
            ondelete="CASCADE",
        ),
        PrimaryKeyConstraint("user_id", "id"),
        CheckConstraint("content <> ''", name="content_not_empty"),
        CheckConstraint(f"role::text = ANY (ARRAY[{ROLES}])", name="role"),
        Index(None, "user_id", "conversation_id", "created_at", "id"),
        {"comment": "Turns of conversations, in the order of created_at."},
    )

    # The moment of the row, not of the transaction: messages written together keep their order.
    created_at: datetime = moment(CLOCK)
    updated_at: datetime = moment(CLOCK, onupdate=CLOCK)

    user_id: UUID = Field(primary_key=True)
    conversation_id: UUID
    role: Role = Field(sa_type=ROLE)
    content: str = Field(min_length=1, sa_type=Text)

    conversation: Optional["Conversation"] = Relationship(back_populates="messages")

    @validates("conversation")
    def _own_conversation_only(
        self, _key: str, conversation: Optional["Conversation"]
    ) -> Optional["Conversation"]:
        """Refuse another user's conversation; the ORM would silently rewrite this message's `user_id`."""
        if conversation is not None:
            self.must_belong_to(conversation)
        return conversation

    @validates("user_id")
    def _same_user(self, _key: str, user_id: UUID) -> UUID:
        """Refuse to give a message to another user than its conversation's."""
        conversation = self.__dict__.get("conversation")
        owner = conversation.owner_id() if conversation is not None else None
        if owner is not None and user_id != owner:
            raise ValueError("A message belongs to the user of its conversation.")
        return user_id

    def must_belong_to(self, conversation: "Conversation") -> None:
        """Raise ValueError where this message is known to be another user's than the conversation."""
        owner, mine = conversation.owner_id(), self.__dict__.get("user_id")
        if owner is not None and mine is not None and owner != mine:
            raise ValueError("A message cannot join another user's conversation.")
