"""The safe form of what a step does, planned by the engine that writes revisions, right after the step."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airlock.drivers import client
from airlock.operations.revision.instead import instead, read

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from airlock.catalogue.structure import Structure
    from airlock.records.findings import Safer


@dataclass
class Planner:
    """Reads the structure before each step, and plans after one of which something was found.

    `connect` opens an own connection to the scratch database; what is tried there is rolled back. Where those go through
    asyncpg, which is no driver for a synchronous engine, nothing is planned.
    """

    connect: Callable[[], Any]
    _engine: sa.Engine | None = None
    _before: Structure | None = None

    def look(self) -> None:
        """Keep the structure below a step."""
        if client.NAME == "asyncpg":
            return
        with self._transaction() as connection:
            self._before = read(connection)

    def safer(self, tables: Collection[str]) -> tuple[Safer, ...]:
        """Plan for these tables what leads from the structure of the last look to that of now."""
        if self._before is None or not tables:
            return ()
        try:
            with self._transaction() as connection:
                return instead(connection, self._before, read(connection), tables)
        except sa.exc.DBAPIError:
            # A type that only one side has, say: then there is no form to show, and the finding stands as it is.
            return ()

    def close(self) -> None:
        """Disconnect."""
        if self._engine is not None:
            self._engine.dispose()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        if self._engine is None:
            self._engine = sa.create_engine(f"postgresql+{client.NAME}://", creator=self._opened)
        with self._engine.connect() as connection:
            yield connection
            connection.rollback()

    def _opened(self) -> Any:
        connection = self.connect()
        connection.autocommit = False
        return connection
