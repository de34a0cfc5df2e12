"""The row that a revision's Python held when it raised: of rows made for it, the one that it cannot take."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Mapping

from sqlalchemy import Row


def values_at_hand(error: BaseException, path: str) -> frozenset[str]:
    """List what the variables of a file's functions held when it raised, as texts: the key of a row is among them.

    Of a row each member counts, and each attribute of an object that is mapped to one; of lists, which hold all rows, none.
    """
    found: BaseException | None = error
    while found is not None:
        frames = [it for it, _ in traceback.walk_tb(found.__traceback__) if it.f_code.co_filename == path]
        if frames:
            return frozenset(one for it in frames for held in it.f_locals.values() for one in _members(held))
        found = found.__cause__ or found.__context__
    return frozenset()


def _members(held: object) -> Iterator[str]:
    inside: Iterable[object] = (held,)
    if isinstance(held, Mapping):
        inside = held.values()
    elif isinstance(held, (tuple, Row)):
        inside = held
    elif hasattr(held, "_sa_instance_state"):
        inside = vars(held).values()
    for one in inside:
        if one is not None and not isinstance(one, (bool, list, dict, set)):
            yield str(one)
