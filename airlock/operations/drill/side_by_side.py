"""A long range in parts, each with a scratch server of its own, at the same time.

A verdict is the same wherever a drill begins, so that parts of a range say what the whole says. They share no server:
what a revision makes for the whole server (a role, above all) would be there already for the other part.
"""

from __future__ import annotations

import concurrent.futures
import contextvars
import functools
import itertools
import os
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airlock.records.drill import DrillProgress
    from airlock.scratch.isolation import Children

    _Told = TypeVar("_Told")

# A part costs a server, a child and the way up to it: it has so many revisions at least.
_LEAST = 20
_MOST_WORKERS = 4
# What applying a revision unexamined takes, and a run of the whole way, of the time that its examination takes (measured by
# `bench.drill history`).
_CLIMB, _WHOLE_WAY = 0.2, 0.05


def workers() -> int:
    """Tell how many parts at once this process may run well: a core each."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST_WORKERS)


def parts(count: int, most: int) -> list[range]:
    """Split so many revisions into parts that end at about the same time: who begins higher up has to get there first."""
    number = max(min(most, count // _LEAST), 1)
    lengths = sum((1 - _CLIMB) ** place for place in range(number))
    each = count * (1 + _WHOLE_WAY) / lengths
    ends = [0]
    for _ in range(number - 1):
        ends.append(min(round(each + (1 - _CLIMB) * ends[-1]), count))
    ends.append(count)
    return [range(first, end) for first, end in itertools.pairwise(ends) if first < end] or [range(0)]


class InOrder:
    """Tells the progress of parts that run at once as if one ran behind the other."""

    def __init__(self, tell: Callable[[DrillProgress], None], number: int) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._front = 0
        self._waiting: list[list[DrillProgress]] = [[] for _ in range(number)]
        self._ended = [False] * number

    def told(self, part: int, now: DrillProgress) -> None:
        """Tell it, or keep it until the parts below are through."""
        with self._lock:
            if part == self._front:
                self._tell(now)
            else:
                self._waiting[part].append(now)

    def ended(self, part: int) -> None:
        """Tell what was kept, where the parts below are through."""
        with self._lock:
            self._ended[part] = True
            while self._front < len(self._ended) - 1 and self._ended[self._front]:
                self._front += 1
                for one in self._waiting[self._front]:
                    self._tell(one)
                self._waiting[self._front].clear()


def run(part: Callable[[int, range], _Told], ranges: Sequence[range], children: Children) -> list[_Told]:
    """Run the parts at once and give what they tell, in their order; one alone runs in this thread."""
    if len(ranges) == 1:
        return [part(0, ranges[0])]
    calls = [functools.partial(part, number, one) for number, one in enumerate(ranges)]
    return at_once(calls, children, len(ranges))


def at_once(calls: Sequence[Callable[[], _Told]], children: Children, threads: int) -> list[_Told]:
    """Call all in so many threads and give what they return, in their order; `children` are those that they start.

    Where one raises, or this thread is interrupted, the children are ended first, and who has not begun does not begin.
    """
    pool = concurrent.futures.ThreadPoolExecutor(threads)
    try:
        with children.in_force():
            waiting = [pool.submit(contextvars.copy_context().run, call) for call in calls]
        return [one.result() for one in waiting]
    except BaseException:
        children.end()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
