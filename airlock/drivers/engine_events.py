"""Listen to every engine of the process for a while: env.py makes its own, and hands it to nobody."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@contextlib.contextmanager
def listening(listeners: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    """Have functions called at SQLAlchemy's events of these names, on all engines, until the block ends."""
    for name, function in listeners.items():
        event.listen(Engine, name, function)
    try:
        yield
    finally:
        for name, function in listeners.items():
            event.remove(Engine, name, function)
