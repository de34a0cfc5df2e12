"""The column of the new type beside the old one: its trigger, its values, its indexes, its constraints."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from airlock.catalogue.fingerprint.model import plain
from airlock.catalogue.structure import Constraint, quoted
from airlock.operations.revision import ddl
from airlock.operations.revision.changes.columns.converting import ZONE, assigned, cast, gets_zone
from airlock.operations.revision.changes.stepwise import validated
from airlock.operations.revision.naming import beside_name, made_name
from airlock.operations.revision.parts import Part, Sql, Stage, alone, sql
from airlock.operations.revision.written.docstrings import joined
from airlock.operations.revision.written.questions import FILL_IN

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from airlock.catalogue.structure import Column, Domain, Table
    from airlock.operations.revision.changes.columns.needs import Names, Swap


_ZONE_NOTE = (
    f"{FILL_IN}: times without a zone are taken for {ZONE}. Where another zone is meant, say it in its place,"
    " in the other revisions and downwards too."
)


def fitting(one: Swap) -> Constraint | None:
    """Spell the CHECK that every value is one of the new type as well; None where every value is."""
    if not one.fits:
        return None
    name = made_name("ck", one.live.name, one.after.name, "fits")
    told = one.fits.format(quoted(one.after.name))
    return Constraint(name, "c", f"CHECK (({told}))", (one.after.name,), True, None)


def refused_first(live: Table, fits: Constraint) -> list[Part]:
    """Refuse values that the new type does not take in new rows, then look for older ones: before anything is copied."""
    add = Part(
        Stage.EXPAND, f"refuse values of {live.label_of(fits.columns[0])} that the new type does not take",
        sql(ddl.not_valid(live, fits)),
        sql(f"ALTER TABLE {live.sql} DROP CONSTRAINT {quoted(fits.name)}"),
        locks=f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan",
    )  # fmt: skip
    return [add, dataclasses.replace(validated(live, fits), stage=Stage.FIT)]


def sync(
    live: Table,
    names: Names,
    target: str,
    source: str,
    was: str,
    column: Column,
    labels: Mapping[str, str] | None = None,
) -> tuple[Sql, ...]:
    """Keep one column equal to another in every row that is written."""
    body = f"NEW.{quoted(target)} := {assigned(f'NEW.{quoted(source)}', was, column, labels)};"
    return sql(
        # On one line: the catalogue keeps its text, indentation and all.
        f"CREATE OR REPLACE FUNCTION {names.function}() RETURNS trigger LANGUAGE plpgsql"
        f" AS $sync$BEGIN {body} RETURN NEW; END$sync$",
        f"CREATE OR REPLACE TRIGGER {names.trigger} BEFORE INSERT OR UPDATE ON {live.sql}"
        f" FOR EACH ROW EXECUTE FUNCTION {names.function}()",
    )


def unsync(live: Table, names: Names) -> tuple[Sql, ...]:
    """Stop keeping two columns equal."""
    return sql(f"DROP TRIGGER {names.trigger} ON {live.sql}", f"DROP FUNCTION {names.function}()")


def expand(live: Table, swaps: Sequence[Swap], defaults: Collection[str]) -> list[Part]:
    """Add the twins of a table with their triggers, then fill them; `defaults` are the domains that have one."""
    up: list[Sql] = []
    down: list[Sql] = []
    for one in swaps:
        names, after = one.names, one.after
        keeping = sync(live, names, names.new, names.column, one.before.type, after, one.forth)
        if one.forth:
            told = "; ".join(f"{ddl.literal(new)} for {ddl.literal(old)}" for old, new in one.forth.items())
            keeping = (
                dataclasses.replace(keeping[0], note=f"{FILL_IN}: {told} is a stand-in."),
                *keeping[1:],
            )
        elif gets_zone(one.before.type, after.type):
            keeping = (dataclasses.replace(keeping[0], note=_ZONE_NOTE), *keeping[1:])
        up += (*sql(*_empty(live, names.new, after, defaults)), *keeping)
        down = [*unsync(live, names), *sql(f"ALTER TABLE {live.sql} DROP COLUMN {quoted(names.new)}"), *down]
    twins = [live.label_of(one.names.new) for one in swaps]
    beside = (
        f"{twins[0]} of type {swaps[0].after.spelt_type} beside {plain(swaps[0].names.column)}"
        if len(swaps) == 1
        else f"{joined(twins)} beside {joined([plain(one.names.column) for one in swaps])}"
    )
    added = Part(
        Stage.BESIDE, f"add {beside}", tuple(up), tuple(down), own=True,
        locks=f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan; a trigger keeps each column and its twin equal",
    )  # fmt: skip
    note: str | None = (
        "Nothing changes but the twin: the trigger fills it, by the labels that are said there."
    )
    zoned = any(gets_zone(one.before.type, one.after.type) for one in swaps)
    note = note if any(one.forth for one in swaps) else _ZONE_NOTE if zoned else None
    fill = ddl.backfill(live, ", ".join(map(_filling, swaps)), _missing(swaps), note=note)
    filled = Part(
        Stage.BACKFILL, f"fill {joined(twins)}", (fill,), (), own=True,
        locks=f"ROW EXCLUSIVE on {live.sql}, and the rows of one batch of {ddl.BATCH} until it is committed",
        undo="the structure is untouched; the values stay in the column that the previous revision drops",
        loses=tuple((twin, f"a copy of {live.label_of(one.names.column)}") for twin, one in zip(twins, swaps, strict=True)),
    )  # fmt: skip
    return [added, filled]


def _empty(live: Table, name: str, column: Column, defaults: Collection[str]) -> list[str]:
    """Add a column that is NULL in every row: a domain's own default would be taken for a value that was copied."""
    add = f"ALTER TABLE {live.sql} ADD COLUMN {quoted(name)} {column.spelt_type}"
    if column.type not in defaults:
        return [add]
    return [f"{add} DEFAULT NULL", f"ALTER TABLE {live.sql} ALTER COLUMN {quoted(name)} DROP DEFAULT"]


def _filling(one: Swap) -> str:
    column = quoted(one.names.column)
    return (
        f"{column} = {column}"
        if one.forth
        else f"{quoted(one.names.new)} = {cast(column, one.before.type, one.after)}"
    )


def _missing(swaps: Sequence[Swap], *, back: bool = False) -> str:
    """Spell which rows have a value that the column beside it lacks; one column tells of all where it is never NULL."""
    telling = _never_null_last(swaps, back=back)[-1]
    if _is_never_null(telling, back=back):
        swaps = [telling]
    told = [
        f"{quoted(one.names.column)} IS NOT NULL AND {quoted(one.names.old if back else one.names.new)} IS NULL"
        for one in swaps
    ]
    return told[0] if len(told) == 1 else "(" + " OR ".join(f"({text})" for text in told) + ")"


def _never_null_last(swaps: Sequence[Swap], *, back: bool) -> list[Swap]:
    """Put behind the others what is never NULL: where it has its trigger, the others have theirs, and its twin tells of all."""
    return sorted(swaps, key=lambda one: _is_never_null(one, back=back))


def _is_never_null(swap: Swap, *, back: bool) -> bool:
    return swap.after.not_null if back else swap.before.not_null


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
    twins = " and ".join(live.label_of(one.names.new) for one in swaps)
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


def retire(live: Table, swaps: Sequence[Swap], domains: Mapping[str, Domain]) -> Part:
    """Drop the columns that twins have taken the place of; a downgrade fills them again from their successors.

    `domains` are the live ones: a column of one with a CHECK rewrites the table when it comes back.
    """
    again: list[Sql] = []
    keeping: list[str] = []
    fits = ""
    accepted: dict[str, str] = {}
    for one in swaps:
        names, before = one.names, one.before
        old = quoted(names.old)
        domain = domains.get(before.type)
        empty = " DEFAULT NULL" if domain is not None and domain.default is not None else ""
        again += alone(f"ALTER TABLE {live.sql} ADD COLUMN IF NOT EXISTS {old} {before.spelt_type}{empty}")
        if empty:
            again += alone(f"ALTER TABLE {live.sql} ALTER COLUMN {old} DROP DEFAULT")
        if domain is not None and (domain.checks or domain.not_null):
            why = f"only the downgrade: a column of domain {before.type}, with a CHECK or NOT NULL, has no other way to come"
            accepted[f"rewrite {live.found_as}"] = why
        if before.comment:
            again += alone(f"COMMENT ON COLUMN {live.sql}.{old} IS {ddl.literal(before.comment)}")
        again += alone(
            *(grant.format(table=live.sql).replace(f"({quoted(before.name)})", f"({old})", 1) for grant in before.privileges)
        )  # fmt: skip
        # What does not fit stays NULL here; the swap is then not undone, for its column must be whole.
        if one.goes_back:
            told = one.goes_back.format(quoted(names.column))
            fits += f" AND coalesce({told}, true)" if len(swaps) > 1 else f" AND {told}"
    for one in _never_null_last(swaps, back=True):
        source = one.names.column
        made = sync(live, one.names, one.names.old, source, one.after.type, one.before, one.back)
        keeping += [it.text for it in made]
    assignments = ", ".join(
        f"{quoted(one.names.old)} = {cast(quoted(one.names.column), one.after.type, one.before, one.back)}"
        for one in swaps
    )
    filled = ddl.backfill(live, assignments, _missing(swaps, back=True) + fits)
    labels = [live.label_of(one.names.old) for one in swaps]
    gone = [it for one in swaps for it in unsync(live, one.names)]
    drops = ", ".join(f"DROP COLUMN {quoted(one.names.old)}" for one in swaps)
    columns = " and ".join(one.names.column for one in swaps)
    return Part(
        Stage.DROP, f"drop {joined(labels)}", (*gone, *sql(f"ALTER TABLE {live.sql} {drops}")),
        (*again, *alone(*keeping), filled), own=True, accepted=tuple(accepted.items()),
        locks=f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan",
        undo=f"the structure exactly; the values come back from {columns}, converted to the old type",
        loses=tuple(
            (label, f"its values; a downgrade converts them back from {one.names.column}")
            for label, one in zip(labels, swaps, strict=True)
        ),
    )  # fmt: skip
