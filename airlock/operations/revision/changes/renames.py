"""Renames that were asked for: statements both ways, with what PostgreSQL itself named after the old name."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from airlock.catalogue.fingerprint.model import plain
from airlock.catalogue.structure import quoted
from airlock.operations.revision import ddl
from airlock.operations.revision.changes.stepwise import name_not_null
from airlock.operations.revision.naming import postgresql_name
from airlock.operations.revision.parts import Part, Sql, Stage, sql

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airlock.catalogue.structure import Structure, Table


_BESIDE = "exact; nothing is lost. Code that knows only one of the names fails beside it: deploy both at once"


Key = tuple[str, str]


def rename_part(
    text: str, live: Structure, missing: Sequence[str], moved: Mapping[Key, Table]
) -> tuple[Part, Mapping[Key, Table]]:
    """Turn `old:new` into statements. Raises ValueError where `old` is no table, column or label of the live side.

    `missing` are the schemas that the models need and the database lacks; `moved` the tables that earlier renames gave
    another name or schema, as they were before: their columns may be named by either name. Returns it with this one's.
    """
    found: dict[str, tuple[Table, str | None]] = {}
    for table in live.tables.values():
        for label in (*_labels(table), *_labels(moved.get((table.schema, table.name)))):
            found[label] = table, None
            found |= {
                f"{label}.{one}": (table, name) for name in table.columns for one in (name, quoted(name))
            }
    labelled = _relabelled(text, live)
    if labelled is not None:
        return labelled, moved
    return _rename(text, found, missing, moved)


def _labels(table: Table | None) -> list[str]:
    """List the ways to name a table."""
    if table is None:
        return []
    bare = [] if table.schema else [table.name, quoted(table.name)]
    return [table.label, f"{table.schema or table.home}.{table.name}", *bare]


def _relabelled(text: str, live: Structure) -> Part | None:
    """Rename a label of an enum, `type.old:new`; the type is named as SQL spells it, or without quotes as tables are."""
    home = next((table.home for table in live.tables.values()), "")
    for name, labels in live.enums.items():
        own = ddl.unqualified(name)
        schema = ddl.unqualified(name.removesuffix(f".{quoted(own)}")) if name != quoted(own) else ""
        ways = (name, f"{schema or home}.{own}", *(() if schema else (own,)))
        label, new = next(
            (
                (label, text.removeprefix(f"{said}.{label}:"))
                for said in ways for label in labels
                if text.startswith(f"{said}.{label}:")
            ), ("", ""),
        )  # fmt: skip
        if new:
            rename = f"ALTER TYPE {name} RENAME VALUE"
            return Part(
                Stage.RENAME, f"rename {label} of type {name} to {new}",
                sql(f"{rename} {ddl.literal(label)} TO {ddl.literal(new)}"),
                sql(f"{rename} {ddl.literal(new)} TO {ddl.literal(label)}"), locks="none on tables", undo=_BESIDE,
                relabels=name,
            )  # fmt: skip
    return None


def _rename(
    text: str,
    found: Mapping[str, tuple[Table, str | None]],
    missing: Sequence[str],
    moved: Mapping[Key, Table],
) -> tuple[Part, Mapping[Key, Table]]:
    old, colon, new = text.rpartition(":")
    if not colon or not new:
        raise ValueError(f"{text!r} is no rename: old:new, as in phase2.task.title:heading")
    if old not in found:
        raise ValueError(f"{old!r} is no table and no column of the database")
    table, column = found[old]
    if column is None:
        schema, name = _new_place(table, new)
        if (schema, name) == (table.schema, table.name):
            raise ValueError(f"{old!r} has that name already")
        after = dataclasses.replace(table, schema=schema, name=name, sql=ddl.qualified(schema, name))
        part = _placed(table, after, create=(schema or table.home) in missing)
        return part, {**moved, (schema, name): moved.get((table.schema, table.name), table)}
    return _renamed_column(old, table, column, ddl.unqualified(new)), moved


def _new_place(table: Table, new: str) -> Key:
    """Read a table's new name, which may have another schema before it."""
    names = [
        one[1:-1].replace('""', '"') if one.startswith('"') else one
        for one in re.findall(r'"(?:[^"]|"")*"|[^.]+', new)
    ]
    if len(names) == 1:
        return table.schema, names[0]
    schema = names[-2]
    return ("" if schema == table.home and not table.schema else schema), names[-1]


def _placed(table: Table, after: Table, *, create: bool) -> Part:
    """Give a table another name, another schema, or both."""
    up: list[Sql] = []
    down: list[Sql] = []
    between = dataclasses.replace(after, name=table.name, sql=ddl.qualified(after.schema, table.name))
    if after.schema != table.schema:
        schema, was = quoted(after.schema or after.home), quoted(table.schema or table.home)
        if create:
            up += sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            down += sql(f"DROP SCHEMA IF EXISTS {schema}")
        up += sql(f"ALTER TABLE {table.sql} SET SCHEMA {schema}")
        down[:0] = sql(f"ALTER TABLE {between.sql} SET SCHEMA {was}")
    if after.name != table.name:
        forth, back = _named_after(between, after.sql, [(name, name) for name in table.columns], after.name)
        up += (*sql(f"ALTER TABLE {between.sql} RENAME TO {quoted(after.name)}"), *forth)
        down[:0] = (*back, *sql(f"ALTER TABLE {after.sql} RENAME TO {quoted(table.name)}"))
    told = after.label if after.schema != table.schema else plain(after.name)
    return Part(
        Stage.RENAME,
        f"{'rename' if after.name != table.name else 'move'} {table.label} to {told}",
        tuple(up),
        tuple(down),
        locks=f"ACCESS EXCLUSIVE on {table.sql} for a moment",
        undo=_BESIDE,
    )


def _renamed_column(old: str, table: Table, column: str, new: str) -> Part:
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
        words = (table.name, before), (new, after)
        first, second = (postgresql_name(*word, "not_null") for word in words)
        if one.not_null and one.not_null_name in {None, first}:
            up.append(name_not_null(now, first, second))
            down.insert(0, name_not_null(now, second, first))
        first, second = (postgresql_name(*word, "seq") for word in words)
        if one.sequence is not None and ddl.unqualified(one.sequence.name) == first:
            first = ddl.in_schema(table, first)
            up += sql(f"ALTER SEQUENCE {first} RENAME TO {quoted(second)}")
            down[:0] = sql(
                f"ALTER SEQUENCE {ddl.in_schema(table, second)} RENAME TO {quoted(ddl.unqualified(first))}"
            )
    return up, down
