"""Enums: made, given labels, dropped with the last column of theirs; which ones need another type altogether."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.catalogue.fingerprint.model import plain
from airlock.catalogue.structure import quoted, refusing
from airlock.operations.revision import ddl
from airlock.operations.revision.parts import Part, Sql, Stage, alone, sql
from airlock.records.revision import Likely, Remark

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from airlock.catalogue.structure import Structure, Table
    from airlock.operations.revision.shadow import Sides


def enum_of(column_type: str) -> str:
    """Name the type of an array's items, or the type itself."""
    return column_type.removesuffix("[]")


def only_adds(before: tuple[str, ...], after: tuple[str, ...]) -> bool:
    """Tell whether every label stays, in its order."""
    return tuple(label for label in after if label in before) == before


def changes(sides: Sides) -> Iterator[Part]:
    """Plan enums that come and labels that are added, each at its place."""
    for name, labels in sides.wanted.enums.items():
        if name not in sides.live.enums:
            yield Part(
                Stage.EXPAND, f"create type {name}", sql(ddl.create_enum(name, labels)), sql(f"DROP TYPE {name}"),
                locks="none on what was there", types=(name,),
            )  # fmt: skip
            continue
        before = sides.live.enums[name]
        added = [label for label in labels if label not in before]
        if added and only_adds(before, labels):
            yield Part(
                Stage.CLEAR, f"add {', '.join(added)} to type {name}", tuple(_add_values(name, before, labels)), (), own=True,
                locks="none on tables",
                relabels=name, undo="the values stay in the type: PostgreSQL cannot take one out; nobody needs to use them",
                loses=((f"type {_full(sides, name)}", "a value of an enum cannot be taken out again"),),
            )  # fmt: skip


def _full(sides: Sides, name: str) -> str:
    """Name a type as differences name it: with its schema."""
    own = ddl.unqualified(name)
    schema = name.removesuffix(quoted(own)).removesuffix(".")
    home = sides.connection.dialect.default_schema_name or "public"
    return f"{plain(ddl.unqualified(schema) if schema else home)}.{plain(own)}"


def _add_values(name: str, before: tuple[str, ...], labels: tuple[str, ...]) -> Iterator[Sql]:
    for place, label in enumerate(labels):
        if label not in before:
            where = (
                f" AFTER {ddl.literal(labels[place - 1])}" if place else f" BEFORE {ddl.literal(before[0])}"
            )
            yield from alone(f"ALTER TYPE {name} ADD VALUE IF NOT EXISTS {ddl.literal(label)}{where}")


def likely(sides: Sides) -> Iterator[Likely]:
    """Name labels of which one went and one came at the same place: perhaps renamed."""
    for name, labels in sides.wanted.enums.items():
        before = sides.live.enums.get(name, labels)
        pairs = [(old, new) for old, new in zip(before, labels, strict=False) if old != new]
        if (
            len(before) == len(labels)
            and len(pairs) == 1
            and pairs[0][0] not in labels
            and pairs[0][1] not in before
        ):
            yield Likely("label", f"{name}.{pairs[0][0]}", pairs[0][1])


def dropped(sides: Sides, gone: list[Table]) -> list[Part]:
    """Plan the enums that no column is of any longer, and that the models do not have: dropped last of all."""
    parts = []
    for name in orphans(sides):
        if name in with_tables(sides, gone):
            continue
        parts.append(
            Part(
                Stage.LAST, f"drop type {name}", sql(f"DROP TYPE {name}"), sql(ddl.create_enum(name, sides.live.enums[name])),
                locks="none on tables", types=(name,),
            )
        )  # fmt: skip
    return parts


def orphans(sides: Sides) -> list[str]:
    """List the enums that only columns that go are of; those that were of no use before stay."""
    return orphaned(sides, sides.live.enums, sides.wanted.enums)


def orphaned(sides: Sides, live: Iterable[str], wanted: Container[str]) -> list[str]:
    """List the `live` types, none of them `wanted`, that only columns that go are of; those of no use before stay."""
    found = [
        name
        for name in live
        if name not in wanted and _used(sides.live, name) and not _used(sides.wanted, name)
    ]
    tables = [table.sql for table in sides.live.tables.values()]
    held = refusing(sides.connection, types=found, beside=tables) if found else {}
    return [name for name in found if name not in held]


def with_tables(sides: Sides, gone: list[Table]) -> list[str]:
    """List the enums that only dropped tables are of: they go, and come back, with them."""
    names = {table.sql for table in gone}
    return [
        name for name in orphans(sides)
        if all(table.sql in names for table in sides.live.tables.values()
               if name in {enum_of(one.type) for one in table.columns.values()})
    ]  # fmt: skip


def _used(structure: Structure, name: str) -> bool:
    return any(
        enum_of(one.type) == name for table in structure.tables.values() for one in table.columns.values()
    )


def remarks(sides: Sides) -> Iterator[Remark]:
    """Say which enums differ in a way that is not written."""
    gone = orphans(sides)
    for name in sides.live.enums:
        if name not in sides.wanted.enums and name not in gone:
            yield Remark(f"type {name}", "the models do not have this enum; it stays")
