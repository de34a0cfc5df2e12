"""A reader that reads again only what has changed says what one that reads all of it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg2
import pytest

from airlock.catalogue import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import Database

BASE = """
CREATE TABLE parent (id int PRIMARY KEY, name text NOT NULL, other int);
CREATE TABLE child (id serial PRIMARY KEY, parent_id int REFERENCES parent, row parent,
  identified bigint GENERATED ALWAYS AS IDENTITY);
CREATE VIEW seen AS SELECT p.*, c.id AS child_id FROM parent p JOIN child c ON c.parent_id = p.id;
CREATE VIEW above AS SELECT name FROM seen;
CREATE TABLE ranged (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE early PARTITION OF ranged FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE INDEX ranged_at ON ranged (at);
CREATE TABLE guarded (id int CHECK (id > 0));
CREATE POLICY mine ON guarded USING (EXISTS (SELECT FROM parent WHERE parent.other = guarded.id));
CREATE TABLE alone (id int PRIMARY KEY);
CREATE TABLE quiet (id int PRIMARY KEY);
"""
# What another relation is told by changes, and nothing of its own does.
CHANGES = (
    "ALTER TABLE parent RENAME COLUMN other TO another",
    "ALTER TABLE parent RENAME TO elder",
    "ALTER TABLE elder ADD UNIQUE (id)",
    "ALTER INDEX parent_pkey RENAME TO elder_pkey",
    "ALTER SEQUENCE child_id_seq RENAME TO child_numbers",
    "ALTER SEQUENCE child_identified_seq RENAME TO child_identities",
    "ALTER INDEX ranged_at RENAME TO ranged_days",
    "ALTER TABLE ranged RENAME TO periods",
    "ALTER TABLE periods DETACH PARTITION early",
    "CREATE TABLE late PARTITION OF periods FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')",
    "DROP TABLE late",
    "COMMENT ON COLUMN alone.id IS 'said'",
    "GRANT SELECT ON alone TO PUBLIC",
    "ALTER SEQUENCE child_numbers OWNED BY NONE",
    "CREATE TRIGGER once BEFORE UPDATE ON alone FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "ALTER TABLE alone DISABLE TRIGGER once",
    "DROP TABLE alone",
)
# What belongs to no table, or is most of them.
ALL_ANEW = (
    "CREATE DOMAIN word AS text",
    "DROP TABLE parent CASCADE",
    "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE TYPE pair AS (a int, b int)",
    "ALTER TYPE pair ADD ATTRIBUTE c int",
    "CREATE TABLE paired (p pair)",
    "ALTER TYPE pair RENAME TO three",
    "COMMENT ON SCHEMA public IS 'said'",
    "CREATE PUBLICATION told FOR TABLE quiet",
    "ALTER TABLE quiet RENAME TO loud",
    "ALTER TABLE loud RENAME COLUMN id TO number",
)


@pytest.fixture
def connection(empty_database: Database) -> Iterator[psycopg2.extensions.connection]:
    found = psycopg2.connect(empty_database.url)
    found.autocommit = True
    found.cursor().execute(BASE)
    yield found
    found.close()


def test_what_is_read_again_is_what_all_of_it_would_be(connection: psycopg2.extensions.connection) -> None:
    """Names, keys, partitions: what leans on the table that has changed is read with it, hardly anything else; told once."""
    reader = fingerprint.Reader(connection)
    reader.read()
    assert reader.changed() is None
    for change in CHANGES:
        connection.cursor().execute(change)
        found = reader.read()
        assert fingerprint.differences(found, fingerprint.read(connection)) == (), change
        assert reader.read() is found
        changed = reader.changed()
        assert changed, change
        assert "public.quiet" not in changed, change
        assert reader.changed() == frozenset()


def test_what_belongs_to_no_table_has_all_read_anew(connection: psycopg2.extensions.connection) -> None:
    """Types, functions, comments elsewhere: what leans on them is not sought."""
    reader = fingerprint.Reader(connection)
    for change in ALL_ANEW:
        reader.read()
        connection.cursor().execute(change)
        assert fingerprint.differences(reader.read(), fingerprint.read(connection)) == (), change
