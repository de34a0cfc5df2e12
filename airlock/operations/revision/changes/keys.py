"""Foreign keys around a key that changes: let go of the old one, and bound to what takes its place."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from airlock.catalogue.structure import quoted
from airlock.operations.revision import ddl
from airlock.operations.revision.parts import Part, Sql, alone, sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.catalogue.structure import Constraint, Structure, Table
    from airlock.operations.revision.shadow import Sides

ForeignKeys = list[tuple["Table", "Constraint"]]


def _referring(
    structure: Structure, table: Table, columns: tuple[str, ...]
) -> Iterator[tuple[Table, Constraint]]:
    """List the foreign keys that lead to these columns of a table."""
    for other in structure.tables.values():
        for one in other.constraints.values():
            if one.kind == "f" and one.references == table.sql and set(one.referred) == set(columns):
                yield other, one


def staying(sides: Sides, live: Table, key: Constraint) -> ForeignKeys:
    """List the foreign keys that lean on a key which goes, and that the models have as they are."""
    return [
        (table, one) for table, one in _referring(sides.live, live, key.columns)
        if (wanted := sides.wanted.tables.get((table.schema, table.name))) is not None
        and one.bare in {it.bare for it in wanted.constraints.values()}
    ]  # fmt: skip


def around(part: Part, foreign_keys: ForeignKeys) -> Part:
    """Let foreign keys go, and come again NOT VALID, in the transaction in which the key below them changes, both ways."""
    if not foreign_keys:
        return part
    names = ", ".join(dict.fromkeys(table.sql for table, _ in foreign_keys))
    return dataclasses.replace(
        part, up=_between(part.up, foreign_keys),
        down=(*_between(part.down, foreign_keys), *_validate(foreign_keys)),
        locks=f"{part.locks}, on {names} too",
    )  # fmt: skip


def bound(sides: Sides, live: Table, key: Constraint) -> ForeignKeys:
    """List the foreign keys that a new key takes over from one that goes: a downgrade has to give them back."""
    went = [
        one for one in live.constraints.values()
        if one.kind in "pu" and set(one.columns) == set(key.columns)
        and one.bare not in {it.bare for it in sides.wanted.tables[live.schema, live.name].constraints.values()}
    ]  # fmt: skip
    return [it for one in went for it in staying(sides, live, one)]


def rebinding(part: Part, foreign_keys: ForeignKeys) -> Part:
    """Give foreign keys back to the older key before this one is dropped again."""
    if not foreign_keys:
        return part
    return dataclasses.replace(
        part, down=(*_between(part.down, foreign_keys), *_validate(foreign_keys)), own=True
    )


def _between(statements: tuple[Sql, ...], foreign_keys: ForeignKeys) -> tuple[Sql, ...]:
    """Put their end and their beginning around what runs in the transaction, behind what builds outside of one."""
    built = tuple(one for one in statements if one.autocommit)
    inside = tuple(one for one in statements if not one.autocommit)
    gone = (f"ALTER TABLE {table.sql} DROP CONSTRAINT {quoted(one.name)}" for table, one in foreign_keys)
    come = (ddl.not_valid(table, one) for table, one in foreign_keys)
    told = (ddl.comment_on_constraint(table, one) for table, one in foreign_keys if one.comment is not None)
    return (*built, *sql(*gone), *inside, *sql(*come, *told))


def _validate(foreign_keys: ForeignKeys) -> tuple[Sql, ...]:
    return alone(
        *(
            f"ALTER TABLE {table.sql} VALIDATE CONSTRAINT {quoted(one.name)}"
            for table, one in foreign_keys
            if one.valid
        )
    )


def waits(sides: Sides, one: Constraint) -> bool:
    """Tell whether a foreign key leads to a primary key that only this plan makes: it has to come behind it."""
    for key, wanted in sides.wanted.tables.items():
        live = sides.live.tables.get(key)
        if one.kind == "f" and live is not None and wanted.sql == one.references:
            return not _kinds(live, one) and _kinds(wanted, one) == {"p"}
    return False


def loses_its_key(sides: Sides, one: Constraint) -> bool:
    """Tell whether a foreign key leads to a key that goes: it has to go first."""
    for key, live in sides.live.tables.items():
        wanted = sides.wanted.tables.get(key)
        if one.kind == "f" and wanted is not None and live.sql == one.references:
            return _kinds(live, one) != _kinds(wanted, one)
    return False


def _kinds(table: Table, one: Constraint) -> set[str]:
    """List the kinds of keys on the columns that a foreign key leads to; "i" is a unique index by itself."""
    found = {
        it.kind
        for it in table.constraints.values()
        if it.kind in "pu" and set(it.columns) == set(one.referred)
    }
    return found | {
        "i" for it in table.indexes.values() if it.unique and set(it.columns) == set(one.referred)
    }


def unavoidable(sides: Sides, live: Table, one: Constraint) -> tuple[tuple[str, str], ...]:
    """List what a downgrade scans to make a constraint again that has no form which blocks nobody, with the reason."""
    if one.kind == "f" and live.validates_at_once:
        why = "only the downgrade scans: the foreign key of a partitioned table has no NOT VALID before PostgreSQL 18"
        others = [table.found_as for table in sides.live.tables.values() if table.sql == one.references]
        names = [f"{schema}.{name}" for schema, name in live.partitions]
        return tuple((f"scan {name}", why) for name in (*names, *others))
    if one.kind in "cf":
        return ()
    if live.partition_key is not None:
        return of_partitions(live)
    if one.kind in "pu" and ddl.using_index(one) is not None:
        return ()
    return ((f"scan {live.found_as}", "only the downgrade scans: an exclusion constraint has no other form"),)


def of_partitions(live: Table) -> tuple[tuple[str, str], ...]:
    """List what a downgrade scans to make an index of a partitioned table again; nothing of another table."""
    why = "only the downgrade scans: an index of a partitioned table is not built CONCURRENTLY"
    return tuple((f"scan {schema}.{name}", why) for schema, name in live.partitions)
