"""A connection pool that serves whoever has waited longest."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util import memoized_property
from sqlalchemy.util.queue import AsyncAdaptedQueue


class _Line(asyncio.Queue[Any]):
    """A queue that hands an item over to its oldest waiter, so that nobody who comes by can take it first."""

    def __init__(self, maxsize: int) -> None:
        super().__init__(maxsize)
        self._line: deque[asyncio.Future[Any]] = deque()

    def put_nowait(self, item: Any) -> None:
        while self._line:
            waiting = self._line.popleft()
            if not waiting.done():
                waiting.set_result(item)
                return
        super().put_nowait(item)

    async def get(self) -> Any:
        if not self.empty():
            return self.get_nowait()
        waiting = asyncio.get_running_loop().create_future()
        self._line.append(waiting)
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():
                # It was handed over to one who had just given up waiting: the next may have it.
                self.put_nowait(waiting.result())
            raise


class _FairQueue(AsyncAdaptedQueue[Any]):
    @memoized_property
    def _queue(self) -> asyncio.Queue[Any]:
        # Made when it is first used, in the event loop that uses it.
        return _Line(self.maxsize)


class FairPool(AsyncAdaptedQueuePool):
    """SQLAlchemy's own, but a connection that comes back goes to the head of the line.

    There it goes to whoever asks next, which under load is the very task that gave it back: with 100 clients on ten
    connections most were served at once, and some not until the pool's timeout.
    """

    _queue_class = _FairQueue
