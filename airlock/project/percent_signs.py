"""A dialect that writes % once, as SQL means it, where a driver would want it twice."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlalchemy as sa


def undoubled(dialect: sa.Dialect) -> sa.Dialect:
    """Copy a dialect so that what it compiles keeps every % single; the given one stays as it is.

    For text that is written into a file, not sent through the driver: psycopg2's paramstyle doubles every %,
    and a revision written so would double it again when it runs.
    """
    single = copy.copy(dialect)
    single.identifier_preparer = copy.copy(dialect.identifier_preparer)
    single.identifier_preparer._double_percents = False
    return single
