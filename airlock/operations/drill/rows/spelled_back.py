"""Texts that an upgrade casts to another type and a downgrade back to text: they come back as that type spells them.

Where both are plain casts, a query asked before the upgrade counts exactly the values that come back as others: the proof
holds while it counts none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.catalogue.fingerprint.model import plain
from airlock.drivers import client
from airlock.drivers.spelling import literal
from airlock.operations.downgrade.casts import TEXTS, casts, expressions
from airlock.operations.downgrade.held_by_types import guarded, unreadable
from airlock.operations.downgrade.items import Item
from airlock.records.drill import GOES_DOWN, LOSES, Condition, Tried

if TYPE_CHECKING:
    from collections.abc import Collection

    from airlock.operations.downgrade.snapshot import Column, Snapshot
    from airlock.operations.drill.state import Ledger, State
    from airlock.operations.drill.step import StepTaken

# Types that give a text back as it was written, as enums do.
_AS_WRITTEN = frozenset({"json", "xml"})
# A text that is read, or a date that is written, in a format.
_FORMATTED = re.compile(
    r"""(?P<function>to_(?:date|timestamp|char))\s*\(\s*(?P<column>\w+|"[^"]+")\s*,\s*(?P<format>'[^']*')\s*\)""",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class SpelledBack:
    """What a proof holds for, and the values, by table, key and column, that came back spelled otherwise."""

    conditions: tuple[Condition, ...] = ()
    values: frozenset[tuple[str, str, str]] = frozenset()


def spelled_back(
    ledger: Ledger,
    steps: tuple[StepTaken, StepTaken],
    states: tuple[State, State],
    snapshots: tuple[Snapshot, Snapshot],
    others: Collection[tuple[str, str, str]],
) -> SpelledBack:
    """Find the columns of which nothing but other spellings of a text came back as others, by casts, or formats, that tell each.

    `steps` are the way up and down, `states` those below before and after it, `snapshots` above and below; `others` are
    values that other clients have changed. Asks the server to cast values; reads no table.
    """
    above, below = snapshots
    conditions: list[Condition] = []
    values: set[tuple[str, str, str]] = set()
    for identity, column in sorted(below.columns.items()):
        then = above.columns.get(identity)
        if then is None or TEXTS.fullmatch(then.type):
            continue
        back, reads = _there_and_back(column, then, steps)
        changed = _changed(ledger, column, back, states, others) if back else None
        if changed is None:
            continue
        values |= {(column.table_name, key, column.name) for key in changed}
        place = (column.schema, column.table)
        condition = f"({back.replace('$v', '{column}')})::text IS DISTINCT FROM {{column}}::text"
        if not reads:
            condition = guarded(condition, unreadable("{column}::text", then.type, above.major))
        item = Item("", column.full_name, "", place, place, column.name, column.name, condition)
        why = f"texts that {then.type} spells otherwise: they come back as it spells them"
        tried: Tried | None = None
        if changed:
            before, after = min(changed.values())
            row = f"{plain(column.name)} = {literal(before)}"
            tried = Tried(row, GOES_DOWN, LOSES, f"it is {literal(after)} then")
        elif then.labels is not None or then.type in _AS_WRITTEN:
            continue
        not_tried = "" if tried else "no text could be spelled otherwise"
        conditions.append(
            Condition(
                column.full_name, why, item.count_sql(at_step=True), tried, not_tried, before_upgrade=True
            )
        )
    return SpelledBack(tuple(conditions), frozenset(values))


def _there_and_back(column: Column, then: Column, steps: tuple[StepTaken, StepTaken]) -> tuple[str, bool]:
    """Spell what both ways make of a text, `$v`, and whether they read it in a format; nothing where they do more than that.

    Each changes the column's type once, by a cast of the column or by to_date and to_char, and nothing else.
    """
    if not TEXTS.fullmatch(column.type) or column.name != then.name:
        return "", False
    found = [expressions(column.name, step.retypings) for step in steps]
    if any(len(one) != 1 for one in found):
        return "", False
    if all(_only_casts(one, column.name) for (one,) in found):
        return f"$v::{then.type}::{column.type}", False
    reads, writes = (_FORMATTED.fullmatch(one.strip()) for (one,) in found)
    names = f"{reads['column']} {writes['column']}".replace('"', "") if reads and writes else ""
    if reads is None or writes is None or names != f"{column.name} {column.name}":
        return "", False
    read = f"{reads['function']}($v, {reads['format']})::{then.type}"
    return f"{writes['function']}({read}, {writes['format']})::{column.type}", True


def _only_casts(expression: str, column: str) -> bool:
    types = casts(expression, {column})
    return types is not None and len(types) <= 1


def _changed(
    ledger: Ledger,
    column: Column,
    back: str,
    states: tuple[State, State],
    others: Collection[tuple[str, str, str]],
) -> dict[str, tuple[str, str]] | None:
    """Map the keys of rows that came back as others to both spellings; None where the casts do not tell each."""
    before, after = (state.digests.get(column.table_name) for state in states)
    if before is None or after is None or before.rows is None or after.rows is None:
        return None
    if column.name not in before.columns or column.name not in after.columns:
        return None
    here, there = before.columns.index(column.name), after.columns.index(column.name)
    pairs = {
        key: (row[here], after.rows[key][there])
        for key, row in before.rows.items()
        if key in after.rows and (column.table_name, key, column.name) not in others
    }
    query = (
        f"SELECT bool_and(({back.replace('$v', f'v::{column.type}')})::text IS NOT DISTINCT FROM w) "
        "FROM unnest(%s::text[], %s::text[]) AS p (v, w)"
    )
    try:
        with ledger.reading.cursor() as cursor:
            cursor.execute(query, ([v for v, _ in pairs.values()], [w for _, w in pairs.values()]))
            if cursor.fetchone()[0] is not True:
                return None
    except client.Error:
        return None
    changed = {key: (str(v), str(w)) for key, (v, w) in pairs.items() if v != w}
    # Where an ordinary value is another one too, there is nothing to be proved.
    return changed if all(v in ledger.respelled for v, _ in changed.values()) else None
