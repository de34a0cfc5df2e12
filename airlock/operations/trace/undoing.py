"""How a trace leaves a step: rolled back when it has been seen, or given up, for another database to go on."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from airlock.operations.drill.failures import one_line

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext

    from airlock.drivers import client
    from airlock.records.shared import Shared
    from airlock.samples import Table


class Stuck(Exception):
    """The database is not fit for the next revision: another, standing before `position` of `order`, must go on.

    `required` are what the upgrade there asks of rows; `empty` says that it goes through on empty tables only, and why.
    """

    def __init__(
        self, position: int, order: tuple[str, ...], required: dict[str, Table] | None = None, empty: str = ""
    ) -> None:
        super().__init__(position, order, required, empty)
        self.position = position
        self.order = order
        self.required = required
        self.empty = empty


class Failed(Exception):
    """The upgrade below `position` of `order` cannot be applied: others go on above it, as far as it goes.

    `fault` is its own failure in one sentence, empty where scratch lacks what it needs; `extension` what it lacks.
    `error` is what it raised, None where half of it is committed.
    """

    def __init__(
        self, position: int, order: tuple[str, ...], fault: str, extension: str = "", error: Exception | None = None
    ) -> None:  # fmt: skip
        super().__init__(position, order, fault, extension)
        self.error = error
        self.extension = extension
        self.position = position
        self.order = order
        self.fault = fault


class WantsShared(Exception):
    """The upgrade at `position` of `order` names what the scratch server lacks; nothing of it is applied."""

    def __init__(self, position: int, order: tuple[str, ...], lacks: Shared) -> None:
        super().__init__(position, order, lacks)
        self.position = position
        self.order = order
        self.lacks = lacks


class RaisedByRevision(RuntimeError):
    """A revision's own code raised what env.py or airlock would end a run with: it fails as by any other exception."""


class Undone(Exception):
    """A downgrade has been seen to its end and is rolled back: what stands above it is as it was."""


class Undo:
    """Tells whether rolling back a step's transaction undoes all of it. Made when the step begins."""

    def __init__(self, context: MigrationContext, beside: client.Connection) -> None:
        """Mark the step's transaction; `beside` is a connection that is idle meanwhile."""
        self.context = context
        self.beside = beside
        # Holds until the transaction ends, and takes no snapshot: SET TRANSACTION may still come after it.
        self.mark = uuid.uuid4().hex
        self._ask(f"SET LOCAL airlock.step = '{self.mark}'")
        self.ended = self._transactions()

    def holds_all(self) -> bool:
        """Tell whether the transaction is still the same, and no other session has ended one that wrote."""
        told = self._ask("SELECT current_setting('airlock.step', true)")
        return bool(told) and told[0][0] == self.mark and self._transactions() == self.ended

    def would_not_commit(self) -> str:
        """Check now what is deferred to the commit; say what it refuses."""
        try:
            self._ask("SET CONSTRAINTS ALL IMMEDIATE")
        except Exception as error:  # noqa: BLE001  of whichever driver
            return one_line(error)
        return ""

    def _ask(self, sql: str) -> list[Any]:
        connection = self.context.connection
        if connection is None:
            return []
        found = connection.exec_driver_sql(sql)
        return list(found.fetchall()) if found.returns_rows else []

    def _transactions(self) -> str:
        """Tell how many writing transactions have ended on the server."""
        with self.beside.cursor() as cursor:
            cursor.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
            return str((cursor.fetchone() or ("",))[0])
