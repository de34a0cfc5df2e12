"""What to write instead of a revision: the plan from the structure below it to the one above, for some of its tables."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airlock.catalogue import structure
from airlock.catalogue.fingerprint.model import plain
from airlock.catalogue.structure import quoted
from airlock.operations.revision import ddl
from airlock.operations.revision.plan import plan
from airlock.operations.revision.probe import Probe, probed, rolled_back, run
from airlock.operations.revision.shadow import Sides
from airlock.operations.revision.written.rendering import lines
from airlock.operations.revision.written.scripts import bundles, down_of, title_of, up_of
from airlock.records.findings import Draft, Safer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from airlock.catalogue.structure import Structure, Table
    from airlock.operations.revision.parts import Part, Plan

_SCHEMA = "airlock_instead"
_SCHEMAS = """
SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema' ORDER BY 1
"""


def read(connection: sa.Connection) -> Structure:
    """Read every schema of the project, each name with its schema before it."""
    names = run(connection, _SCHEMAS).scalars().all()
    return structure.read(connection, {name: name for name in names})


def instead(
    connection: sa.Connection, before: Structure, after: Structure, tables: Collection[str]
) -> tuple[Safer, ...]:
    """Plan for each of `tables` (labels) what leads it from `before` to `after` without blocking.

    The database stands as one of the two says; changes are tried on copies in a schema of its own, which is rolled back.
    Left out are tables that one side lacks, and those of which a column may have been renamed.
    """
    found = []
    for key, wanted in after.tables.items():
        live = before.tables.get(key)
        name = f"{plain(key[0])}.{plain(key[1])}"
        if live is None or name not in tables:
            continue
        made = planned(
            connection, dataclasses.replace(before, tables={key: live}), dataclasses.replace(after, tables={key: wanted})
        )  # fmt: skip
        parts = [part for part in made.parts if _about(part, live)]
        if parts and not made.likely:
            remarks = tuple(f"{one.object}: {one.text}" for one in made.remarks)
            found.append(Safer(name, tuple(_drafts(parts)), remarks))
    return tuple(found)


def planned(connection: sa.Connection, before: Structure, after: Structure) -> Plan:
    """Plan what leads from one structure to the other, where the database stands as `after` says. Rolled back."""
    old, new = ({schema for schema, _ in one.tables} for one in (before, after))
    schemas = {name: name for name in sorted(old | new)}
    with rolled_back(connection):
        run(connection, f"CREATE SCHEMA {_SCHEMA}")
        return plan(_Past(connection, before, after, schemas, schemas, tuple(sorted(new - old))))


def _about(part: Part, table: Table) -> bool:
    """Leave out what a plan says of types and sequences that stand for themselves."""
    return any(
        table.sql in one.text or f"{quoted(table.schema)}." in one.text for one in (*part.up, *part.last)
    )


def _drafts(parts: list[Part]) -> Iterator[Draft]:
    for group in bundles(parts):
        up, down = up_of(group), down_of(group)
        yield Draft(
            title_of(None, group),
            tuple(one.text for one in up.statements),
            "\n".join(lines(up.statements)) or "pass",
            "\n".join(lines(down.statements)) or "pass",
            frozenset(place for place, one in enumerate(up.statements) if one.autocommit),
        )


class _Past(Sides):
    """Both sides, where the live one is past: its tables are made again to try changes on."""

    def probe(self, table: Table, *clauses: str, also: Sequence[str] = ()) -> Probe:
        """Try ALTER TABLE clauses on an empty copy of the table as it was. Rolled back."""
        return probed(self.connection, _SCHEMA, table.schema, table, clauses, tuple(_copy(table)), also)

    def accepts(self, table: Table, column: str, expression: str) -> bool:
        """Tell whether a value passes the table's CHECKs on that one column, and its type."""
        checks = " AND ".join(
            f"coalesce({one.bare.removeprefix('CHECK ')}, true)"
            for one in table.constraints.values()
            if one.kind == "c" and one.columns == (column,)
        )
        try:
            with rolled_back(self.connection):
                made = f"{quoted(column)} {table.columns[column].spelt_type}"
                run(self.connection, f"CREATE TABLE {_SCHEMA}.airlock_value ({made})")
                run(self.connection, f"INSERT INTO {_SCHEMA}.airlock_value VALUES ({expression})")
                found = run(self.connection, f"SELECT {checks or 'true'} FROM {_SCHEMA}.airlock_value")
                return bool(found.scalar_one())
        except sa.exc.DBAPIError:
            return False


def _copy(table: Table) -> Iterator[str]:
    place = f"{_SCHEMA}.airlock_probe"
    columns = [ddl.column(one, default=one.sequence is None) for one in table.columns.values()]
    rules = [
        f"CONSTRAINT {quoted(one.name)} {one.bare}"
        for one in table.constraints.values()
        if one.kind in "cpux"
    ]
    yield f"CREATE TABLE {place} ({', '.join([*columns, *rules])})"
    for one in table.indexes.values():
        yield one.text.replace(f" ON {table.sql} ", f" ON {place} ").replace(
            f" ON ONLY {table.sql} ", f" ON {place} "
        )
