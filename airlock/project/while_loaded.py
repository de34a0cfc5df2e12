"""Revisions that act on the database while their file is loaded: Alembic loads the history within its run, when `op` is there.

Airlock loads it before there is a database. Such a file is written so that it loads then, too (`alembic history` does so): it
catches the NameError that `op` raises, and creates nothing.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from alembic import context, op

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, ModuleType

    from alembic.script import Script

# What Alembic's proxies call where no run is under way, and what they speak for within one.
_REFUSING = "_name_error"
_SPOKEN_FOR = "_proxy"
_acting: set[str] = set()


@contextlib.contextmanager
def noticed() -> Iterator[None]:
    """Remember the files that ask `op` or `context` for something while they are loaded here."""
    with contextlib.ExitStack() as proxies:
        for proxy in (op, context):
            proxies.enter_context(_noticed(proxy))
        yield


@contextlib.contextmanager
def _noticed(proxy: ModuleType) -> Iterator[None]:
    """Remember who calls this module of Alembic's proxies."""
    refuse: Any = getattr(proxy, _REFUSING, None)

    def noticing(name: str, error: Exception) -> None:
        # By a function of another module, perhaps: the file is one of those on the way here.
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            _acting.add(frame.f_code.co_filename)
            frame = frame.f_back
        refuse(name, error)

    if refuse is None:
        yield
        return
    # A run that has ended leaves None: `op` would raise AttributeError then, and no file catches that.
    if getattr(proxy, _SPOKEN_FOR, proxy) is None:
        delattr(proxy, _SPOKEN_FOR)
    setattr(proxy, _REFUSING, noticing)
    try:
        yield
    finally:
        setattr(proxy, _REFUSING, refuse)


def load_again(revision: Script) -> None:
    """Run a revision's file once more within the step that it takes, where it acts on the database by itself; else nothing."""
    module: Any = revision.module
    if module.__file__ in _acting:
        module.__spec__.loader.exec_module(module)
