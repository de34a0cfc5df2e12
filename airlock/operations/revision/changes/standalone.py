"""Enums, domains and sequences that stand for themselves: made, widened, changed; what cannot be is said."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from airlock.operations.revision.changes import domains, enums
from airlock.operations.revision.parts import Part, Stage, sql
from airlock.records.revision import Remark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.operations.revision.shadow import Sides


def changes(sides: Sides) -> Iterator[Part]:
    """Plan the enums, domains and sequences that the models have."""
    live, wanted = sides.live, sides.wanted
    yield from enums.changes(sides)
    yield from domains.changes(sides)
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


def remarks(sides: Sides) -> Iterator[Remark]:
    """Say which enums, domains and sequences differ in a way that is not written."""
    yield from enums.remarks(sides)
    yield from domains.remarks(sides)
    for name in sides.live.sequences:
        if name not in sides.wanted.sequences:
            yield Remark(f"sequence {name}", "the models do not have this sequence; it stays")
