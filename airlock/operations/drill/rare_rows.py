"""Rows that hold what hardly a table has: arrays that begin elsewhere than at 1, times that no clock of their zone shows.

So are texts spelled as no program spells them that writes the type which they are read as.
A change that loses only them is no fault that its author would call one. It is proved while no array begins elsewhere,
and a note says so; a local time, or a text, is what its writer said it is: there nothing is proved.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

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
    said: str,
) -> Outcome:
    """Tell what is lost by such rows alone; NOTHING where others lose as well.

    `edges` are those that columns were given, `respelled` texts that a type spells otherwise. `compared` holds a state against
    the one after the downgrade.
    """
    skipped = {edge.strip("'") for edge in edges.get(_LOCAL, ())}
    usual = _without(before, lambda value: _BOUNDS.match(value) is not None)
    if usual is not None and not compared(usual):
        return noted([f"only while no array begins elsewhere than at 1: {said}"])
    usual = _without(before, lambda value: value in skipped or _BOUNDS.match(value) is not None)
    if usual is not None and not compared(usual):
        return not_examined(f"proved only while no local time is in an hour that its zone skips: {said}")

    def is_rare(value: str) -> bool:
        return value in respelled or value in skipped or _BOUNDS.match(value) is not None

    usual = _without(before, is_rare)
    if usual is not None and not compared(usual):
        return not_examined(
            f"proved only while each text is spelled as the type spells it that reads it: {said}"
        )
    return NOTHING


def _without(before: State, is_rare: Callable[[str], bool]) -> State | None:
    """Leave out rows with such a value; None where there are none."""
    found = {
        table: {key for key, row in digest.rows.items() if any(it is not None and is_rare(it) for it in row)}
        for table, digest in before.digests.items()
        if digest.rows is not None
    }
    return compare.without(before, [found]) if any(found.values()) else None
