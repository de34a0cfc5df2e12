"""Rows that hold what hardly a table has: arrays that begin elsewhere than at 1, times that no clock of their zone shows.

So are texts spelled as no program spells them that writes the type which they are read as.
A change that loses only them is no fault that its author would call one. It is proved while no array begins elsewhere,
and a note says so; a local time, or a text, is what its writer said it is: there nothing is proved.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airlock.catalogue.fingerprint.model import plain
from airlock.operations.drill import compare
from airlock.operations.drill.outcome import NOTHING, Outcome, not_examined, noted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from airlock.operations.drill.state import State
    from airlock.records.difference import Difference

_BOUNDS = re.compile(r"(?:\[-?\d+:-?\d+\])+=\{")
_LOCAL = "timestamp without time zone"


def lost_only_by_rare(
    before: State,
    edges: Mapping[str, Collection[str]],
    respelled: Collection[str],
    compared: Callable[[State], list[Difference]],
    found: Collection[Difference],
    said: str,
) -> Outcome:
    """Tell what is lost by such rows alone; NOTHING where others lose as well, or lose another column's value.

    `edges` are those that columns were given, `respelled` texts that a type spells otherwise. `compared` holds a state against
    the one after the downgrade, `found` is what it finds in all rows and `said` the same in words.
    """
    skipped = {edge.strip("'") for edge in edges.get(_LOCAL, ())}

    def is_array(value: str) -> bool:
        return _BOUNDS.match(value) is not None

    def is_skipped(value: str) -> bool:
        return value in skipped or is_array(value)

    def is_rare(value: str) -> bool:
        return value in respelled or is_skipped(value)

    if _only(before, found, compared, is_array):
        return noted([f"only while no array begins elsewhere than at 1: {said}"])
    if _only(before, found, compared, is_skipped):
        return not_examined(f"proved only while no local time is in an hour that its zone skips: {said}")
    if _only(before, found, compared, is_rare):
        return not_examined(
            f"proved only while each text is spelled as the type spells it that reads it: {said}"
        )
    return NOTHING


def _only(
    before: State,
    found: Collection[Difference],
    compared: Callable[[State], list[Difference]],
    is_rare: Callable[[str], bool],
) -> bool:
    """Tell whether each difference goes with the rows that hold a rare value in the very column that differs."""
    for one in found:
        usual = _without(before, one.object, is_rare)
        if usual is None or any(left.object == one.object for left in compared(usual)):
            return False
    return True


def _without(before: State, lost: str, is_rare: Callable[[str], bool]) -> State | None:
    """Leave out rows with such a value in the column that is lost, or in the key of a row that is; None where there are none."""
    found = {}
    for table, digest in before.digests.items():
        places = [
            place for place, name in enumerate(digest.columns)
            if lost == f"{table}.{plain(name)}" or (lost == table and name in digest.key)
        ]  # fmt: skip
        if places and digest.rows is not None:
            found[table] = {
                key for key, row in digest.rows.items() if any(is_rare(row[place] or "") for place in places)
            }
    return compare.without(before, [found]) if any(found.values()) else None
