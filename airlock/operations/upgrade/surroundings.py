"""What env.py finds around it while a run lasts: the target in its environment, other loggers quiet."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING

from airlock.database.server import CONNECT_SECONDS
from airlock.database.target import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.database.target import Target

_TIMEOUT = "PGCONNECT_TIMEOUT"


@contextlib.contextmanager
def environment_of(target: Target) -> Iterator[None]:
    """Let env.py find the target where it looks first, also when only --url or the ini named it."""
    before = {name: os.environ.get(name) for name in (*VARIABLES, _TIMEOUT)}
    # For libpq under creator= or in a revision: it would wait for ever on a host that accepts and says nothing.
    os.environ.setdefault(_TIMEOUT, str(CONNECT_SECONDS))
    if target.source not in VARIABLES:
        os.environ.update(dict.fromkeys(VARIABLES, target.url))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what other loggers would say of this out of the way.

    Alembic's "Running upgrade ..." is said by our events, with times. The pool of a lost connection prints a
    traceback of its own failing rollback.
    """

    def important(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING

    logger = logging.getLogger("alembic.runtime.migration")
    # A filter, because env.py's fileConfig() sets levels and handlers anew.
    logger.addFilter(important)
    pools = logging.getLogger("sqlalchemy.pool")
    level = pools.level
    pools.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.removeFilter(important)
        pools.setLevel(level)
