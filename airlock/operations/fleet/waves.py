"""In which order a fleet is done: a canary, then a part, then all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def waves_of(targets: int, wanted: Sequence[int | float]) -> tuple[int, ...]:
    """Turn cumulative numbers and shares into the end of each wave; the last one reaches every target.

    A share is rounded up. A wave that would be empty is none.
    """
    ends: list[int] = []
    for one in (*wanted, targets):
        end = min(targets, one if isinstance(one, int) else math.ceil(one * targets))
        if end > (ends[-1] if ends else 0):
            ends.append(end)
    return tuple(ends)
