"""The statements of the traffic: on every table, with a key or without, and served by the key's index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from airlock import samples
from airlock.operations.older_release.statements import TableStatements, statements_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.scratch.servers import ScratchServer

pytestmark = pytest.mark.proof

TABLES = {
    "keyed": "CREATE TABLE keyed (id int PRIMARY KEY, v text)",
    "bare": "CREATE TABLE bare (v text, n int)",
    "with_nulls": "CREATE TABLE with_nulls (code text UNIQUE, n int)",
    "in_parts": (
        "CREATE TABLE in_parts (at date NOT NULL, v text) PARTITION BY RANGE (at);"
        "CREATE TABLE early PARTITION OF in_parts FOR VALUES FROM (MINVALUE) TO ('2020-01-15');"
        "CREATE TABLE late PARTITION OF in_parts DEFAULT"
    ),
    "two_columns": "CREATE TABLE two_columns (a int, b varchar(9), v text, PRIMARY KEY (a, b))",
    "numbered": "CREATE TABLE numbered (id int GENERATED ALWAYS AS IDENTITY, v text)",
    "only_numbered": "CREATE TABLE only_numbered (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY)",
    "pairs": "CREATE TABLE pairs (a int REFERENCES keyed, b int REFERENCES keyed, PRIMARY KEY (a, b))",
    "computed": "CREATE TABLE computed (n int, twice int GENERATED ALWAYS AS (n / 2) STORED)",
}


@pytest.fixture(scope="module")
def connection(scratch: ScratchServer) -> Iterator[Any]:
    """Make and fill all of TABLES."""
    with scratch.database() as database:
        found = psycopg2.connect(database.url)
        found.autocommit = True
        for statement in TABLES.values():
            found.cursor().execute(statement)
        samples.fill(found, 2_000, analyze=True)
        yield found
        found.close()


def statements(connection: Any, name: str) -> TableStatements:
    """Make one table's statements."""
    (table,) = samples.read_tables(connection, names=[f"public.{name}"])
    return statements_for(table)


def prepare(cursor: Any, one: TableStatements) -> None:
    """Prepare all of them, as clients do."""
    cursor.execute("SELECT name FROM pg_prepared_statements WHERE name NOT LIKE 'airlock%'")
    for (name,) in cursor.fetchall():
        cursor.execute(f'DEALLOCATE "{name}"')
    for name, sql in one.named().items():
        word = name.partition(" ")[0]
        cursor.execute(f'PREPARE "{word}" {"(text, bigint)" if word == "insert" else "(text)"} AS {sql}')


@pytest.mark.parametrize("name", TABLES)
def test_every_table_gets_statements_that_hit_its_rows(connection: Any, name: str) -> None:
    """Select and update find one row by what `keys` gives, a copy is inserted, and deleting it leaves what was there."""
    one = statements(connection, name)
    with connection.cursor() as cursor:
        prepare(cursor, one)
        cursor.execute(f"SELECT count(*) FROM {name}")
        before = cursor.fetchone()
        cursor.execute(one.keys)
        key = cursor.fetchall()[30][0]
        cursor.execute('EXECUTE "select" (%s)', (key,))
        assert cursor.rowcount == 1
        assert one.insert is not None
        cursor.execute('EXECUTE "insert" (%s, 1000000007)', (key,))
        made = cursor.fetchall()
        assert len(made) == (0 if name == "pairs" else 1)
        cursor.execute('EXECUTE "delete" (%s)', (made[0][0] if made else key,))
        assert cursor.rowcount == len(made)
        cursor.execute(f"SELECT count(*) FROM {name}")
        assert cursor.fetchone() == before
        assert (one.update is None) == (name in {"only_numbered", "pairs"})
        if one.update is not None:
            cursor.execute('EXECUTE "update" (%s)', (key,))
            assert cursor.rowcount == 1
            if one.by_place:
                (moved,) = cursor.fetchone()
                cursor.execute('EXECUTE "select" (%s)', (moved,))
                assert cursor.rowcount == 1


@pytest.mark.parametrize("name", ["keyed", "bare", "two_columns"])
def test_no_statement_scans(connection: Any, name: str) -> None:
    """A client that scanned the table would stall others by itself."""
    one = statements(connection, name)
    with connection.cursor() as cursor:
        prepare(cursor, one)
        cursor.execute("SET plan_cache_mode = force_generic_plan")
        for word in ("select", "update", "delete"):
            cursor.execute(f"EXPLAIN EXECUTE \"{word}\" ('{{1,2}}')")
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert "Seq Scan" not in plan, plan
