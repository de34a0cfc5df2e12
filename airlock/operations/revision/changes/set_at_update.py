"""What a table's own triggers set beside a backfill: a revision that fills rows says that it stays as it is then."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airlock.catalogue.set_at_update import set_at_update

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airlock.operations.revision.parts import Part
    from airlock.operations.revision.shadow import Sides


def say_what_is_set(sides: Sides, parts: Sequence[Part]) -> tuple[Part, ...]:
    """Add to each part that updates rows what triggers set beside. Reads the catalogue only."""
    columns = set_at_update(lambda query: sides.connection.execute(sa.text(query)).all())
    tables = {
        table.sql: found
        for table in sides.live.tables.values()
        if (found := [name for name in map(table.label_of, table.columns) if name in columns])
    }
    return tuple(
        dataclasses.replace(part, loses=(*part.loses, *(
            (name, f"the trigger's {columns[name]}() sets it at each UPDATE")
            for table in tables if _updates(part, table) for name in tables[table]
        )))
        for part in parts
    )  # fmt: skip


def _updates(part: Part, table: str) -> bool:
    pattern = re.compile(rf"\bUPDATE\s+(?:ONLY\s+)?{re.escape(table)}(?![\w.\"])")
    return any(pattern.search(one.text) for one in (*part.up, *part.last, *part.down))
