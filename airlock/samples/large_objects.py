"""Large objects that sample rows refer to: without one, what a revision calls on the number in a row is an error.

A column of type oid, or of a domain over it (`lo`), is taken for such a reference: nothing in the catalogue says so.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from airlock.drivers import client
from airlock.drivers.spelling import literal, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airlock.samples.model import Table

# In a table of more rows nobody needs an object for each.
_MOST = 2_000
# Numbers that the server hands out itself lie below in a database as young as a scratch one.
_FIRST = 900_000


def large_objects(cursor: Any) -> frozenset[str]:
    """List the numbers of all large objects."""
    return frozenset(
        str(number) for (number,) in client.rows(cursor, "SELECT oid FROM pg_largeobject_metadata")
    )


def make_referred(cursor: Any, tables: Iterable[Table]) -> bool:
    """Make the objects that rows refer to, each row's its own, as the table's owner. Leaves the commit to the caller.

    Rows that share a number, and those that hold 0, which is none, get another one where nothing refuses it. Returns whether
    any column was asked for.
    """
    referring = [
        (table, quoted(column.name))
        for table in tables
        for column in table.columns
        if column.type == "oid" and not column.is_array
    ]
    for table, column in referring:
        _make(cursor, table, column)
    return bool(referring)


def _make(cursor: Any, table: Table, column: str) -> None:
    owner, rows = client.rows(
        cursor,
        f"SELECT pg_get_userbyid(relowner), (SELECT count(*) FROM {table.rows_sql}) FROM pg_class "
        f"WHERE oid = {literal(table.sql)}::regclass",
    )[0]
    if not 0 < rows <= _MOST:
        return
    shared = (
        f"SELECT place, ({_FIRST} + n + (SELECT count(*) FROM pg_largeobject_metadata))::oid AS number FROM ("
        "SELECT place, row_number() OVER (ORDER BY place) AS n FROM ("
        f"SELECT ctid AS place, {column} AS held, row_number() OVER (PARTITION BY {column} ORDER BY ctid) AS turn "
        f"FROM {table.rows_sql} AS r WHERE {column} IS NOT NULL) AS s WHERE turn > 1 OR held = 0) AS n"
    )
    made = (
        "SELECT lo_from_bytea(number, convert_to('object ' || number, 'UTF8')) "
        f"FROM (SELECT DISTINCT {column} AS number FROM {table.rows_sql} AS r WHERE {column} > 0) AS held "
        "WHERE NOT EXISTS (SELECT FROM pg_largeobject_metadata WHERE oid = number)"
    )
    own = f"UPDATE {table.sql} AS t SET {column} = s.number FROM ({shared}) AS s WHERE t.ctid = s.place"
    for statement in (own, made):
        client.in_savepoint(cursor, functools.partial(_as_owner, cursor, owner, statement))


def _as_owner(cursor: Any, owner: str, statement: str) -> None:
    cursor.execute(f"SET LOCAL ROLE {quoted(owner)}")
    cursor.execute(statement)
    cursor.execute("RESET ROLE")
