"""Child processes of several threads, ended together: a thread that waits for one cannot be interrupted."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_Given = TypeVar("_Given")


class Ended(Exception):
    """The child was ended because nobody wants its records any more."""


class _Child(Protocol):
    def kill(self) -> None: ...


class Children:
    """Children that can be ended from another thread than the one that reads them.

    Those made while others are in force belong to them: they end with them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: list[_Child] = []
        self.ended = False
        if (around := _in_force.get()) is not None:
            around.hold(self)

    @staticmethod
    def wanted_now() -> Children:
        """Give those in force, else new ones."""
        return _in_force.get() or Children()

    @contextlib.contextmanager
    def in_force(self) -> Iterator[None]:
        """Hold each child that is started within, and by the threads of `at_once` within."""
        before = _in_force.set(self)
        try:
            yield
        finally:
            _in_force.reset(before)

    def hold(self, child: _Child) -> None:
        """Take a child on; at once to its end where all have been ended."""
        with self._lock:
            self._children.append(child)
            if self.ended:
                child.kill()

    def let_go(self, child: _Child) -> None:
        """Forget a child that is about to be waited for."""
        with self._lock:
            self._children.remove(child)

    def end(self) -> None:
        """End all children, and each that comes; their readers get Ended."""
        with self._lock:
            self.ended = True
            for child in self._children:
                child.kill()

    kill = end


_in_force: contextvars.ContextVar[Children | None] = contextvars.ContextVar("children", default=None)


def at_once(calls: Sequence[Callable[[], _Given]], children: Children, threads: int) -> list[_Given]:
    """Call all in so many threads and give what they return, in their order; `children` are those that they start.

    Where one raises, or this thread is interrupted, the children are ended first, and who has not begun does not begin.
    """
    pool = ThreadPoolExecutor(threads)
    try:
        with children.in_force():
            waiting = [pool.submit(contextvars.copy_context().run, call) for call in calls]
        return [one.result() for one in waiting]
    except BaseException:
        children.end()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
