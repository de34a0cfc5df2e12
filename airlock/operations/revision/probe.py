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


# The default of the last column that was added, as PostgreSQL spells it again.
_DEFAULT = (
    "SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d"
    " WHERE d.adrelid = to_regclass('{}.airlock_probe') ORDER BY d.adnum DESC LIMIT 1"
)


@dataclasses.dataclass(frozen=True)
class Probe:
    """What an ALTER TABLE did to an empty copy of a table: its own file, and its indexes' by body.

    `default` is that of the last column, as PostgreSQL spells it again.
    """

    rewritten: bool
    rebuilt: frozenset[str]
    indexes: Mapping[str, str]
    refused: str | None = None
    default: str | None = None


def probed(
    connection: sa.Connection,
    shadow_schema: str,
    real_schema: str,
    table: Table,
    clauses: Sequence[str],
    copied: Sequence[str] = (),
    also: Sequence[str] = (),
) -> Probe:
    """Try ALTER TABLE clauses on an empty copy of a live table. Rolled back; takes ACCESS SHARE on it.

    `copied` are the statements that make such a copy where the table itself is not there any more; `also` others
    that belong to the change.
    """
    shadow = quoted(shadow_schema)
    real = f"{quoted(real_schema)}.{quoted(table.name)}"
    try:
        with rolled_back(connection):
            for statement in copied or (f"CREATE TABLE {shadow}.airlock_probe (LIKE {real} INCLUDING ALL)",):
                run(connection, statement)
            before = _files(connection, shadow)
            for statement in (*also, *(f"ALTER TABLE {shadow}.airlock_probe {clause}" for clause in clauses)):
                run(connection, statement)
            after = _files(connection, shadow)
            default = run(connection, _DEFAULT.format(shadow)).scalar()
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
        rewritten,
        frozenset(map(there, rebuilt)),
        {there(old): there(new) for old, new in changed.items()},
        default=default,
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


@contextlib.contextmanager
def in_transaction(connection: sa.Connection, *, end: str = "ROLLBACK") -> Iterator[None]:
    """Have a transaction for savepoints to stand in where env.py's connection commits by itself; `end` ends that one."""
    dbapi: Any = connection.connection.dbapi_connection
    if not dbapi.autocommit:
        yield
        return
    run(connection, "BEGIN")
    try:
        yield
    except BaseException:
        run(connection, "ROLLBACK")
        raise
    run(connection, end)
