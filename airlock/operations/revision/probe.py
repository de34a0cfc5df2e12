"""Changes tried on an empty copy of a table: what PostgreSQL would rewrite, rebuild or refuse."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airlock.catalogue.structure import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airlock.catalogue.structure import Table


@dataclasses.dataclass(frozen=True)
class Probe:
    """What an ALTER TABLE did to an empty copy of a table: its own file, and its indexes' by body."""

    rewritten: bool
    rebuilt: frozenset[str]
    indexes: Mapping[str, str]
    refused: str | None = None


def probed(
    connection: sa.Connection,
    shadow_schema: str,
    real_schema: str,
    table: Table,
    clauses: Sequence[str],
    copied: Sequence[str] = (),
) -> Probe:
    """Try ALTER TABLE clauses on an empty copy of a live table. Rolled back; takes ACCESS SHARE on it.

    `copied` are the statements that make such a copy where the table itself is not there any more.
    """
    shadow = quoted(shadow_schema)
    real = f"{quoted(real_schema)}.{quoted(table.name)}"
    try:
        with rolled_back(connection):
            for statement in copied or (f"CREATE TABLE {shadow}.airlock_probe (LIKE {real} INCLUDING ALL)",):
                run(connection, statement)
            before = _files(connection, shadow)
            for clause in clauses:
                run(connection, f"ALTER TABLE {shadow}.airlock_probe {clause}")
            after = _files(connection, shadow)
    except sa.exc.DBAPIError as error:
        return Probe(True, frozenset(), {}, str(error.orig).splitlines()[0].strip())
    bodies = {name: body for name, (_, body) in before.items()}
    rebuilt = frozenset(
        bodies[name]
        for name, (file, _) in after.items()
        if name in before and before[name][0] != file and bodies[name]
    )
    changed = {bodies[name]: after[name][1] for name in before if bodies[name] and name in after}
    place = f"{shadow}.airlock_probe"
    seen = table.sql

    def there(text: str) -> str:
        return text.replace(place, seen)

    rewritten = before[""][0] != after[""][0]
    return Probe(
        rewritten, frozenset(map(there, rebuilt)), {there(old): there(new) for old, new in changed.items()}
    )


def _files(connection: sa.Connection, shadow: str) -> dict[str, tuple[int, str]]:
    rows = connection.execute(
        sa.text(
            "SELECT '' AS name, pg_relation_filenode(c.oid)::bigint, '' FROM pg_class c"
            " WHERE c.oid = to_regclass(:name)::oid UNION ALL"
            " SELECT i.indexrelid::regclass::text, pg_relation_filenode(i.indexrelid)::bigint, pg_get_indexdef(i.indexrelid)"
            " FROM pg_index i WHERE i.indrelid = to_regclass(:name)::oid"
        ),
        {"name": f"{shadow}.airlock_probe"},
    )
    return {name: (file, definition.partition(" ON ")[2]) for name, file, definition in rows}


def run(connection: sa.Connection, statement: str) -> Any:
    """Run a statement as it stands."""
    # No parameters: the driver then leaves every % alone.
    return connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


@contextlib.contextmanager
def rolled_back(connection: sa.Connection) -> Iterator[None]:
    """Undo at the end whatever is done within."""
    savepoint = connection.begin_nested()
    try:
        yield
    finally:
        if savepoint.is_active:
            savepoint.rollback()
