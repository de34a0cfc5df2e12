"""Texts that an upgrade casts to another type and a downgrade back to text: they come back as that type spells them.

Where both are plain casts, or functions that give the same for the same value (a format, an encoding), a query asked before
the upgrade counts exactly the values that come back as others: the proof holds while it counts none. So it does where the
value goes to another column, and the first one away.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.catalogue.fingerprint.model import plain
from airlock.drivers import client
from airlock.drivers.spelling import bare, literal
from airlock.operations.downgrade.casts import TEXTS, casts, expressions
from airlock.operations.downgrade.held_by_types import guarded, unreadable
from airlock.operations.downgrade.items import Item
from airlock.operations.drill.rows.computed_back import with_value
from airlock.operations.drill.rows.rows_chosen import words_of
from airlock.recorder.row_changes import INSERT, UPDATE
from airlock.recorder.tokens import NAME, WORD, identifier, tokens
from airlock.records.drill import GOES_DOWN, LOSES, Condition, Tried

if TYPE_CHECKING:
    from collections.abc import Collection

    from airlock.operations.downgrade.snapshot import Column, Snapshot
    from airlock.operations.drill.state import Ledger, State
    from airlock.operations.drill.step import StepTaken

# Types that give a text back as it was written, as enums do.
_AS_WRITTEN = frozenset({"json", "xml"})
# What gives the same for the same value, and looks for no other spelling: who trims texts has such that need it.
_PURE = frozenset({
    "to_date", "to_timestamp", "to_char", "to_number", "decode", "encode", "convert_to", "convert_from", "string_to_array",
    "array_to_string", "cast", "host",
})  # fmt: skip

# What a type has read has one spelling, whatever is made of that.
_PURE_OF_A_TYPE = _PURE | {"replace", "lower", "upper"}
_IN_A_FORMAT = re.compile(r"(?i)\b(?:to_(?:date|timestamp|char|number)|(?:de|en)code)\b")


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
        if not TEXTS.fullmatch(column.type):
            continue
        then = above.columns.get(identity)
        ways = _retyped(column, then, steps) if then is not None else None
        if then is None:
            then, ways = _moved(column, above, steps)
        if then is None or ways is None or TEXTS.fullmatch(then.type):
            continue
        back, reads = _there_and_back(column, then, ways)
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
        elif then.labels is not None or then.type in _AS_WRITTEN or (reads and not _IN_A_FORMAT.search(back)):
            continue
        not_tried = "" if tried else "no text could be spelled otherwise"
        conditions.append(
            Condition(
                column.full_name, why, item.count_sql(at_step=True), tried, not_tried, before_upgrade=True
            )
        )
    return SpelledBack(tuple(conditions), frozenset(values))


def _retyped(column: Column, then: Column, steps: tuple[StepTaken, StepTaken]) -> tuple[str, str] | None:
    """Give what both ways compute a column by as they change its type, each once; None where they do not."""
    found = [expressions(column.name, step.retypings) for step in steps]
    return (
        (found[0][0], found[1][0])
        if all(len(one) == 1 for one in found) and column.name == then.name
        else None
    )


def _moved(
    column: Column, above: Snapshot, steps: tuple[StepTaken, StepTaken]
) -> tuple[Column | None, tuple[str, str] | None]:
    """Find the column that the upgrade fills of this one, which goes, and of which the downgrade fills it again, each once."""
    if any((one.table_name, one.name) == (column.table_name, column.name) for one in above.columns.values()):
        return None, None
    there = _filled_of(column.name, column.table, steps[0])
    back = _filled_of(there[0], column.table, steps[1]) if there is not None else None
    if there is None or back is None or back[0] != column.name:
        return None, None
    both = {column.name, there[0]}
    if any(
        one.relation == column.table
        and words_of(one.whole) & {name.lower() for name in both}
        and not any(bare(name) in both for name, _ in one.given)
        for step in steps
        for one in step.data_statements
    ):
        # What else reads either column may choose rows by values that none of the first column's texts was made of.
        return None, None
    named = (it for it in above.columns.values() if (it.table_name, it.name) == (column.table_name, there[0]))
    return next(named, None), (there[1], back[1])


def _filled_of(source: str, table: str, step: StepTaken) -> tuple[str, str] | None:
    """Give the one column of a table that is filled of another one, `source`, in all rows that hold one, and by what."""
    found = [
        (bare(name), value, one)
        for one in step.data_statements
        if one.relation == table and one.kind != INSERT
        for name, value in (one.given or (("", ""),))
    ]
    about = [
        it
        for it in found
        if any(identifier(token) == source for token in tokens(it[1]) if token.kind in (WORD, NAME))
    ]
    if len(about) != 1:
        return None
    ((name, value, one),) = about
    scope = one.scope
    if one.kind != UPDATE or one.around or scope is None or scope.prefix or scope.source != scope.mine:
        return None
    holds_one = re.fullmatch(
        rf"""\(?(?:"?\w+"?\.)?"?{re.escape(source)}"? IS NOT NULL\)?""", scope.condition, re.IGNORECASE
    )
    if (scope.condition and not holds_one) or sum(it[0] == name for it in found) != 1:
        return None
    return name, value


def _there_and_back(column: Column, then: Column, ways: tuple[str, str]) -> tuple[str, bool]:
    """Spell what both ways make of a text, `$v`, and whether they do more than cast it; nothing where that is more than known.

    What they do beside has the same result for the same value; a text that the upgrade cannot read it fails on.
    """
    up, down = (one.strip() for one in ways)
    if _only_casts(up, column.name) and _only_casts(down, then.name):
        return f"$v::{then.type}::{column.type}", False
    if not (_is_pure(up, column.name, _PURE) and _is_pure(down, then.name, _PURE_OF_A_TYPE)):
        return "", False
    read = f"({with_value(up, (column.name,), '$v') or '$v'})::{then.type}"
    return f"({with_value(down, (then.name,), f'({read})') or read})::{column.type}", True


def _is_pure(expression: str, column: str, functions: Collection[str]) -> bool:
    """Tell whether an expression computes with one column, constants, casts and such functions alone."""
    found = tokens(expression)
    for at, token in enumerate(found):
        if token.kind not in (WORD, NAME):
            continue
        before = found[at - 1] if at else None
        called = at + 1 < len(found) and found[at + 1].text == "("
        is_type = before is not None and (before.text == "::" or before.word == "AS")
        qualifies = at + 1 < len(found) and found[at + 1].text == "."
        if called and not is_type:
            if identifier(token) not in functions:
                return False
        elif not (is_type or qualifies or token.word == "AS" or identifier(token) == column):
            return False
    return True


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
