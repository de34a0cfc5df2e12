"""Enums that lose labels, or take another order: PostgreSQL has no statement for it, so every column of theirs turns."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airlock.operations.revision import ddl
from airlock.operations.revision.changes.columns.needs import Remade, Swap
from airlock.operations.revision.changes.columns.swapping import stands_in_the_way, swap_of
from airlock.operations.revision.changes.enums import enum_of, only_adds
from airlock.operations.revision.naming import beside_name, made_name
from airlock.operations.revision.parts import Part, Stage, sql
from airlock.records.revision import Remark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.catalogue.structure import Column, Structure, Table
    from airlock.operations.revision.shadow import Sides

# What a type holds fast besides columns of tables and what goes over with them.
_USERS = sa.text("""
SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid) FROM pg_type t
JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray) AND d.objid <> t.typarray
LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
WHERE t.oid = to_regtype(:name) AND (
  d.classid IN ('pg_proc'::regclass, 'pg_type'::regclass, 'pg_cast'::regclass, 'pg_operator'::regclass)
  OR c.relkind IN ('c', 'f') OR (c.relkind IN ('r', 'p') AND NOT c.oid::regclass::text = ANY(:tables)))
ORDER BY 1""")


def remade(sides: Sides) -> tuple[list[Swap], list[Part], list[Remark]]:
    """Plan the enums that are made again: the columns that turn with them, their types, and what cannot be."""
    swaps: list[Swap] = []
    parts: list[Part] = []
    remarks: list[Remark] = []
    taken = {*sides.live.enums, *sides.wanted.enums}
    for name, before in sides.live.enums.items():
        after = sides.wanted.enums.get(name, before)
        if only_adds(before, after):
            continue
        plain = ddl.unqualified(name)
        beside, behind = beside_name(plain, taken), made_name(plain, "old", taken=taken)
        one = Remade(name, before, after, ddl.beside(name, beside), ddl.beside(name, behind))
        mine = [_swap(one, *columns) for columns in _columns(sides, name)]
        why = _in_the_way(sides, one, mine)
        if why is not None:
            text = (
                f"the models have the values {', '.join(after)}, the database {', '.join(before)}, and {why}"
            )
            remarks.append(Remark(f"type {name}", text))
            continue
        swaps += mine
        parts += _types(one, used=bool(mine))
    return swaps, parts, remarks


def _columns(sides: Sides, name: str) -> Iterator[tuple[Table, Table, Column, Column]]:
    for key, live in sides.live.tables.items():
        wanted = sides.wanted.tables.get(key)
        for column in live.columns.values() if wanted is not None else ():
            other = wanted.columns.get(column.name) if wanted is not None else None
            if (
                wanted is not None
                and other is not None
                and enum_of(column.type) == name == enum_of(other.type)
            ):
                yield live, wanted, column, other


def _swap(one: Remade, live: Table, wanted: Table, before: Column, after: Column) -> Swap:
    made = swap_of(
        live, wanted, dataclasses.replace(before, type=before.type.replace(one.name, one.behind)),
        dataclasses.replace(after, type=after.type.replace(one.name, one.beside)),
    )  # fmt: skip
    forth = {
        label: _instead(label, one.before, one.after, after) for label in one.before if label not in one.after
    }
    back = {
        label: _instead(label, one.after, one.before, before)
        for label in one.after
        if label not in one.before
    }
    return dataclasses.replace(made, enums=(one,), forth=forth, back=back)


def _instead(label: str, own: tuple[str, ...], labels: tuple[str, ...], column: Column) -> str:
    """Choose what rows get whose label is gone: the column's default, else the last before it that stays, else the first."""
    default = [one for one in labels if (column.default or "").startswith(ddl.literal(one) + "::")]
    stays = [one for one in own[: own.index(label)] if one in labels]
    return (default + stays[::-1] + list(labels[:1]))[0]


def _in_the_way(sides: Sides, one: Remade, swaps: list[Swap]) -> str | None:
    turning = {(swap.live.sql, swap.names.column) for swap in swaps}
    others = sorted({*_others(sides.live, one.name, turning), *_others(sides.wanted, one.name, turning)})
    if others:
        return (
            f"{', '.join(others)} of that type comes, goes or changes at once: take the values away first, the rest in a second"
            " revision"
        )
    # The catalogue spells tables as search_path lets it; in the models' default schema, without it.
    tables = [swap.live.sql for swap in swaps]
    users = sides.connection.execute(_USERS, {"name": one.name, "tables": tables}).scalars().all()
    if users:
        return f"{', '.join(users)} holds the type: drop it first, and make it again afterwards"
    for swap in swaps:
        why = stands_in_the_way(sides, swap)
        if why is not None:
            return f"{swap.live.label_of(swap.names.column)} is of that type: {why}"
    return None


def _others(structure: Structure, name: str, turning: set[tuple[str, str]]) -> Iterator[str]:
    for table in structure.tables.values():
        for column in table.columns.values():
            if enum_of(column.type) == name and (table.sql, column.name) not in turning:
                yield table.label_of(column.name)


def _types(one: Remade, *, used: bool) -> Iterator[Part]:
    again = ddl.create_enum(one.name, one.before)
    if not used:
        # No column is of it: nobody waits.
        yield Part(
            Stage.EXPAND, f"make type {one.name} again", sql(f"DROP TYPE {one.name}", ddl.create_enum(one.name, one.after)),
            sql(f"DROP TYPE {one.name}", again), locks="none on tables", relabels=one.name,
        )  # fmt: skip
        return
    yield Part(
        Stage.EXPAND, f"create type {one.beside}, which will be {one.name}", sql(one.create()),
        sql(f"DROP TYPE {one.beside}"), locks="none on what was there", relabels=one.name,
    )  # fmt: skip
    yield Part(
        Stage.LAST, f"drop type {one.behind}, which was {one.name}", sql(f"DROP TYPE {one.behind}"),
        sql(ddl.create_enum(one.behind, one.before)), locks="none on tables", relabels=one.name,
    )  # fmt: skip
