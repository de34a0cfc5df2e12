"""A column that comes: at once where PostgreSQL touches no row, else nullable, filled, required."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.catalogue.structure import quoted
from airlock.operations.revision import ddl
from airlock.operations.revision.changes.stepwise import filled, filled_around, required, value_for
from airlock.operations.revision.naming import made_name, postgresql_name
from airlock.operations.revision.parts import Part, Stage, sql
from airlock.records.revision import Remark

if TYPE_CHECKING:
    from airlock.catalogue.structure import Column, Table
    from airlock.operations.revision.changes.columns.needs import Changes
    from airlock.operations.revision.shadow import Sides


def added(sides: Sides, live: Table, wanted: Table, one: Column, found: Changes) -> None:
    """Plan a column that only the models have."""
    name, label = quoted(one.name), live.label_of(one.name)
    away = sql(f"ALTER TABLE {live.sql} DROP COLUMN {name}")
    lock = f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan"
    comment = sql(ddl.comment_on_column(live, one)) if one.comment is not None else ()
    undo = "exact; the values written meanwhile are gone"
    probe = sides.probe(live, f"ADD COLUMN {ddl.column(one, not_null=False)}")
    # PostgreSQL changes no type of a column that a generated one reads: that one comes behind.
    stage = Stage.GENERATE if one.generated and _retyped(live, wanted) else Stage.EXPAND
    if one.generated and probe.rewritten:
        found.parts.append(
            Part(
                stage, f"add {label}, generated",
                (*sql(f"ALTER TABLE {live.sql} ADD COLUMN {ddl.column(one)}"), *comment), away, own=True,
                locks=f"ACCESS EXCLUSIVE on {live.sql} while the whole table is rewritten: a stored generated column"
                " has no other form. Nobody reads or writes meanwhile", undo=undo,
            )
        )  # fmt: skip
        found.remarks.append(
            Remark(label, "a stored generated column rewrites the table under ACCESS EXCLUSIVE")
        )
        return
    if one.identity or one.serial:
        _numbered(live, one, found)
        return
    if not probe.rewritten and (one.default is not None or not one.not_null):
        # A constant default is kept in the catalogue: no row is touched, and NOT NULL is known to hold.
        text = f"ALTER TABLE {live.sql} ADD COLUMN {ddl.column(one)}"
        found.parts.append(Part(stage, f"add {label}", (*sql(text), *comment), away, locks=lock, undo=undo))
        return
    up = [f"ALTER TABLE {live.sql} ADD COLUMN {ddl.column(one, not_null=False, default=False)}"]
    if one.default is not None:
        # After the column, not with it: only new rows get it, and the table is not rewritten.
        up.append(f"ALTER TABLE {live.sql} ALTER COLUMN {name} SET DEFAULT {one.default}")
    found.parts.append(
        Part(Stage.EXPAND, f"add {label}, nullable", (*sql(*up), *comment), away, locks=lock, undo=undo)
    )
    if sides.probe(live, f"ADD COLUMN {ddl.column(one, not_null=False, default=False)}").rewritten:
        what = f"a column of the domain {one.type}, which has a CHECK or NOT NULL, rewrites the table whichever way it comes"
        found.remarks.append(
            Remark(label, f"{what}: give the model the base type, and the CHECK as one of the table")
        )
    if one.default is None and not one.not_null:
        return
    value, note = value_for(sides, wanted, one)
    if one.default is None:
        # Old code goes on writing rows without a value.
        found.parts += filled_around(live, one, value, note)
    else:
        found.parts.append(filled(live, one, value, note))
    if one.not_null:
        found.parts += required(live, one.name)


def _retyped(live: Table, wanted: Table) -> bool:
    columns = wanted.columns.items()
    return any(
        name in live.columns and live.columns[name].spelt_type != it.spelt_type for name, it in columns
    )


def _numbered(live: Table, one: Column, found: Changes) -> None:
    """Add an identity or serial column: numbers for the rows that are there come batch by batch."""
    name, label = quoted(one.name), live.label_of(one.name)
    own = (
        one.sequence.name
        if one.sequence
        else ddl.in_schema(live, postgresql_name(live.name, one.name, "seq"))
    )
    kind = one.sequence.type if one.sequence else one.type
    sequence = own if not one.identity else ddl.in_schema(live, made_name(live.name, one.name, "number"))
    options = one.sequence.options() if one.sequence else ""
    start = sql(
        f"ALTER TABLE {live.sql} ADD COLUMN {name} {one.spelt_type}",
        f"CREATE SEQUENCE {sequence} AS {kind} {options} OWNED BY {live.sql}.{name}",
        f"ALTER TABLE {live.sql} ALTER COLUMN {name} SET DEFAULT nextval({ddl.literal(sequence)}::regclass)",
    )
    comment = sql(ddl.comment_on_column(live, one)) if one.comment is not None else ()
    lock = f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan"
    found.parts.append(
        Part(
            Stage.EXPAND, f"add {label}, nullable", (*start, *comment), sql(f"ALTER TABLE {live.sql} DROP COLUMN {name}"),
            locks=lock, undo="exact; the numbers given meanwhile are gone",
        )
    )  # fmt: skip
    found.parts.append(filled(live, one, "DEFAULT", None))
    found.parts += required(live, one.name)
    found.numbered.add(one.name)
    if not one.identity:
        return
    asked = ddl.literal(f"{live.sql}"), ddl.literal(one.name)
    found.parts.append(
        Part(
            Stage.SWAP, f"make {label} an identity column",
            sql(
                f"ALTER TABLE {live.sql} ALTER COLUMN {name} DROP DEFAULT",
                f"ALTER SEQUENCE {sequence} OWNED BY NONE",
                f"ALTER TABLE {live.sql} ALTER COLUMN {name} ADD {ddl.identity(one)}",
                f"SELECT setval(pg_get_serial_sequence({asked[0]}, {asked[1]}), nextval({ddl.literal(sequence)}), false)",
                f"DROP SEQUENCE {sequence}",
            ),
            sql(
                f"CREATE SEQUENCE {sequence} AS {kind} {options} OWNED BY {live.sql}.{name}",
                f"SELECT setval({ddl.literal(sequence)}, nextval(pg_get_serial_sequence({asked[0]}, {asked[1]})), false)",
                f"ALTER TABLE {live.sql} ALTER COLUMN {name} DROP IDENTITY",
                f"ALTER TABLE {live.sql} ALTER COLUMN {name} SET DEFAULT nextval({ddl.literal(sequence)}::regclass)",
            ),
            locks=lock,
        )
    )  # fmt: skip
