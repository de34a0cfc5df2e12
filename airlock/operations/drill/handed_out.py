"""Numbers that sequences hand out: a step that builds them into names and definitions takes the next ones when it is taken again.

PostGIS' topologies do (`topogeo_s_2`, a trigger's argument, a CHECK on `layer_id`), and so does any step that numbers what it
makes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airlock.operations.drill.state import State
    from airlock.records.difference import Difference

Pairs = frozenset[tuple[str, str]]
# A step that takes more than so many of one sequence writes rows, and names nothing by them.
_MOST = 100
_NUMBER = re.compile(r"(\d+)")


def pairs(before: State, after: State, below: State) -> Pairs:
    """Pair each number that a step was handed with the one that it is handed the next time: from `before` on, from `below` on."""
    found = set()
    for name in before.sequences.keys() & after.sequences.keys() & below.sequences.keys():
        first, then, again = (one.sequences[name] for one in (before, after, below))
        if first.value != again.value:
            for number in range(min((then.value - first.value) // first.step, _MOST)):
                step = number * first.step
                found.add((str(first.value + step), str(again.value + step)))
    return frozenset(found)


def without_renumbered(
    found: Iterable[Difference], numbers: Pairs, above: State, again: State
) -> list[Difference]:
    """Leave out differences between two upgrades that are such numbers, and objects that are the same but for them."""
    kept = list(found)
    if not numbers:
        return kept
    kept = [
        one for one in kept if None in (one.before, one.after) or not _alike(one.before, one.after, numbers)
    ]
    for one in [it for it in kept if it.after is None]:
        for other in [it for it in kept if it.before is None and it.kind == one.kind]:
            if _alike(one.object, other.object, numbers) and _is_made_alike(
                one.object, other.object, numbers, above, again
            ):
                kept = [it for it in kept if it not in (one, other)]
                break
    return kept


def _is_made_alike(old: str, new: str, numbers: Pairs, above: State, again: State) -> bool:
    """Tell whether both are objects of the catalogue, with the same attributes but for those numbers."""
    here, there = above.catalogue.objects.get(old), again.catalogue.objects.get(new)
    if here is None or there is None or here.attributes.keys() != there.attributes.keys():
        return False
    return all(_alike(value, there.attributes[name], numbers) for name, value in here.attributes.items())


def _alike(old: str | None, new: str | None, numbers: Pairs) -> bool:
    """Tell whether texts differ by such numbers alone."""
    parts, others = _NUMBER.split(old or ""), _NUMBER.split(new or "")
    return len(parts) == len(others) and all(
        one == other or (place % 2 == 1 and (one, other) in numbers)
        for place, (one, other) in enumerate(zip(parts, others, strict=True))
    )
