"""What the server says beside the results of statements: heard on a connection of any driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def hear(session: Any, told: Callable[[str], None]) -> None:
    """Have the text of each notice and warning told, as it comes; asyncpg tells it once its loop turns again.

    `session` is a driver's own connection. What else is heard there stays as it was.
    """
    if hasattr(session, "add_notice_handler"):
        session.add_notice_handler(lambda diagnostic: told(str(diagnostic.message_primary)))
    elif hasattr(session, "add_log_listener"):
        session.add_log_listener(lambda _, message: told(str(message.message)))
    elif isinstance(getattr(session, "notices", None), list):
        session.notices = _Told(session.notices, told)


class _Told(list[str]):
    """psycopg2's list of notices, which tells what is put on it."""

    def __init__(self, held: list[str], told: Callable[[str], None]) -> None:
        super().__init__(held)
        self._told = told

    def append(self, text: str) -> None:
        super().append(text)
        first = text.partition("\n")[0]
        self._told(first.partition(":")[2].strip())
