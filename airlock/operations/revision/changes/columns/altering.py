"""A column that stays: its default, NULL, name of NOT NULL, comment and numbering, altered in place."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from airlock.catalogue.structure import quoted
from airlock.operations.revision import ddl
from airlock.operations.revision.changes.columns.generating import generated
from airlock.operations.revision.changes.columns.numbering import numbers, renumbered
from airlock.operations.revision.changes.columns.retyping import retyped
from airlock.operations.revision.changes.dependents import leaning_on, named
from airlock.operations.revision.changes.stepwise import (
    filled,
    filled_around,
    name_not_null,
    required,
    value_for,
)
from airlock.operations.revision.naming import postgresql_name
from airlock.operations.revision.parts import Part, Stage, sql
from airlock.records.revision import Remark

if TYPE_CHECKING:
    from airlock.catalogue.structure import Column, Leaning, Table
    from airlock.operations.revision.changes.columns.needs import Changes
    from airlock.operations.revision.shadow import Sides


def _identifies(sides: Sides, live: Table, one: Column) -> list[Leaning]:
    """List the replica identity that a column is part of: it must not be NULL."""
    return [it for it in leaning_on(sides, live, [one.name]) if it.kind == "replica identity"]


def _defaulted(live: Table, before: Column, after: Column, lock: str) -> Part:
    """Set another default; drop one late: code of the release below leaves the value out until it is gone."""
    label, alter = live.label_of(after.name), f"ALTER TABLE {live.sql} ALTER COLUMN {quoted(after.name)}"
    was, becomes = (
        "DROP DEFAULT" if one.default is None else f"SET DEFAULT {one.default}" for one in (before, after)
    )
    return Part(
        Stage.EXPAND if after.default is not None else Stage.RETIRE,
        f"change the default of {label}" if after.default is not None else f"drop the default of {label}",
        sql(f"{alter} {becomes}"),
        sql(f"{alter} {was}"),
        locks=lock,
    )


def altered(sides: Sides, live: Table, wanted: Table, before: Column, after: Column, found: Changes) -> None:
    """Plan a column that both sides have, and differently."""
    name, label = quoted(after.name), live.label_of(after.name)
    alter = f"ALTER TABLE {live.sql} ALTER COLUMN {name}"
    lock = f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan"
    if before.comment != after.comment:
        found.parts.append(
            Part(
                Stage.EXPAND, f"comment on {label}", sql(ddl.comment_on_column(live, after)),
                sql(ddl.comment_on_column(live, before)), locks=f"SHARE UPDATE EXCLUSIVE on {live.sql}",
            )
        )  # fmt: skip
    if (before.generated, before.default if before.generated else None) != (
        after.generated, after.default if after.generated else None,
    ):  # fmt: skip
        generated(sides, live, wanted, before, after, found)
        return
    if before.spelt_type != after.spelt_type:
        if not retyped(sides, live, wanted, before, after, found):
            return
        if before.default is not None and after.default is None:
            found.parts.append(_defaulted(live, before, after, lock))
    elif numbers(before) != numbers(after):
        renumbered(live, before, after, found)
    elif before.default != after.default and not after.identity and not after.generated:
        found.parts.append(_defaulted(live, before, after, lock))
    if after.not_null and not before.not_null:
        value, note = value_for(sides, wanted, after)
        if value != "NULL":
            found.parts += filled_around(live, after, value, note)
        found.parts += required(live, after.name)
    elif before.not_null and after.not_null and not before.not_null_valid:
        value, note = value_for(sides, wanted, after)
        found.parts.append(dataclasses.replace(filled(live, after, value, note), stage=Stage.REFILL))
        name_ = quoted(before.not_null_name or "")
        down = (f"ALTER TABLE {live.sql} DROP CONSTRAINT {name_}", ddl.not_null_not_valid(live, before))
        found.parts.append(
            Part(
                Stage.VALIDATE, f"validate the NOT NULL of {label}",
                sql(f"ALTER TABLE {live.sql} VALIDATE CONSTRAINT {name_}"), sql(*down),
                locks=f"SHARE UPDATE EXCLUSIVE on {live.sql} during the scan: reads and writes go on",
                undo="exact; it is NOT VALID again",
            )
        )  # fmt: skip
    elif before.not_null and not after.not_null and (held := _identifies(sides, live, after)):
        found.remarks.append(
            Remark(label, f"the models let it be NULL, and {named(held)} on it: set another one first")
        )
    elif before.not_null and not after.not_null and not (before.identity and not after.identity):
        keyed = live.key is not None and after.name in live.key.columns
        found.parts.append(
            Part(
                # A column of the primary key has to leave it first.
                Stage.SWAP if keyed else Stage.EXPAND, f"let {label} be NULL", sql(f"{alter} DROP NOT NULL"),
                ddl.not_null_again(live, after.name),
                locks=lock, undo="exact, without blocking; refused while a row holds NULL",
            )
        )  # fmt: skip
    old, new = before.not_null_name, after.not_null_name
    # A renamed table or column keeps the name that its NOT NULL was made with; no model says one.
    if old != new and old and new and new != postgresql_name(live.name, after.name, "not_null"):
        found.parts.append(
            Part(
                Stage.EXPAND, f"name the NOT NULL of {label}", (name_not_null(live.sql, old, new),),
                (name_not_null(live.sql, new, old),), locks=lock,
            )
        )  # fmt: skip
