"""The column of the new type beside the old one: its trigger, its values, its indexes, its constraints."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from airlock.catalogue.structure import Constraint, quoted
from airlock.operations.revision import ddl
from airlock.operations.revision.naming import beside_name, made_name
from airlock.operations.revision.parts import Part, Sql, Stage, alone, sql
from airlock.operations.revision.stepwise import validated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airlock.catalogue.structure import Column, Table
    from airlock.operations.revision.columns.needs import Names, Swap


_BOUNDS = {"smallint": (-(2**15), 2**15 - 1), "integer": (-(2**31), 2**31 - 1)}
_LENGTH = re.compile(r"character varying\((\d+)\)")


def fitting(live: Table, before: Column, after: Column) -> Constraint | None:
    """Spell the CHECK that every value fits a shorter varchar; None for any other change."""
    lengths = [_LENGTH.fullmatch(one.type) for one in (before, after)]
    if lengths[1] is None or (lengths[0] is None and before.type not in {"text", "character varying"}):
        return None
    longest = int(lengths[1].group(1))
    if lengths[0] is not None and int(lengths[0].group(1)) <= longest:
        return None
    name = made_name("ck", live.name, after.name, "fits")
    return Constraint(
        name, "c", f"CHECK ((char_length({quoted(after.name)}) <= {longest}))", (after.name,), True, None
    )


def refused_first(live: Table, fits: Constraint) -> list[Part]:
    """Refuse values that are too long in new rows, then look for older ones: before anything is copied."""
    add = Part(
        Stage.EXPAND, f"refuse longer values: {fits.name} of {live.label}", sql(ddl.not_valid(live, fits)),
        sql(f"ALTER TABLE {live.sql} DROP CONSTRAINT {quoted(fits.name)}"),
        locks=f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan",
    )  # fmt: skip
    return [add, dataclasses.replace(validated(live, fits), stage=Stage.FIT)]


def sync(live: Table, names: Names, target: str, source: str, column: Column) -> tuple[Sql, ...]:
    """Keep one column equal to another in every row that is written."""
    body = f"NEW.{quoted(target)} := {cast(f'NEW.{quoted(source)}', column)};"
    return sql(
        # On one line: the catalogue keeps its text, indentation and all.
        f"CREATE OR REPLACE FUNCTION {names.function}() RETURNS trigger LANGUAGE plpgsql"
        f" AS $sync$BEGIN {body} RETURN NEW; END$sync$",
        f"CREATE OR REPLACE TRIGGER {names.trigger} BEFORE INSERT OR UPDATE ON {live.sql}"
        f" FOR EACH ROW EXECUTE FUNCTION {names.function}()",
    )


def cast(value: str, column: Column) -> str:
    """Spell a value as one of the column's type, as an assignment would convert it."""
    # Into a shorter varchar a plain assignment refuses what is too long, an explicit cast cuts it off.
    if column.type.startswith("character"):
        return f"{value}::text"
    return f"{value}::text::{column.type}"


def unsync(live: Table, names: Names) -> tuple[Sql, ...]:
    """Stop keeping two columns equal."""
    return sql(f"DROP TRIGGER {names.trigger} ON {live.sql}", f"DROP FUNCTION {names.function}()")


def expand(live: Table, swap: Swap) -> list[Part]:
    """Add the twin with its trigger, then fill it."""
    names, after = swap.names, swap.after
    new, label = quoted(names.new), f"{live.label}.{after.name}"
    added = Part(
        Stage.BESIDE, f"add {live.label}.{names.new} of type {after.spelt_type} beside {after.name}",
        (*sql(f"ALTER TABLE {live.sql} ADD COLUMN {new} {after.spelt_type}"),
         *sync(live, names, names.new, names.column, after)),
        (*unsync(live, names), *sql(f"ALTER TABLE {live.sql} DROP COLUMN {new}")), own=True,
        locks=f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan; a trigger keeps the two columns equal",
    )  # fmt: skip
    value = cast(quoted(names.column), after)
    filled = Part(
        Stage.BACKFILL, f"fill {live.label}.{names.new}",
        (ddl.backfill(live, f"{new} = {value}", f"{quoted(names.column)} IS NOT NULL AND {new} IS NULL"),), (), own=True,
        locks=f"ROW EXCLUSIVE on {live.sql}, and the rows of one batch of {ddl.BATCH} until it is committed",
        undo="the structure is untouched; the values stay in the column that the previous revision drops",
        loses=((f"{live.label}.{names.new}", f"a copy of {label}"),),
    )  # fmt: skip
    return [added, filled]


def index_beside(live: Table, of: str, definition: str) -> Part:
    """Build what will be an index of the column, on its twin."""
    name = beside_name(of)
    return Part(
        # After the backfill: rows are indexed once.
        Stage.TWIN, f"index {ddl.in_schema(live, name)}",
        ddl.index_again(live, definition, name), ddl.index_away(live, name), own=True,
        locks=f"SHARE UPDATE EXCLUSIVE on {live.sql} while it is built: reads and writes go on",
    )  # fmt: skip


def require_beside(live: Table, swaps: Sequence[Swap], constraints: Sequence[Constraint]) -> list[Part]:
    """Hold the twins to the CHECKs and foreign keys that the columns will have, and to NOT NULL."""
    table = f"ALTER TABLE {live.sql}"
    checks = [
        dataclasses.replace(one, name=beside_name(one.name), comment=None)
        for one in constraints
        if one.kind in "cf"
    ]
    checks += [not_null(live, one.names.new) for one in swaps if one.after.not_null]
    if not checks:
        return []
    twins = " and ".join(f"{live.label}.{one.names.new}" for one in swaps)
    required = Part(
        Stage.REQUIRE, f"require {twins} of new rows", sql(*(ddl.not_valid(live, one) for one in checks)),
        sql(*(f"{table} DROP CONSTRAINT {quoted(one.name)}" for one in checks)),
        locks=f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan",
    )  # fmt: skip
    return [required, *(validated(live, one) for one in checks)]


def not_null(live: Table, column: str) -> Constraint:
    """Make the CHECK that stands for NOT NULL until the column says so itself."""
    definition = f"CHECK (({quoted(column)} IS NOT NULL))"
    return Constraint(ddl.present(live, column), "c", definition, (column,), True, None)


def retire(live: Table, swap: Swap) -> Part:
    """Drop the column that a twin has taken the place of; a downgrade fills it again from its successor."""
    names, before = swap.names, swap.before
    old, label = quoted(names.old), f"{live.label}.{names.old}"
    comment = (
        [f"COMMENT ON COLUMN {live.sql}.{old} IS {ddl.literal(before.comment)}"] if before.comment else []
    )
    grants = [
        grant.format(table=live.sql).replace(f"({quoted(before.name)})", f"({old})", 1)
        for grant in before.privileges
    ]
    # What does not fit stays NULL here; the swap is then not undone, for its column must be whole.
    low_high = _BOUNDS.get(before.type) if swap.after.type in {"integer", "bigint"} else None
    fits = f" AND {quoted(names.column)} BETWEEN {low_high[0]} AND {low_high[1]}" if low_high else ""
    again = (
        *alone(
            f"ALTER TABLE {live.sql} ADD COLUMN IF NOT EXISTS {old} {before.spelt_type}", *comment, *grants
        ),
        *alone(*(one.text for one in sync(live, names, names.old, names.column, before))),
        ddl.backfill(
            live,
            f"{old} = {cast(quoted(names.column), before)}",
            f"{quoted(names.column)} IS NOT NULL AND {old} IS NULL{fits}",
        ),
    )
    return Part(
        Stage.DROP, f"drop {label}",
        (*unsync(live, names), *sql(f"ALTER TABLE {live.sql} DROP COLUMN {old}")), again, own=True,
        locks=f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan",
        undo=f"the structure exactly; the values come back from {names.column}, converted to {before.spelt_type}",
        loses=((label, f"its values; a downgrade converts them back from {names.column}"),),
    )  # fmt: skip
