"""The long way to another type: a twin column kept equal by a trigger takes the old one's place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.catalogue.structure import quoted
from airlock.operations.revision import ddl
from airlock.operations.revision.columns.twin import (
    Names,
    cast,
    expand,
    fitting,
    index_beside,
    not_null,
    refused_first,
    require_beside,
    sync,
    unsync,
)
from airlock.operations.revision.naming import beside_name, made_name
from airlock.operations.revision.parts import Part, Sql, Stage, alone, sql
from airlock.records.revision import Remark

if TYPE_CHECKING:
    from airlock.catalogue.structure import Column, Constraint, Index, Table
    from airlock.operations.revision.columns.needs import Changes
    from airlock.operations.revision.shadow import Sides


def swapped(sides: Sides, live: Table, wanted: Table, before: Column, after: Column, found: Changes) -> None:
    """Plan the long way: a second column kept equal by a trigger, filled in batches, indexed, required, swapped in."""
    label = f"{live.label}.{after.name}"
    if before.identity or after.identity or before.sequence or after.sequence or before.generated:
        found.remarks.append(
            Remark(label, f"{before.type} -> {after.spelt_type} rewrites, on a numbered column: by hand")
        )
        return
    referring = [
        one.name for table in sides.live.tables.values() for one in table.constraints.values()
        if one.kind == "f" and one.references == live.sql and table.sql != live.sql
        and f"({quoted(after.name)})" in one.definition.partition("REFERENCES")[2]
    ]  # fmt: skip
    if referring:
        found.remarks.append(
            Remark(
                label,
                f"{before.type} -> {after.spelt_type} rewrites, and {', '.join(referring)} refer to it: by hand",
            )
        )
        return
    taken = {*live.columns, *wanted.columns}
    sync_name = made_name(live.name, after.name, "sync")
    names = Names(
        after.name, beside_name(after.name, taken), made_name(after.name, "old", taken=taken),
        ddl.in_schema(live, sync_name), quoted(sync_name),
    )  # fmt: skip
    beside = sides.renamed(wanted, after.name, names.new)
    constraints = [one for one in beside.constraints.values() if names.new in one.columns]
    indexes = [one for one in beside.indexes.values() if names.new in one.columns]
    old_constraints = [one for one in live.constraints.values() if after.name in one.columns]
    old_indexes = [one for one in live.indexes.values() if after.name in one.columns]
    found.settled |= {one.name for group in (constraints, old_constraints) for one in group}
    found.settled |= {one.name for group in (indexes, old_indexes) for one in group}
    fits = fitting(live, before, after)
    if fits is not None:
        # What is too long is refused first, and looked for before anything is copied.
        found.parts += refused_first(live, fits)
        old_constraints.append(fits)
    # The new column is nullable until the swap: a key that needs NOT NULL gets it there.
    expand(live, after, names, found)
    for index in indexes:
        index_beside(live, index.name, index.text, found)
    for key in constraints:
        if key.index is not None:
            index_beside(live, key.name, key.index, found)
    require_beside(live, after, names, constraints, found)
    found.parts.append(
        _swap(live, before, after, names, (old_constraints, old_indexes), (constraints, indexes))
    )
    _retire(live, before, names, found)


def _swap(
    live: Table,
    before: Column,
    after: Column,
    names: Names,
    old: tuple[list[Constraint], list[Index]],
    new: tuple[list[Constraint], list[Index]],
) -> Part:
    table, column = f"ALTER TABLE {live.sql}", quoted(names.column)
    aside = [f"{table} DROP CONSTRAINT {quoted(one.name)}" for one in old[0]]
    aside += [f"DROP INDEX {ddl.in_schema(live, one.name)}" for one in old[1]]
    aside += [f"{table} RENAME COLUMN {column} TO {quoted(names.old)}"]
    aside += [f"{table} ALTER COLUMN {quoted(names.old)} DROP NOT NULL"] if before.not_null else []
    aside += [f"{table} ALTER COLUMN {quoted(names.old)} DROP DEFAULT"] if before.default is not None else []
    take = [f"{table} RENAME COLUMN {quoted(names.new)} TO {column}"]
    take += (
        [f"{table} ALTER COLUMN {column} SET DEFAULT {after.default}"] if after.default is not None else []
    )
    if after.not_null:
        take += [
            f"{table} ALTER COLUMN {column} SET NOT NULL",
            f"{table} DROP CONSTRAINT {quoted(ddl.present(live, names.new))}",
        ]
    for one in new[0]:
        if one.kind in "cf":
            take.append(f"{table} RENAME CONSTRAINT {quoted(beside_name(one.name))} TO {quoted(one.name)}")
        else:
            using = ddl.using_index(one, beside_name(one.name))
            take.append(f"{table} ADD CONSTRAINT {quoted(one.name)} {using}")
        take += [ddl.comment_on_constraint(live, one)] if one.comment is not None else []
    for index in new[1]:
        take.append(
            f"ALTER INDEX {ddl.in_schema(live, beside_name(index.name))} RENAME TO {quoted(index.name)}"
        )
        take += [ddl.comment_on_index(live, index)] if index.comment is not None else []
    take += [ddl.comment_on_column(live, after)] if after.comment is not None else []
    up = (*unsync(live, names), *sql(*aside, *take), *sync(live, names, names.old, names.column, before))
    return Part(
        Stage.SWAP, f"swap {live.label}.{names.column} for its {after.spelt_type} twin", up,
        _unswap(live, before, after, names, old, new), own=True,
        locks=f"ACCESS EXCLUSIVE on {live.sql} for catalogue changes, no scan; from here on a trigger keeps {names.old}",
        undo="exact: the old column was kept equal; its indexes and constraints are made again without blocking",
    )  # fmt: skip


def _unswap(
    live: Table,
    before: Column,
    after: Column,
    names: Names,
    old: tuple[list[Constraint], list[Index]],
    new: tuple[list[Constraint], list[Index]],
) -> tuple[Sql, ...]:
    """Swap back, then make what stood on the old column again: outside a transaction, each statement by itself."""
    table, column = f"ALTER TABLE {live.sql}", quoted(names.column)
    back = [f"{table} RENAME COLUMN {column} TO {quoted(names.new)}"]
    back += [f"{table} ALTER COLUMN {quoted(names.new)} DROP DEFAULT"] if after.default is not None else []
    back += [f"COMMENT ON COLUMN {live.sql}.{quoted(names.new)} IS NULL"] if after.comment is not None else []
    if after.not_null:
        back += [ddl.not_valid(live, not_null(live, names.new))]
        back += [f"{table} ALTER COLUMN {quoted(names.new)} DROP NOT NULL"]
    rebuilt: list[Sql] = []
    for one in new[0]:
        if one.kind in "cf":
            back.append(f"{table} RENAME CONSTRAINT {quoted(one.name)} TO {quoted(beside_name(one.name))}")
        else:
            back.append(f"{table} DROP CONSTRAINT {quoted(one.name)}")
            rebuilt += ddl.index_again(live, str(one.index), beside_name(one.name))
    back += [
        f"ALTER INDEX {ddl.in_schema(live, index.name)} RENAME TO {quoted(beside_name(index.name))}"
        for index in new[1]
    ]
    back += [f"{table} RENAME COLUMN {quoted(names.old)} TO {column}"]
    back += (
        [f"{table} ALTER COLUMN {column} SET DEFAULT {before.default}"] if before.default is not None else []
    )
    statements = [*unsync(live, names), *sql(*back), *sync(live, names, names.new, names.column, after)]
    if after.not_null:
        valid = f"{table} VALIDATE CONSTRAINT {quoted(ddl.present(live, names.new))}"
        rebuilt.append(Sql(valid, autocommit=True))
    if before.not_null:
        rebuilt += ddl.not_null_again(live, names.column)
    for one in old[0]:
        rebuilt += ddl.constraint_again(live, one)
    for index in old[1]:
        rebuilt += ddl.index_again(live, index.text, index.name)
        if index.comment is not None:
            rebuilt.append(Sql(ddl.comment_on_index(live, index), autocommit=True))
    return (*statements, *rebuilt)


def _retire(live: Table, before: Column, names: Names, found: Changes) -> None:
    old = quoted(names.old)
    label = f"{live.label}.{names.old}"
    comment = (
        [f"COMMENT ON COLUMN {live.sql}.{old} IS {ddl.literal(before.comment)}"] if before.comment else []
    )
    again = (
        *alone(f"ALTER TABLE {live.sql} ADD COLUMN IF NOT EXISTS {old} {before.spelt_type}", *comment),
        *alone(*(one.text for one in sync(live, names, names.old, names.column, before))),
        ddl.backfill(
            live,
            f"{old} = {cast(quoted(names.column), before)}",
            f"{quoted(names.column)} IS NOT NULL AND {old} IS NULL",
        ),
    )
    found.parts.append(
        Part(
            Stage.DROP, f"drop {label}",
            (*unsync(live, names), *sql(f"ALTER TABLE {live.sql} DROP COLUMN {old}")), again, own=True,
            locks=f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan",
            undo=f"the structure exactly; the values come back from {names.column}, converted to {before.spelt_type}",
            loses=((label, f"its values; a downgrade converts them back from {names.column}"),),
        )
    )  # fmt: skip
