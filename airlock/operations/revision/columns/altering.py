"""A column that stays: its default, NULL, name of NOT NULL, comment and numbering, altered in place."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from airlock.catalogue.structure import quoted
from airlock.operations.revision import ddl
from airlock.operations.revision.columns.generating import generated
from airlock.operations.revision.columns.retyping import retyped
from airlock.operations.revision.parts import Part, Stage, sql
from airlock.operations.revision.stepwise import filled, name_not_null, required, value_for
from airlock.records.revision import Remark

if TYPE_CHECKING:
    from airlock.catalogue.structure import Column, Table
    from airlock.operations.revision.columns.needs import Changes
    from airlock.operations.revision.shadow import Sides


def altered(sides: Sides, live: Table, wanted: Table, before: Column, after: Column, found: Changes) -> None:
    """Plan a column that both sides have, and differently."""
    name, label = quoted(after.name), f"{live.label}.{after.name}"
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
        generated(live, wanted, before, after, found)
        return
    if before.spelt_type != after.spelt_type:
        if not retyped(sides, live, wanted, before, after, found):
            return
    elif (
        before.default != after.default and not before.identity and not after.identity and not after.generated
    ):
        was = "DROP DEFAULT" if before.default is None else f"SET DEFAULT {before.default}"
        becomes = "DROP DEFAULT" if after.default is None else f"SET DEFAULT {after.default}"
        if after.sequence is not None and before.sequence is None:
            found.remarks.append(Remark(label, "the models want a serial column; write its sequence by hand"))
            return
        found.parts.append(
            Part(
                Stage.EXPAND,
                f"change the default of {label}",
                sql(f"{alter} {becomes}"),
                sql(f"{alter} {was}"),
                locks=lock,
            )
        )
    if (before.identity, before.identity and before.sequence) != (
        after.identity,
        after.identity and after.sequence,
    ):
        _identity(live, before, after, found)
    if after.not_null and not before.not_null:
        value, note = value_for(sides, wanted, after)
        if value != "NULL":
            # New rows have a value by then, so what is filled stays filled.
            found.parts.append(dataclasses.replace(filled(live, after, value, note), stage=Stage.REFILL))
        found.parts += required(live, after.name)
    elif before.not_null and not after.not_null:
        found.parts.append(
            Part(
                Stage.EXPAND, f"let {label} be NULL", sql(f"{alter} DROP NOT NULL"), ddl.not_null_again(live, after.name),
                locks=lock, undo="exact, without blocking; refused while a row holds NULL",
            )
        )  # fmt: skip
    old, new = before.not_null_name, after.not_null_name
    if old != new and old and new:
        found.parts.append(
            Part(
                Stage.EXPAND, f"name the NOT NULL of {label}", (name_not_null(live.sql, old, new),),
                (name_not_null(live.sql, new, old),), locks=lock,
            )
        )  # fmt: skip


def _identity(live: Table, before: Column, after: Column, found: Changes) -> None:
    def spelt(old: Column, new: Column) -> list[str]:
        alter = f"ALTER TABLE {live.sql} ALTER COLUMN {quoted(new.name)}"
        if not new.identity:
            default = [f"{alter} SET DEFAULT {new.default}"] if new.default is not None else []
            return [f"{alter} DROP IDENTITY", *default]
        if not old.identity:
            place = f"{ddl.literal(live.sql)}, {ddl.literal(new.name)}"
            largest = f"(SELECT coalesce(max({quoted(new.name)}), 0) + 1 FROM {live.sql})"
            default = [f"{alter} DROP DEFAULT"] if old.default is not None else []
            return [
                *default, f"{alter} ADD {ddl.identity(new)}",
                f"SELECT setval(pg_get_serial_sequence({place}), {largest}, false)",
            ]  # fmt: skip
        sets = [f"SET GENERATED {'ALWAYS' if new.identity == 'a' else 'BY DEFAULT'}"] * (
            old.identity != new.identity
        )
        if new.sequence and old.sequence and new.sequence.options() != old.sequence.options():
            cycle = "SET CYCLE" if new.sequence.cycle else "SET NO CYCLE"
            sets += [
                f"SET START WITH {new.sequence.start}", f"SET INCREMENT BY {new.sequence.increment}",
                f"SET MINVALUE {new.sequence.minimum}", f"SET MAXVALUE {new.sequence.maximum}",
                f"SET CACHE {new.sequence.cache}", cycle,
            ]  # fmt: skip
        return [f"{alter} {' '.join(sets)}"] if sets else []

    up, down = spelt(before, after), spelt(after, before)
    if up or down:
        found.parts.append(
            Part(
                Stage.EXPAND if before.not_null else Stage.SWAP, f"change the identity of {live.label}.{after.name}",
                sql(*up), sql(*down), locks=f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan",
            )
        )  # fmt: skip
