"""Changes of columns: added, dropped, and altered in place where that neither scans nor rewrites."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from airlock.acts.revise import spell, swap
from airlock.acts.revise.parts import Part, Sql, Stage, alone, sql
from airlock.instruments.structure import quoted
from airlock.words.revise import Likely, Remark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.acts.revise.shadow import Sides
    from airlock.instruments.structure import Column, Table

FILL_IN = "FILL IN"


@dataclasses.dataclass
class Changes:
    """What the columns of one table need; and what that already does to constraints and indexes.

    `with_column`: live constraints and indexes that go (and come back) with a dropped column. `settled`: names of
    constraints and indexes that are dealt with here. `checks_again`: CHECKs that an ALTER TYPE dropped and added NOT
    VALID. `respelt`: live index bodies as they read after the change.
    """

    parts: list[Part] = dataclasses.field(default_factory=list)
    remarks: list[Remark] = dataclasses.field(default_factory=list)
    likely: list[Likely] = dataclasses.field(default_factory=list)
    settled: set[str] = dataclasses.field(default_factory=set)
    respelt: dict[str, str] = dataclasses.field(default_factory=dict)


def changes(sides: Sides, live: Table, wanted: Table) -> Changes:
    """Plan the columns of one table."""
    found = Changes()
    gone = [one for name, one in live.columns.items() if name not in wanted.columns]
    come = [one for name, one in wanted.columns.items() if name not in live.columns]
    for old in gone:
        for new in come:
            if (old.spelt_type, old.generated, bool(old.identity)) == (
                new.spelt_type, new.generated, bool(new.identity),
            ):  # fmt: skip
                found.likely.append(Likely("column", f"{live.label}.{old.name}", f"{live.label}.{new.name}"))
    for one in come:
        _added(sides, live, wanted, one, found)
    for name, after in wanted.columns.items():
        if name in live.columns and live.columns[name] != after:
            _altered(sides, live, wanted, live.columns[name], after, found)
    if gone:
        _dropped(sides, live, gone, found)
    return found


def _added(sides: Sides, live: Table, wanted: Table, one: Column, found: Changes) -> None:
    name, label = quoted(one.name), f"{live.label}.{one.name}"
    away = sql(f"ALTER TABLE {live.sql} DROP COLUMN {name}")
    lock = f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan"
    comment = sql(spell.comment_on_column(live, one)) if one.comment is not None else ()
    undo = "exact; the values written meanwhile are gone"
    probe = sides.probe(live, f"ADD COLUMN {spell.column(one, not_null=False)}")
    if one.generated and probe.rewritten:
        found.parts.append(
            Part(
                Stage.EXPAND, f"add {label}, generated",
                (*sql(f"ALTER TABLE {live.sql} ADD COLUMN {spell.column(one)}"), *comment), away, own=True,
                locks=f"ACCESS EXCLUSIVE on {live.sql} while the whole table is rewritten: a stored generated column"
                " has no other form. Nobody reads or writes meanwhile", undo=undo,
            )
        )  # fmt: skip
        found.remarks.append(
            Remark(label, "a stored generated column rewrites the table under ACCESS EXCLUSIVE")
        )
        return
    if one.identity or one.serial:
        _numbered(live, one, found)
        return
    if not probe.rewritten and (one.default is not None or not one.not_null):
        # A constant default is kept in the catalogue: no row is touched, and NOT NULL is known to hold.
        text = f"ALTER TABLE {live.sql} ADD COLUMN {spell.column(one)}"
        found.parts.append(
            Part(Stage.EXPAND, f"add {label}", (*sql(text), *comment), away, locks=lock, undo=undo)
        )
        return
    up = [f"ALTER TABLE {live.sql} ADD COLUMN {spell.column(one, not_null=False, default=False)}"]
    if one.default is not None:
        # After the column, not with it: only new rows get it, and the table is not rewritten.
        up.append(f"ALTER TABLE {live.sql} ALTER COLUMN {name} SET DEFAULT {one.default}")
    found.parts.append(
        Part(Stage.EXPAND, f"add {label}, nullable", (*sql(*up), *comment), away, locks=lock, undo=undo)
    )
    if one.default is None and not one.not_null:
        return
    found.parts.append(_backfill(live, one, *_value(sides, wanted, one)))
    if one.not_null:
        found.parts += required(live, one.name)


def _value(sides: Sides, wanted: Table, one: Column) -> tuple[str, str | None]:
    """Choose what rows without a value get: the column's default, else a stand-in and the line that says so."""
    if one.default is not None:
        return "DEFAULT", None
    value = placeholder(sides, wanted, one)
    return value, f"{FILL_IN}: {value} is a stand-in for the value that rows without one shall have."


def _backfill(live: Table, one: Column, value: str, note: str | None) -> Part:
    label = f"{live.label}.{one.name}"
    name = quoted(one.name)
    return Part(
        Stage.BACKFILL, f"fill {label}", (spell.backfill(live, f"{name} = {value}", f"{name} IS NULL", note=note),), (),
        own=True,
        locks=f"ROW EXCLUSIVE on {live.sql}, and the rows of one batch of {spell.BATCH} until it is committed",
        undo="the structure is untouched; the values stay, for nobody can tell filled-in ones from chosen ones",
        loses=((label, "NULL in rows that had no value"),),
    )  # fmt: skip


def _numbered(live: Table, one: Column, found: Changes) -> None:
    """Add an identity or serial column: numbers for the rows that are there come batch by batch."""
    name, label = quoted(one.name), f"{live.label}.{one.name}"
    own = one.sequence.name if one.sequence else spell.in_schema(live, f"{live.name}_{one.name}_seq")
    kind = one.sequence.type if one.sequence else one.type
    sequence = own if not one.identity else spell.in_schema(live, f"{live.name}_{one.name}_number"[:63])
    options = one.sequence.options() if one.sequence else ""
    start = sql(
        f"ALTER TABLE {live.sql} ADD COLUMN {name} {one.spelt_type}",
        f"CREATE SEQUENCE {sequence} AS {kind} {options} OWNED BY {live.sql}.{name}",
        f"ALTER TABLE {live.sql} ALTER COLUMN {name} SET DEFAULT nextval({spell.literal(sequence)}::regclass)",
    )
    comment = sql(spell.comment_on_column(live, one)) if one.comment is not None else ()
    lock = f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan"
    found.parts.append(
        Part(
            Stage.EXPAND, f"add {label}, nullable", (*start, *comment), sql(f"ALTER TABLE {live.sql} DROP COLUMN {name}"),
            locks=lock, undo="exact; the numbers given meanwhile are gone",
        )
    )  # fmt: skip
    found.parts.append(_backfill(live, one, "DEFAULT", None))
    found.parts += required(live, one.name)
    if not one.identity:
        return
    asked = spell.literal(f"{live.sql}"), spell.literal(one.name)
    found.parts.append(
        Part(
            Stage.SWAP, f"make {label} an identity column",
            sql(
                f"ALTER TABLE {live.sql} ALTER COLUMN {name} DROP DEFAULT",
                f"ALTER SEQUENCE {sequence} OWNED BY NONE",
                f"ALTER TABLE {live.sql} ALTER COLUMN {name} ADD {spell.identity(one)}",
                f"SELECT setval(pg_get_serial_sequence({asked[0]}, {asked[1]}), nextval({spell.literal(sequence)}), false)",
                f"DROP SEQUENCE {sequence}",
            ),
            sql(
                f"CREATE SEQUENCE {sequence} AS {kind} {options} OWNED BY {live.sql}.{name}",
                f"SELECT setval({spell.literal(sequence)}, nextval(pg_get_serial_sequence({asked[0]}, {asked[1]})), false)",
                f"ALTER TABLE {live.sql} ALTER COLUMN {name} DROP IDENTITY",
                f"ALTER TABLE {live.sql} ALTER COLUMN {name} SET DEFAULT nextval({spell.literal(sequence)}::regclass)",
            ),
            locks=lock,
        )
    )  # fmt: skip


def required(live: Table, column: str) -> Iterator[Part]:
    """Require a column's values: a CHECK that new rows meet, then, committed, the scan, then NOT NULL."""
    check, name, label = quoted(spell.present(live, column)), quoted(column), f"{live.label}.{column}"
    add = f"ALTER TABLE {live.sql} ADD CONSTRAINT {check} CHECK ({name} IS NOT NULL) NOT VALID"
    drop = f"ALTER TABLE {live.sql} DROP CONSTRAINT {check}"
    yield Part(
        Stage.REQUIRE, f"require {label} of new rows", sql(add), sql(drop),
        locks=f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan",
    )  # fmt: skip
    yield Part(
        Stage.VALIDATE, f"require {label} of every row",
        sql(f"ALTER TABLE {live.sql} VALIDATE CONSTRAINT {check}"),
        sql(add, f"ALTER TABLE {live.sql} ALTER COLUMN {name} DROP NOT NULL"),
        # PostgreSQL 12+: a validated CHECK spares SET NOT NULL its scan.
        last=sql(f"ALTER TABLE {live.sql} ALTER COLUMN {name} SET NOT NULL", drop),
        locks=f"SHARE UPDATE EXCLUSIVE on {live.sql} during the scan, then ACCESS EXCLUSIVE for a moment",
    )  # fmt: skip


def placeholder(sides: Sides, table: Table, one: Column) -> str:
    """Choose a value that the column's type and CHECKs take; NULL where none is found."""
    literals = [
        f"'{text}'"
        for check in table.constraints.values()
        if check.kind == "c" and check.columns == (one.name,)
        for text in check.definition.split("'")[1::2]
    ]
    usual = {
        "boolean": "false", "uuid": "gen_random_uuid()", "date": "CURRENT_DATE", "json": "'{}'", "jsonb": "'{}'",
        "bytea": "''", "interval": "'0'", "inet": "'0.0.0.0'", "time without time zone": "'00:00'",
    }  # fmt: skip
    first = usual.get(one.type) or (
        "now()" if one.type.startswith("timestamp") else "'{}'" if one.type.endswith("[]") else "''"
    )
    enums = [spell.literal(label) for label in sides.wanted.enums.get(one.type, ())]
    for candidate in (first, *enums, "0", "1", *literals, "'x'", "'-'", "'unknown'"):
        if sides.accepts(table, one.name, candidate):
            return candidate
    return "NULL"


def _altered(sides: Sides, live: Table, wanted: Table, before: Column, after: Column, found: Changes) -> None:
    name, label = quoted(after.name), f"{live.label}.{after.name}"
    alter = f"ALTER TABLE {live.sql} ALTER COLUMN {name}"
    lock = f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan"
    if before.comment != after.comment:
        found.parts.append(
            Part(
                Stage.EXPAND, f"comment on {label}", sql(spell.comment_on_column(live, after)),
                sql(spell.comment_on_column(live, before)), locks=f"SHARE UPDATE EXCLUSIVE on {live.sql}",
            )
        )  # fmt: skip
    if (before.generated, before.default if before.generated else None) != (
        after.generated, after.default if after.generated else None,
    ):  # fmt: skip
        _generated(live, wanted, before, after, found)
        return
    if before.spelt_type != after.spelt_type:
        if not swap.retyped(sides, live, wanted, before, after, found):
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
        value, note = _value(sides, wanted, after)
        if value != "NULL":
            # New rows have a value by then, so what is filled stays filled.
            found.parts.append(dataclasses.replace(_backfill(live, after, value, note), stage=Stage.REFILL))
        found.parts += required(live, after.name)
    elif before.not_null and not after.not_null:
        found.parts.append(
            Part(
                Stage.EXPAND, f"let {label} be NULL", sql(f"{alter} DROP NOT NULL"), spell.not_null_again(live, after.name),
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


def name_not_null(table: str, old: str, new: str) -> Sql:
    """Rename a column's NOT NULL. PostgreSQL 18 keeps it as a named constraint; before, there is nothing to rename."""
    return Sql(
        f"""DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_constraint WHERE conrelid = {spell.literal(table)}::regclass
               AND contype = 'n' AND conname = {spell.literal(old)}) THEN
        ALTER TABLE {table} RENAME CONSTRAINT {quoted(old)} TO {quoted(new)};
    END IF;
END
$$"""
    )


def _identity(live: Table, before: Column, after: Column, found: Changes) -> None:
    def spelt(old: Column, new: Column) -> list[str]:
        alter = f"ALTER TABLE {live.sql} ALTER COLUMN {quoted(new.name)}"
        if not new.identity:
            default = [f"{alter} SET DEFAULT {new.default}"] if new.default is not None else []
            return [f"{alter} DROP IDENTITY", *default]
        if not old.identity:
            place = f"{spell.literal(live.sql)}, {spell.literal(new.name)}"
            largest = f"(SELECT coalesce(max({quoted(new.name)}), 0) + 1 FROM {live.sql})"
            default = [f"{alter} DROP DEFAULT"] if old.default is not None else []
            return [
                *default, f"{alter} ADD {spell.identity(new)}",
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


def _generated(live: Table, wanted: Table, before: Column, after: Column, found: Changes) -> None:
    """Make a column generated, or generated otherwise. No form of it spares the rewrite but making it plain."""
    name, label = quoted(after.name), f"{live.label}.{after.name}"
    lock = f"ACCESS EXCLUSIVE on {live.sql}"

    def replaced(column: Column, table: Table) -> list[str]:
        alter = f"ALTER TABLE {live.sql}"
        made = [f"{alter} DROP COLUMN {name}", f"{alter} ADD COLUMN {spell.column(column)}"]
        made += [
            f"{alter} ADD CONSTRAINT {quoted(one.name)} {one.text}"
            for one in table.constraints.values()
            if after.name in one.columns
        ]
        made += [one.text for one in table.indexes.values() if after.name in one.columns]
        return made + ([spell.comment_on_column(live, column)] if column.comment is not None else [])

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
                accepted=((f"rewrite {live.label}", "only the downgrade rewrites; a generated column has no other form"),),
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


def _dropped(sides: Sides, live: Table, gone: list[Column], found: Changes) -> None:
    names = {one.name for one in gone}
    with_them = [one for one in live.constraints.values() if names & set(one.columns)]
    indexes = [one for one in live.indexes.values() if names & set(one.columns)]
    found.settled |= {one.name for one in with_them} | {one.name for one in indexes}
    lock = f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan"
    freed: list[Column] = []
    for one in gone:
        kept_by_default = (
            one.default is not None
            and not sides.probe(
                live, f"ADD COLUMN airlock_again {one.spelt_type} DEFAULT {one.default}"
            ).rewritten
        )
        if one.not_null and not kept_by_default and not one.identity and not one.generated and not one.serial:
            found.parts.append(_freed(sides, live, one))
            freed.append(dataclasses.replace(one, not_null=False))
        else:
            freed.append(one)
    up = sql(f"ALTER TABLE {live.sql} {', '.join(f'DROP COLUMN {quoted(one.name)}' for one in gone)}")
    down: list[Sql] = list(alone(*(_again(live, one) for one in freed)))
    down += alone(*(spell.comment_on_column(live, one) for one in gone if one.comment is not None))
    down += alone(*(grant.format(table=live.sql) for one in gone for grant in one.privileges))
    for constraint in with_them:
        down += spell.constraint_again(live, constraint)
    for index in indexes:
        down += spell.index_again(live, index.text, index.name)
        down += alone(spell.comment_on_index(live, index)) if index.comment is not None else ()
    labels = [f"{live.label}.{one.name}" for one in gone]
    found.parts.append(
        Part(
            Stage.DROP, f"drop {' and '.join(labels)}", up, tuple(down), locks=lock,
            undo="the structure exactly (default, comment, constraints, indexes, grants); every value is lost",
            loses=tuple((label, "dropped with its values; a downgrade makes it again, without them") for label in labels),
        )
    )  # fmt: skip


def _again(live: Table, one: Column) -> str:
    text = f"ALTER TABLE {live.sql} ADD COLUMN IF NOT EXISTS {spell.column(one, default=not _volatile(one))}"
    if _volatile(one):
        # With the column, a volatile default would rewrite the table.
        text += f", ALTER COLUMN {quoted(one.name)} SET DEFAULT {one.default}"
    return text


def _volatile(one: Column) -> bool:
    return (
        one.default is not None
        and not one.not_null
        and "(" in one.default
        and not one.generated
        and not one.identity
    )


def _freed(sides: Sides, live: Table, one: Column) -> Part:
    """Let rows do without a column that is about to go: new code does not write it."""
    name, label = quoted(one.name), f"{live.label}.{one.name}"
    value = placeholder(sides, live, one) if not _tied(live, one.name) else "NULL"
    filled: tuple[Sql, ...] = ()
    undo = "exact, without blocking; refused while a row holds NULL"
    if value != "NULL":
        filled = (spell.backfill(live, f"{name} = {value}", f"{name} IS NULL"),)
        undo = f"exact, without blocking; rows without a value get {value}"
    return Part(
        Stage.EXPAND, f"let {label} be NULL", sql(f"ALTER TABLE {live.sql} ALTER COLUMN {name} DROP NOT NULL"),
        filled + spell.not_null_again(live, one.name), undo=undo,
        locks=f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan",
    )  # fmt: skip


def _tied(live: Table, column: str) -> bool:
    """Tell whether a value cannot be made up: the column refers to another table, or is a key."""
    return any(one.kind in "fpu" and column in one.columns for one in live.constraints.values())
