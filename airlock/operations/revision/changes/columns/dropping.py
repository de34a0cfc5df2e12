"""Columns that go: first they may be NULL, last they are dropped, together; and how they come back."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from airlock.catalogue.structure import FOLLOWING, quoted
from airlock.operations.revision import ddl
from airlock.operations.revision.changes.dependents import leaning_on, made, named
from airlock.operations.revision.changes.keys import loses_its_key, of_partitions, unavoidable
from airlock.operations.revision.changes.stepwise import stand_in
from airlock.operations.revision.naming import made_name
from airlock.operations.revision.parts import Part, Sql, Stage, alone, sql
from airlock.operations.revision.written.docstrings import joined
from airlock.records.revision import Remark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.catalogue.structure import Column, Table
    from airlock.operations.revision.changes.columns.needs import Changes
    from airlock.operations.revision.shadow import Sides


def dropped(sides: Sides, live: Table, wanted: Table, gone: list[Column], found: Changes) -> None:
    """Plan the columns that the models no longer have; say what leans on one and holds it."""
    gone = [one for one in gone if not held(sides, live, one, {it.name for it in gone}, found)]
    if not gone:
        return
    names = {one.name for one in gone}
    following = [one for one in leaning_on(sides, live, names) if one.kind in FOLLOWING]
    # A foreign key to a table or a key that goes as well is dropped first, by itself: it may go before the column.
    tables = {table.sql for key, table in sides.live.tables.items() if key not in sides.wanted.tables}
    with_them = [
        one for one in live.constraints.values()
        if names & set(one.columns) and (one.references not in tables or one.references == live.sql)
        and not loses_its_key(sides, one)
        # Another one takes the place of the primary key, and of what keeps its name: that comes before.
        and one.name not in wanted.constraints and not (one.kind == "p" and wanted.key is not None)
    ]  # fmt: skip
    indexes = [
        one for one in live.indexes.values() if names & set(one.columns) and one.name not in wanted.indexes
    ]
    found.settled |= {one.name for one in with_them} | {one.name for one in indexes}
    lock = f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan"
    freed: list[Column] = []
    for one in gone:
        kept_by_default = (
            one.default is not None
            and not sides.probe(
                live, f"ADD COLUMN airlock_again {one.spelt_type} DEFAULT {one.default}"
            ).rewritten
        )
        if one.not_null and not kept_by_default and not one.identity and not one.generated and not one.serial:
            value = _constant(sides, live, one)
            if value is not None:
                found.parts.append(_given(live, one, value))
                freed.append(dataclasses.replace(one, default=value))
                continue
            found.parts.append(_freed(sides, live, one))
            freed.append(dataclasses.replace(one, not_null=False))
        else:
            freed.append(one)
    # What is generated from others goes before them.
    going = sorted(gone, key=lambda one: not one.generated)
    up = sql(f"ALTER TABLE {live.sql} {', '.join(f'DROP COLUMN {quoted(one.name)}' for one in going)}")
    down: list[Sql] = []
    for one in freed:
        numbered = one.not_null and one.sequence is not None and bool(one.identity or one.serial)
        down += _numbered_again(live, wanted, one) if numbered else alone(_again(live, one))
    down += alone(*(ddl.comment_on_column(live, one) for one in gone if one.comment is not None))
    down += alone(*(grant.format(table=live.sql) for one in gone for grant in one.privileges))
    for constraint in with_them:
        down += ddl.constraint_again(live, constraint)
    for index in indexes:
        down += ddl.index_again(live, index.text, index.name)
        down += alone(ddl.comment_on_index(live, index)) if index.comment is not None else ()
    down += made(following)
    labels = [live.label_of(one.name) for one in gone]
    lost = [label for one in gone for label in live.labels_of(one.name)]
    scanned = dict(it for one in with_them for it in unavoidable(sides, live, one))
    scanned |= dict(of_partitions(live)) if indexes else {}
    rewrites = any(one.generated == "s" for one in gone)
    why = "only the downgrade rewrites: a stored generated column has no other form"
    found.parts.append(
        Part(
            Stage.DROP, f"drop {joined(labels)}", up, tuple(down), locks=lock,
            undo="the structure exactly (default, comment, constraints, indexes, grants); every value is lost",
            loses=(
                *((label, "dropped with its values; a downgrade makes it again, without them") for label in lost),
                *ddl.numbers_lost(live, gone),
            ),
            accepted=(*(((f"rewrite {live.found_as}", why),) if rewrites else ()), *scanned.items()),
        )
    )  # fmt: skip


def _numbered_again(live: Table, wanted: Table, one: Column) -> Iterator[Sql]:
    """Make a numbered column again, as one is added: rows get their numbers batch by batch, not in one rewrite."""
    if one.sequence is None:
        return
    name, own = quoted(one.name), one.sequence.name
    sequence = ddl.in_schema(live, made_name(live.name, one.name, "number")) if one.identity else own
    alter = f"ALTER TABLE {live.sql} ALTER COLUMN {name}"
    yield from alone(
        f"ALTER TABLE {live.sql} ADD COLUMN IF NOT EXISTS {name} {one.spelt_type}",
        f"CREATE SEQUENCE IF NOT EXISTS {sequence} AS {one.sequence.type} {one.sequence.options()}"
        f" OWNED BY {live.sql}.{name}",
        f"{alter} SET DEFAULT nextval({ddl.literal(sequence)}::regclass)",
    )
    # The primary key that there is when this runs: the column may have been the one before.
    now = dataclasses.replace(live, constraints=wanted.constraints)
    yield ddl.backfill(now, f"{name} = DEFAULT", f"{name} IS NULL")
    yield from ddl.not_null_again(live, one.name)
    if not one.identity:
        yield from alone(*ddl.owned(live, one)[1:])
        return
    number = f"pg_get_serial_sequence({ddl.literal(live.sql)}, {ddl.literal(one.name)})"
    yield from sql(
        f"{alter} DROP DEFAULT",
        f"ALTER SEQUENCE {sequence} OWNED BY NONE",
        f"{alter} ADD {ddl.identity(one)}",
        f"SELECT setval({number}, nextval({ddl.literal(sequence)}), false)",
        f"DROP SEQUENCE {sequence}",
        *(grant.format(sequence=own) for grant in one.sequence.privileges),
    )


def held(sides: Sides, live: Table, one: Column, going: set[str], found: Changes) -> bool:
    """Tell, and say, that something leans on a column which does not go with it."""
    leaning = [
        it for it in leaning_on(sides, live, [one.name])
        if it.kind not in FOLLOWING | {"table"} and not ("column" in it.kind and ddl.unqualified(it.name) in going)
    ]  # fmt: skip
    if leaning:
        what = f"the models no longer have it, and {named(leaning)} on it: change or drop that first, then the column"
        found.remarks.append(Remark(live.label_of(one.name), what))
    return bool(leaning)


def _again(live: Table, one: Column) -> str:
    text = f"ALTER TABLE {live.sql} ADD COLUMN IF NOT EXISTS {ddl.column(one, default=not _volatile(one))}"
    if _volatile(one):
        # With the column, a volatile default would rewrite the table.
        text += f", ALTER COLUMN {quoted(one.name)} SET DEFAULT {one.default}"
    return text


def _volatile(one: Column) -> bool:
    return (
        one.default is not None
        and not one.not_null
        and "(" in one.default
        and not one.generated
        and not one.identity
    )


def _constant(sides: Sides, live: Table, one: Column) -> str | None:
    """Choose a default for rows of code that does not know the column; None where there is none that touches no row."""
    if one.default is not None or _tied(live, one.name):
        return None
    value = stand_in(sides, live, one)
    if value == "NULL":
        return None
    probe = sides.probe(
        live, f"ADD COLUMN airlock_again {one.spelt_type}", f"ALTER COLUMN airlock_again SET DEFAULT {value}"
    )
    again = sides.probe(live, f"ADD COLUMN airlock_again {one.spelt_type} DEFAULT {value}")
    return None if again.rewritten or probe.default is None else probe.default


def _given(live: Table, one: Column, value: str) -> Part:
    """Give a column that is about to go a default: it stays NOT NULL, and new code need not write it."""
    alter, label = f"ALTER TABLE {live.sql} ALTER COLUMN {quoted(one.name)}", live.label_of(one.name)
    return Part(
        Stage.EXPAND, f"let new code do without {label}", sql(f"{alter} SET DEFAULT {value}"), sql(f"{alter} DROP DEFAULT"),
        locks=f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan",
        undo=f"exact; rows that were written without a value keep {value}",
    )  # fmt: skip


def _freed(sides: Sides, live: Table, one: Column) -> Part:
    """Let rows do without a column that is about to go: new code does not write it."""
    name, label = quoted(one.name), live.label_of(one.name)
    value = stand_in(sides, live, one) if not _tied(live, one.name) else "NULL"
    filled: tuple[Sql, ...] = ()
    undo = "exact, without blocking; refused while a row holds NULL"
    if value != "NULL":
        filled = (ddl.backfill(live, f"{name} = {value}", f"{name} IS NULL"),)
        undo = f"exact, without blocking; rows without a value get {value}"
    return Part(
        Stage.EXPAND, f"let {label} be NULL", sql(f"ALTER TABLE {live.sql} ALTER COLUMN {name} DROP NOT NULL"),
        filled + ddl.not_null_again(live, one.name), undo=undo,
        locks=f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan",
    )  # fmt: skip


def _tied(live: Table, column: str) -> bool:
    """Tell whether a value cannot be made up: the column refers to another table, or is a key."""
    return any(one.kind in "fpu" and column in one.columns for one in live.constraints.values())
