"""Enums and sequences that stand for themselves: made, widened, changed; what cannot be is said."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from airlock.operations.revision import ddl
from airlock.operations.revision.parts import Part, Sql, Stage, alone, sql
from airlock.records.revision import Remark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.catalogue.structure import Table
    from airlock.operations.revision.shadow import Sides


def changes(sides: Sides) -> Iterator[Part]:
    """Plan the enums and sequences that the models have."""
    live, wanted = sides.live, sides.wanted
    for name, labels in wanted.enums.items():
        spelt = ", ".join(ddl.literal(label) for label in labels)
        if name not in live.enums:
            yield Part(
                Stage.EXPAND, f"create type {name}", sql(f"CREATE TYPE {name} AS ENUM ({spelt})"), sql(f"DROP TYPE {name}"),
                locks="none on what was there",
            )  # fmt: skip
            continue
        before = live.enums[name]
        added = [label for label in labels if label not in before]
        if added and tuple(label for label in labels if label in before) == before:
            yield Part(
                Stage.CLEAR,
                f"add {', '.join(added)} to type {name}",
                tuple(_add_values(name, before, labels)),
                (),
                own=True,
                locks="none on tables",
                undo="the values stay in the type: PostgreSQL cannot take one out; nobody needs to use them",
                loses=((f"type {name}", "a value of an enum cannot be taken out again"),),
            )
    owned = {
        one.sequence.name for table in live.tables.values() for one in table.columns.values() if one.sequence
    }
    for name, sequence in wanted.sequences.items():
        if name in owned:
            # The column that owns it lets it go.
            continue
        if name not in live.sequences:
            yield Part(
                Stage.EXPAND,
                f"create sequence {name}",
                sql(f"CREATE SEQUENCE {name} AS {sequence.type} {sequence.options()}"),
                sql(f"DROP SEQUENCE {name}"),
                locks="none on what was there",
            )
        elif dataclasses.replace(live.sequences[name], comment=None, privileges=()) != dataclasses.replace(
            sequence, comment=None, privileges=()
        ):
            old = live.sequences[name]
            yield Part(
                Stage.EXPAND,
                f"change sequence {name}",
                sql(f"ALTER SEQUENCE {name} AS {sequence.type} {sequence.options()}"),
                sql(f"ALTER SEQUENCE {name} AS {old.type} {old.options()}"),
                locks=f"SHARE ROW EXCLUSIVE on sequence {name}",
            )


def _add_values(name: str, before: tuple[str, ...], labels: tuple[str, ...]) -> Iterator[Sql]:
    for place, label in enumerate(labels):
        if label not in before:
            where = (
                f" AFTER {ddl.literal(labels[place - 1])}" if place else f" BEFORE {ddl.literal(before[0])}"
            )
            text = f"ALTER TYPE {name} ADD VALUE IF NOT EXISTS {ddl.literal(label)}{where}"
            yield from alone(text)


def remarks(sides: Sides, gone: list[Table]) -> Iterator[Remark]:
    """Say which enums and sequences differ in a way that is not written; `gone` are the tables that go."""
    live, wanted = sides.live, sides.wanted
    dropped = orphans(sides, gone)
    for name, labels in live.enums.items():
        if name not in wanted.enums:
            if name not in dropped:
                yield Remark(f"type {name}", "the models do not have this enum; it stays")
        elif wanted.enums[name] != labels:
            new = wanted.enums[name]
            if tuple(label for label in new if label in labels) != labels:
                yield Remark(
                    f"type {name}",
                    f"the models have the values {', '.join(new)}, the database {', '.join(labels)}: values of an enum are"
                    " not removed, renamed or reordered without a rewrite; write it by hand",
                )
    for name in live.sequences:
        if name not in wanted.sequences:
            yield Remark(f"sequence {name}", "the models do not have this sequence; it stays")


def orphans(sides: Sides, tables: list[Table]) -> list[str]:
    """List the enums that only dropped tables used and the models do not have."""
    used = {one.type for table in tables for one in table.columns.values()}
    left = {
        one.type
        for table in sides.live.tables.values()
        if table.sql not in {one.sql for one in tables}
        for one in table.columns.values()
    }
    return [name for name in sides.live.enums if name in used and name not in left | set(sides.wanted.enums)]
