"""Parts that many changes are made of: a NOT NULL in steps, values in batches, a validation by itself."""

from __future__ import annotations

import dataclasses
import uuid
from typing import TYPE_CHECKING

from airlock.catalogue.structure import quoted
from airlock.operations.revision import ddl
from airlock.operations.revision.parts import Fill, Part, Sql, Stage, sql
from airlock.operations.revision.written.docstrings import joined
from airlock.operations.revision.written.questions import FILL_IN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from airlock.catalogue.structure import Column, Constraint, Table
    from airlock.operations.revision.shadow import Sides

_FILL_UNDO = (
    "the structure is untouched; the values stay, for nobody can tell filled-in ones from chosen ones"
)
_FILL_LOSES = "NULL in rows that had no value"


def required(live: Table, column: str) -> Iterator[Part]:
    """Require a column's values: a CHECK that new rows meet, then, committed, the scan, then NOT NULL."""
    check, name, label = quoted(ddl.present(live, column)), quoted(column), live.label_of(column)
    add = f"ALTER TABLE {live.sql} ADD CONSTRAINT {check} CHECK ({name} IS NOT NULL) NOT VALID"
    drop = f"ALTER TABLE {live.sql} DROP CONSTRAINT {check}"
    yield Part(
        Stage.REQUIRE, f"require {label} of new rows", sql(add), sql(drop),
        locks=f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan",
    )  # fmt: skip
    yield Part(
        Stage.VALIDATE, f"require {label} of every row",
        sql(f"ALTER TABLE {live.sql} VALIDATE CONSTRAINT {check}"),
        sql(add, f"ALTER TABLE {live.sql} ALTER COLUMN {name} DROP NOT NULL"),
        # PostgreSQL 12+: a validated CHECK spares SET NOT NULL its scan.
        last=sql(f"ALTER TABLE {live.sql} ALTER COLUMN {name} SET NOT NULL", drop),
        locks=f"SHARE UPDATE EXCLUSIVE on {live.sql} during the scan, then ACCESS EXCLUSIVE for a moment",
    )  # fmt: skip


def required_at_last(live: Table, one: Column, value: str, note: str | None) -> Iterator[Part]:
    """Require the values of a column that has just turned: as of one that stays, behind the others."""
    of_new_rows, of_every_row = required(live, one.name)
    first, again = filled_around(live, one, value, note)
    yield dataclasses.replace(first, stage=Stage.FILL_TURNED)
    yield dataclasses.replace(of_new_rows, stage=Stage.REQUIRE_TURNED)
    yield dataclasses.replace(again, stage=Stage.REFILL_TURNED)
    yield dataclasses.replace(of_every_row, stage=Stage.VALIDATE_TURNED)


def filled(live: Table, one: Column, value: str, note: str | None) -> Part:
    """Give rows without a value one, batch by batch, in a revision of its own."""
    name = quoted(one.name)
    return Part(
        Stage.BACKFILL, f"fill {live.label_of(one.name)}",
        (ddl.backfill(live, f"{name} = {value}", f"{name} IS NULL", note=note),), (),
        own=True, locks=_fill_locks(live), undo=_FILL_UNDO,
        loses=tuple((told, _FILL_LOSES) for told in live.labels_of(one.name)),
    )  # fmt: skip


def _fill_locks(live: Table) -> str:
    return f"ROW EXCLUSIVE on {live.sql}, and the rows of one batch of {ddl.BATCH} until it is committed"


def filled_around(live: Table, one: Column, value: str, note: str | None) -> tuple[Part, Part]:
    """Fill a column before its values are required of new rows, and again behind that.

    Before, for a CHECK that is NOT VALID refuses each UPDATE of a row that breaks it, whatever column that is about; behind,
    for old code goes on writing rows without a value until then.
    """
    return filled(live, one, value, note), _again((Fill(live, one, value, note),), Stage.REFILL)


def filled_at_once(parts: Iterable[Part]) -> list[Part]:
    """Have the columns of a table that are filled again filled in one UPDATE.

    One after another they would be refused: by the CHECK of a column that is not filled yet, of a row that lacks both.
    """
    listed = list(parts)
    made: list[Part] = []
    for part in listed:
        if part.fill is None:
            made.append(part)
            continue
        stage, table = part.stage, part.fill.table
        fills = [
            it.fill for it in listed if it.fill is not None and (it.stage, it.fill.table) == (stage, table)
        ]
        if fills[0] is part.fill:
            made.append(part if len(fills) == 1 else _again(fills, stage))
    return made


def _again(fills: Sequence[Fill], stage: Stage) -> Part:
    live, names = fills[0].table, [quoted(it.column.name) for it in fills]
    labels = joined([live.label_of(it.column.name) for it in fills])
    given = [f"{name} = {it.value}" for name, it in zip(names, fills, strict=True)]
    if len(fills) > 1:
        given = [f"{name} = coalesce({name}, {it.expression})" for name, it in zip(names, fills, strict=True)]
    missing = [f"{name} IS NULL" for name in names]
    told = missing[0] if len(missing) == 1 else f"({' OR '.join(missing)})"
    note = " ".join(it.note for it in fills if it.note is not None) or None
    return Part(
        stage, f"fill {labels} of rows that were written without a value meanwhile",
        (ddl.backfill(live, ", ".join(given), told, note=note),), (), own=True, locks=_fill_locks(live), undo=_FILL_UNDO,
        loses=tuple((label, _FILL_LOSES) for it in fills for label in live.labels_of(it.column.name)),
        fill=fills[0] if len(fills) == 1 else None,
    )  # fmt: skip


def value_for(sides: Sides, wanted: Table, one: Column) -> tuple[str, str | None]:
    """Choose what rows without a value get: the column's default, else a stand-in and the line that says so."""
    if one.default is not None:
        return "DEFAULT", None
    value = stand_in(sides, wanted, one)
    note = f"{FILL_IN}: {value} is a stand-in for the value that rows without one shall have."
    there = {table.sql for table in sides.live.tables.values()}
    coming = [
        str(key.references) for key in wanted.constraints.values()
        if key.kind == "f" and one.name in key.columns and key.references not in there
    ]  # fmt: skip
    if coming:
        note += f" {coming[0]} comes empty: it has to have its rows first."
    return value, note


def stand_in(sides: Sides, table: Table, one: Column) -> str:
    """Choose a value that the column's type, CHECKs and keys take; NULL where none is found."""
    for key in table.constraints.values():
        if key.kind == "f" and key.columns == (one.name,):
            referred = quoted(key.referred[0])
            if (same := _same_row(sides, table, key)) is not None:
                return f"(SELECT there.{referred} FROM {key.references} there WHERE {same})"
            return f"(SELECT {referred} FROM {key.references} ORDER BY {referred} LIMIT 1)"
    if (different := _different(sides, table, one)) is not None:
        return different
    literals = [
        f"'{text}'"
        for check in table.constraints.values()
        if check.kind == "c" and check.columns == (one.name,)
        for text in check.definition.split("'")[1::2]
    ]
    usual = {
        "boolean": "false", "uuid": "gen_random_uuid()", "date": "CURRENT_DATE", "json": "'{}'", "jsonb": "'{}'",
        "bytea": "''", "interval": "'0'", "inet": "'0.0.0.0'", "time without time zone": "'00:00'",
    }  # fmt: skip
    first = usual.get(one.type) or (
        "now()" if one.type.startswith("timestamp") else "'{}'" if one.type.endswith("[]") else "''"
    )
    enums = [ddl.literal(label) for label in sides.wanted.enums.get(one.type, ())]
    for candidate in (first, *enums, "0", "1", *literals, "'x'", "'-'", "'unknown'"):
        if sides.accepts(table, one.name, candidate):
            return candidate
    return "NULL"


def _same_row(sides: Sides, table: Table, key: Constraint) -> str | None:
    """Spell which row of the other table another foreign key leads to already; None where there is none."""
    live = sides.live.tables.get((table.schema, table.name))
    for other in live.constraints.values() if live is not None else ():
        if other.kind == "f" and other.references == key.references and other.columns != key.columns:
            pairs = zip(other.referred, other.columns, strict=True)
            return " AND ".join(
                f"there.{quoted(there)} = {table.sql}.{quoted(here)}" for there, here in pairs
            )
    return None


def _different(sides: Sides, table: Table, one: Column) -> str | None:
    """Spell a value that is another one in every row, from the row's key, where a unique key or index is about the column.

    Also of several columns, of expressions and of some rows: two rows may be alike in all else. None where a CHECK takes none.
    """
    unique = any(key.kind in "pu" and one.name in key.columns for key in table.constraints.values())
    unique = unique or any(it.unique and one.name in it.columns for it in table.indexes.values())
    key = table.key
    if not unique or key is None or one.name in key.columns:
        return None
    numbers = {"smallint", "integer", "bigint"}
    numbered = {table.columns[name].type for name in key.columns} <= numbers and len(key.columns) == 1
    texts = [f"{quoted(name)}::text" for name in key.columns]
    text = texts[0] if len(texts) == 1 else f"concat_ws('-', {', '.join(texts)})"
    made, like = text, "'1'" if numbered else f"'{uuid.UUID(int=0)}'"
    if one.type.startswith("character varying("):
        longest = int(one.type.partition("(")[2].rstrip(")"))
        if not numbered or longest < 20:
            made, like = f"left(md5({text}), {longest})", f"left(md5('1'), {longest})"
    elif one.type in numbers and numbered:
        made, like = f"-{quoted(key.columns[0])}", "-1"
    elif one.type not in {"text", "character varying"}:
        return None
    return made if sides.accepts(table, one.name, like) else None


def name_not_null(table: str, old: str, new: str) -> Sql:
    """Rename a column's NOT NULL. PostgreSQL 18 keeps it as a named constraint; before, there is nothing to rename."""
    return Sql(
        f"""DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_constraint WHERE conrelid = {ddl.literal(table)}::regclass
               AND contype = 'n' AND conname = {ddl.literal(old)}) THEN
        ALTER TABLE {table} RENAME CONSTRAINT {quoted(old)} TO {quoted(new)};
    END IF;
END
$$"""
    )


def name_the_not_null_of(table: str, column: str, name: str) -> str:
    """Name a column's NOT NULL, whatever it is called. PostgreSQL 18 keeps it as a constraint; before, there is none."""
    return f"""DO $$
DECLARE
    found name := (SELECT conname FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
                   WHERE conrelid = {ddl.literal(table)}::regclass AND contype = 'n' AND attname = {ddl.literal(column)});
BEGIN
    IF found <> {ddl.literal(name)} THEN
        EXECUTE {ddl.literal(f"ALTER TABLE {table} RENAME CONSTRAINT ")}
            || quote_ident(found) || {ddl.literal(f" TO {quoted(name)}")};
    END IF;
END
$$"""


def validated(live: Table, one: Constraint) -> Part:
    """Validate a constraint that stands NOT VALID; undone by replacing it, for it cannot be made NOT VALID again."""
    name = quoted(one.name)
    down = [f"ALTER TABLE {live.sql} DROP CONSTRAINT {name}", ddl.not_valid(live, one)]
    down += [ddl.comment_on_constraint(live, one)] if one.comment is not None else []
    other = f" and ROW SHARE on {one.references}" if one.references else ""
    return Part(
        Stage.VALIDATE, f"validate {one.name} of {live.label}", sql(f"ALTER TABLE {live.sql} VALIDATE CONSTRAINT {name}"),
        sql(*down), locks=f"SHARE UPDATE EXCLUSIVE on {live.sql}{other} during the scan: reads and writes go on",
        undo="exact; the constraint is NOT VALID again. Nothing is lost",
    )  # fmt: skip
