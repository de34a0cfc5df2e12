"""What was answered to a request that may come again."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, LargeBinary, MetaData, PrimaryKeyConstraint, SmallInteger, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from app.models.base import NOW, metadata, moment
from app.naming import SCHEMA


class IdempotencyKey(SQLModel, table=True):
    """The answer to one POST, under the key that its sender gave it; written in the transaction that did the work.

    `request` is the SHA-256 of the body: another body under the same key is another request.
    """

    metadata: ClassVar[MetaData] = metadata
    __tablename__ = "idempotency_key"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "endpoint", "key"),
        CheckConstraint("length(request) = 32", name="request_sha256"),
        {"comment": "Answers to requests that may be sent again, for a day."},
    )

    user_id: UUID = Field(foreign_key=f"{SCHEMA}.user.id", ondelete="CASCADE", primary_key=True)
    endpoint: str = Field(max_length=100, primary_key=True)
    key: str = Field(max_length=255, primary_key=True)
    request: bytes = Field(sa_type=LargeBinary)
    status: int = Field(sa_type=SmallInteger)
    headers: dict[str, Any] = Field(sa_type=JSONB)
    body: str = Field(sa_type=Text)
    created_at: datetime = moment(NOW)
