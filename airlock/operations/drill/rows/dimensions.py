"""Arrays of two dimensions, which a step takes apart as if they had one: `unnest` gives their elements without their order.

Sample arrays have one, as nearly all have: a proof holds while a query, asked before the upgrade, counts none that has more.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airlock.catalogue.fingerprint.model import plain
from airlock.drivers.spelling import mentions
from airlock.operations.downgrade.items import Item
from airlock.records.drill import Condition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.operations.drill.state import Ledger, State
    from airlock.operations.drill.step import StepTaken

_APART = r"(?i)(?:\b(?:unnest|array_to_string|to_jsonb?|array_to_json)\s*\(\s*(?:[\w\".]+\.)?\"?{name}\b|\b{name}\"?\s*\[)"
_WHY = "arrays of two dimensions, or that begin elsewhere than at 1: the upgrade takes them apart"


def taken_apart(ledger: Ledger, up: StepTaken, before: State, after: State) -> Iterator[Condition]:
    """Say of which columns no array may have two dimensions: those that an upgrade reads so and does not leave as they are."""
    texts = [*(one.whole for one in up.data_statements), *up.retypings]
    words = " ".join(texts)
    for table in ledger.tables(before.tables()):
        arrays = [one.name for one in table.columns if one.is_array and mentions(words, one.name)]
        for name in arrays:
            apart = re.compile(_APART.format(name=re.escape(name)))
            read = any(apart.search(text) and mentions(text, table.name) for text in texts)
            if not read or not _changes(up, table.label, name, before, after):
                continue
            place = (table.schema, table.name)
            item = Item(
                "",
                f"{table.label}.{plain(name)}",
                _WHY,
                place,
                place,
                name,
                name,
                "array_ndims({column}) > 1 OR array_lower({column}, 1) <> 1",
            )
            sql = item.count_sql(at_step=True)
            yield Condition(
                item.object,
                _WHY,
                sql,
                None,
                "rows were made with arrays of one dimension",
                before_upgrade=True,
            )


def _changes(up: StepTaken, label: str, name: str, before: State, after: State) -> bool:
    """Tell whether a column goes, gets another type, or is assigned to."""
    then, now = (state.catalogue.objects.get(f"{label}.{plain(name)}") for state in (before, after))
    return then != now or any(name in {column for column, _ in one.assigned} for one in up.data_statements)
