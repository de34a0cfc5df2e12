"""The models: the source of truth for the schema. `alembic/` records how databases come to match them."""

from app.models.base import Base, metadata
from app.models.idempotency_key import IdempotencyKey
from app.models.tables import Conversation, Message, Role, Task, User

__all__ = ["Base", "Conversation", "IdempotencyKey", "Message", "Role", "Task", "User", "metadata"]
