"""Changes of a column's type: in place where PostgreSQL touches no row, else beside the old column and swapped."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from airlock.acts.revise import spell
from airlock.acts.revise.parts import Part, Sql, Stage, alone, sql
from airlock.instruments.structure import Constraint, quoted
from airlock.words.revise import Remark

if TYPE_CHECKING:
    from airlock.acts.revise.columns import Changes
    from airlock.acts.revise.shadow import Probe, Sides
    from airlock.instruments.structure import Column, Index, Table

_LENGTH = re.compile(r"character varying\((\d+)\)")


def retyped(sides: Sides, live: Table, wanted: Table, before: Column, after: Column, found: Changes) -> bool:
    """Plan a change of type. True where the column stays itself and its other attributes are still to be compared."""
    probe = sides.probe(live, *_clauses(before, after))
    keys = {one.index.partition(" ON ")[2] for one in live.constraints.values() if one.index} | {
        one.body for one in live.indexes.values() if one.unique
    }
    if not probe.rewritten and not probe.rebuilt & keys:
        _in_place(sides, live, wanted, before, after, probe, found)
        return True
    _swapped(sides, live, wanted, before, after, found)
    return False


def _clauses(before: Column, after: Column) -> list[str]:
    alter = f"ALTER COLUMN {quoted(after.name)}"
    clauses = [f"{alter} DROP DEFAULT"] if before.default is not None and not before.identity else []
    clauses.append(f"{alter} TYPE {after.spelt_type}")
    if after.default is not None and not after.identity:
        clauses.append(f"{alter} SET DEFAULT {after.default}")
    return clauses


def _in_place(
    sides: Sides, live: Table, wanted: Table, before: Column, after: Column, probe: Probe, found: Changes
) -> None:
    label = f"{live.label}.{after.name}"
    checks = [one for one in live.constraints.values() if one.kind == "c" and after.name in one.columns]
    again = [one for one in wanted.constraints.values() if one.kind == "c" and after.name in one.columns]
    found.settled |= {one.name for one in (*checks, *again)}
    found.respelt.update(probe.indexes)
    table = f"ALTER TABLE {live.sql}"
    # PostgreSQL verifies the CHECKs of a column that changes its type, under the same lock: they step aside.
    aside = [f"{table} DROP CONSTRAINT {quoted(one.name)}" for one in checks]
    back = [_not_valid(live, one) for one in again]
    back += [spell.comment_on_constraint(live, one) for one in again if one.comment is not None]
    clauses = [f"{table} {clause}" for clause in _clauses(before, after)]
    undo_probe = _undo_rewrites(sides, live, before, after)
    aside_down = [f"{table} DROP CONSTRAINT {quoted(one.name)}" for one in again]
    back_down = [_not_valid(live, one) for one in checks]
    back_down += [spell.comment_on_constraint(live, one) for one in checks if one.comment is not None]
    down = sql(*aside_down, *(f"{table} {clause}" for clause in _clauses(after, before)), *back_down)
    if checks:
        valid = [one for one in checks if one.valid]
        down += tuple(
            Sql(f"{table} VALIDATE CONSTRAINT {quoted(one.name)}", autocommit=True) for one in valid
        )
    for index in live.indexes.values():
        if index.body in probe.rebuilt:
            found.parts.append(
                Part(
                    Stage.CLEAR, f"drop index {spell.in_schema(live, index.name)} for the change of {label}",
                    spell.index_away(live, index.name), spell.index_again(live, index.text, index.name), own=True,
                    locks=f"SHARE UPDATE EXCLUSIVE on {live.sql}",
                )
            )  # fmt: skip
            other = wanted.indexes.get(index.name)
            if other is not None:
                found.parts.append(
                    Part(
                        Stage.INDEX, f"index {spell.in_schema(live, index.name)}",
                        spell.index_again(live, other.text, index.name), spell.index_away(live, index.name), own=True,
                        locks=f"SHARE UPDATE EXCLUSIVE on {live.sql} while it is built",
                    )
                )  # fmt: skip
            found.settled.add(index.name)
    found.parts.append(
        Part(
            Stage.EXPAND, f"change the type of {label} to {after.spelt_type}", sql(*aside, *clauses, *back), down,
            own=bool(checks) or undo_probe, locks=f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan, no rewrite",
            undo=f"exact while every value fits {before.spelt_type}; it rewrites {live.label} under ACCESS EXCLUSIVE"
            if undo_probe else "exact; nothing is lost",
            accepted=((f"rewrite {live.label}", "only the downgrade rewrites: the narrower type has no other form"),)
            if undo_probe else (),
        )
    )  # fmt: skip
    for one in again:
        found.parts.append(validated(live, one))


def _not_valid(live: Table, one: Constraint) -> str:
    return f"ALTER TABLE {live.sql} ADD CONSTRAINT {quoted(one.name)} {one.text} NOT VALID"


def validated(live: Table, one: Constraint) -> Part:
    """Validate a constraint that stands NOT VALID; undone by replacing it, for it cannot be made NOT VALID again."""
    name = quoted(one.name)
    down = [f"ALTER TABLE {live.sql} DROP CONSTRAINT {name}", _not_valid(live, one)]
    down += [spell.comment_on_constraint(live, one)] if one.comment is not None else []
    other = f" and ROW SHARE on {one.references}" if one.references else ""
    return Part(
        Stage.VALIDATE, f"validate {one.name} of {live.label}", sql(f"ALTER TABLE {live.sql} VALIDATE CONSTRAINT {name}"),
        sql(*down), locks=f"SHARE UPDATE EXCLUSIVE on {live.sql}{other} during the scan: reads and writes go on",
        undo="exact; the constraint is NOT VALID again. Nothing is lost",
    )  # fmt: skip


def _undo_rewrites(sides: Sides, live: Table, before: Column, after: Column) -> bool:
    return sides.probe(live, *_clauses(before, after), *_clauses(after, before)).rewritten


@dataclasses.dataclass(frozen=True)
class _Names:
    column: str
    new: str
    old: str
    function: str
    trigger: str


def _swapped(sides: Sides, live: Table, wanted: Table, before: Column, after: Column, found: Changes) -> None:
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
    names = _Names(
        after.name, f"{after.name}_new"[:63], f"{after.name}_old"[:63],
        spell.in_schema(live, f"{live.name}_{after.name}_sync"[:63]), quoted(f"{live.name}_{after.name}_sync"[:63]),
    )  # fmt: skip
    beside = sides.renamed(wanted, after.name, names.new)
    constraints = [one for one in beside.constraints.values() if names.new in one.columns]
    indexes = [one for one in beside.indexes.values() if names.new in one.columns]
    old_constraints = [one for one in live.constraints.values() if after.name in one.columns]
    old_indexes = [one for one in live.indexes.values() if after.name in one.columns]
    found.settled |= {one.name for group in (constraints, old_constraints) for one in group}
    found.settled |= {one.name for group in (indexes, old_indexes) for one in group}
    fits = _fits(live, before, after)
    if fits is not None:
        # What is too long is refused first, and looked for before anything is copied.
        found.parts += _first_fitting(live, fits)
        old_constraints.append(fits)
    # The new column is nullable until the swap: a key that needs NOT NULL gets it there.
    _expand(live, after, names, found)
    for index in indexes:
        _index_beside(live, index.name, index.text, found)
    for key in constraints:
        if key.index is not None:
            _index_beside(live, key.name, key.index, found)
    _require_beside(live, after, names, constraints, found)
    found.parts.append(
        _swap(live, before, after, names, (old_constraints, old_indexes), (constraints, indexes))
    )
    _retire(live, before, names, found)


def _fits(live: Table, before: Column, after: Column) -> Constraint | None:
    """Spell the CHECK that every value fits a shorter varchar; None for any other change."""
    lengths = [_LENGTH.fullmatch(one.type) for one in (before, after)]
    if lengths[1] is None or (lengths[0] is None and before.type not in {"text", "character varying"}):
        return None
    longest = int(lengths[1].group(1))
    if lengths[0] is not None and int(lengths[0].group(1)) <= longest:
        return None
    name = f"ck_{live.name}_{after.name}_fits"[:63]
    return Constraint(
        name, "c", f"CHECK ((char_length({quoted(after.name)}) <= {longest}))", (after.name,), True, None
    )


def _first_fitting(live: Table, fits: Constraint) -> list[Part]:
    add = Part(
        Stage.EXPAND, f"refuse longer values: {fits.name} of {live.label}", sql(_not_valid(live, fits)),
        sql(f"ALTER TABLE {live.sql} DROP CONSTRAINT {quoted(fits.name)}"),
        locks=f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan",
    )  # fmt: skip
    return [add, dataclasses.replace(validated(live, fits), stage=Stage.FIT)]


def _sync(live: Table, names: _Names, target: str, source: str, column: Column) -> tuple[Sql, ...]:
    body = f"NEW.{quoted(target)} := {_cast(f'NEW.{quoted(source)}', column)};"
    return sql(
        # On one line: the catalogue keeps its text, indentation and all.
        f"CREATE OR REPLACE FUNCTION {names.function}() RETURNS trigger LANGUAGE plpgsql"
        f" AS $sync$BEGIN {body} RETURN NEW; END$sync$",
        f"CREATE OR REPLACE TRIGGER {names.trigger} BEFORE INSERT OR UPDATE ON {live.sql}"
        f" FOR EACH ROW EXECUTE FUNCTION {names.function}()",
    )


def _cast(value: str, column: Column) -> str:
    # Into a shorter varchar a plain assignment refuses what is too long, an explicit cast cuts it off.
    if column.type.startswith("character"):
        return f"{value}::text"
    return f"{value}::text::{column.type}"


def _unsync(live: Table, names: _Names) -> tuple[Sql, ...]:
    return sql(f"DROP TRIGGER {names.trigger} ON {live.sql}", f"DROP FUNCTION {names.function}()")


def _expand(live: Table, after: Column, names: _Names, found: Changes) -> None:
    new, label = quoted(names.new), f"{live.label}.{after.name}"
    found.parts.append(
        Part(
            Stage.EXPAND, f"add {live.label}.{names.new} of type {after.spelt_type} beside {after.name}",
            (*sql(f"ALTER TABLE {live.sql} ADD COLUMN {new} {after.spelt_type}"),
             *_sync(live, names, names.new, names.column, after)),
            (*_unsync(live, names), *sql(f"ALTER TABLE {live.sql} DROP COLUMN {new}")), own=True,
            locks=f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan; a trigger keeps the two columns equal",
        )
    )  # fmt: skip
    value = _cast(quoted(names.column), after)
    found.parts.append(
        Part(
            Stage.BACKFILL, f"fill {live.label}.{names.new}",
            (spell.backfill(live, f"{new} = {value}", f"{quoted(names.column)} IS NOT NULL AND {new} IS NULL"),), (), own=True,
            locks=f"ROW EXCLUSIVE on {live.sql}, and the rows of one batch of {spell.BATCH} until it is committed",
            undo="the structure is untouched; the values stay in the column that the previous revision drops",
            loses=((f"{live.label}.{names.new}", f"a copy of {label}"),),
        )
    )  # fmt: skip


def _index_beside(live: Table, of: str, definition: str, found: Changes) -> None:
    name = beside_name(of)
    found.parts.append(
        Part(
            # After the backfill: rows are indexed once.
            Stage.TWIN, f"index {spell.in_schema(live, name)}",
            spell.index_again(live, definition, name), spell.index_away(live, name), own=True,
            locks=f"SHARE UPDATE EXCLUSIVE on {live.sql} while it is built: reads and writes go on",
        )
    )  # fmt: skip


def beside_name(name: str) -> str:
    """Name what stands beside the thing that it will take the place of."""
    return f"{name[:59]}_new"


def _require_beside(
    live: Table, after: Column, names: _Names, constraints: list[Constraint], found: Changes
) -> None:
    table = f"ALTER TABLE {live.sql}"
    checks = [
        dataclasses.replace(one, name=beside_name(one.name), comment=None)
        for one in constraints
        if one.kind in "cf"
    ]
    if after.not_null:
        name = spell.present(live, names.new)
        checks.append(_check(name, names.new))
    if not checks:
        return
    found.parts.append(
        Part(
            Stage.REQUIRE, f"require {live.label}.{names.new} of new rows", sql(*(_not_valid(live, one) for one in checks)),
            sql(*(f"{table} DROP CONSTRAINT {quoted(one.name)}" for one in checks)),
            locks=f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan",
        )
    )  # fmt: skip
    for one in checks:
        found.parts.append(validated(live, one))


def _check(name: str, column: str) -> Constraint:
    return Constraint(name, "c", f"CHECK (({quoted(column)} IS NOT NULL))", (column,), True, None)


def _swap(
    live: Table,
    before: Column,
    after: Column,
    names: _Names,
    old: tuple[list[Constraint], list[Index]],
    new: tuple[list[Constraint], list[Index]],
) -> Part:
    table, column = f"ALTER TABLE {live.sql}", quoted(names.column)
    aside = [f"{table} DROP CONSTRAINT {quoted(one.name)}" for one in old[0]]
    aside += [f"DROP INDEX {spell.in_schema(live, one.name)}" for one in old[1]]
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
            f"{table} DROP CONSTRAINT {quoted(spell.present(live, names.new))}",
        ]
    for one in new[0]:
        if one.kind in "cf":
            take.append(f"{table} RENAME CONSTRAINT {quoted(beside_name(one.name))} TO {quoted(one.name)}")
        else:
            using = spell.using_index(one, beside_name(one.name))
            take.append(f"{table} ADD CONSTRAINT {quoted(one.name)} {using}")
        take += [spell.comment_on_constraint(live, one)] if one.comment is not None else []
    for index in new[1]:
        take.append(
            f"ALTER INDEX {spell.in_schema(live, beside_name(index.name))} RENAME TO {quoted(index.name)}"
        )
        take += [spell.comment_on_index(live, index)] if index.comment is not None else []
    take += [spell.comment_on_column(live, after)] if after.comment is not None else []
    up = (*_unsync(live, names), *sql(*aside, *take), *_sync(live, names, names.old, names.column, before))
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
    names: _Names,
    old: tuple[list[Constraint], list[Index]],
    new: tuple[list[Constraint], list[Index]],
) -> tuple[Sql, ...]:
    """Swap back, then make what stood on the old column again: outside a transaction, each statement by itself."""
    table, column = f"ALTER TABLE {live.sql}", quoted(names.column)
    back = [f"{table} RENAME COLUMN {column} TO {quoted(names.new)}"]
    back += [f"{table} ALTER COLUMN {quoted(names.new)} DROP DEFAULT"] if after.default is not None else []
    back += [f"COMMENT ON COLUMN {live.sql}.{quoted(names.new)} IS NULL"] if after.comment is not None else []
    if after.not_null:
        check = _check(spell.present(live, names.new), names.new)
        back += [_not_valid(live, check), f"{table} ALTER COLUMN {quoted(names.new)} DROP NOT NULL"]
    rebuilt: list[Sql] = []
    for one in new[0]:
        if one.kind in "cf":
            back.append(f"{table} RENAME CONSTRAINT {quoted(one.name)} TO {quoted(beside_name(one.name))}")
        else:
            back.append(f"{table} DROP CONSTRAINT {quoted(one.name)}")
            rebuilt += spell.index_again(live, str(one.index), beside_name(one.name))
    back += [
        f"ALTER INDEX {spell.in_schema(live, index.name)} RENAME TO {quoted(beside_name(index.name))}"
        for index in new[1]
    ]
    back += [f"{table} RENAME COLUMN {quoted(names.old)} TO {column}"]
    back += (
        [f"{table} ALTER COLUMN {column} SET DEFAULT {before.default}"] if before.default is not None else []
    )
    statements = [*_unsync(live, names), *sql(*back), *_sync(live, names, names.new, names.column, after)]
    if after.not_null:
        valid = f"{table} VALIDATE CONSTRAINT {quoted(spell.present(live, names.new))}"
        rebuilt.append(Sql(valid, autocommit=True))
    if before.not_null:
        rebuilt += spell.not_null_again(live, names.column)
    for one in old[0]:
        rebuilt += spell.constraint_again(live, one)
    for index in old[1]:
        rebuilt += spell.index_again(live, index.text, index.name)
        if index.comment is not None:
            rebuilt.append(Sql(spell.comment_on_index(live, index), autocommit=True))
    return (*statements, *rebuilt)


def _retire(live: Table, before: Column, names: _Names, found: Changes) -> None:
    old = quoted(names.old)
    label = f"{live.label}.{names.old}"
    comment = (
        [f"COMMENT ON COLUMN {live.sql}.{old} IS {spell.literal(before.comment)}"] if before.comment else []
    )
    again = (
        *alone(f"ALTER TABLE {live.sql} ADD COLUMN IF NOT EXISTS {old} {before.spelt_type}", *comment),
        *alone(*(one.text for one in _sync(live, names, names.old, names.column, before))),
        spell.backfill(
            live,
            f"{old} = {_cast(quoted(names.column), before)}",
            f"{quoted(names.column)} IS NOT NULL AND {old} IS NULL",
        ),
    )
    found.parts.append(
        Part(
            Stage.DROP, f"drop {label}",
            (*_unsync(live, names), *sql(f"ALTER TABLE {live.sql} DROP COLUMN {old}")), again, own=True,
            locks=f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan",
            undo=f"the structure exactly; the values come back from {names.column}, converted to {before.spelt_type}",
            loses=((label, f"its values; a downgrade converts them back from {names.column}"),),
        )
    )  # fmt: skip
