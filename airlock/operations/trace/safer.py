"""The safe form of what a step does, planned by the engine that writes revisions, right after the step."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.util import greenlet_spawn

from airlock.drivers import client
from airlock.operations.revision.instead import instead, read

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from airlock.catalogue.structure import Structure
    from airlock.records.findings import Safer


_Answer = TypeVar("_Answer")


@dataclass
class Planner:
    """Reads the structure before each step, and plans after one of which something was found.

    Connects to the scratch database through SQLAlchemy, with the driver of airlock's own connections: `connect` opens
    one of those, `url` leads to the same place. What is tried there is rolled back.
    """

    connect: Callable[[], Any]
    url: str = field(repr=False)
    # Gives the same object as long as nothing of the catalogue has changed, None where that cannot be told.
    mark: Callable[[], object | None] = lambda: None
    _engine: sa.Engine | None = None
    _before: Structure | None = None
    _last: tuple[object, Structure] | None = None

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """Keep the structure below a step, which is read on a connection of its own while the block runs."""
        mark = self.mark()
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            found = thread.submit(self._now, mark)
            yield
        self._before = found.result()

    def safer(self, tables: Collection[str]) -> tuple[Safer, ...]:
        """Plan for these tables what leads from the structure of the last look to that of now."""
        return self._planned(tables, lambda before, now: (before, now))

    def back(self, tables: Collection[str]) -> tuple[Safer, ...]:
        """Plan for these tables what leads back to the structure of the last look; the database stands above it."""
        return self._planned(tables, lambda before, now: (now, before))

    def _planned(
        self, tables: Collection[str], way: Callable[[Structure, Structure], tuple[Structure, Structure]]
    ) -> tuple[Safer, ...]:
        before = self._before
        if before is None or not tables:
            return ()
        try:
            now = self._now(self.mark())
            return self._asked(lambda connection: instead(connection, *way(before, now), tables))
        except sa.exc.DBAPIError:
            # A type that only one side has, say: then there is no form to show, and the finding stands as it is.
            return ()

    def _now(self, mark: object | None) -> Structure:
        """Read the structure, or remember it, where nothing of the catalogue has changed since."""
        if mark is None:
            return self._asked(read)
        if self._last is None or self._last[0] is not mark:
            self._last = mark, self._asked(read)
        return self._last[1]

    def close(self) -> None:
        """Disconnect."""
        if self._engine is not None:
            self._engine.dispose()

    def _asked(self, question: Callable[[sa.Connection], _Answer]) -> _Answer:
        if client.NAME != "asyncpg":
            if self._engine is None:
                self._engine = sa.create_engine(f"postgresql+{client.NAME}://", creator=self._opened)
            return _rolled_back(self._engine, question)
        # An asynchronous driver below a synchronous engine wants a loop, and env.py's own may be running here.
        found: list[_Answer] = []

        def ask() -> None:
            asyncio.run(greenlet_spawn(lambda: found.append(self._through_asyncpg(question))))

        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            thread.submit(ask).result()
        return found[0]

    def _through_asyncpg(self, question: Callable[[sa.Connection], _Answer]) -> _Answer:
        place = sa.make_url(self.url).set(drivername="postgresql+asyncpg")
        engine = sa.create_engine(place, poolclass=sa.NullPool)
        try:
            return _rolled_back(engine, question)
        finally:
            engine.dispose()

    def _opened(self) -> Any:
        connection = self.connect()
        connection.autocommit = False
        return connection


def _rolled_back(engine: sa.Engine, question: Callable[[sa.Connection], _Answer]) -> _Answer:
    with engine.connect() as connection:
        answer = question(connection)
        connection.rollback()
        return answer
