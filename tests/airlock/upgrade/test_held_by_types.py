"""Texts that a type does not read are told beforehand, on each major's server: exactly those that a cast refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg2
import pytest

from airlock.operations.downgrade.held_by_types import unreadable

if TYPE_CHECKING:
    from tests.servers import Database

TYPES = ("smallint", "integer", "bigint", "numeric", "numeric(6,2)", "uuid", "boolean", "date")
TEXTS = (
    "", "1", " 12 ", "-5", "+7", "1.5", ".", "1.", "1e3", "99999", "2147483648", "9" * 20, "123456.789", "x", "NaN", "true",
    "T", "tr", "of", "o", "oN", "2024-02-29", "2023-02-29", "2024-13-01", "0000-00-00", "infinity", "6f3e",
    "6f3ec5a0-0000-4000-8000-00000000000A", "{6f3ec5a0000040008000-00000000000a}",
)  # fmt: skip


@pytest.mark.parametrize("asked", [15, None], ids=["by patterns", "by the server"])
def test_what_a_type_does_not_read_or_spells_otherwise_is_counted(
    empty_database: Database, asked: int | None
) -> None:
    """No text that comes back is counted, none is missed, and none ends the query; NULL reads as what it is."""
    with psycopg2.connect(empty_database.url) as connection, connection.cursor() as cursor:
        major = asked or connection.server_version // 10_000
        for type_ in TYPES:
            back = set()
            for text in TEXTS:
                cursor.execute("SAVEPOINT one")
                try:
                    cursor.execute(f"SELECT %s::{type_}::text", (text,))
                    back |= {text} & {row[0] for row in cursor.fetchall()}
                except psycopg2.DataError:
                    cursor.execute("ROLLBACK TO one")
            cursor.execute(
                f"SELECT v FROM unnest(%s::text[]) AS t (v) WHERE CASE WHEN {unreadable('v', type_, major)} THEN true "
                f"ELSE v::{type_}::text IS DISTINCT FROM v END",
                ([*TEXTS, None],),
            )
            assert {row[0] for row in cursor.fetchall()} == set(TEXTS) - back, type_
