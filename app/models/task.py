"""What a user means to do."""

from typing import TYPE_CHECKING, Optional
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, PrimaryKeyConstraint, SmallInteger, Text, false, text
from sqlmodel import Field, Relationship

from app.models.base import Base
from app.naming import SCHEMA

if TYPE_CHECKING:
    from app.models.user import User


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
