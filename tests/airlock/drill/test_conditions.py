"""What a proof holds for: each condition's query, tried on a server with no such row and with one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg2
import pytest

from airlock.operations.drill import drill
from airlock.records.drill import PROVED
from tests.airlock.drill.reached import Case, sql, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Database


@dataclass(frozen=True)
class Freedom:
    """One freedom that an upgrade grants: the column's definition below, both ways, a row that makes use of it."""

    name: str
    columns: str
    up: str
    down: str
    fine: str
    breaking: str
    loses: bool = False

    def spelled(self, text: str) -> str:
        """Put the table's name in."""
        return text.replace("$t", f"t_{self.name}")


def typed(name: str, below: str, above: str, fine: str, breaking: str, using: str = "") -> Freedom:
    """Spell a column whose type is wider above; with `using` it is cut on the way down, else refused."""
    down = f"ALTER TABLE $t ALTER v TYPE {below}" + (f" USING {using}" if using else "")
    loses = bool(using) or below.startswith("numeric")
    return Freedom(name, f"v {below}", f"ALTER TABLE $t ALTER v TYPE {above}", down, fine, breaking, loses)


FREEDOMS = (
    Freedom("nulls", "v integer NOT NULL", "ALTER TABLE $t ALTER v DROP NOT NULL", "ALTER TABLE $t ALTER v SET NOT NULL",
            "1", "NULL"),
    typed("longer", "varchar(30)", "varchar(40)", "'short'", "repeat('x', 35)"),
    typed("cut", "varchar(30)", "text", "'short'", "repeat('x', 35)", "substr(v, 1, 30)::varchar(30)"),
    typed("larger", "integer", "bigint", "1", "5000000000"),
    typed("small", "smallint", "numeric(9,0)", "7", "-40000"),
    typed("exact", "numeric(6,2)", "numeric(12,4)", "1.5", "1.2345"),
    Freedom("labels", "v m_mood", "ALTER TABLE $t ALTER v TYPE text", "ALTER TABLE $t ALTER v TYPE m_mood USING v::m_mood",
            "'sad'", "'mad'"),
    Freedom("alike", "v integer CONSTRAINT k_$t UNIQUE", "ALTER TABLE $t DROP CONSTRAINT k_$t",
            "ALTER TABLE $t ADD CONSTRAINT k_$t UNIQUE (v)", "1", "1"),
    Freedom("alone", "v integer CONSTRAINT k_$t REFERENCES partner", "ALTER TABLE $t DROP CONSTRAINT k_$t",
            "ALTER TABLE $t ADD CONSTRAINT k_$t FOREIGN KEY (v) REFERENCES partner", "NULL", "-77"),
    Freedom("refused", "v integer CONSTRAINT k_$t CHECK (v > 0)", "ALTER TABLE $t DROP CONSTRAINT k_$t",
            "ALTER TABLE $t ADD CONSTRAINT k_$t CHECK (v > 0)", "1", "0"),
    Freedom("apart", "v int4range, CONSTRAINT k_$t EXCLUDE USING gist (v WITH &&)", "ALTER TABLE $t DROP CONSTRAINT k_$t",
            "ALTER TABLE $t ADD CONSTRAINT k_$t EXCLUDE USING gist (v WITH &&)", "'[1,4)'", "'[3,9)'"),
    Freedom("apart_in_part",
            "v integer, CONSTRAINT k_$t EXCLUDE USING gist (numrange(v, v, '[]') WITH &&) WHERE (v > 0)",
            "ALTER TABLE $t DROP CONSTRAINT k_$t",
            "ALTER TABLE $t ADD CONSTRAINT k_$t EXCLUDE USING gist (numrange(v, v, '[]') WITH &&) WHERE (v > 0)", "5", "5"),
)  # fmt: skip


@pytest.mark.proof
def test_each_condition_counts_the_rows_that_break_the_way_down_and_no_others(
    tmp_path: Path, empty_database: Database
) -> None:
    """With none the step goes down and every row is what it was; with one it fails, or the row is another one."""
    cases = [
        Case(one.name, one.spelled(one.columns), sql(one.spelled(one.up)), sql(one.spelled(one.down)))
        for one in FREEDOMS
    ]
    cases[0] = Case(
        cases[0].name, cases[0].columns, cases[0].up, cases[0].down,
        beside="CREATE TABLE partner (id integer PRIMARY KEY)",
    )  # fmt: skip
    report = drill(write(tmp_path, sorted(cases, key=lambda one: one.name != "nulls")))
    proofs = {one.revision: one for one in report.revisions}
    with psycopg2.connect(empty_database.url) as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TYPE m_mood AS ENUM ('glad', 'sad'); CREATE TABLE partner (id integer PRIMARY KEY)"
        )
        for one in FREEDOMS:
            proof = proofs[one.name]
            assert (proof.verdict, proof.reason) == (PROVED, ""), one.name
            assert len(proof.conditions) == 1, (one.name, proof.conditions)
            tried = proof.conditions[0].tried
            expected = ("goes down", "loses it" if one.loses else "fails")
            assert tried is not None and (tried.with_none, tried.with_one) == expected, (
                one.name,
                proof.conditions,
            )
            table = f"t_{one.name}"
            cursor.execute(one.spelled(f"CREATE TABLE $t (id serial PRIMARY KEY, {one.columns})"))
            cursor.execute(f"INSERT INTO {table} (v) VALUES ({one.fine})")
            cursor.execute(one.spelled(one.up))
            assert _told(cursor, proof.conditions[0].sql) == 0, one.name
            assert _goes_down(cursor, one) == "as it was", one.name
            cursor.execute(f"INSERT INTO {table} (v) VALUES ({one.breaking})")
            assert _told(cursor, proof.conditions[0].sql) == 1, one.name
            assert _goes_down(cursor, one) == ("another row" if one.loses else "refused"), one.name


def _told(cursor: psycopg2.extensions.cursor, query: str) -> int:
    cursor.execute(query)
    found = cursor.fetchone()
    assert found is not None
    return int(found[0])


def _goes_down(cursor: psycopg2.extensions.cursor, one: Freedom) -> str:
    """Take the step down and undo it; say what became of the rows."""
    spelled = one.spelled("SELECT v FROM $t ORDER BY id")
    cursor.execute(spelled)
    before = cursor.fetchall()
    cursor.execute("SAVEPOINT there")
    try:
        cursor.execute(one.spelled(one.down))
        cursor.execute(spelled)
        return "as it was" if cursor.fetchall() == before else "another row"
    except psycopg2.Error:
        return "refused"
    finally:
        cursor.execute("ROLLBACK TO there")


# Type, a text as the type spells it, and another one that it reads as the same.
CASTS = (
    ("date", "2024-01-31", "2024-1-31"),
    ("uuid", "b7a6c9c2-8a0e-4f7e-9a53-2f7e0a2b6f11", "B7A6C9C2-8A0E-4F7E-9A53-2F7E0A2B6F11"),
    ("timestamptz", "2024-01-31 12:00:00+00", "2024-01-31T12:00:00Z"),
    ("inet", "10.0.0.1/32", "10.0.0.1"),
    ("jsonb", '{"a": 1}', '{"a":1}'),
    ("boolean", "true", "yes"),
    ("integer[]", "{1,2}", "{1, 2}"),
)


@pytest.mark.proof
def test_texts_that_are_cast_are_proved_while_none_is_spelled_otherwise(
    tmp_path: Path, empty_database: Database
) -> None:
    """Asked before the upgrade, the query counts exactly the texts that come back as others."""
    cases = [
        Case(
            f"cast_{number}", "v text", sql(f"ALTER TABLE $t ALTER v TYPE {one} USING v::{one}"),
            sql("ALTER TABLE $t ALTER v TYPE text" + (" USING CAST(v AS text)" if number % 2 else "")),
        )
        for number, (one, _, _) in enumerate(CASTS)
    ]  # fmt: skip
    report = drill(write(tmp_path, cases))
    with psycopg2.connect(empty_database.url) as connection, connection.cursor() as cursor:
        cursor.execute("SET TimeZone = 'UTC'")
        for number, (type_, plain, other) in enumerate(CASTS):
            proof = report.revisions[number + 1]
            assert (proof.verdict, proof.reason, proof.differences) == (PROVED, "", ()), type_
            (condition,) = proof.conditions
            assert condition.before_upgrade, type_
            assert condition.tried is not None or type_.endswith("[]"), type_
            assert condition.tried is None or condition.tried.said.startswith("it is "), type_
            table = f"t_cast_{number}"
            cursor.execute(f"CREATE TABLE {table} (id serial PRIMARY KEY, v text)")
            for value, counted in ((plain, 0), (other, 1)):
                cursor.execute(f"INSERT INTO {table} (v) VALUES (%s)", (value,))
                assert _told(cursor, condition.sql) == counted, type_
                cursor.execute(f"SELECT count(*) FROM {table} WHERE v::{type_}::text <> v")
                assert cursor.fetchone() == (counted,), type_
