"""The login of a session, where the role that it takes from the start (`ALTER ROLE ... SET role`) is another one."""

from __future__ import annotations


def as_login(statement: str) -> str:
    """Spell a query that is made with the login's own rights, whatever role the session has taken.

    Worker sessions are the login's: the role that it takes may neither see what they do nor cancel it. Both
    statements are one message and so one transaction, which leaves nothing behind: not for another thread on the same
    connection, nor for another client behind a pooler. For a connection in autocommit mode.
    """
    return f"SET LOCAL ROLE NONE; {statement}"
