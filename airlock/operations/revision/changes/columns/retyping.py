"""A column's other type: in place where PostgreSQL touches no row, else the long way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.catalogue.structure import VIEWS, quoted
from airlock.operations.revision import ddl
from airlock.operations.revision.changes.columns.converting import ZONE, gets_zone
from airlock.operations.revision.changes.columns.swapping import swapped
from airlock.operations.revision.changes.dependents import dropped, leaning_on, made, named
from airlock.operations.revision.changes.stepwise import validated
from airlock.operations.revision.parts import Part, Sql, Stage, alone, sql
from airlock.operations.revision.written.docstrings import joined
from airlock.operations.revision.written.questions import FILL_IN
from airlock.records.revision import Remark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airlock.catalogue.structure import Column, Leaning, Table
    from airlock.operations.revision.changes.columns.needs import Changes
    from airlock.operations.revision.probe import Probe
    from airlock.operations.revision.shadow import Sides


# What would be filled again under the table's lock, or refuses to be dropped: the twin leaves it to read the old column.
_LONG_WAY = frozenset({"materialized view", "function", "virtual column"})


def retyped(sides: Sides, live: Table, wanted: Table, before: Column, after: Column, found: Changes) -> bool:
    """Plan a change of type. True where the column stays itself and its other attributes are still to be compared."""
    probe = sides.probe(live, *_clauses(before, after), also=_zone(before, after))
    keys = {one.index.partition(" ON ")[2] for one in live.constraints.values() if one.index} | {
        one.body for one in live.indexes.values() if one.unique
    }
    things = leaning_on(sides, live, [after.name])
    if not probe.rewritten and (built := _of_partitions(live, after.name)):
        what = f"{before.spelt_type} -> {after.spelt_type} touches no row, but PostgreSQL builds {built} of each partition"
        found.remarks.append(
            Remark(
                live.label_of(after.name),
                f"{what} again with it, under ACCESS EXCLUSIVE: drop that first, by hand, then change the type, then build it"
                " ON ONLY the table, CONCURRENTLY on each partition, and ATTACH",
            )
        )
        found.stuck.add(after.name)
        return False
    if not probe.rewritten and not probe.rebuilt & keys and not any(one.kind in _LONG_WAY for one in things):
        # An inherited column follows its parent's; everything else that cannot be made again refuses another type.
        stuck = [one for one in things if not one.make and one.kind != "table"]
        if stuck:
            what = (
                f"{before.spelt_type} -> {after.spelt_type} touches no row, but {named(stuck)} on the column"
            )
            found.remarks.append(
                Remark(live.label_of(after.name), f"{what}: drop it first, and make it again afterwards")
            )
            found.stuck.add(after.name)
            return False
        _in_place(sides, live, wanted, before, after, probe, [one for one in things if one.drop], found)
        return True
    swapped(sides, live, wanted, before, after, found)
    return False


def _of_partitions(live: Table, column: str) -> str:
    """Name what is built again in every partition whatever the type: the indexes of a partitioned table over the column."""
    over = [one.name for one in live.indexes.values() if column in one.columns]
    over += [one.name for one in live.constraints.values() if one.index and column in one.columns]
    return joined(sorted(over)) if over and live.partition_key is not None else ""


def _zone(before: Column, after: Column) -> list[str]:
    """Read times in the zone in which PostgreSQL touches no row; in that of the session it may, and takes them for others."""
    return [f"SET LOCAL TIME ZONE '{ZONE}'"] if gets_zone(before.type, after.type) else []


def _in_zone(zone: list[str], statements: tuple[Sql, ...]) -> tuple[Sql, ...]:
    if not zone:
        return statements
    note = (
        f"{FILL_IN}: times are taken for {ZONE}, and no row is touched. Where another zone is meant, say it: that rewrites"
        " the table."
    )
    return (Sql(zone[0], note=note), *statements, *sql("SET LOCAL TIME ZONE DEFAULT"))


def _clauses(before: Column, after: Column) -> list[str]:
    """Spell the change; a default that goes stays until the code that leaves the value out is gone."""
    alter = f"ALTER COLUMN {quoted(after.name)}"
    clauses = (
        [f"{alter} DROP DEFAULT"]
        if before.default is not None and after.default is not None and not before.identity
        else []
    )
    clauses.append(f"{alter} TYPE {after.spelt_type}")
    if after.default is not None and not after.identity:
        clauses.append(f"{alter} SET DEFAULT {after.default}")
    return clauses


def _in_place(
    sides: Sides, live: Table, wanted: Table, before: Column, after: Column, probe: Probe, things: Sequence[Leaning],
    found: Changes,
) -> None:  # fmt: skip
    label = live.label_of(after.name)
    checks = [one for one in live.constraints.values() if one.kind == "c" and after.name in one.columns]
    again = [one for one in wanted.constraints.values() if one.kind == "c" and after.name in one.columns]
    found.settled |= {one.name for one in (*checks, *again)}
    found.respelt.update(probe.indexes)
    table = f"ALTER TABLE {live.sql}"
    # PostgreSQL verifies the CHECKs of a column that changes its type, under the same lock: they step aside.
    aside = [f"{table} DROP CONSTRAINT {quoted(one.name)}" for one in checks]
    back = [ddl.not_valid(live, one) for one in again]
    back += [ddl.comment_on_constraint(live, one) for one in again if one.comment is not None]
    clauses = [f"{table} {clause}" for clause in _clauses(before, after)]
    zone = _zone(before, after)
    undo_probe = _undo_rewrites(sides, live, before, after)
    aside_down = [f"{table} DROP CONSTRAINT {quoted(one.name)}" for one in again]
    back_down = [ddl.not_valid(live, one) for one in checks]
    back_down += [ddl.comment_on_constraint(live, one) for one in checks if one.comment is not None]
    down = sql(*aside_down, *(f"{table} {clause}" for clause in _clauses(after, before)), *back_down)
    down = (*dropped(things), *_in_zone(zone, down), *made(things))
    if checks:
        valid = [one for one in checks if one.valid]
        down += tuple(
            Sql(f"{table} VALIDATE CONSTRAINT {quoted(one.name)}", autocommit=True) for one in valid
        )
    for index in live.indexes.values():
        if index.body in probe.rebuilt:
            found.parts.append(
                Part(
                    Stage.CLEAR, f"drop index {ddl.in_schema(live, index.name)} for the change of {label}",
                    ddl.index_away(live, index.name),
                    ddl.index_again(live, index.text, index.name) + alone(*live.marked(index.name, index.name)), own=True,
                    locks=f"SHARE UPDATE EXCLUSIVE on {live.sql}",
                )
            )  # fmt: skip
            other = wanted.indexes.get(index.name)
            if other is not None:
                found.parts.append(
                    Part(
                        Stage.INDEX, f"index {ddl.in_schema(live, index.name)}",
                        ddl.index_again(live, other.text, index.name) + alone(*live.marked(index.name, index.name)),
                        ddl.index_away(live, index.name), own=True,
                        locks=f"SHARE UPDATE EXCLUSIVE on {live.sql} while it is built",
                    )
                )  # fmt: skip
            found.settled.add(index.name)
    found.parts.append(
        Part(
            Stage.EXPAND, f"change the type of {label} to {after.spelt_type}{_with(things)}",
            (*dropped(things), *_in_zone(zone, sql(*aside, *clauses, *back)), *made(things)), down,
            own=bool(checks) or undo_probe or bool(things),
            locks=f"ACCESS EXCLUSIVE on {', '.join([live.sql, *_views(things)])} for a moment, no scan, no rewrite",
            undo=f"exact while every value fits {before.spelt_type}; it rewrites {live.label} under ACCESS EXCLUSIVE"
            if undo_probe else "exact; nothing is lost",
            accepted=_only_down(sides, live, after) if undo_probe else (),
        )
    )  # fmt: skip
    for one in again:
        found.parts.append(validated(live, one))


def _only_down(sides: Sides, live: Table, column: Column) -> tuple[tuple[str, str], ...]:
    """Say what only the downgrade does: it rewrites the table and its heirs, and foreign keys look at their rows again."""
    why = "only the downgrade rewrites: the narrower type has no other form"
    heirs = [f"{schema}.{name}" for schema, name in (*live.heirs, *live.partitions)]
    scanned = [
        other.found_as
        for table in sides.live.tables.values() for one in table.constraints.values() if one.kind == "f"
        for other, here, columns in ((table, one.references, one.referred), (_of(sides, one.references), table.sql, one.columns))
        if other is not None and other is not live and here == live.sql and column.name in columns
    ]  # fmt: skip
    again = (
        f"only the downgrade scans: a foreign key looks at every row again when {live.found_as} is rewritten"
    )
    return (
        *((f"rewrite {name}", why) for name in (live.found_as, *heirs)),
        *((f"scan {name}", again) for name in dict.fromkeys(scanned)),
    )


def _of(sides: Sides, name: str | None) -> Table | None:
    return next((table for table in sides.live.tables.values() if table.sql == name), None)


def _with(things: Sequence[Leaning]) -> str:
    return f", and make {joined([one.label for one in things])} again" if things else ""


def _views(things: Sequence[Leaning]) -> list[str]:
    return [one.name for one in things if one.kind in VIEWS]


def _undo_rewrites(sides: Sides, live: Table, before: Column, after: Column) -> bool:
    clauses = (*_clauses(before, after), *_clauses(after, before))
    return sides.probe(live, *clauses, also=_zone(before, after)).rewritten
