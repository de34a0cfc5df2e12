"""Values on which an upgrade stops, replaced by usual ones: as few as it takes, as the others show what a revision loses."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.drivers import client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airlock.operations.drill.state import Ledger


@dataclass(frozen=True, slots=True)
class Unusual:
    """What a condition finds in a column, the usual value that takes its place, and the value itself where it is but one."""

    table: str
    column: str
    where: str
    usual: str
    value: str
    label: str


def replaced(ledger: Ledger, some: Iterable[Unusual]) -> dict[str, None]:
    """Replace all of them; return the labels of those columns that were changed. Commits."""
    return dict.fromkeys(one.label for one in some if _set(ledger, one, one.usual, one.where))


def one_replaced(ledger: Ledger, some: Iterable[Unusual], goes: Callable[[], bool]) -> tuple[str, ...]:
    """Replace one by itself after the other until `goes` is true, and put back those with which it is not. Commits.

    Return the label of its column, () where it never was.
    """
    for one in some:
        places = _set(ledger, one, one.usual, one.where)
        if places and goes():
            return (one.label,)
        if places:
            _set(ledger, one, one.value, f"ctid = ANY (ARRAY[{', '.join(places)}]::tid[])")
    return ()


def _set(ledger: Ledger, one: Unusual, value: str, where: str) -> list[str]:
    """Set the column in the rows of a condition; return where those rows are now, none where a CHECK refuses it."""
    with contextlib.suppress(client.Error), ledger.writing.cursor() as cursor:
        cursor.execute(f"UPDATE {one.table} SET {one.column} = {value} WHERE {where} RETURNING ctid::text")
        return [f"'{place}'" for (place,) in cursor.fetchall()]
    return []
