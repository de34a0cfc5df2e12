"""From what happened in scratch to questions for the target: each loss, with the query that counts it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.catalogue.fingerprint.model import plain
from airlock.drivers.spelling import literal, quoted
from airlock.operations.downgrade import implied
from airlock.operations.downgrade.casts import ANY_TEXT, TEXTS
from airlock.operations.downgrade.held_by_types import beyond_rounding, guarded, out_of_range, unreadable
from airlock.recorder.row_changes import data_statements
from airlock.records.review import COLUMN_DROPPED, TABLE_DROPPED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airlock.operations.downgrade.rehearse import Rehearsed
    from airlock.operations.downgrade.restrictions import Restriction
    from airlock.operations.downgrade.snapshot import Column, Snapshot, type_identity

# A default whose value never varies: a literal, perhaps cast. now() or a sequence makes every value one's own.
_CONSTANT = re.compile(r"(?:'(?:[^']|'')*'|[-+]?[\d.]+|\(-[\d.]+\)|true|false|NULL)(?:::[\w \[\]\".(),]+)?")
_NUMBERS = re.compile(r"smallint|integer|bigint|real|double precision|numeric(\(\d+,\d+\))?")
# Types that take for equal what their texts tell apart: "A" and "a", 1.0 and 1.00, a day and 24 hours.
_COARSE = re.compile(r"(?:.*\.)?citext|numeric(?:\(\d+,-?\d+\))?|real|double precision|interval.*|jsonb")
# Takes every text as it is.
_CASELESS = re.compile(r"(?:.*\.)?citext")


@dataclass(frozen=True)
class Item:
    """One thing a step takes away.

    `at_start` counts it under the names that the target has now, `at_step` under those it has when the step begins;
    `where` is the condition alone, for the export. None: it is not there yet (an earlier step down makes it).
    """

    revision: str
    object: str
    why: str
    table_at_start: tuple[str, str] | None
    table_at_step: tuple[str, str]
    column_at_start: str | None = None
    column_at_step: str | None = None
    condition: str = "true"
    # The same under the names that the target has now, where the condition names more than one column.
    condition_at_start: str | None = None
    # The server itself refuses the step while such rows are there, if the step does not change them.
    enforced: bool = False
    # The column's number in its table, where it is about one.
    identity: type_identity | None = None

    def count_sql(self, *, at_step: bool) -> str:
        """Spell the query that counts."""
        table = self.table_at_step if at_step else self.table_at_start
        return f"SELECT count(*) FROM ONLY {quoted(*(table or self.table_at_step))} WHERE {self.where(at_step=at_step)}"  # noqa: S608

    def where(self, *, at_step: bool) -> str:
        """Spell the condition of a row that loses something."""
        if not at_step and self.condition_at_start is not None:
            return self.condition_at_start
        column = self.column_at_step if at_step else self.column_at_start
        return self.condition.replace("{column}", quoted(column)) if column is not None else self.condition


def items(steps: Sequence[Rehearsed]) -> Iterator[Item]:
    """List what each step drops or narrows, in order."""
    start = steps[0].before if steps else None
    for step in steps:
        for oid, table in sorted(step.before.tables.items(), key=lambda entry: entry[1]):
            if oid not in step.after.tables:
                known = start.tables.get(oid) if start is not None else None
                yield Item(step.revision, ".".join(map(plain, table)), TABLE_DROPPED, known, table)
        for identity, column in sorted(step.before.columns.items(), key=lambda entry: entry[1].full_name):
            if identity[0] in step.after.tables and not column.generated:
                yield from _of_column(step, identity, column, start)
        changed = set(_changed(step))
        for item in forbidden(step, start):
            ruled = step.before.columns.get(item.identity) if item.identity is not None else None
            # What the step changes itself is unknown; what it leaves as it is, the server refuses.
            if ruled is None or (ruled.table, ruled.name) not in changed:
                yield item


def _changed(step: Rehearsed) -> Iterator[tuple[str, str]]:
    """Name the columns, by table, that an UPDATE of the step sets."""
    for sql, _ms in step.statements:
        for one in data_statements(sql):
            yield from ((one.relation, name) for name, _ in one.given)


def unknowns(steps: Sequence[Rehearsed]) -> Iterator[tuple[str, str]]:
    """List (object, why) that no query can count: rows a statement may change, types that only the steps make."""
    start = steps[0].before if steps else None
    for step in steps:
        survive = {".".join(map(plain, table)) for table in step.after.tables.values()}
        for name, word in step.writes:
            if name in survive:
                yield name, f"{step.revision}: {word} may change its rows"
        for name in step.recast:
            if name in survive:
                yield name, f"{step.revision}: ALTER ... USING computes new values"
        for identity, column in sorted(step.before.columns.items()):
            now = step.after.columns.get(identity)
            retyped = now is not None and not now.has_type_of(column) and not column.generated
            if now is not None and retyped and not (_castable(now, start) or _of_members(column, now)):
                yield column.full_name, f"{step.revision}: its type becomes {now.type}"
        for identity, attribute in sorted(step.before.attributes.items()):
            if identity[0] in step.after.types and identity not in step.after.attributes:
                yield attribute, f"{step.revision}: the attribute is dropped, from every value of its type"


def _of_column(
    step: Rehearsed, identity: type_identity, column: Column, start: Snapshot | None
) -> Iterator[Item]:
    known = start.columns.get(identity) if start is not None else None
    now = step.after.columns.get(identity)
    if now is None:
        why, condition = COLUMN_DROPPED, _not_default(column)
    elif now.has_type_of(column):
        return
    elif _of_members(column, now):
        if column.members is not None and set(now.members or ()) >= set(column.members):
            return
        why, condition = (
            f"values that {now.type} does not have",
            _some_element(f"element::text NOT IN ({', '.join(map(literal, now.members or ()))})"),
        )
    elif now.labels is not None:
        labels = _labels_that_stay(column, now, known)
        if column.labels is not None and labels.keys() >= set(column.labels):
            return
        why, condition = (
            f"values that {now.type} does not have",
            f"{{column}} IS NOT NULL AND {{column}}::text NOT IN ({', '.join(map(literal, labels))})",
        )
    # Each of PostgreSQL's own types reads back as the same value what it spells.
    elif not _castable(now, start) or (
        implied.holds(column.base or column.type, now.type)
        or (now.type in ANY_TEXT and (column.custom_type is None or _CASELESS.fullmatch(column.type)))
        or (column.type in ANY_TEXT and _CASELESS.fullmatch(now.type))
    ):
        return
    else:
        why, condition = f"values that {now.type} does not hold", _changed_by_cast(column.type, now.type)
        of = (column.base or column.type).removesuffix("[]")
        if now.base is not None or TEXTS.fullmatch(of) or (of != column.type and _NUMBERS.fullmatch(of)):
            condition = guarded(condition, unreadable("{column}::text", now.type, step.before.major))
        if now.base is not None and now.not_null:
            # Told as a NULL where there must be a value.
            condition = f"CASE WHEN {{column}} IS NULL THEN false ELSE {condition} END"
    yield Item(
        step.revision, column.full_name, why,
        (known.schema, known.table) if known is not None else None, (column.schema, column.table),
        known.name if known is not None else None, column.name, condition, identity=identity,
    )  # fmt: skip


def _labels_that_stay(above: Column, now: Column, known: Column | None) -> dict[str, None]:
    """Give the labels that go down, by the names that they have below, above and at the start: a label that is renamed stays."""
    there, below = above.numbered_labels(), now.labels or ()
    stay = [number for number, label in there.items() if number in now.numbered_labels() or label in below]
    named = [one.numbered_labels() for one in (above, known) if one is not None]
    return dict.fromkeys(
        (*below, *(labels[number] for labels in named for number in stay if number in labels))
    )


def narrowed(step: Rehearsed, start: Snapshot | None) -> Iterator[Item]:
    """List what rows may hold above the step and not below it: other values, and what rules below forbid."""
    for identity, column in sorted(step.before.columns.items(), key=lambda entry: entry[1].full_name):
        if identity in step.after.columns and not column.generated:
            yield from _of_column(step, identity, column, start)
    yield from forbidden(step, start)


def forbidden(step: Rehearsed, start: Snapshot | None) -> Iterator[Item]:
    """List what may be in rows above the step and may not be below it: NULLs, duplicates, missing partners, CHECKs' noes.

    Each names the rows that stand in its way.
    """
    for identity, column in sorted(step.before.columns.items(), key=lambda entry: entry[1].full_name):
        now = step.after.columns.get(identity)
        if now is None or not now.not_null or column.not_null or (column.generated and not now.generated):
            continue
        known = start.columns.get(identity) if start is not None else None
        yield Item(
            step.revision, column.full_name, "NULL, where there must be a value below",
            (known.schema, known.table) if known is not None else None, (column.schema, column.table),
            known.name if known is not None else None, column.name, "{column} IS NULL", enforced=True,
        )  # fmt: skip
    standing = {rule.number for rule in step.before.restrictions}
    for rule in sorted(step.after.restrictions - step.before.restrictions, key=repr):
        if rule.number in standing or _of_another_type(rule, step):
            continue
        named = implied.named_as(rule, step.after, step.before)
        if named is None or named in step.before.restrictions:
            continue
        condition = _breaking(named, step.before)
        if condition is not None and not implied.follows(named, step.before):
            yield _of_rule(step, rule, condition, start)
    for rule in sorted((one for one in step.after.restrictions if one.kind == "unique"), key=repr):
        retyped = {
            number: now.type
            for number in rule.columns
            if (now := step.after.columns.get((rule.table, number))) is not None
            and (then := step.before.columns.get((rule.table, number))) is not None
            and not now.has_type_of(then)
            and _COARSE.fullmatch(now.type)
            and _castable(now, start)
        }
        named = implied.named_as(rule, step.after, step.before)
        if retyped and named in step.before.restrictions:
            condition = _breaking(rule, step.before, retyped)
            if condition is not None:
                yield _of_rule(step, rule, condition, start, retyped)


def _of_another_type(rule: Restriction, step: Rehearsed) -> bool:
    """Tell whether a rule comes with a domain that its column becomes: the change of type asks it."""
    if not rule.domain:
        return False
    then, now = (one.columns.get((rule.table, rule.columns[0])) for one in (step.before, step.after))
    return then is None or now is None or not now.has_type_of(then)


_WHY = {
    "unique": "rows that are alike in {columns}, which is unique below",
    "exclusion": "rows that exclude each other by {columns} below",
    "foreign key": "rows whose {columns} refers to no row of {target}, as it must below",
    "check": "rows that a CHECK below refuses: {text}",
}
_OUTSIDE = "rows outside the partition's bounds below: {text}"


def _of_rule(
    step: Rehearsed,
    rule: Restriction,
    condition: str,
    start: Snapshot | None,
    retyped: Mapping[int, str] | None = None,
) -> Item:
    table = step.before.tables[rule.table]
    columns = [step.before.columns[rule.table, number] for number in rule.columns if number]
    named = ", ".join(plain(column.name) for column in columns) or ", ".join(rule.keys)
    target = step.before.tables.get(rule.target, ("", ""))
    told = _WHY[rule.kind] if rule.number >= 0 else _OUTSIDE
    why = told.format(columns=named, target=".".join(map(plain, target)), text=rule.text)
    then = implied.named_as(rule, step.after, start) if start is not None else None
    at_start = _breaking(then, start, retyped) if start is not None and then is not None else None
    name = ".".join(map(plain, table)) if len(columns) != 1 else columns[0].full_name
    known = start.tables.get(rule.table) if start is not None and at_start is not None else None
    return Item(
        step.revision,
        name,
        why,
        known,
        table,
        condition=condition,
        condition_at_start=at_start,
        enforced=True,
        identity=(rule.table, rule.columns[0]) if rule.kind == "check" and len(rule.columns) == 1 else None,
    )


def _breaking(rule: Restriction, there: Snapshot, retyped: Mapping[int, str] | None = None) -> str | None:
    """Spell what breaks a rule under the names of one moment; None where what it speaks of is not there.

    `retyped` are types that columns, by their numbers, are cast to before they are compared.
    """
    table, target = there.tables.get(rule.table), there.tables.get(rule.target)
    if table is None or (rule.kind == "foreign key" and target is None):
        return None

    def column(oid: int, number: int) -> str | None:
        found = there.columns.get((oid, number))
        if found is None:
            return None
        return (
            f"({quoted(found.name)}::{retyped[number]})"
            if retyped and number in retyped
            else quoted(found.name)
        )

    found = rule.breaking(quoted(*table[1:]), column, quoted(*target) if target is not None else None)
    return found.replace("{table}", quoted(*table)) if found is not None else None


def _changed_by_cast(above: str, below: str) -> str:
    """Spell the condition of values that a type below does not hold; numbers out of its range would be an error to ask."""
    differs = f"({{column}}::{below}::{above})::text IS DISTINCT FROM {{column}}::text"
    number, numbers, room = "{column}", above.removesuffix("[]"), below.removesuffix("[]")
    if not _NUMBERS.fullmatch(numbers) or above.endswith("[]") != below.endswith("[]"):
        return differs
    if numbers != above:
        number = "element"
    beyond = out_of_range(number, room) or beyond_rounding(number, numbers, room)
    return guarded(differs, _some_element(beyond) if beyond is not None and numbers != above else beyond)


def _some_element(condition: str) -> str:
    return f"EXISTS (SELECT FROM unnest({{column}}) AS element WHERE {condition})"


def _of_members(column: Column, now: Column) -> bool:
    """Tell whether arrays become arrays of an enum."""
    return now.members is not None and column.type.endswith("[]")


def _castable(column: Column, start: Snapshot | None) -> bool:
    """Tell whether the target has the column's type already, so that values can be cast to it there."""
    return column.custom_type is None or (start is not None and column.custom_type in start.types)


def _not_default(column: Column) -> str:
    if column.default is None or not _CONSTANT.fullmatch(column.default):
        return "{column} IS NOT NULL"
    # As text: json and the like have no equality.
    return f"{{column}} IS NOT NULL AND {{column}}::text IS DISTINCT FROM ({column.default})::text"
