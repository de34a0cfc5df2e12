"""Compare the two sides and plan every change in its zero-downtime form."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from airlock.acts.revise import columns, constraints, spell
from airlock.acts.revise.columns import name_not_null
from airlock.acts.revise.parts import Part, Plan, Sql, Stage, alone, sql
from airlock.instruments.structure import quoted
from airlock.words.revise import Likely, Remark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.acts.revise.shadow import Sides
    from airlock.instruments.structure import Table


def plan(sides: Sides) -> Plan:
    """Plan what leads from the live side to the wanted one. Pure but for probes on empty copies."""
    live, wanted = sides.live.tables, sides.wanted.tables
    made = [wanted[key] for key in wanted if key not in live]
    gone = [live[key] for key in live if key not in wanted]
    both = [(live[key], wanted[key]) for key in wanted if key in live]
    parts: list[Part] = list(_types(sides))
    remarks: list[Remark] = list(_said(sides, gone))
    likely = [*_likely_tables(gone, made)]
    if made:
        parts.append(_new_tables(made))
    for before, after in both:
        changes = columns.changes(sides, before, after)
        parts += [*_table(before, after), *changes.parts, *constraints.changes(sides, before, after, changes)]
        remarks += [*changes.remarks, *_table_remarks(before, after)]
        likely += changes.likely
    if gone:
        parts.append(_dropped_tables(sides, gone))
    return Plan(tuple(parts), tuple(remarks), tuple(likely))


def _new_tables(tables: list[Table]) -> Part:
    up = [one for table in tables for one in spell.create_table(table, foreign_keys=False)]
    up += sql(*(text for table in tables for text in spell.foreign_key_statements(table)))
    names = [table.label for table in tables]
    referred = sorted(
        {str(one.references) for table in tables for one in table.constraints.values() if one.references}
    )
    older = [name for name in referred if name not in {table.sql for table in tables}]
    return Part(
        Stage.EXPAND,
        f"create {' and '.join(names)}",
        tuple(up),
        sql(f"DROP TABLE {', '.join(table.sql for table in tables)}"),
        locks=f"SHARE ROW EXCLUSIVE on {', '.join(older)} for a moment (new foreign keys of empty tables)"
        if older
        else "none on what was there",
        undo="exact; the rows written meanwhile are gone",
    )


def _dropped_tables(sides: Sides, tables: list[Table]) -> Part:
    names = ", ".join(table.sql for table in tables)
    back = [one for table in tables for one in spell.create_table(table, foreign_keys=False)]
    back += sql(*(text for table in tables for text in spell.foreign_key_statements(table)))
    up, down = list(sql(f"DROP TABLE {names}")), back
    for enum in _orphans(sides, tables):
        up += sql(f"DROP TYPE {enum}")
        labels = ", ".join(spell.literal(label) for label in sides.live.enums[enum])
        down = [*sql(f"CREATE TYPE {enum} AS ENUM ({labels})"), *down]
    labels_ = [table.label for table in tables]
    return Part(
        Stage.DROP,
        f"drop {' and '.join(labels_)}",
        tuple(up),
        tuple(down),
        locks=f"ACCESS EXCLUSIVE on {names}, no scan",
        undo="the structure exactly (defaults, constraints, indexes, comments, grants); every row is lost",
        loses=tuple(
            (label, "dropped with every row; a downgrade makes it again, empty") for label in labels_
        ),
    )


def _orphans(sides: Sides, tables: list[Table]) -> list[str]:
    """List the enums that only dropped tables used and the models do not have."""
    used = {one.type for table in tables for one in table.columns.values()}
    left = {
        one.type
        for table in sides.live.tables.values()
        if table not in tables
        for one in table.columns.values()
    }
    return [name for name in sides.live.enums if name in used and name not in left | set(sides.wanted.enums)]


def _table(live: Table, wanted: Table) -> Iterator[Part]:
    if live.comment != wanted.comment:
        yield Part(
            Stage.EXPAND,
            f"comment on {live.label}",
            sql(f"COMMENT ON TABLE {live.sql} IS {spell.literal(wanted.comment)}"),
            sql(f"COMMENT ON TABLE {live.sql} IS {spell.literal(live.comment)}"),
            locks=f"SHARE UPDATE EXCLUSIVE on {live.sql}",
        )
    if live.options != wanted.options and live.persistence == wanted.persistence:
        yield Part(
            Stage.EXPAND,
            f"set storage parameters of {live.label}",
            sql(*_options(live, wanted)),
            sql(*_options(wanted, live)),
            locks=f"SHARE UPDATE EXCLUSIVE on {live.sql}",
        )


def _options(before: Table, after: Table) -> list[str]:
    old, new = (dict(option.split("=", 1) for option in table.options) for table in (before, after))
    reset = sorted(set(old) - set(new))
    changed = [f"{name} = {value}" for name, value in sorted(new.items()) if old.get(name) != value]
    made = [f"ALTER TABLE {before.sql} RESET ({', '.join(reset)})"] if reset else []
    return made + ([f"ALTER TABLE {before.sql} SET ({', '.join(changed)})"] if changed else [])


def _table_remarks(live: Table, wanted: Table) -> Iterator[Remark]:
    if live.persistence != wanted.persistence:
        how = {"p": "LOGGED", "u": "UNLOGGED"}
        yield Remark(
            live.label,
            f"the models want it {how.get(wanted.persistence)}, it is {how.get(live.persistence)}:"
            " the change rewrites the table under ACCESS EXCLUSIVE; write it by hand",
        )
    if live.partition_key != wanted.partition_key:
        yield Remark(
            live.label, "partitioned differently: an existing table cannot change that; write it by hand"
        )


def _types(sides: Sides) -> Iterator[Part]:
    live, wanted = sides.live, sides.wanted
    for name, labels in wanted.enums.items():
        spelt = ", ".join(spell.literal(label) for label in labels)
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
    for name, sequence in wanted.sequences.items():
        if name not in live.sequences:
            yield Part(
                Stage.EXPAND,
                f"create sequence {name}",
                sql(f"CREATE SEQUENCE {name} AS {sequence.type} {sequence.options()}"),
                sql(f"DROP SEQUENCE {name}"),
                locks="none on what was there",
            )
        elif dataclasses.replace(live.sequences[name], comment=None) != dataclasses.replace(
            sequence, comment=None
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
                f" AFTER {spell.literal(labels[place - 1])}"
                if place
                else f" BEFORE {spell.literal(before[0])}"
            )
            text = f"ALTER TYPE {name} ADD VALUE IF NOT EXISTS {spell.literal(label)}{where}"
            yield from alone(text)


def _said(sides: Sides, gone: list[Table]) -> Iterator[Remark]:
    live, wanted = sides.live, sides.wanted
    orphans = _orphans(sides, gone)
    for name, labels in live.enums.items():
        if name not in wanted.enums:
            if name not in orphans:
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


def _likely_tables(gone: list[Table], made: list[Table]) -> Iterator[Likely]:
    for old in gone:
        for new in made:
            if old.schema == new.schema and [(one.name, one.spelt_type) for one in old.columns.values()] == [
                (one.name, one.spelt_type) for one in new.columns.values()
            ]:
                yield Likely("table", old.label, new.label)


_BESIDE = "exact; nothing is lost. Code that knows only one of the names fails beside it: deploy both at once"


def rename_statements(renames: tuple[str, ...], sides_live: Iterator[Table]) -> tuple[Part, ...]:
    """Turn `old:new` into statements. Raises ValueError where `old` is no table or column of the live side."""
    live = list(sides_live)
    tables = {table.name: table for table in live if not table.schema} | {
        table.label: table for table in live
    }
    return tuple(_rename(one, tables) for one in renames)


def _rename(text: str, tables: dict[str, Table]) -> Part:
    old, colon, new = text.partition(":")
    new = new.rpartition(".")[2]
    if not colon or not new:
        raise ValueError(f"{text!r} is no rename: old:new, as in phase2.task.title:heading")
    if old in tables:
        table = tables[old]
        renamed = spell.in_schema(table, new)
        up, down = _named_after(table, renamed, [(name, name) for name in table.columns], new)
        return Part(
            Stage.RENAME,
            f"rename {old} to {new}",
            (*sql(f"ALTER TABLE {table.sql} RENAME TO {quoted(new)}"), *up),
            (*down, *sql(f"ALTER TABLE {renamed} RENAME TO {quoted(table.name)}")),
            locks=f"ACCESS EXCLUSIVE on {table.sql} for a moment",
            undo=_BESIDE,
        )
    label, _, column = old.rpartition(".")
    if label not in tables or column not in tables[label].columns:
        raise ValueError(f"{old!r} is no table and no column of the database")
    table = tables[label]
    up, down = _named_after(table, table.sql, [(column, new)], table.name)
    return Part(
        Stage.RENAME,
        f"rename {old} to {new}",
        (*sql(f"ALTER TABLE {table.sql} RENAME COLUMN {quoted(column)} TO {quoted(new)}"), *up),
        (*down, *sql(f"ALTER TABLE {table.sql} RENAME COLUMN {quoted(new)} TO {quoted(column)}")),
        locks=f"ACCESS EXCLUSIVE on {table.sql} for a moment",
        undo=_BESIDE,
    )


def _named_after(
    table: Table, now: str, columns: list[tuple[str, str]], new: str
) -> tuple[list[Sql], list[Sql]]:
    """Rename what PostgreSQL itself named after a table and its columns: NOT NULL constraints and sequences."""
    up: list[Sql] = []
    down: list[Sql] = []
    for before, after in columns:
        one = table.columns[before]
        names = f"{table.name}_{before}", f"{new}_{after}"
        if one.not_null and one.not_null_name in {None, f"{names[0]}_not_null"}:
            up.append(name_not_null(now, f"{names[0]}_not_null", f"{names[1]}_not_null"))
            down.insert(0, name_not_null(now, f"{names[1]}_not_null", f"{names[0]}_not_null"))
        if one.sequence is not None and one.sequence.name == spell.in_schema(table, f"{names[0]}_seq"):
            old, other = (spell.in_schema(table, f"{name}_seq") for name in names)
            up += sql(f"ALTER SEQUENCE {old} RENAME TO {quoted(f'{names[1]}_seq')}")
            down[:0] = sql(f"ALTER SEQUENCE {other} RENAME TO {quoted(f'{names[0]}_seq')}")
    return up, down
