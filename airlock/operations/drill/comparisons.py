"""Every comparison the drill makes, each with a switch.

The switches are for tests alone: a fault must get through when its comparison is off, or the comparison is not
what finds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airlock.records.difference import Difference
    from airlock.records.rows import RowDifference

SEQUENCES = True
ROWS = True
VALUES = True
AGAIN = True
# Kinds of catalogue objects that are not compared: "table", "column", "index", ...
BLIND: frozenset[str] = frozenset()


def catalogue(found: tuple[Difference, ...]) -> tuple[Difference, ...]:
    """Leave out the kinds that are switched off. `column` covers the object, `column default` the attribute."""
    return tuple(one for one in found if one.kind not in BLIND and one.kind.partition(" ")[0] not in BLIND)


def lets(one: RowDifference) -> bool:
    """Tell whether a difference of rows counts."""
    return ROWS if one.column is None else VALUES
