"""The hand-written INSERT that sample rows are timed beside: fair, and gone without a trace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg2
import psycopg2.extensions
import pytest

from airlock import samples
from airlock.catalogue import fingerprint
from airlock.samples import by_hand
from airlock.scratch import embedded

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES = """
CREATE SCHEMA made; SET search_path = made;
CREATE TABLE owner (id uuid PRIMARY KEY, email varchar(320) NOT NULL UNIQUE CHECK (email = lower(email)));
CREATE TABLE task (id bigserial PRIMARY KEY, owner_id uuid NOT NULL REFERENCES owner, parent_id bigint REFERENCES task,
  role text NOT NULL CONSTRAINT known_role CHECK (role IN ('user', 'tool')), n int NOT NULL, amount numeric(6, 2), tags text[]);
CREATE INDEX ON task (owner_id, n);
CREATE TABLE profile (owner_id uuid PRIMARY KEY REFERENCES owner, nick varchar(8));
CREATE TABLE pair (owner_id uuid REFERENCES owner, task_id bigint REFERENCES task, PRIMARY KEY (owner_id, task_id));
CREATE TABLE log (n int);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log VALUES (1); RETURN NEW; END';
CREATE TABLE watched (id int GENERATED ALWAYS AS IDENTITY, v text);
CREATE TRIGGER noted BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION note();
CREATE TABLE parted (id int) PARTITION BY RANGE (id);
CREATE TABLE part PARTITION OF parted DEFAULT;
"""


@pytest.fixture(scope="module")
def connection() -> Iterator[psycopg2.extensions.connection]:
    """Serve TABLES on the newest major, filled."""
    with embedded.scratch_cluster(max(embedded.available())) as cluster:
        found = psycopg2.connect(cluster.url())
        found.autocommit = True
        with found.cursor() as cursor:
            cursor.execute(TABLES)
        samples.fill(found, 1_600, search_path="made")
        yield found
        found.close()


def time_by_hand(
    connection: psycopg2.extensions.connection, name: str, count: int
) -> tuple[float | None, str | None]:
    """Time one of the tables."""
    tables = {table.label: table for table in samples.read_tables(connection)}
    by_oid = {table.oid: table for table in tables.values()}
    return samples.time_by_hand(connection, tables[f"made.{name}"], by_oid, count, "made")


@pytest.mark.parametrize("name", ["owner", "task", "profile", "pair", "watched"])
def test_keys_checks_and_triggers_are_met(connection: psycopg2.extensions.connection, name: str) -> None:
    """Foreign keys find rows, what is unique stays so, what a CHECK demands is copied: there is a time."""
    took, why = time_by_hand(connection, name, 1_500)
    assert why is None
    assert took is not None
    assert took > 0


def test_nothing_remains_of_it(connection: psycopg2.extensions.connection) -> None:
    """No table, no row, no number taken from a sequence, no row that a trigger wrote."""

    def standing() -> tuple[object, ...]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM made.log")
            return fingerprint.read(connection), samples.read_sequences(connection), cursor.fetchone()

    before = standing()
    for name in ("task", "watched"):
        assert time_by_hand(connection, name, 200)[1] is None
    assert standing() == before


def test_a_table_that_no_such_statement_fits_is_told_with_the_reason(
    connection: psycopg2.extensions.connection,
) -> None:
    """Partitions cannot be cloned; rows enough for a one-to-one key must be there."""
    assert time_by_hand(connection, "parted", 10) == (None, "it is partitioned")
    assert "duplicate key" in str(time_by_hand(connection, "profile", 5_000)[1])


def test_the_clone_has_what_the_table_has(connection: psycopg2.extensions.connection) -> None:
    """As many foreign keys, CHECKs, keys, indexes and triggers on INSERT: nothing is left out to be faster."""
    has = """SELECT (SELECT array_agg(contype ORDER BY contype) FROM pg_constraint WHERE conrelid = c AND contype <> 'n'),
      (SELECT count(*) FROM pg_index WHERE indrelid = c), (SELECT array_agg(tgname) FROM pg_trigger WHERE tgrelid = c
      AND NOT tgisinternal), (SELECT count(pg_get_expr(adbin, 0) IS NOT NULL) FROM pg_attrdef WHERE adrelid = c)
      FROM (SELECT %s::regclass::oid AS c) AS one"""
    for table in samples.read_tables(connection, names=["made.task", "made.watched", "made.owner"]):
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            clone = by_hand._clone(cursor, table)
            cursor.execute(has, (clone,))
            cloned = cursor.fetchone()
            cursor.execute(has, (table.sql,))
            assert cursor.fetchone() == cloned
            cursor.execute("ROLLBACK")
