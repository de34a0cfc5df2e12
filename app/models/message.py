"""What was said in a conversation."""

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Optional
from uuid import UUID

from sqlalchemy import CheckConstraint, Enum, ForeignKeyConstraint, Index, PrimaryKeyConstraint, Text
from sqlalchemy.orm import validates
from sqlmodel import Field, Relationship

from app.models.base import CLOCK, Base, moment
from app.naming import SCHEMA

if TYPE_CHECKING:
    from app.models.conversation import Conversation


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
