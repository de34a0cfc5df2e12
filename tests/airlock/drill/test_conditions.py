"""What a proof holds for: each condition's query, tried on a server with no such row and with one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import psycopg2
import pytest

from airlock.operations.downgrade.held_by_types import beyond_rounding
from airlock.operations.downgrade.restrictions import Restriction
from airlock.operations.drill import drill
from airlock.records.drill import NOT_EXAMINED, PROVED, REFUSED
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
    typed("coins", "money", "numeric(19,2)", "1.50", "99999999999999999.99"),
    typed("exact", "numeric(6,2)", "numeric(12,4)", "1.5", "1.2345"),
    Freedom("labels", "v m_mood", "ALTER TABLE $t ALTER v TYPE text", "ALTER TABLE $t ALTER v TYPE m_mood USING v::m_mood",
            "'sad'", "'mad'"),
    Freedom("lowered", "v uuid", "ALTER TABLE $t ALTER v TYPE text USING lower(v::text)",
            "ALTER TABLE $t ALTER v TYPE uuid USING v::uuid", "gen_random_uuid()", "'none'"),
    Freedom("merged_back", "v text CONSTRAINT k_$t CHECK (v IN ('new', 'done'))",
            "ALTER TABLE $t DROP CONSTRAINT k_$t; ALTER TABLE $t ADD CONSTRAINT k_$t CHECK (v IN ('new', 'done', 'late'))",
            "UPDATE $t SET v = 'new' WHERE v = 'late'; ALTER TABLE $t DROP CONSTRAINT k_$t; "
            "ALTER TABLE $t ADD CONSTRAINT k_$t CHECK (v IN ('new', 'done'))", "'done'", "'late'", loses=True),
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
    typed("many", "integer[]", "bigint[]", "'{1}'", "'{5000000000}'"),
    Freedom("many_exact", "v numeric(6,2)[]", "ALTER TABLE $t ALTER v TYPE numeric(12,2)[]",
            "ALTER TABLE $t ALTER v TYPE numeric(6,2)[]", "'{1.50}'", "'{1.50,123456}'"),
    Freedom("many_labels", "v m_mood[]", "ALTER TABLE $t ALTER v TYPE text[]",
            "ALTER TABLE $t ALTER v TYPE m_mood[] USING v::m_mood[]", "'{sad}'", "'{glad,mad}'"),
    Freedom("all_or_none", "v integer, w integer, CONSTRAINT k_$t FOREIGN KEY (v, w) REFERENCES pair MATCH FULL",
            "ALTER TABLE $t DROP CONSTRAINT k_$t",
            "ALTER TABLE $t ADD CONSTRAINT k_$t FOREIGN KEY (v, w) REFERENCES pair MATCH FULL", "NULL", "1"),
    Freedom("of_a_domain", "v m_few", "ALTER DOMAIN m_few DROP CONSTRAINT few",
            "ALTER DOMAIN m_few ADD CONSTRAINT few CHECK (VALUE > 0)", "1", "0"),
    Freedom("never_null", "v m_never", "ALTER DOMAIN m_never DROP NOT NULL", "ALTER DOMAIN m_never SET NOT NULL", "1", "NULL"),
    # What closes the parenthesis makes the table a partition.
    Freedom("detached", "v integer NOT NULL); ALTER TABLE whole ATTACH PARTITION $t FOR VALUES FROM (0) TO (1000000",
            "ALTER TABLE whole DETACH PARTITION $t", "ALTER TABLE whole ATTACH PARTITION $t FOR VALUES FROM (0) TO (1000000)",
            "1", "-1"),
)  # fmt: skip
# What they speak of. A row of a table that inherits is nobody's partner.
BESIDE = (
    "CREATE TABLE partner (id integer PRIMARY KEY); CREATE TABLE heir () INHERITS (partner); INSERT INTO heir VALUES (-77); "
    "CREATE TABLE pair (a integer, b integer, PRIMARY KEY (a, b)); "
    "CREATE TABLE whole (id integer NOT NULL, v integer NOT NULL) PARTITION BY RANGE (v); "
    "CREATE DOMAIN m_few AS integer CONSTRAINT few CHECK (VALUE > 0); CREATE DOMAIN m_never AS integer NOT NULL"
)


KEY = "ALTER TABLE $t ADD CONSTRAINT k_$t"
GONE = "ALTER TABLE $t DROP CONSTRAINT k_$t"
# What stands above keeps the rows out that could not go down: there is no freedom.
NONE = (
    Case("relabelled", "state text NOT NULL CONSTRAINT k_$t CHECK (state IN ('open', 'shut'))",
         sql(GONE, "UPDATE $t SET state = CASE state WHEN 'open' THEN 'NEW' ELSE 'DONE' END",
             KEY + " CHECK (state IN ('NEW', 'DONE'))"),
         sql(GONE, "UPDATE $t SET state = 'open' WHERE state = 'NEW'", "UPDATE $t SET state = 'shut' WHERE state = 'DONE'",
             KEY + " CHECK (state IN ('open', 'shut'))")),
    Case("numbers_as_labels", "v smallint NOT NULL CONSTRAINT k_$t CHECK (v IN (0, 1))",
         sql(GONE, "ALTER TABLE $t ALTER v TYPE m_mood USING (CASE v WHEN 0 THEN 'sad' ELSE 'glad' END)::m_mood"),
         sql("ALTER TABLE $t ALTER v TYPE smallint USING CASE v::text WHEN 'sad' THEN 0 ELSE 1 END",
             KEY + " CHECK (v IN (0, 1))")),
    # Of two tables, whose columns of one name are read alike.
    Case("two_of_one_clock", "v timestamp",
         sql("ALTER TABLE $t ALTER v TYPE timestamptz USING v AT TIME ZONE 'UTC'",
             "ALTER TABLE c_$t ALTER v TYPE timestamptz USING v AT TIME ZONE 'UTC'"),
         sql("ALTER TABLE $t ALTER v TYPE timestamp USING v AT TIME ZONE 'UTC'",
             "ALTER TABLE c_$t ALTER v TYPE timestamp USING v AT TIME ZONE 'UTC'"),
         beside="CREATE TABLE c_$t (id integer PRIMARY KEY, v timestamp)"),
    Case("listed_in_a_domain", "v varchar(5)",
         sql("CREATE DOMAIN d_$t AS text CHECK (VALUE IN ('a', 'b'))", "CREATE TABLE k_$t AS SELECT id, v FROM $t",
             "UPDATE $t SET v = NULL WHERE v NOT IN ('a', 'b')", "ALTER TABLE $t ALTER v TYPE d_$t USING v::text::d_$t"),
         sql("ALTER TABLE $t ALTER v TYPE varchar(5) USING v::text::varchar(5)",
             "UPDATE $t SET v = k.v FROM k_$t k WHERE k.id = $t.id AND $t.v IS NULL", "DROP TABLE k_$t", "DROP DOMAIN d_$t")),
    Case("short_when_spelled", "v varchar(20)",
         sql("CREATE TABLE k_$t AS SELECT id, v FROM $t", "ALTER TABLE $t ALTER v TYPE date USING NULL"),
         sql("ALTER TABLE $t ALTER v TYPE varchar(20) USING v::text",
             "UPDATE $t SET v = k.v FROM k_$t k WHERE k.id = $t.id AND $t.v IS NULL", "DROP TABLE k_$t")),
    # What the upgrade makes NULL the downgrade fills, and NULLs that others write.
    Case("filled_again", "v jsonb NOT NULL DEFAULT '{}'",
         sql("ALTER TABLE $t ALTER v DROP NOT NULL", "UPDATE $t SET v = NULL WHERE v = '{}'"),
         sql("UPDATE $t SET v = '{}' WHERE v IS NULL", "ALTER TABLE $t ALTER v SET NOT NULL")),
    # The rule is read anew, and spelled otherwise.
    Case("widened_under_a_list", "v varchar(20) CHECK (v IN ('a', 'b'))", sql("ALTER TABLE $t ALTER v TYPE varchar(40)"),
         sql("ALTER TABLE $t ALTER v TYPE varchar(20)")),
    Case("labels_checked", "v m_mood",
         sql("ALTER TABLE $t ALTER v TYPE varchar(9)", KEY + " CHECK (v IN ('sad', 'glad'))"),
         sql(GONE, "ALTER TABLE $t ALTER v TYPE m_mood USING v::m_mood")),
    Case("turned_round", "v integer NOT NULL, CONSTRAINT k_$t CHECK (v BETWEEN 1 AND 5)",
         sql(GONE, "UPDATE $t SET v = 6 - v", "ALTER TABLE $t RENAME v TO w", KEY + " CHECK (w BETWEEN 1 AND 5)"),
         sql(GONE, "UPDATE $t SET w = 6 - w", "ALTER TABLE $t RENAME w TO v", KEY + " CHECK (v BETWEEN 1 AND 5)")),
    Case("renamed_alone", "v text UNIQUE, CONSTRAINT k_$t CHECK (length(v) < 3 OR v <> 'v')",
         sql("ALTER TABLE $t RENAME v TO w", "CREATE INDEX i_$t ON $t (w)"),
         sql("DROP INDEX i_$t", "ALTER TABLE $t RENAME w TO v")),
    Case("of_what_goes", "v integer NOT NULL, w integer NOT NULL, CONSTRAINT k_$t CHECK (w >= v), CONSTRAINT u_$t UNIQUE (v, w)",
         sql("ALTER TABLE $t ADD x int8range", "UPDATE $t SET x = int8range(v, w, '[]')", "ALTER TABLE $t DROP v, DROP w",
             KEY + " CHECK (NOT isempty(x) AND lower(x) IS NOT NULL AND upper(x) IS NOT NULL)"),
         sql("ALTER TABLE $t ADD v integer, ADD w integer", "UPDATE $t SET v = lower(x), w = upper(x) - 1",
             "ALTER TABLE $t ALTER v SET NOT NULL, ALTER w SET NOT NULL, DROP x, ADD CONSTRAINT u_$t UNIQUE (v, w)",
             KEY + " CHECK (w >= v)")),
    Case("lowered", "v varchar(30) CONSTRAINT k_$t UNIQUE",
         sql("CREATE UNIQUE INDEX i_$t ON $t (lower(v))", GONE), sql(KEY + " UNIQUE (v)", "DROP INDEX i_$t")),
    Case("of_fewer", "v integer, w integer, CONSTRAINT k_$t UNIQUE (v, w)",
         sql(GONE, KEY + " UNIQUE (w)"), sql(GONE, KEY + " UNIQUE (v, w)")),
    Case("of_more", "v integer CONSTRAINT k_$t REFERENCES partner, w integer NOT NULL DEFAULT 1",
         sql(GONE, KEY + " FOREIGN KEY (w, v) REFERENCES partner (w, id)"),
         sql(GONE, KEY + " FOREIGN KEY (v) REFERENCES partner")),
    Case("stricter", "v integer, w integer, CONSTRAINT k_$t CHECK (v >= 0)",
         sql(GONE, KEY + " CHECK (v > 10)"), sql(GONE, KEY + " CHECK (v >= 0)")),
    Case("smaller", "v bigint, w numeric(9,2), x varchar(30)",
         sql("ALTER TABLE $t ALTER v TYPE integer, ALTER w TYPE numeric(7,2), ALTER x TYPE varchar(29)"),
         sql("ALTER TABLE $t ALTER v TYPE bigint, ALTER w TYPE numeric(9,2), ALTER x TYPE varchar(30)")),
    Case("of_a_domain", "v numeric(9,2)",
         sql("CREATE DOMAIN d_$t AS numeric(9,2) CHECK (VALUE > -90000000)", "ALTER TABLE $t ALTER v TYPE d_$t"),
         sql("ALTER TABLE $t ALTER v TYPE numeric(9,2)", "DROP DOMAIN d_$t")),
    Case("labels_mapped", "v m_mood",
         sql("CREATE TYPE e_$t AS ENUM ('up', 'down')",
             "ALTER TABLE $t ALTER v TYPE e_$t USING CASE v WHEN 'glad' THEN 'up'::e_$t WHEN 'sad' THEN 'down'::e_$t END"),
         sql("ALTER TABLE $t ALTER v TYPE m_mood USING "
             "CASE WHEN v = 'up' THEN 'glad'::m_mood WHEN v = 'down' THEN 'sad'::m_mood END",
             "DROP TYPE e_$t")),
    Case("labels_renamed", "v e_$t",
         sql("ALTER TYPE e_$t RENAME TO o_$t", "CREATE TYPE e_$t AS ENUM ('one', 'second')",
             "ALTER TABLE $t ALTER v TYPE e_$t USING replace(v::text, 'two', 'second')::e_$t", "DROP TYPE o_$t"),
         sql("ALTER TYPE e_$t RENAME TO o_$t", "CREATE TYPE e_$t AS ENUM ('one', 'two')",
             "ALTER TABLE $t ALTER v TYPE e_$t USING replace(v::text, 'second', 'two')::e_$t", "DROP TYPE o_$t"),
         beside="CREATE TYPE e_$t AS ENUM ('one', 'two')"),
    Case("flagged", "v char(1) NOT NULL CONSTRAINT k_$t CHECK (v IN ('Y', 'N'))",
         sql(GONE, "ALTER TABLE $t ALTER v TYPE boolean USING v = 'Y'"),
         sql("ALTER TABLE $t ALTER v TYPE char(1) USING CASE WHEN v THEN 'Y' ELSE 'N' END", KEY + " CHECK (v IN ('Y', 'N'))")),
    Case("numbered", "v integer NOT NULL CONSTRAINT k_$t CHECK (v BETWEEN 1 AND 2)",
         sql(GONE, "ALTER TABLE $t ALTER v TYPE text USING (ARRAY['lead', 'done'])[v]", KEY + " CHECK (v IN ('lead', 'done'))"),
         sql(GONE, "ALTER TABLE $t ALTER v TYPE integer USING array_position(ARRAY['lead', 'done'], v)",
             KEY + " CHECK (v BETWEEN 1 AND 2)")),
    Case("zoned", "v timestamp, w timestamptz",
         sql("ALTER TABLE $t ALTER COLUMN v TYPE timestamptz USING v AT TIME ZONE 'UTC', "
             "ALTER w TYPE timestamp USING (timezone('utc', w))"),
         sql("ALTER TABLE $t ALTER COLUMN v TYPE timestamp USING v AT TIME ZONE 'UTC', "
             "ALTER w TYPE timestamptz USING w AT TIME ZONE 'utc'")),
)  # fmt: skip
# Their twins: something lets rows in.
SOME = (
    ("emptied", "v text CONSTRAINT k_$t UNIQUE", sql("CREATE UNIQUE INDEX i_$t ON $t (nullif(v, ''))", GONE),
     sql(KEY + " UNIQUE (v)", "DROP INDEX i_$t"), "place_among"),
    ("spelled_otherwise", "v numeric UNIQUE", sql("ALTER TABLE $t ALTER v TYPE text"),
     sql("ALTER TABLE $t ALTER v TYPE numeric USING v::numeric"), 'PARTITION BY ("v"::numeric)'),
    ("in_part", "v text CONSTRAINT k_$t UNIQUE", sql("CREATE UNIQUE INDEX i_$t ON $t (v) WHERE v <> 'x'", GONE),
     sql(KEY + " UNIQUE (v)", "DROP INDEX i_$t"), "place_among"),
    ("of_nulls", "v integer CONSTRAINT k_$t REFERENCES partner, w integer DEFAULT 1",
     sql(GONE, KEY + " FOREIGN KEY (w, v) REFERENCES partner (w, id)"),
     sql(GONE, KEY + " FOREIGN KEY (v) REFERENCES partner"), "NOT EXISTS"),
    ("looser", "v integer, w integer, CONSTRAINT k_$t CHECK (v > 10)",
     sql(GONE, "ALTER TABLE $t RENAME v TO x", KEY + " CHECK (x >= 0)"),
     sql(GONE, "ALTER TABLE $t RENAME x TO v", KEY + " CHECK (v > 10)"), '"x" > 10'),
    ("looked_at_by_none", "v integer, CONSTRAINT k_$t CHECK (v > 10)", sql(GONE, KEY + " CHECK (v > 10) NOT VALID"),
     sql(GONE, KEY + " CHECK (v > 10)"), "v > 10"),
    ("in_cents", "v integer", sql("ALTER TABLE $t ALTER v TYPE numeric(14,2) USING v / 100.0"),
     sql("ALTER TABLE $t ALTER v TYPE integer USING (v * 100)::integer"), "((\"v\" * 100)) NOT BETWEEN"),
    ("flagged_or_not", "v integer CONSTRAINT k_$t CHECK (v IN (0, 1))",
     sql(GONE, "ALTER TABLE $t ALTER v TYPE numeric(9,2) USING v / 2.0"),
     sql("ALTER TABLE $t ALTER v TYPE integer USING (v * 2)::integer", KEY + " CHECK (v IN (0, 1))"),
     '("v" * 2)::integer)::integer) ='),
    ("in_minutes", "v numeric(4,1) NOT NULL DEFAULT 40",
     sql("ALTER TABLE $t ALTER v DROP DEFAULT", "ALTER TABLE $t ALTER v TYPE integer USING (v * 60)::integer",
         "ALTER TABLE $t RENAME v TO w"),
     sql("ALTER TABLE $t RENAME w TO v", "ALTER TABLE $t ALTER v TYPE numeric(4,1) USING v / 60.0",
         "ALTER TABLE $t ALTER v SET DEFAULT 40"), "60.0"),
    ("to_a_domain", "v m_never", sql("ALTER TABLE $t ALTER v TYPE integer"), sql("ALTER TABLE $t ALTER v TYPE m_never"),
     'CASE WHEN "v" IS NULL THEN false'),
    ("in_days", "v integer", sql("ALTER TABLE $t ALTER COLUMN v TYPE interval USING make_interval(days => v)"),
     sql("ALTER TABLE $t ALTER COLUMN v TYPE integer USING extract(day FROM v)::integer"), "make_interval"),
    ("another_label", "v m_mood", sql("CREATE TYPE e_$t AS ENUM ('up', 'down', 'other')",
        "ALTER TABLE $t ALTER v TYPE e_$t USING CASE v WHEN 'glad' THEN 'up'::e_$t WHEN 'sad' THEN 'down'::e_$t END"),
     sql("ALTER TABLE $t ALTER v TYPE m_mood USING "
         "CASE WHEN v = 'up' THEN 'glad'::m_mood WHEN v = 'down' THEN 'sad'::m_mood END", "DROP TYPE e_$t"), "CASE WHEN"),
    ("beside_each_other", "v integer, w int4range, CONSTRAINT k_$t EXCLUDE USING gist (w WITH &&)",
     sql("ALTER TABLE $t ADD x integer NOT NULL DEFAULT 0", GONE,
         KEY + " EXCLUDE USING gist (int4range(x, x, '[]') WITH &&, w WITH &&)"),
     sql(GONE, KEY + " EXCLUDE USING gist (w WITH &&)", "ALTER TABLE $t DROP x"), "place_beside"),
    ("in_berlin", "v timestamp CHECK (extract(hour FROM v) NOT BETWEEN 1 AND 3)",
     sql("ALTER TABLE $t DROP CONSTRAINT t_in_berlin_v_check",
         "ALTER TABLE $t ALTER v TYPE timestamptz USING v AT TIME ZONE 'Europe/Berlin'"),
     sql("ALTER TABLE $t ALTER v TYPE timestamp USING v AT TIME ZONE 'Europe/Berlin'",
         "ALTER TABLE $t ADD CHECK (extract(hour FROM v) NOT BETWEEN 1 AND 3)"), "Europe/Berlin"),
)  # fmt: skip


@pytest.mark.proof
def test_a_proof_holds_without_a_condition_where_no_row_could_break_it(tmp_path: Path) -> None:
    """CHECKs above, stricter keys and references, types that hold less, one clock for all; each twin keeps its condition."""
    twins = tuple(Case(name, columns, up, down) for name, columns, up, down, _ in SOME)
    partner = (
        "CREATE TABLE partner (id integer PRIMARY KEY, w integer NOT NULL, UNIQUE (w, id)); "
        "CREATE DOMAIN m_never AS integer NOT NULL"
    )
    report = drill(write(tmp_path, (*NONE, *twins), first=(partner,)))
    proofs = {one.revision: one for one in report.revisions}
    told = [(one.name, proofs[one.name].verdict, proofs[one.name].conditions) for one in NONE]
    assert told == [(one.name, PROVED, ()) for one in NONE]
    for name, *_, expected in SOME:
        assert proofs[name].verdict != REFUSED, proofs[name]
        assert any(expected in one.sql for one in proofs[name].conditions), (name, proofs[name])


@pytest.mark.proof
def test_each_condition_counts_the_rows_that_break_the_way_down_and_no_others(
    tmp_path: Path, empty_database: Database
) -> None:
    """With none the step goes down and every row is what it was; with one it fails, or the row is another one."""
    cases = [
        Case(
            one.name,
            one.spelled(one.columns),
            sql(*one.spelled(one.up).split("; ")),
            sql(*one.spelled(one.down).split("; ")),
        )
        for one in FREEDOMS
    ]
    cases[0] = Case(
        cases[0].name, cases[0].columns, cases[0].up, cases[0].down,
        beside=BESIDE,
    )  # fmt: skip
    report = drill(write(tmp_path, sorted(cases, key=lambda one: one.name != "nulls")))
    proofs = {one.revision: one for one in report.revisions}
    with psycopg2.connect(empty_database.url) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TYPE m_mood AS ENUM ('glad', 'sad'); {BESIDE}")
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
            # PostgreSQL 18 lays nothing on a domain behind a savepoint in the transaction that has lifted something from one.
            connection.commit()
            assert _told(cursor, proof.conditions[0].sql) == 0, one.name
            assert _goes_down(cursor, one) == "as it was", one.name
            cursor.execute(f"INSERT INTO {table} (v) VALUES ({one.breaking})")
            assert _told(cursor, proof.conditions[0].sql) == 1, one.name
            assert _goes_down(cursor, one) == ("another row" if one.loses else "refused"), one.name


def test_numbers_that_a_rounding_type_has_no_room_for_are_told_without_a_cast(
    empty_database: Database,
) -> None:
    """A cast of them is an error, and would be one to ask."""
    beyond = beyond_rounding("v", "double precision", "real")
    values = "(1e300::float8), (1e-300), (0), (1.5), ('NaN'), ('-Infinity'), (3.4028234663852886e38), (1.401298464324817e-45)"
    with psycopg2.connect(empty_database.url) as connection, connection.cursor() as cursor:
        assert _told(cursor, f"SELECT count(*) FROM (VALUES {values}) AS t (v) WHERE {beyond}") == 2
        values = values.replace("float8", "numeric").replace("1e300", "1e400").replace("1e-300", "1e-400")
        beyond = beyond_rounding("v", "numeric", "double precision")
        assert _told(cursor, f"SELECT count(*) FROM (VALUES {values}) AS t (v) WHERE {beyond}") == 2


def test_a_row_without_a_partner_is_told_of_a_table_that_is_called_so() -> None:
    """The query's own name for what is referred to is another one there."""
    rule = Restriction("foreign key", 1, (1,), target=2, target_columns=(1,))
    told = [rule.breaking(name, lambda table, _: f'"c{table}"', '"s"."g"') for name in ('"partner"', '"t"')]
    assert told == [
        '"c1" IS NOT NULL AND NOT EXISTS (SELECT FROM ONLY "s"."g" AS its_partner WHERE its_partner."c2" = "partner"."c1")',
        '"c1" IS NOT NULL AND NOT EXISTS (SELECT FROM ONLY "s"."g" AS partner WHERE partner."c2" = "t"."c1")',
    ]


def _told(cursor: psycopg2.extensions.cursor, query: str) -> int:
    cursor.execute(query)
    found = cursor.fetchone()
    assert found is not None
    return int(found[0])


def _goes_down(cursor: psycopg2.extensions.cursor, one: Freedom) -> str:
    """Take the step down and undo it; say what became of the rows."""
    # money comes with its sign.
    number = "replace(v::text, '$', '')::numeric" if " money" in one.columns else "v"
    if "[]" in one.columns:
        number = "v::text"
    spelled = one.spelled(f"SELECT {number} FROM $t ORDER BY id")
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


def _turned(
    new: str, old: str, *, ways: str = "UPDATE $t SET v = '{to}' WHERE v = '{of}'"
) -> tuple[str, str]:
    return ways.format(to=new, of=old), ways.format(to=old, of=new)


# A value that only the upgrade writes, and another one beside it.
HELD = (
    ("one", "text", sql(*_turned("closed", "resolved")[:1]), sql(*_turned("closed", "resolved")[1:]), "closed", "open"),
    ("qualified", "varchar(20) NOT NULL",
     sql("UPDATE public.$t SET v = 'closed' WHERE v = 'resolved'"),
     sql("UPDATE public.$t SET v = 'resolved' WHERE public.$t.v = 'closed'"), "closed", "open"),
    ("mapped", "text NOT NULL",
     ("for a, b in (('user', 'member'), ('root', 'admin')):\n"
     "    op.get_bind().execute(sa.text('UPDATE $t SET v = :b WHERE v = :a'), {'a': a, 'b': b})"),
     ("for a, b in (('user', 'member'), ('root', 'admin')):\n"
     "    op.get_bind().execute(sa.text('UPDATE $t SET v = :a WHERE v = :b'), {'a': a, 'b': b})"), "admin", "user"),
    # Rows of silver there are on any target: they come back.
    ("chain", "text NOT NULL",
     sql("UPDATE $t SET v = 'gold' WHERE v = 'silver'", "UPDATE $t SET v = 'silver' WHERE v = 'bronze'"),
     sql("UPDATE $t SET v = 'bronze' WHERE v = 'silver'", "UPDATE $t SET v = 'silver' WHERE v = 'gold'"), "gold", "silver"),
    ("case", "text", sql("UPDATE $t AS x SET v = CASE v WHEN 'en' THEN 'en-US' ELSE v END"),
     sql("UPDATE $t AS x SET v = CASE v WHEN 'en-US' THEN 'en' ELSE v END"), "en-US", "en"),
    ("part", "text", sql("UPDATE $t SET v = replace(v, 'http://', 'https://')"),
     sql("UPDATE $t SET v = replace(v, 'https://', 'http://')"), "see https://x.example", "http://x.example"),
    ("none", "text", sql("UPDATE $t SET v = coalesce(v, 'N/A')"), sql("UPDATE $t SET v = NULL WHERE v = 'N/A'"), "N/A", "n/a"),
    ("deleted", "text NOT NULL",
     sql("INSERT INTO $t (v) SELECT 'export' WHERE EXISTS (SELECT FROM $t WHERE v = 'admin')"),
     sql("DELETE FROM $t WHERE v = 'export'"), "export", "admin"),
)  # fmt: skip


@pytest.mark.proof
def test_values_that_only_the_upgrade_writes_are_told_with_a_query_for_them(
    tmp_path: Path, empty_database: Database
) -> None:
    """Nothing is proved of them: only the target knows.

    Asked before the upgrade, the query counts the rows that the downgrade takes for its own, and not those that come back.
    """
    cases = [Case(f"held_{name}", f"v {type_}", up, down) for name, type_, up, down, _, _ in HELD]
    report = drill(write(tmp_path, cases))
    with psycopg2.connect(empty_database.url) as connection, connection.cursor() as cursor:
        for proof, (name, type_, _, _, held, other) in zip(report.revisions[1:], HELD, strict=True):
            assert (proof.verdict, proof.differences) == (NOT_EXAMINED, ()), proof
            assert proof.reason.startswith("proved only while no row holds already what the upgrade writes")
            (condition,) = proof.conditions
            assert condition.before_upgrade
            assert condition.tried is not None and condition.tried.with_one == "loses it", condition
            cursor.execute(f"CREATE TABLE t_held_{name} (id serial PRIMARY KEY, v {type_})")
            for value, counted in ((other, 0), (held, 1)):
                cursor.execute(f"INSERT INTO t_held_{name} (v) VALUES (%s)", (value,))
                assert _told(cursor, condition.sql) == counted, condition


def _by_key(way: str) -> str:
    """Delete the row that Python finds by its value."""
    found = f"op.get_bind().execute(sa.text(\"SELECT id FROM $t WHERE v = 'export'\")).{way}()"
    return f"op.get_bind().execute(sa.text('DELETE FROM $t WHERE id = :i'), {{'i': {found}}})"


# How the downgrade finds the row again that the upgrade inserted, the verdict, and what becomes of another one like it.
ALIKE = (
    ("plain", "v text", sql("DELETE FROM $t WHERE v = 'export'"), PROVED, "loses it"),
    ("found", "v text", _by_key("scalar"), PROVED, "loses it"),
    ("only", "v text", _by_key("scalar_one"), PROVED, "fails"),
    ("asked", "v text", sql("DELETE FROM $t WHERE id = (SELECT id FROM $t WHERE v = 'export')"), PROVED, "fails"),
    ("larger", "v text, org integer, UNIQUE (org, v)", sql("DELETE FROM $t WHERE v = 'export'"), NOT_EXAMINED, "loses it"),
    ("unique", "v text UNIQUE", sql("DELETE FROM $t WHERE v = 'export'"), PROVED, ""),
    # What commits cannot be tried and undone.
    ("commits", "v text",
     "with op.get_context().autocommit_block():\n    op.execute(\"DELETE FROM $t WHERE v = 'export'\")", PROVED, ""),
)  # fmt: skip


@pytest.mark.proof
def test_rows_like_those_that_an_upgrade_inserts_are_a_condition(
    tmp_path: Path, empty_database: Database
) -> None:
    """The query counts those beyond the upgrade's own; where a larger key says that there are such rows, nothing is proved."""
    up = "INSERT INTO {} (v) VALUES ('export')"
    cases = [
        Case(f"alike_{name}", columns, sql(up.format("$t")), down) for name, columns, down, _, _ in ALIKE
    ]
    cases[4] = replace(cases[4], up=sql("INSERT INTO $t (v, org) VALUES ('export', 1)"))
    report = drill(write(tmp_path, cases))
    with psycopg2.connect(empty_database.url) as connection, connection.cursor() as cursor:
        for proof, (name, columns, _, verdict, with_one) in zip(report.revisions[1:], ALIKE, strict=True):
            assert (proof.verdict, proof.differences, len(proof.conditions)) == (
                verdict,
                (),
                bool(with_one),
            ), proof
            for condition in proof.conditions:
                assert condition.tried is not None and condition.tried.with_one == with_one, condition
                cursor.execute(f"CREATE TABLE t_alike_{name} (id serial PRIMARY KEY, {columns})")
                for counted in (0, 1):
                    cursor.execute(up.format(f"t_alike_{name}"))
                    assert _told(cursor, condition.sql) == counted, condition


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
