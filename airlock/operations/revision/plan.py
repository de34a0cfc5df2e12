"""Compare the two sides and plan every change in its zero-downtime form."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from airlock.catalogue.structure import quoted, refusing
from airlock.operations.revision import ddl, inheritance
from airlock.operations.revision.changes import columns, constraints, domains, enums, indexes, standalone
from airlock.operations.revision.changes.dependents import lean
from airlock.operations.revision.changes.set_at_update import say_what_is_set
from airlock.operations.revision.changes.stepwise import filled_at_once
from airlock.operations.revision.model_types import Words
from airlock.operations.revision.parts import Part, Plan, Stage, sql
from airlock.operations.revision.written.docstrings import joined
from airlock.records.revision import Likely, Remark

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

    from airlock.catalogue.structure import Table
    from airlock.operations.revision.shadow import Sides


def plan(sides: Sides, others: Sequence[str] = ()) -> Plan:
    """Plan what leads from the live side to the wanted one. Pure but for probes on empty copies.

    `others` are splits and merges of columns. Raises ValueError where one is about columns that do not go or come.
    """
    shapes = [columns.reshaped(one, sides.live, sides.wanted) for one in others]
    live, wanted = sides.live.tables, sides.wanted.tables
    made = [wanted[key] for key in wanted if key not in live]
    stay = [live[key] for key in live if key in wanted]
    gone, held = _going(sides, [live[key] for key in live if key not in wanted], stay)
    going = {table.sql for table in gone}
    kept = {key: one for key, one in live.items() if key in wanted or one.sql in going}
    # Where a type may go: the tables that let go of it.
    letting_go = dataclasses.replace(sides, live=dataclasses.replace(sides.live, tables=kept))
    both = [(live[key], wanted[key]) for key in wanted if key in live]
    # Its keys, indexes and columns are planned for a table that is partitioned as it stays.
    other = [live_ for live_, wanted_ in both if live_.partition_key != wanted_.partition_key]
    both = [pair for pair in both if pair[0] not in other]
    parts: list[Part] = [*map(_new_schema, sides.missing), *standalone.changes(sides)]
    remarks: list[Remark] = [
        *held,
        *map(_partitioned_otherwise, other),
        *standalone.remarks(letting_go),
    ]
    likely = [*_likely_tables(gone, made), *enums.likely(sides)]
    turning_enums, types, why = columns.remade(sides)
    parts += types
    remarks += why
    all_changes = {
        (before.schema, before.name): columns.changes(sides, before, after, turning_enums, shapes)
        for before, after in both
    }
    turns, turning = columns.swaps(sides, all_changes)
    letting_go = _staying(letting_go, {key: one.stuck for key, one in all_changes.items()})
    if made:
        parts.append(_new_tables([_without(table, turning) for table in made]))
    parts += turns
    for before, after in both:
        changes = all_changes[before.schema, before.name]
        parts += [*_table(before, after), *changes.parts, *inheritance.changes(before, after)]
        parts += constraints.changes(sides, before, after, changes)
        parts += indexes.changes(before, after, changes)
        remarks += [*changes.remarks, *_table_remarks(before, after)]
        likely += changes.likely
    if gone:
        parts.append(_dropped_tables(letting_go, [_without(table, turning) for table in gone]))
    parts += [*enums.dropped(letting_go, gone), *domains.dropped(letting_go)]
    return Plan(
        say_what_is_set(sides, filled_at_once(parts)),
        tuple(remarks),
        tuple(likely),
        Words({**sides.live.enums, **sides.wanted.enums}, sides.types),
        left_out=sides.left_out,
        unmade=sides.unmade,
    )


def _staying(sides: Sides, stuck: Mapping[tuple[str, str], Container[str]]) -> Sides:
    """Have columns whose other type is only said be of the one they are of: it does not go."""
    tables = dict(sides.wanted.tables)
    for key, names in stuck.items():
        kept = {name: one for name, one in sides.live.tables[key].columns.items() if name in names}
        tables[key] = dataclasses.replace(tables[key], columns={**tables[key].columns, **kept})
    return dataclasses.replace(sides, wanted=dataclasses.replace(sides.wanted, tables=tables))


def _going(sides: Sides, gone: list[Table], stay: list[Table]) -> tuple[list[Table], list[Remark]]:
    """Leave out tables that something holds which stays, and say so; what such a table refers to is held too.

    Foreign keys of tables that `stay` are dropped before: models cannot refer to what they do not have.
    """
    remarks: list[Remark] = []
    while gone:
        held = refusing(
            sides.connection, tables=[table.sql for table in gone], changed=[table.sql for table in stay]
        )
        if not held:
            break
        for table in gone:
            if table.sql in held:
                what = f"the models no longer have it, and {lean(held[table.sql])} on it: drop that first, then the table"
                remarks.append(Remark(table.label, what))
        gone = [table for table in gone if table.sql not in held]
    return gone, remarks


def _without(table: Table, turning: set[tuple[tuple[str, str], str]]) -> Table:
    """Leave out the foreign keys that go and come with the key they lead to."""
    kept = {
        name: one for name, one in table.constraints.items()
        if ((table.schema, table.name), name) not in turning
    }  # fmt: skip
    return dataclasses.replace(table, constraints=kept)


def _new_schema(name: str) -> Part:
    return Part(
        Stage.EXPAND, f"create schema {name}", sql(f"CREATE SCHEMA IF NOT EXISTS {quoted(name)}"),
        sql(f"DROP SCHEMA IF EXISTS {quoted(name)}"), locks="none on what was there",
        undo=f"exact; refused while anything is left in schema {name} that the history has not made",
    )  # fmt: skip


def _new_tables(tables: list[Table]) -> Part:
    tables = inheritance.parents_first(tables)
    up = [one for table in tables for one in ddl.create_table(table, foreign_keys=False)]
    up += sql(*(text for table in tables for text in ddl.foreign_key_statements(table)))
    names = [table.label for table in tables]
    referred = sorted(
        {str(one.references) for table in tables for one in table.constraints.values() if one.references}
    )
    older = [name for name in referred if name not in {table.sql for table in tables}]
    return Part(
        Stage.EXPAND,
        f"create {joined(names)}",
        tuple(up),
        sql(*_drops(tables)),
        locks=f"SHARE ROW EXCLUSIVE on {', '.join(older)} for a moment (new foreign keys of empty tables)"
        if older
        else "none on what was there",
        undo="exact; the rows written meanwhile are gone",
    )


def _drops(tables: list[Table]) -> list[str]:
    """Drop those that refer before those that are referred to; in one statement where they refer round in a circle."""
    left = list(tables)
    made: list[str] = []
    while left:
        referred = {
            name
            for table in left
            for name in (*(one.references for one in table.constraints.values()), *table.parents)
            if name != table.sql
        }
        free = [table for table in left if table.sql not in referred]
        if not free:
            return [*made, f"DROP TABLE {', '.join(table.sql for table in left)}"]
        made += [f"DROP TABLE {table.sql}" for table in free]
        left = [table for table in left if table.sql in referred]
    return made


def _dropped_tables(sides: Sides, tables: list[Table]) -> Part:
    names = ", ".join(table.sql for table in tables)
    back = [one for table in tables for one in ddl.create_table(table, foreign_keys=False)]
    back += sql(*(text for table in tables for text in ddl.foreign_key_statements(table)))
    up, down = list(sql(*_drops(tables))), back
    types = enums.with_tables(sides, tables)
    for enum in types:
        up += sql(f"DROP TYPE {enum}")
        down = [*sql(ddl.create_enum(enum, sides.live.enums[enum])), *down]
    labels_ = [table.label for table in tables]
    return Part(
        Stage.DROP,
        f"drop {joined(labels_)}",
        tuple(up),
        tuple(down),
        types=tuple(types),
        locks=f"ACCESS EXCLUSIVE on {names}, no scan",
        undo="the structure exactly (defaults, constraints, indexes, comments, grants); every row is lost",
        loses=(
            *((label, "dropped with every row; a downgrade makes it again, empty") for label in labels_),
            *(lost for table in tables for lost in ddl.numbers_lost(table, table.columns.values())),
        ),
    )


def _table(live: Table, wanted: Table) -> Iterator[Part]:
    if live.comment != wanted.comment:
        yield Part(
            Stage.EXPAND,
            f"comment on {live.label}",
            sql(f"COMMENT ON TABLE {live.sql} IS {ddl.literal(wanted.comment)}"),
            sql(f"COMMENT ON TABLE {live.sql} IS {ddl.literal(live.comment)}"),
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
    if why := inheritance.stays(live, wanted):
        yield Remark(live.label, why)
    if wanted.tablespace not in {None, live.tablespace}:
        yield Remark(
            live.label,
            f"the models want it in the tablespace {wanted.tablespace}, it is in {live.tablespace or 'the default one'}:"
            f" ALTER TABLE {live.sql} SET TABLESPACE {quoted(wanted.tablespace)} copies it under ACCESS EXCLUSIVE, and nobody"
            " reads or writes meanwhile; write it by hand, for an hour in which that may be",
        )


def _partitioned_otherwise(live: Table) -> Remark:
    now = f"partitioned by {live.partition_key}" if live.partition_key else "not partitioned"
    what = f"it is {now}, in the models otherwise, and a table cannot change that: make another one beside it and move the rows,"
    return Remark(live.label, f"{what} by hand. Nothing else of it was compared")


def _likely_tables(gone: list[Table], made: list[Table]) -> Iterator[Likely]:
    """Name tables of which one went and one came with much the same columns: perhaps renamed, or moved to another schema."""
    for old in gone:
        for new in made:
            if _alike(old, new) and (old.schema == new.schema or old.name == new.name):
                yield Likely("table", old.label, new.label)


def _alike(old: Table, new: Table) -> bool:
    """Tell whether at least half of the columns, and two or all, are those of the other one."""
    before, after = ({(one.name, one.spelt_type) for one in table.columns.values()} for table in (old, new))
    shared, most = len(before & after), max(len(before), len(after))
    return before == after or (shared >= 2 and 2 * shared >= most)
