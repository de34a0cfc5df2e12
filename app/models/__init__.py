"""The models: the source of truth for the schema. `alembic/` records how databases come to match them."""

from app.models.base import Base, metadata
from app.models.conversation import Conversation
from app.models.idempotency_key import IdempotencyKey
from app.models.message import Message, Role
from app.models.task import Task
from app.models.user import User

__all__ = ["Base", "Conversation", "IdempotencyKey", "Message", "Role", "Task", "User", "metadata"]
