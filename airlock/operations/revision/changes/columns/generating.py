"""A column that becomes generated, or stops being so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.catalogue.structure import quoted
from airlock.operations.revision import ddl
from airlock.operations.revision.parts import Part, Stage, sql
from airlock.records.revision import Remark

if TYPE_CHECKING:
    from airlock.catalogue.structure import Column, Table
    from airlock.operations.revision.changes.columns.needs import Changes


def generated(live: Table, wanted: Table, before: Column, after: Column, found: Changes) -> None:
    """Make a column generated, or generated otherwise. No form of it spares the rewrite but making it plain."""
    name, label = quoted(after.name), live.label_of(after.name)
    lock = f"ACCESS EXCLUSIVE on {live.sql}"

    def replaced(column: Column, table: Table) -> list[str]:
        alter = f"ALTER TABLE {live.sql}"
        made = [f"{alter} DROP COLUMN {name}", f"{alter} ADD COLUMN {ddl.column(column)}"]
        made += [
            f"{alter} ADD CONSTRAINT {quoted(one.name)} {one.text}"
            for one in table.constraints.values()
            if after.name in one.columns
        ]
        made += [one.text for one in table.indexes.values() if after.name in one.columns]
        return made + ([ddl.comment_on_column(live, column)] if column.comment is not None else [])

    touched = {
        one.name for it in (live, wanted) for one in it.constraints.values() if after.name in one.columns
    }
    touched |= {one.name for it in (live, wanted) for one in it.indexes.values() if after.name in one.columns}
    if before.generated == "s" and not after.generated:
        becomes = [f"ALTER TABLE {live.sql} ALTER COLUMN {name} DROP EXPRESSION"]
        if after.default is not None:
            becomes.append(f"ALTER TABLE {live.sql} ALTER COLUMN {name} SET DEFAULT {after.default}")
        found.parts.append(
            Part(
                Stage.EXPAND, f"make {label} a plain column", sql(*becomes), sql(*replaced(before, live)), own=True,
                locks=f"{lock} for a moment, no scan",
                undo=f"exact, but it rewrites {live.label} under ACCESS EXCLUSIVE: a generated column has no other form",
                accepted=((f"rewrite {live.found_as}", "only the downgrade rewrites; a generated column has no other form"),),
            )
        )  # fmt: skip
        return
    found.settled |= touched
    found.parts.append(
        Part(
            Stage.DROP, f"generate {label}", sql(*replaced(after, wanted)), sql(*replaced(before, live)), own=True,
            locks=f"{lock} while the whole table is rewritten. Nobody reads or writes meanwhile",
            undo="the structure exactly, rewriting the table again; values that were not generated are lost",
            loses=() if before.generated else ((label, "its values: the expression takes their place"),),
        )
    )  # fmt: skip
    found.remarks.append(
        Remark(label, "a generated column that comes or changes rewrites the table under ACCESS EXCLUSIVE")
    )
