"""Rows that hold what hardly a table has: arrays that begin elsewhere than at 1, times that no clock of their zone shows.

A change that loses only them is no fault that its author would call one; proved it is not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airlock.operations.drill import compare

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from airlock.operations.drill.state import State

_BOUNDS = re.compile(r"(?:\[-?\d+:-?\d+\])+=\{")
_LOCAL = "timestamp without time zone"
SAID = "proved only while no array begins elsewhere than at 1 and no local time is in an hour that its zone skips"


def without_rare(before: State, edges: Mapping[str, Collection[str]]) -> State | None:
    """Leave rows with such a value out of a state; None where there are none. `edges` are those that columns were given."""
    skipped = {edge.strip("'") for edge in edges.get(_LOCAL, ())}
    found = {
        table: {
            key
            for key, row in digest.rows.items()
            if any(value is not None and (value in skipped or _BOUNDS.match(value)) for value in row)
        }
        for table, digest in before.digests.items()
        if digest.rows is not None
    }
    return compare.without(before, [found]) if any(found.values()) else None
