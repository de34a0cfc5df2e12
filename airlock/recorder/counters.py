"""Whose row counters they are: made to begin at nought, so that one transaction's reads are not put down to the next.

A backend adds up what its transactions read and hands that in when it is idle, at most every second or so
(pgstat.c). Since PostgreSQL 15 it can be told to (`pg_stat_force_next_flush`). PostgreSQL 14 cannot: there the
counters are read as a transaction begins, and outside a transaction half a second is waited for.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airlock.records.errors import NotExamined

if TYPE_CHECKING:
    from airlock.drivers.statements import Query

# Objects below this number belong to PostgreSQL itself (transam.h, FirstNormalObjectId).
FIRST_USER_OBJECT = 16384
# PGSTAT_STAT_INTERVAL of PostgreSQL 14 is 500 ms.
_HANDED_IN_SECONDS = 0.51
_MOST_SECONDS = 10.0
# A small table that nothing else reads from end to end: when these rows have arrived, so has all before them.
_MARKER = "pg_catalog.pg_am"

_RETURNED = f"SELECT pg_stat_get_tuples_returned('{_MARKER}'::regclass)"
# Of PostgreSQL 14: what other transactions of this backend read and did not hand in yet.
OLDER = f"""
SELECT oid::bigint, pg_stat_get_xact_tuples_returned(oid), pg_stat_get_xact_tuples_fetched(oid),
       pg_stat_get_xact_tuples_inserted(oid) - pg_stat_get_xact_tuples_deleted(oid) FROM pg_class
WHERE oid >= {FIRST_USER_OBJECT} AND relkind IN ('r', 'i', 'm', 't')
  AND pg_stat_get_xact_tuples_returned(oid) + pg_stat_get_xact_tuples_fetched(oid) > 0
"""  # noqa: S608 - a constant of this module


def can_flush(version: int) -> bool:
    """Tell whether a server of this `server_version_num` can be told to hand in its counters."""
    return version >= 150000


def flush(own: Query, observer: Query, *, forced: bool) -> None:
    """Return when the counters of the backend behind `own`, outside a transaction, have reached `observer`.

    Takes half a second where that cannot be `forced`. Raises NotExamined where they do not arrive.
    """
    if forced:
        list(own("SELECT pg_stat_force_next_flush()"))
        return
    before = _arrived(observer)
    list(own(f"SELECT count(*) FROM {_MARKER}"))  # noqa: S608 - a constant
    time.sleep(_HANDED_IN_SECONDS)
    list(own("SELECT 1"))
    deadline = time.monotonic() + _MOST_SECONDS
    while _arrived(observer) == before:
        if time.monotonic() > deadline:
            raise NotExamined(
                "The server's row counters do not arrive: what a statement reads cannot be told."
            )
        time.sleep(0.01)


def _arrived(observer: Query) -> int:
    return int(next(iter(observer(_RETURNED)))[0])
