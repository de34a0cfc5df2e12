"""The long way to another type: a twin column kept equal by a trigger takes the old one's place."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from airlock.catalogue.structure import quoted
from airlock.operations.revision import ddl
from airlock.operations.revision.changes.columns.converting import fits, never
from airlock.operations.revision.changes.columns.needs import Names, Swap
from airlock.operations.revision.changes.columns.numbering import numbers
from airlock.operations.revision.changes.columns.turning import Turn, turned
from airlock.operations.revision.changes.columns.twin import (
    expand,
    fitting,
    index_beside,
    refused_first,
    require_beside,
    retire,
)
from airlock.operations.revision.changes.dependents import in_the_way, views, with_the_table
from airlock.operations.revision.changes.stepwise import required_at_last, validated, value_for
from airlock.operations.revision.naming import beside_name, made_name
from airlock.operations.revision.parts import Stage
from airlock.records.revision import Remark

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airlock.catalogue.structure import Column, Constraint, Table
    from airlock.operations.revision.changes.columns.needs import Changes
    from airlock.operations.revision.parts import Part
    from airlock.operations.revision.shadow import Sides


Key = tuple[str, str]


def swapped(sides: Sides, live: Table, wanted: Table, before: Column, after: Column, found: Changes) -> None:
    """Note a column for the long way, and settle what stands on it; or say what stands in the way."""
    swap = swap_of(live, wanted, before, after)
    why = stands_in_the_way(sides, swap)
    if why:
        label = live.label_of(after.name)
        found.remarks.append(
            Remark(label, f"{before.type} -> {after.spelt_type} rewrites the table, and {why}")
        )
        found.stuck.add(after.name)
        return
    fitted = dataclasses.replace(swap, fits=fits(sides, before, after), goes_back=fits(sides, after, before))
    noted(sides, fitted, found)


def swap_of(live: Table, wanted: Table, before: Column, after: Column) -> Swap:
    """Name the twin of a column, and all that is made with it.

    A column that becomes NOT NULL too may be NULL until it has turned: old code writes it so.
    """
    if after.not_null and not before.not_null:
        after = dataclasses.replace(after, not_null=False, not_null_name=None)
    taken = {*live.columns, *wanted.columns}
    sync = made_name(live.name, after.name, "sync")
    names = Names(
        after.name, beside_name(after.name, taken), made_name(after.name, "old", taken=taken),
        ddl.in_schema(live, sync), quoted(sync),
    )  # fmt: skip
    return Swap(live, wanted, before, after, names)


def noted(sides: Sides, swap: Swap, found: Changes) -> None:
    """Leave a column, and its constraints and indexes, to the plan of all that turn; require it behind that."""
    for side in (swap.live, swap.wanted):
        found.settled |= {one.name for one in side.constraints.values() if swap.after.name in one.columns}
        found.settled |= {one.name for one in side.indexes.values() if swap.after.name in one.columns}
    found.swaps.append(swap)
    after = swap.wanted.columns[swap.names.column]
    if after.not_null and not swap.before.not_null:
        found.parts += required_at_last(swap.live, after, *value_for(sides, swap.wanted, after))


def stands_in_the_way(sides: Sides, swap: Swap) -> str | None:
    """Say why a column cannot go the long way; None where it can."""
    live, before, after = swap.live, swap.before, swap.after
    if before.generated or after.generated:
        return "it is a generated column: write it by hand"
    if not swap.enums and (why := never(sides, before, after)):
        return (
            f"{why}. Three edits of the models lead there: a column of the new type beside it, and beside what refers to it one"
            " that refers to that, NOT NULL (its backfill is written, with a line to FILL IN); then the key, or what else"
            " stands on this one, on the new one, and the old columns gone; then --rename"
        )
    if bool(numbers(before)) != bool(numbers(after)):
        return "it is numbered on one side only: change its type first, its numbering in a second revision"
    if live.partition_key is not None:
        return (
            "the table is partitioned: a twin, and the indexes and keys on it, are to be made partition by partition."
            " Write it by hand, or ALTER TABLE … TYPE, which rewrites all of them under ACCESS EXCLUSIVE, for an hour in"
            " which that may be"
        )
    return in_the_way(sides, swap)


def swaps(sides: Sides, changes: Mapping[Key, Changes]) -> tuple[list[Part], set[tuple[Key, str]]]:
    """Plan the columns that were noted: tables whose foreign keys join them turn together.

    Returns the parts, and the foreign keys that they drop and make again, by table and name.
    """
    _stay_together(sides, changes)
    turns = {key: _turn(sides, one.swaps) for key, one in changes.items() if one.swaps}
    linked = _foreign_keys(sides, turns, changes)
    parts: list[Part] = []
    defaults = {name for name, one in sides.wanted.domains.items() if one.default is not None}
    for turn in turns.values():
        parts += _prepared(turn, defaults)
    for group in _groups(turns, linked):
        members = [turns[key] for key in group if key in turns]
        old = [(table, one) for home, _, table, one, live in linked if home in group and live]
        new = [(table, one) for home, _, table, one, live in linked if home in group and not live]
        leaning = with_the_table(sides, [one for turn in members for one in turn.swaps])
        parts.append(turned(members, old, new, leaning))
        parts += [dataclasses.replace(validated(table, one), stage=Stage.SETTLE) for table, one in new]
    parts += views(sides, [one for turn in turns.values() for one in turn.swaps])
    for turn in turns.values():
        parts.append(retire(turn.live, turn.swaps, sides.live.domains))
    return parts, {(key, one.name) for _, key, _, one, _ in linked}


_NUMBERS = frozenset({"smallint", "integer", "bigint"})


def _stay_together(sides: Sides, changes: Mapping[Key, Changes]) -> None:
    """Leave a column as it is where the one at the other end of its foreign key cannot change: the two would not compare."""
    homes = {table.sql: key for key, table in sides.wanted.tables.items()}
    ends = [
        (end, other)
        for key, table in sides.wanted.tables.items()
        for one in table.constraints.values()
        if one.kind == "f" and one.references in homes
        for here, there in zip(one.columns, one.referred, strict=True)
        for end, other in (
            ((key, here), (homes[one.references], there)), ((homes[one.references], there), (key, here)),
        )
    ]  # fmt: skip
    left = True
    while left:
        left = False
        for (key, column), (home, other) in ends:
            if key not in changes or home not in changes or other not in changes[home].stuck:
                continue
            for swap in [one for one in changes[key].swaps if one.names.column == column]:
                if {swap.before.type, swap.after.type} <= _NUMBERS:
                    continue
                changes[key].swaps.remove(swap)
                changes[key].stuck.add(column)
                told = f"{swap.before.type} -> {swap.after.type} waits for {sides.live.tables[home].label_of(other)}"
                changes[key].remarks.append(
                    Remark(swap.live.label_of(column), f"{told}, at the other end of a foreign key")
                )
                left = True


def _turn(sides: Sides, swaps_: Iterable[Swap]) -> Turn:
    """Gather what turns in one table, spelt as it is beside the old columns and behind the new ones."""
    members = tuple(swaps_)
    live, wanted = members[0].live, members[0].wanted
    enums = {enum.name: enum for one in members for enum in one.enums}
    beside = sides.renamed(
        wanted, {one.names.column: one.names.new for one in members}, {name: one.beside for name, one in enums.items()}
    )  # fmt: skip
    columns, twins = {one.names.column for one in members}, {one.names.new for one in members}
    clauses = [f"RENAME COLUMN {quoted(one.names.column)} TO {quoted(one.names.old)}" for one in members]
    behind = sides.probe(live, *clauses, also=[one.turns[0] for one in enums.values()]).indexes
    asked = [fit for one in members if (fit := fitting(one)) is not None]
    return Turn(
        live, members,
        old=[*(one for one in live.constraints.values() if columns & set(one.columns)), *asked],
        old_indexes=[one for one in live.indexes.values() if columns & set(one.columns)],
        new=[one for one in beside.constraints.values() if twins & set(one.columns)],
        new_indexes=[one for one in beside.indexes.values() if twins & set(one.columns)],
        behind=behind, fits=asked,
    )  # fmt: skip


def _prepared(turn: Turn, defaults: set[str]) -> list[Part]:
    live = turn.live
    parts: list[Part] = []
    for fit in turn.fits:
        # What is too long is refused first, and looked for before anything is copied.
        parts += refused_first(live, fit)
    parts += expand(live, turn.swaps, defaults)
    for index in turn.new_indexes:
        parts.append(index_beside(live, index.name, index.text))
    for key in turn.new:
        if key.index is not None:
            parts.append(index_beside(live, key.name, key.index))
    return parts + require_beside(live, turn.swaps, turn.new)


Link = tuple[Key, Key, "Table", "Constraint", bool]


def _foreign_keys(sides: Sides, turns: Mapping[Key, Turn], changes: Mapping[Key, Changes]) -> list[Link]:
    """List the foreign keys that lead to a column that turns: dropped before, made again behind it, then validated.

    Each with the table that it leads to, its own, and whether it is one that is there now.
    """
    found: list[Link] = []
    for structure, is_live in ((sides.live, True), (sides.wanted, False)):
        by_sql = {table.sql: key for key, table in structure.tables.items()}
        for key, table in structure.tables.items():
            for one in table.constraints.values():
                home = by_sql.get(one.references or "")
                if one.kind != "f" or home is None or home not in turns:
                    continue
                turning = {swap.names.column for swap in turns[home].swaps}
                if not turning & set(one.referred):
                    continue
                # Of a table that goes, the foreign key is dropped here too; of one that comes, it is made here.
                found.append((home, key, sides.live.tables.get(key, table), one, is_live))
                if key in changes:
                    changes[key].settled.add(one.name)
                if key in turns:
                    turns[key].without(one.name, live=is_live)
    return found


def _groups(turns: Mapping[Key, Turn], linked: Iterable[Link]) -> list[list[Key]]:
    groups: list[set[Key]] = [{key} for key in turns]
    for home, key, *_ in linked:
        joined = [group for group in groups if home in group or key in group]
        groups = [group for group in groups if group not in joined] + [set().union(*joined)]
    for name in {name for turn in turns.values() for name in turn.enums}:
        joined = [
            group for group in groups if any(key in turns and name in turns[key].enums for key in group)
        ]
        groups = [group for group in groups if group not in joined] + [set().union(*joined)]
    return [sorted(group) for group in groups]
