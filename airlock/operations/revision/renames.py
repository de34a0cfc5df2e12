"""Renames that were asked for: statements both ways, with what PostgreSQL itself named after the old name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.catalogue.structure import quoted
from airlock.operations.revision import ddl
from airlock.operations.revision.naming import postgresql_name
from airlock.operations.revision.parts import Part, Sql, Stage, sql
from airlock.operations.revision.stepwise import name_not_null

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airlock.catalogue.structure import Table


_BESIDE = "exact; nothing is lost. Code that knows only one of the names fails beside it: deploy both at once"


def rename_statements(
    renames: tuple[str, ...], sides_live: Iterator[Table], enums: Mapping[str, tuple[str, ...]]
) -> tuple[Part, ...]:
    """Turn `old:new` into statements. Raises ValueError where `old` is no table, column or label of the live side."""
    found: dict[str, tuple[Table, str | None]] = {}
    for table in sides_live:
        spelt = [
            table.label,
            f"{table.schema or table.home}.{table.name}",
            *([] if table.schema else [table.name]),
        ]
        for label in spelt:
            found[label] = table, None
            found |= {
                f"{label}.{one}": (table, name) for name in table.columns for one in (name, quoted(name))
            }
    return tuple(_relabelled(one, enums) or _rename(one, found) for one in renames)


def _relabelled(text: str, enums: Mapping[str, tuple[str, ...]]) -> Part | None:
    """Rename a label of an enum, `type.old:new`."""
    old, _, new = text.partition(":")
    for name, labels in enums.items():
        label = old.removeprefix(f"{name}.")
        if label != old and label in labels and new:
            rename = f"ALTER TYPE {name} RENAME VALUE"
            return Part(
                Stage.RENAME, f"rename {label} of type {name} to {new}",
                sql(f"{rename} {ddl.literal(label)} TO {ddl.literal(new)}"),
                sql(f"{rename} {ddl.literal(new)} TO {ddl.literal(label)}"), locks="none on tables", undo=_BESIDE,
            )  # fmt: skip
    return None


def _rename(text: str, found: Mapping[str, tuple[Table, str | None]]) -> Part:
    old, colon, new = text.rpartition(":")
    if not colon or not new:
        raise ValueError(f"{text!r} is no rename: old:new, as in phase2.task.title:heading")
    new = ddl.unqualified(new)
    if old not in found:
        raise ValueError(f"{old!r} is no table and no column of the database")
    table, column = found[old]
    if column is None:
        renamed = ddl.in_schema(table, new)
        up, down = _named_after(table, renamed, [(name, name) for name in table.columns], new)
        return Part(
            Stage.RENAME,
            f"rename {old} to {new}",
            (*sql(f"ALTER TABLE {table.sql} RENAME TO {quoted(new)}"), *up),
            (*down, *sql(f"ALTER TABLE {renamed} RENAME TO {quoted(table.name)}")),
            locks=f"ACCESS EXCLUSIVE on {table.sql} for a moment",
            undo=_BESIDE,
        )
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
        if one.sequence is not None and one.sequence.name == ddl.in_schema(table, first):
            up += sql(f"ALTER SEQUENCE {one.sequence.name} RENAME TO {quoted(second)}")
            down[:0] = sql(f"ALTER SEQUENCE {ddl.in_schema(table, second)} RENAME TO {quoted(first)}")
    return up, down
