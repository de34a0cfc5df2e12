"""What the older schema refuses by itself: nothing that a step breaks."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from airlock.drivers import client
from airlock.operations.older_release.statements import (
    FIRST_NUMBER,
    TableStatements,
    first_line,
    statements_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airlock.samples import Table

_KEYS = 20


def refused_anyway(url: str, tables: Iterable[Table], search_path: str | None) -> frozenset[tuple[str, str]]:
    """List the statements that fail while the older schema stands, with their errors: append-only tables, rules.

    Tries each on some rows, inside a transaction that is undone.
    """
    found: set[tuple[str, str]] = set()
    with contextlib.closing(client.connect(url, application_name="airlock-drill-client")) as connection:
        for table in tables:
            with connection.cursor() as cursor:
                if search_path is not None:
                    cursor.execute("SELECT set_config('search_path', %s, true)", (search_path,))
                found |= set(_refusals(cursor, statements_for(table)))
            connection.rollback()
    return frozenset(found)


def _refusals(cursor: Any, one: TableStatements) -> Iterator[tuple[str, str]]:
    cursor.execute("DEALLOCATE ALL")  # no transaction's end does that
    cursor.execute("SAVEPOINT airlock_anyway")
    try:
        cursor.execute(one.keys)
        keys = [row[0] for row in cursor.fetchmany(_KEYS)]
    except client.Error as error:
        yield f"select {one.table}", first_line(error)
        return
    named = one.named()
    for name, sql in named.items():
        word = name.partition(" ")[0]
        try:
            # SELECT is a reserved word: alone it names no statement.
            cursor.execute(f"PREPARE airlock_{word} (text{', bigint' if word == 'insert' else ''}) AS {sql}")
        except client.Error as error:
            yield name, first_line(error)
            cursor.execute("ROLLBACK TO SAVEPOINT airlock_anyway")
            continue
        for number, key in enumerate(keys):
            # Numbers below those of any client.
            fresh = FIRST_NUMBER - 1 - number
            cursor.execute("SAVEPOINT airlock_key")
            try:
                if word == "delete" and one.gives_rows:
                    # Clients delete what they have inserted themselves.
                    cursor.execute("EXECUTE airlock_insert (%s, %s)", (key, fresh))
                    for row in cursor.fetchall():
                        cursor.execute("EXECUTE airlock_delete (%s)", (row[0],))
                else:
                    cursor.execute(
                        f"EXECUTE airlock_{word} ({'%s, %s' if word == 'insert' else '%s'})",
                        (key, fresh)[: 1 + (word == "insert")],
                    )
            except client.Error as error:
                yield name, first_line(error)
            cursor.execute("ROLLBACK TO SAVEPOINT airlock_key")
