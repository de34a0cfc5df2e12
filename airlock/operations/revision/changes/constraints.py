"""Changes of constraints of a table that exists on both sides."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from airlock.catalogue.structure import quoted
from airlock.operations.revision import ddl
from airlock.operations.revision.changes import indexes, keys
from airlock.operations.revision.changes.breaking_rows import noted
from airlock.operations.revision.changes.stepwise import validated
from airlock.operations.revision.naming import beside_name
from airlock.operations.revision.parts import Part, Sql, Stage, alone, sql
from airlock.records.revision import Remark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.catalogue.structure import Constraint, Table
    from airlock.operations.revision.changes.columns import Changes
    from airlock.operations.revision.shadow import Sides


def changes(sides: Sides, live: Table, wanted: Table, columns: Changes) -> Iterator[Part]:
    """Plan the constraints, but for those that the columns' own changes have settled."""
    old = {name: one for name, one in live.constraints.items() if name not in columns.settled}
    new = {name: one for name, one in wanted.constraints.items() if name not in columns.settled}
    for name in sorted(old.keys() & new.keys()):
        before, after = old.pop(name), new.pop(name)
        if _same(before, after):
            if after.valid and not before.valid:
                yield validated(live, before)
            if before.comment != after.comment:
                yield _comment(live, before, after)
        else:
            yield from _replaced(sides, live, before, after, columns)
    for name, after in sorted(new.items()):
        alike = [one for _, one in sorted(old.items()) if _same(one, after)]
        if not alike:
            continue
        before = alike[0]
        del old[before.name], new[name]
        yield Part(
            Stage.EXPAND, f"rename constraint {before.name} of {live.label} to {name}",
            sql(f"ALTER TABLE {live.sql} RENAME CONSTRAINT {quoted(before.name)} TO {quoted(name)}"),
            sql(f"ALTER TABLE {live.sql} RENAME CONSTRAINT {quoted(name)} TO {quoted(before.name)}"),
            locks=f"ACCESS EXCLUSIVE on {live.sql} for a moment",
        )  # fmt: skip
        if before.comment != after.comment:
            yield _comment(live, dataclasses.replace(before, name=name), after)
        if after.valid and not before.valid:
            yield validated(live, dataclasses.replace(before, name=name))
    # A table has one primary key: another one, under another name, takes its place.
    primary = [one for group in (old, new) for one in group.values() if one.kind == "p"]
    if len(primary) == 2:
        del old[primary[0].name], new[primary[1].name]
        yield from _replaced(sides, live, primary[0], primary[1], columns)
    going = {table.sql for key, table in sides.live.tables.items() if key not in sides.wanted.tables}
    for one in old.values():
        if live.tells_by(one.name):
            _held(live, one, columns)
            continue
        part = _dropped(sides, live, one, empty=one.references in going)
        held = keys.staying(sides, live, one) if one.kind in "pu" else []
        if keys.loses_its_key(sides, one):
            part = dataclasses.replace(part, stage=Stage.CLEAR)
        yield dataclasses.replace(keys.around(part, held), stage=Stage.SWAP) if held else part
        for table, key in held:
            yield dataclasses.replace(validated(table, key), stage=Stage.SETTLE)
    for one in new.values():
        yield from _added(sides, live, one, columns)


def _same(before: Constraint, after: Constraint) -> bool:
    # The columns of an index below a key say more than the key: operator classes, NULLS NOT DISTINCT.
    bodies = [(one.index or "").partition(" ON ")[2] for one in (before, after)]
    return (before.kind, before.bare, bodies[0]) == (after.kind, after.bare, bodies[1])


def _held(live: Table, one: Constraint, columns: Changes) -> None:
    """Leave a key as it is, and an index that would have its name."""
    columns.remarks.append(indexes.held(live, f"{one.name} of {live.label}"))
    columns.settled.add(one.name)


def _tells(sides: Sides, live: Table, after: Constraint) -> bool:
    """Tell whether a key may be a replica identity."""
    wanted = sides.wanted.tables[live.schema, live.name]
    return "DEFERRABLE" not in after.definition and indexes.tells(
        wanted, after.index or "", after.columns, unique=True
    )


def _comment(live: Table, before: Constraint, after: Constraint) -> Part:
    return Part(
        Stage.VALIDATE if before.kind in "cf" else Stage.SWAP,
        f"comment on constraint {after.name} of {live.label}",
        sql(ddl.comment_on_constraint(live, after)), sql(ddl.comment_on_constraint(live, before)),
        locks=f"SHARE UPDATE EXCLUSIVE on {live.sql}",
    )  # fmt: skip


def _dropped(sides: Sides, live: Table, one: Constraint, *, empty: bool = False) -> Part:
    """Drop a constraint; `empty`: the table that it leads to goes with its rows, and comes back without."""
    other = f" and {one.references}" if one.references else ""
    return Part(
        Stage.EXPAND if one.kind != "p" else Stage.SWAP, f"drop constraint {one.name} of {live.label}",
        sql(f"ALTER TABLE {live.sql} DROP CONSTRAINT {quoted(one.name)}"),
        _as_far_as_rows_lead(live, one) if empty else ddl.constraint_again(live, one),
        locks=f"ACCESS EXCLUSIVE on {live.sql}{other} for a moment, no scan",
        undo=f"exact, made again without blocking; it stays NOT VALID while a row refers to one that {one.references} has lost"
        if empty else "exact, made again without blocking; refused while a row breaks it",
        accepted=keys.unavoidable(sides, live, one),
    )  # fmt: skip


def _as_far_as_rows_lead(live: Table, one: Constraint) -> tuple[Sql, ...]:
    """Make a foreign key again; rows that lead nowhere, for the other table came back empty, leave it NOT VALID."""
    validate = f"ALTER TABLE {live.sql} VALIDATE CONSTRAINT {quoted(one.name)}"
    guarded = (
        f"DO $$\nBEGIN\n    {validate};\nEXCEPTION WHEN foreign_key_violation THEN\n"
        f"    RAISE WARNING USING MESSAGE = {ddl.literal(f'{one.name} stays NOT VALID: rows refer to what is gone')};\nEND\n$$"
    )
    return tuple(
        dataclasses.replace(it, text=guarded) if it.text == validate else it
        for it in ddl.constraint_again(live, one)
    )


def _added(sides: Sides, live: Table, one: Constraint, columns: Changes) -> Iterator[Part]:
    if one.kind == "f" and live.validates_at_once:
        what = "is partitioned, and before PostgreSQL 18 its foreign keys have no NOT VALID: make it NOT VALID on each partition"
        columns.remarks.append(
            Remark(
                f"{one.name} of {live.label}",
                f"{live.label} {what} and VALIDATE it there, then make it on the table, which takes those over, by hand",
            )
        )
        return
    if one.kind in "cf":
        waits = keys.waits(sides, one)
        required = _not_valid(live, None, one)
        yield dataclasses.replace(required, stage=Stage.SWAP) if waits else required
        part = validated(live, one)
        part = dataclasses.replace(part, up=noted(part.up, live, one))
        yield dataclasses.replace(part, stage=Stage.SETTLE) if waits else part
        return
    if one.kind in "pu" and live.partition_key is not None:
        what = "is partitioned, and a key of it is not built CONCURRENTLY: make its indexes partition by partition, by hand"
        columns.remarks.append(Remark(f"{one.name} of {live.label}", f"{live.label} {what}"))
        return
    if one.kind in "pu" and ddl.using_index(one) is not None:
        part = keys.rebinding(_keyed(live, None, one), keys.bound(sides, live, one))
        # Behind the backfill: rows are indexed once, with their numbers.
        numbered = one.kind == "u" and not columns.numbered.isdisjoint(one.columns)
        yield dataclasses.replace(part, stage=Stage.TWIN) if numbered else part
        return
    columns.remarks.append(
        Remark(
            f"{one.name} of {live.label}",
            "an exclusion constraint, or a key WITHOUT OVERLAPS, of an existing table is built under ACCESS EXCLUSIVE:"
            " nobody reads or writes meanwhile",
        )
    )
    yield Part(
        Stage.KEY, f"add constraint {one.name} to {live.label}",
        noted(sql(f"ALTER TABLE {live.sql} ADD CONSTRAINT {quoted(one.name)} {one.text}"), live, one)
        + sql(*([ddl.comment_on_constraint(live, one)] if one.comment is not None else [])),
        sql(f"ALTER TABLE {live.sql} DROP CONSTRAINT {quoted(one.name)}"), own=True,
        locks=f"ACCESS EXCLUSIVE on {live.sql} while its index is built. Nobody reads or writes meanwhile",
    )  # fmt: skip


def _not_valid(live: Table, before: Constraint | None, after: Constraint) -> Part:
    """Add a CHECK or foreign key for new rows only, in the place of another one perhaps."""
    table = f"ALTER TABLE {live.sql}"
    up = [f"{table} DROP CONSTRAINT {quoted(before.name)}"] if before else []
    up.append(ddl.not_valid(live, after))
    up += [ddl.comment_on_constraint(live, after)] if after.comment is not None else []
    down: tuple[Sql, ...] = sql(f"{table} DROP CONSTRAINT {quoted(after.name)}")
    if before:
        gone = (
            alone(f"{table} DROP CONSTRAINT IF EXISTS {quoted(after.name)}")
            if before.name != after.name
            else ()
        )
        down = gone + ddl.constraint_again(live, before)
    mode = (
        f"SHARE ROW EXCLUSIVE on {live.sql} and {after.references}"
        if after.references
        else f"ACCESS EXCLUSIVE on {live.sql}"
    )
    what = "replace" if before else "add"
    return Part(
        Stage.REQUIRE, f"{what} constraint {after.name} of {live.label} for new rows", sql(*up), down,
        locks=f"{mode} for a moment, no scan: NOT VALID",
        undo="exact, made again without blocking" if before else "exact; nothing is lost",
    )  # fmt: skip


def _keyed(live: Table, before: Constraint | None, after: Constraint) -> Part:
    """Build a unique index while everybody works on, then make it the constraint's."""
    name = after.name if before is None else beside_name(after.name)
    table = f"ALTER TABLE {live.sql}"
    up = [*live.marked(before.name, name), f"{table} DROP CONSTRAINT {quoted(before.name)}"] if before else []
    up.append(f"{table} ADD CONSTRAINT {quoted(after.name)} {ddl.using_index(after, name)}")
    up += [ddl.comment_on_constraint(live, after)] if after.comment is not None else []
    down: tuple[Sql, ...] = sql(f"{table} DROP CONSTRAINT {quoted(after.name)}")
    if before is not None and before.index is not None:
        old = beside_name(before.name)
        back = [f"{table} ADD CONSTRAINT {quoted(before.name)} {ddl.using_index(before, old)}"]
        back += [ddl.comment_on_constraint(live, before)] if before.comment is not None else []
        marked = sql(*live.marked(before.name, old))
        down = (*ddl.index_again(live, before.index, old), *marked, *down, *sql(*back))
    made = ddl.index_again(live, str(after.index), name)
    if before is None and after.kind == "u":
        made = noted(made, live, after)
    return Part(
        Stage.KEY if after.kind == "p" else Stage.INDEX,
        f"{'replace' if before else 'add'} {'primary key' if after.kind == 'p' else 'unique'} {after.name} of {live.label}",
        (*made, *sql(*up)), down, own=True,
        locks=f"SHARE UPDATE EXCLUSIVE on {live.sql} while the index is built (reads and writes go on; it waits for older"
        " transactions), then ACCESS EXCLUSIVE for a moment",
    )  # fmt: skip


def _replaced(
    sides: Sides, live: Table, before: Constraint, after: Constraint, columns: Changes
) -> Iterator[Part]:
    if after.kind == "f" and live.validates_at_once:
        yield from _added(sides, live, after, columns)
        return
    if before.kind in "cf" and after.kind in "cf":
        if keys.waits(sides, after):
            yield dataclasses.replace(_dropped(sides, live, before), stage=Stage.CLEAR)
            yield from _added(sides, live, after, columns)
            return
        yield _not_valid(live, before, after)
        yield validated(live, after)
        return
    if after.kind in "pu" and live.partition_key is not None:
        yield from _added(sides, live, after, columns)
        return
    plain = before.kind in "pu" and after.kind in "pu"
    if live.tells_by(before.name) and not (plain and _tells(sides, live, after)):
        _held(live, before, columns)
        return
    if plain and ddl.using_index(before) is not None and ddl.using_index(after) is not None:
        staying = keys.staying(sides, live, before)
        yield keys.around(_keyed(live, before, after), staying)
        for table, one in staying:
            yield dataclasses.replace(validated(table, one), stage=Stage.SETTLE)
        return
    yield dataclasses.replace(_dropped(sides, live, before), stage=Stage.CLEAR)
    yield from _added(sides, live, after, columns)
