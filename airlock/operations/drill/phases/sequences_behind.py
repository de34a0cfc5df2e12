"""Sequences that hand out, above an upgrade, what their column holds already."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airlock.drivers.spelling import bare
from airlock.operations.drill import compare
from airlock.operations.drill.outcome import Outcome
from airlock.recorder.row_changes import INSERT
from airlock.recorder.tokens import NAME, WORD, tokens

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from airlock.operations.drill.state import State
    from airlock.operations.drill.step import StepTaken
    from airlock.recorder.row_changes import DataStatement

_HELD = "holds up to"


def held_against(step: StepTaken, before: State, after: State) -> Outcome:
    """Hold against the upgrade a sequence that hands out what is taken; a note alone where nobody asks it for a key.

    SQLAlchemy makes a sequence for any whole number that is a key: also for `order_id` of a table that keeps values of orders
    aside, whose rows come from the orders alone.
    """
    found = [one for one in compare.sequences(before, after) if _HELD in (one.after or "")]
    notes = tuple(f"{one.object} after the upgrade: {one.after}" for one in found)
    taken = [one for one in found if not _keeps_keys_of_others(one.object, step, before, after)]
    return Outcome(tuple(replace(one, kind=compare.ABOVE) for one in taken), notes=notes)


def _keeps_keys_of_others(sequence: str, step: StepTaken, before: State, after: State) -> bool:
    """Tell whether a new table's key, named after another table, was copied from rows that are still there."""
    table, _, column = (after.sequences[sequence].column or "").rpartition(".")
    digest, name = after.digests.get(table), bare(table).lower()
    stem = bare(column).lower().removesuffix("_id")
    if digest is None or digest.rows is None or table in before.tables() or digest.key != (bare(column),):
        return False
    if stem == bare(column).lower() or name in (stem, f"{stem}s", f"{stem}es"):
        return False
    copied = [one for one in step.data_statements if one.kind == INSERT and one.relation.lower() == name]
    return bool(copied) and all(_stays(one, digest.rows.keys(), before, after) for one in copied)


def _stays(data: DataStatement, keys: AbstractSet[str], before: State, after: State) -> bool:
    """Tell whether a table that a statement copies from holds all of some keys, before the upgrade and after it."""
    words = {one.text.strip('"').lower() for one in tokens(data.whole) if one.kind in (WORD, NAME)}
    return data.scope is not None and any(
        then.rows is not None and now.rows is not None and keys <= (then.rows.keys() & now.rows.keys())
        for label, now in after.digests.items()
        if bare(label).lower() in words and (then := before.digests.get(label)) is not None
    )
