"""Columns that a step makes ranges of: of each row the lower bound first, and of one row both the same.

No CHECK of the table need say so: `tstzrange(started, ended)` raises for a row that ends before it starts. Where both are the
same the range is empty, and has no bounds any more.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from airlock.drivers import client
from airlock.drivers.spelling import mentions, quoted
from airlock.operations.drill import failures

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airlock.samples import Table
    from airlock.samples.model import Column

_OUT_OF_ORDER = re.compile(r"range lower bound must be less than or equal to range upper bound")
_CONSTRUCTOR = re.compile(r"(?i)\b\w*range\s*\(")


def is_out_of_order(error: BaseException) -> bool:
    """Tell whether a range was to be made whose lower bound is above the upper one."""
    return _OUT_OF_ORDER.search(str(failures.origin(error))) is not None


def order(connection: client.Connection, tables: Iterable[Table], source: str) -> tuple[str, ...]:
    """Swap the bounds of rows in which they are out of order; commit, and return the columns that were changed."""
    changed = []
    for table in tables:
        for low, high in _bounds(table, source):
            lower, upper = quoted(low.name), quoted(high.name)
            try:
                with connection.cursor() as cursor:
                    cursor.execute(
                        f"UPDATE {table.sql} SET {lower} = {upper}, {upper} = {lower} WHERE {lower} > {upper}"
                    )
                    changed += [f"{table.label}.{low.name}", f"{table.label}.{high.name}"]
                    cursor.execute(
                        f"UPDATE {table.sql} SET {upper} = {lower} WHERE ctid = (SELECT max(ctid) FROM {table.sql} "
                        f"WHERE {lower} < {upper} HAVING count(*) > 1)"
                    )
            except client.Error:  # a CHECK, or a key, wants them otherwise
                continue
    return tuple(changed)


def _bounds(table: Table, source: str) -> Iterator[tuple[Column, Column]]:
    """Pair the columns of one type that the arguments of a range's constructor name, in their order."""
    own = [one for one in table.columns if mentions(source, table.name) and mentions(source, one.name)]
    pairs = set()
    for found in _CONSTRUCTOR.finditer(source):
        arguments = source[found.end() : found.end() + 200]
        places = {
            one: place.start()
            for one in own
            if (place := re.search(rf"(?<!\w){re.escape(one.name)}(?!\w)", arguments)) is not None
        }
        for low, high in itertools.pairwise(sorted(places, key=lambda it: places[it])):
            if low.full == high.full and (low.name, high.name) not in pairs:
                pairs.add((low.name, high.name))
                yield low, high
