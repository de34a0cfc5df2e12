"""What every table has: the schema, a UUID key, two timestamps from one clock."""

# No `from __future__ import annotations` in the models: SQLModel reads relationships from real annotations.
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID, uuid4

from sqlalchemy import Function, MetaData, func, text
from sqlmodel import Field, SQLModel

from app.naming import NAMING_CONVENTION, SCHEMA

metadata = MetaData(schema=SCHEMA, naming_convention=NAMING_CONVENTION)

NOW = func.now()
# Unlike now(), it moves within a transaction: two updates in one are told apart, messages keep their order.
CLOCK = func.clock_timestamp()


def moment(default: Function[Any], **more: object) -> Any:
    """Declare a timestamptz column that the database fills in; read back as an aware UTC datetime."""
    return Field(default=None, nullable=False, sa_column_kwargs={"server_default": default, **more})


class Base(SQLModel):
    """Give a table its key and its timestamps.

    `id` is made in Python, so that an object knows it before it is stored; rows written by hand get one from
    the database. `created_at` and `updated_at` come from the database's clock alone (a client's may be off);
    they are None until the object is flushed and aware UTC datetimes afterwards. Every ORM and Core update
    renews `updated_at`; an upsert (`on_conflict_do_update`) must set it, to `CLOCK`.
    """

    metadata: ClassVar[MetaData] = metadata
    # What the database computed comes back with RETURNING: an async session could not load it later.
    __mapper_args__: ClassVar[dict[str, Any]] = {"eager_defaults": True}

    id: UUID = Field(
        default_factory=uuid4,
        primary_key=True,
        sa_column_kwargs={"server_default": text("gen_random_uuid()")},
    )
    created_at: datetime = moment(NOW)
    updated_at: datetime = moment(NOW, onupdate=CLOCK)
