"""env.py's that hold a transaction of their own: whether a revision's end may be committed below it.

With `with engine.begin() as connection:` Alembic begins no transaction, and all revisions would share env.py's. Each one
for itself takes either one run of env.py a revision, or a commit on the driver's connection between two of them, under
SQLAlchemy's transaction, which stays what it is. The commit is right only where env.py has laid nothing into its
transaction that ends with it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import RootTransaction

from airlock.drivers import raw
from airlock.drivers.engine_events import listening
from airlock.project.environment import Hooks

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from alembic.runtime.migration import MigrationContext
    from sqlalchemy.engine import Connection

# What the end of a transaction takes with it, as far as the server shows it.
_STANDING = """
SELECT 'setting', name, setting FROM pg_catalog.pg_settings
WHERE source = 'session' OR name IN ('transaction_isolation', 'transaction_read_only', 'transaction_deferrable')
UNION ALL SELECT 'role', current_user::text, session_user::text
UNION ALL SELECT locktype, concat_ws('/', relation, classid, objid, objsubid), mode
FROM pg_catalog.pg_locks
WHERE pid = pg_backend_pid() AND locktype IN ('relation', 'tuple', 'advisory') AND mode <> 'AccessShareLock'
ORDER BY 1, 2, 3
"""
# Settings of a project's own (`app.tenant`) are not shown by the server, and what is deferred is not either.
_HIDDEN = r"(?i)\bset_config\s*\(|\bSET\s+LOCAL\s+\"?\w+\"?\s*\.|\bSET\s+CONSTRAINTS\b"


class Probe(Hooks):
    """A run of env.py without a step, which tells whether what it holds outlives a commit (`outlives`).

    Commits env.py's own statements, as env.py does at its end.
    """

    def __init__(self) -> None:
        self.outlives = False
        self._hidden = False

    def listening(self) -> AbstractContextManager[None]:
        """See what env.py sends before it runs its revisions."""
        return listening({"before_cursor_execute": self._on_execute})

    def _on_execute(self, _connection: Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
        self._hidden = self._hidden or re.search(_HIDDEN, statement) is not None

    def start(self, context: MigrationContext, heads: tuple[str, ...]) -> None:  # noqa: ARG002
        """Commit below env.py's transaction, and look at what stands before and after."""
        connection = context.connection
        # A savepoint or a two-phase transaction would not survive it.
        if connection is None or self._hidden or type(connection.get_transaction()) is not RootTransaction:
            return
        if connection.in_nested_transaction():
            return
        before = raw.rows(connection, _STANDING)
        commit_below(connection)
        self.outlives = before == raw.rows(connection, _STANDING)


def commit_below(connection: Connection) -> None:
    """Commit what the connection has done, and begin again, within the SQLAlchemy transaction that its owner holds.

    Listeners of the engine hear of both. Raises what the driver does.
    """
    # SQLAlchemy has no public way: the owner's `with` block would find its transaction ended.
    transaction: Any = connection.get_transaction()
    connection._commit_impl()
    connection._begin_impl(transaction)
