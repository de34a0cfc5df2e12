"""What a downgrade may lose, counted again by the step itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


class LossGuard(Protocol):
    """Counts again inside the step, under its locks, and raises where there is more to lose than was accepted."""

    def recount(self, revision: str, connection: Connection) -> None:
        """Lock what the step takes away, count, and raise Refused where the count has grown."""
