"""Each type in everything that can be made of one: domains, arrays, composites, ranges, and those of each other."""

from __future__ import annotations

from typing import Any

import psycopg2
import pytest

from airlock import samples
from airlock.scratch import embedded

NEWEST = max(embedded.available())
# Types of each kind that values are made for in a way of its own.
TYPES = ("integer", "varchar(9)", "jsonb", "mood", "hours", "numeric(3, -2)", "interval hour")
BASE = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE hours AS RANGE (subtype = time, multirange_type_name = spans);
"""
# Name: what makes the type, of `$t`, a type, or of another of these names.
MADE = {
    "domain": "CREATE DOMAIN {domain} AS {t}",
    "required": "CREATE DOMAIN {required} AS {t} NOT NULL",
    "held": "CREATE DOMAIN {held} AS {domain} CHECK (VALUE IS NOT NULL)",
    "above": "CREATE DOMAIN {above} AS {domain}",
    "listed": "CREATE DOMAIN {listed} AS {t}[] CHECK (cardinality(VALUE) < 9)",
    "composite": "CREATE TYPE {composite} AS (n int, v {t}, d {held}, w {t}[], x {domain}[], y {listed})",
    "within": "CREATE TYPE {within} AS (n int, c {composite}, l {composite}[])",
    "parted": "CREATE DOMAIN {parted} AS {composite} CHECK ((VALUE).n IS NOT NULL)",
    "ranged": "CREATE TYPE {ranged} AS RANGE (subtype = {t}, multirange_type_name = {ranged}_many)",
    "narrow": "CREATE DOMAIN {narrow} AS {ranged} CHECK (NOT isempty(VALUE))",
    "of_domain": "CREATE TYPE {of_domain} AS RANGE (subtype = {held}, multirange_type_name = {of_domain}_many)",
    "of_composite": "CREATE TYPE {of_composite} AS RANGE (subtype = {composite}, multirange_type_name = {of_composite}_many)",
    "of_list": "CREATE TYPE {of_list} AS RANGE (subtype = {t}[], multirange_type_name = {of_list}_many)",
    "of_range": "CREATE TYPE {of_range} AS RANGE (subtype = {ranged}, multirange_type_name = {of_range}_many)",
    "spanned": "CREATE TYPE {spanned} AS (n int, r {ranged}, m {ranged}_many, d {narrow})",
}
RANGES = ("ranged", "of_domain", "of_composite", "of_list", "of_range")


def columns(cursor: Any, types: tuple[str, ...]) -> dict[str, list[str]]:
    """Make all that can be made of each type; give the columns of a table for each way, as itself and as an array."""
    found: dict[str, list[str]] = {"itself": []}
    for number, type_ in enumerate(types):
        names = {name: f"{name}_{number}" for name in MADE}
        found["itself"] += [type_, f"{type_}[]"]
        for name, statement in MADE.items():
            try:
                cursor.execute(statement.format(t=type_, **names))
            except psycopg2.Error as error:
                # A type without an order has no range.
                assert "default operator class" in str(error) or 'type "' in str(error), error
                continue
            spelled = [names[name], *([f"{names[name]}_many"] if name in RANGES else [])]
            found.setdefault(name, []).extend(one + array for one in spelled for array in ("", "[]"))
    return found


def unlike(connection: Any, tables: dict[str, list[str]]) -> list[str]:
    """Fill a table for each way; list the columns that hold fewer than three different values."""
    poor = []
    with connection.cursor() as cursor:
        for name, types in tables.items():
            listed = ", ".join(f"v{place} {type_}" for place, type_ in enumerate(types))
            cursor.execute(f"CREATE TABLE of_{name} (id serial PRIMARY KEY, {listed})")
    assert [one for one in samples.fill(connection, 40) if one.reason] == []
    with connection.cursor() as cursor:
        for name, types in tables.items():
            counts = ", ".join(f"count(DISTINCT v{place}::text)" for place in range(len(types)))
            cursor.execute(f"SELECT {counts} FROM of_{name}")
            poor += [
                f"{type_}: {count}"
                for type_, count in zip(types, cursor.fetchone() or (), strict=True)
                if count < 3
            ]
    return poor


@pytest.mark.proof
def test_what_is_made_of_a_type_has_values() -> None:
    """No combination has only the empty array, the empty range or NULL."""
    with embedded.scratch_cluster(NEWEST) as cluster:
        connection = psycopg2.connect(cluster.url())
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(BASE)
            tables = columns(cursor, TYPES)
        assert unlike(connection, tables) == []
        connection.close()
