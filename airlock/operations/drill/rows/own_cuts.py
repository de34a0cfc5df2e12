"""Which demands of the tables above no row need meet, since the upgrade cuts, rounds or replaces the values itself.

Rows that meet all of them lose nothing by `TYPE varchar(40) USING left(slug, 40)`: of that, they would prove nothing.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock import samples
from airlock.drivers.spelling import mentions
from airlock.operations.drill import failures
from airlock.operations.drill.rows import extremes, rows_refused

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from airlock.operations.drill.state import State
    from airlock.operations.drill.step import StepTaken
    from airlock.operations.drill.subject import Subject
    from airlock.samples import Table
    from airlock.samples.model import Column

# Of texts that a column of ten characters, or of four or five, is put together of.
_SHORT = (5, 2)
_ROOM, _NOT_NULL, _CHECK = "room", "NOT NULL", "CHECK"


@dataclass(frozen=True, order=True)
class Demand:
    """What a table above asks of one column's values: that they have room in its type, are not NULL, or pass its CHECKs."""

    table: str
    column: str
    kind: str


class NoRowsMadeError(Exception):
    """No row could be made that meets what is left of the demands: an upgrade of empty tables would tell nothing."""


def go_up(
    subject: Subject, names: Collection[str], required: Mapping[str, Table], *, ordinary: bool = False
) -> tuple[State, StepTaken, Mapping[str, Table]]:
    """Fill some empty tables with rows that fit what the tables above demand, but for what the upgrade sees to; upgrade.

    `ordinary` has texts shortened: first those that the upgrade does not convert, then all, and at last so that two or three of
    them have room in a short column together. Commits.
    Gives the state before, the step, and what was demanded of the rows. Raises what the upgrade raises on rows that meet
    every demand, or what the downgrade raises where it has to be taken between tries.
    """
    ledger = subject.ledger
    below = {table.label: table for table in ledger.tables(names)}
    source = subject.source
    required = {
        label: samples.in_present_types(it, below[label]) if label in below else it
        for label, it in required.items()
    }
    found = demands(below, required, source)

    # `spared` is the revision's text, where what it converts keeps its length.
    def on(
        left: tuple[Demand, ...], spared: str, longest: int = extremes.ORDINARY
    ) -> tuple[State, StepTaken, Mapping[str, Table]]:
        asked = without(below, required, left)
        ledger.empty(names)
        ledger.fill(names, required=asked)
        if ordinary:
            extremes.tame(ledger.writing, ledger.tables(names), texts=longest, source=spared)
        before = ledger.read()
        if not all(before.digests[one.table].count for one in left):
            raise NoRowsMadeError
        try:
            return before, subject.take("up"), asked
        except Exception as error:  # noqa: BLE001  a revision may raise anything
            # Of the rows that fit in every other way a few may be what it refuses by itself.
            return *rows_refused.go_up(subject, names, error)[:2], asked

    def goes(left: tuple[Demand, ...], spared: str) -> bool:
        try:
            on(left, spared)
        except Exception as error:
            if not failures.is_about_rows(error):
                raise
            return False
        ledger.empty(names)
        subject.take("down")
        return True

    def among(some: tuple[Demand, ...], spared: str) -> tuple[Demand, ...]:
        halves = (some[: len(some) // 2], some[len(some) // 2 :]) if len(some) > 1 else ()
        return tuple(one for half in halves for one in (half if goes(half, spared) else among(half, spared)))

    for spared in (source, "") if ordinary else (source,):
        left = found
        while left:
            try:
                return on(left, spared)
            except Exception as error:
                if not failures.is_about_rows(error):
                    raise
            # Of several the upgrade may see to some, each by itself or not.
            left = among(found, spared) if left is found else ()
    for longest in (extremes.ORDINARY, *_SHORT) if ordinary else ():
        try:
            return on((), "", longest)
        except Exception as error:
            if not extremes.is_too_long(error):
                raise
    return on((), "")


def demands(below: Mapping[str, Table], required: Mapping[str, Table], source: str) -> tuple[Demand, ...]:
    """List what a revision may see to itself: of columns that it names, and whose type or values it sets by an expression.

    `below` are the tables as they stand, `required` as they will be, `source` is the revision's text.
    """
    found = []
    for label, table in below.items():
        later = required.get(label)
        if later is not None and mentions(source, table.name):
            found += [one for one in _of_table(table, later, source) if mentions(source, one.column)]
    return tuple(found)


def without(
    below: Mapping[str, Table], required: Mapping[str, Table], left: Sequence[Demand]
) -> dict[str, Table]:
    """Describe the tables above as if they did not demand what is in `left`."""
    found = dict(required)
    for label in {one.table for one in left}:
        now, later = below[label], required[label]
        kinds = {kind: {one.column for one in left if (one.table, one.kind) == (label, kind)}
                 for kind in (_ROOM, _NOT_NULL, _CHECK)}  # fmt: skip
        was = {column.name: column for column in now.columns}
        found[label] = dataclasses.replace(
            later,
            columns=tuple(
                dataclasses.replace(
                    was[one.name] if one.name in kinds[_ROOM] else one,
                    nullable=one.nullable or one.name in kinds[_NOT_NULL],
                )
                for one in later.columns
            ),
            checks=tuple(
                one for one in later.checks if one in now.checks or not set(one.columns) & kinds[_CHECK]
            ),
        )
    return found


def _of_table(table: Table, later: Table, source: str) -> Iterator[Demand]:
    then = {column.name: column for column in later.columns}
    keys = {name for key in table.foreign_keys for name in key.columns}
    by_expression = re.search(r"(?i)using|\bupdate\b", source) is not None
    for column in table.columns:
        if column.name not in then or column.name in keys:
            continue
        if _has_less_room(column, then[column.name]):
            yield Demand(table.label, column.name, _ROOM)
        if by_expression and column.nullable and not then[column.name].nullable:
            yield Demand(table.label, column.name, _NOT_NULL)
        if by_expression and any(
            column.name in one.columns for one in later.checks if one not in table.checks
        ):
            yield Demand(table.label, column.name, _CHECK)


def _has_less_room(column: Column, then: Column) -> bool:
    """Tell whether the type above may refuse a value; where it does not after all, nothing is lost by asking."""
    if (column.type, column.length, column.scale) == (then.type, then.length, then.scale):
        return False
    if column.category == "S" and then.category == "S":
        return then.length is not None and (column.length is None or then.length < column.length)
    return column.category == "S" or {column.category, then.category} == {"N"}
