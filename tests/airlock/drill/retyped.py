"""Changes of a column's type there and back, many columns a revision: some value of each is lost, or none."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.airlock.drill.reached import Case, sql


@dataclass(frozen=True)
class Retyped:
    """One column: its type, the type it becomes, and the expressions both ways."""

    name: str
    was: str
    then: str
    up: str = ""
    down: str = ""

    def change(self, *, back: bool) -> str:
        """Spell the action of an ALTER TABLE."""
        type_, using = (
            (re.split(" NOT NULL| UNIQUE", self.was)[0], self.down) if back else (self.then, self.up)
        )
        spelled = using.replace("c$", self.name)
        return f"ALTER {self.name} TYPE {type_}{f' USING {spelled}' if spelled else ''}"


BERLIN = "c$ AT TIME ZONE 'Europe/Berlin'"
SYDNEY = "c$ AT TIME ZONE 'Australia/Sydney'"
UTC = "c$ AT TIME ZONE 'UTC'"
TYPES = (
    "CREATE TYPE kind AS (n integer, mood m_mood, tags text[])",
    "CREATE TYPE pair AS (inner_one kind, label text)",
    "CREATE DOMAIN code AS varchar(20) CHECK (VALUE <> 'no')",
)

# Each loses some value.
LOSING = (
    Retyped("scale_trimmed", "numeric", "numeric", "trim_scale(c$)"),
    Retyped("price_to_whole", "numeric(6,2)", "integer", "trunc(c$)::integer"),
    Retyped("to_double", "numeric", "double precision"),
    Retyped("double_to_real", "double precision", "numeric"),
    Retyped("real_to_numeric", "real", "numeric"),
    Retyped("number_to_flag", "integer", "boolean", "c$ <> 0", "c$::integer"),
    Retyped("null_flag", "boolean", "text", "CASE WHEN c$ THEN 'yes' ELSE 'no' END", "c$ = 'yes'"),
    Retyped("blanks", "varchar(40)", "char(40)"),
    Retyped("lowered", "varchar(3)", "varchar(3)", "lower(c$)"),
    Retyped("empty_or_null", "text", "text", "nullif(c$, '')", "coalesce(c$, '')"),
    Retyped("spelled_json", "json NOT NULL DEFAULT '{}'", "jsonb"),
    Retyped("instant_in_berlin", "timestamptz NOT NULL", "timestamp", BERLIN, BERLIN),
    Retyped("instant_in_sydney", "timestamptz", "timestamp", SYDNEY, SYDNEY),
    Retyped("milliseconds", "timestamp", "timestamp(3)"),
    Retyped("half_days", "time", "text", "to_char(c$, 'HH12:MI:SS.US')", "c$::time"),
    Retyped("short_years", "date", "text", "to_char(c$, 'DD/MM/YY')", "to_date(c$, 'DD/MM/YY')"),
    Retyped("zone", "timetz", "time"),
    Retyped("months", "interval", "numeric", "extract(epoch FROM c$)", "c$ * interval '1 second'"),
    Retyped("cents", "numeric(12,4)", "money", "trunc(c$, 2)::money", "c$::numeric"),
    Retyped("mask", "inet", "text", "host(c$)", "c$::inet"),
    Retyped("padded_bits", "varbit(16)", "bit(16)", "c$::bit(16)", "c$::varbit(16)"),
    Retyped("array_nulls", "integer[]", "text", "array_to_string(c$, ',')", "string_to_array(c$, ',')::integer[]"),
    Retyped("range_bounds", "numrange", "numeric[]",
            "CASE WHEN NOT isempty(c$) THEN ARRAY[lower(c$), upper(c$)] WHEN isempty(c$) THEN '{}' END",
            "CASE WHEN c$ = '{}' THEN 'empty' WHEN c$ IS NOT NULL THEN numrange(c$[1], c$[2]) END"),
    Retyped("weights", "tsvector", "tsvector", "setweight(c$, 'D')"),
    Retyped("operators", "tsquery", "text", "replace(querytree(c$), '&', '|')", "c$::tsquery"),
    Retyped("part", "kind", "integer", "(c$).n", "ROW(c$, NULL, NULL)::kind"),
    Retyped("nested_part", "pair", "text", "((c$).inner_one).mood::text", "ROW(ROW(1, c$, NULL), 'x')::pair"),
    Retyped("parts", "kind[]", "kind[]", "c$[1:1]"),
    Retyped("moods", "m_mood[]", "m_mood[]", "c$[1:1]"),
    Retyped("ranges", "int4range[]", "int4range[]", "c$[1:1]"),
    Retyped("closed", "path", "path", "pclose(c$)", "popen(c$)"),
    Retyped("large_oid", "oid", "integer", "(c$::bigint % 2147483648)::integer", "c$::oid"),
)  # fmt: skip
# None of them loses any.
KEEPING = (
    Retyped(
        "a_document", "integer", "text", "json_build_object('n', c$)::text", "(c$::json ->> 'n')::integer"
    ),
    Retyped("freed", "numeric(10,2) NOT NULL", "numeric"),
    Retyped("price", "numeric(10,2)", "double precision"),
    Retyped("wide", "integer NOT NULL", "bigint"),
    Retyped("spelled", "double precision", "text", "", "c$::double precision"),
    Retyped("flag", "boolean", "integer", "c$::integer", "c$::boolean"),
    Retyped("fixed", "char(10)", "varchar(10)"),
    Retyped("bytes", "text", "bytea", "convert_to(c$, 'UTF8')", "convert_from(c$, 'UTF8')"),
    Retyped("base64", "bytea NOT NULL", "text", "encode(c$, 'base64')", "decode(c$, 'base64')"),
    Retyped("document", "text", "jsonb", "to_jsonb(c$)", "c$ #>> '{}'"),
    Retyped("spelling", "json", "text", "", "c$::json"),
    Retyped("instant", "timestamptz NOT NULL", "timestamp", UTC, UTC),
    Retyped("day", "date", "integer", "to_char(c$, 'YYYYMMDD')::integer", "to_date(c$::text, 'YYYYMMDD')"),
    Retyped("lasting", "interval", "text", "", "c$::interval"),
    Retyped("money", "money", "numeric", "c$::numeric", "c$::money"),
    Retyped("uuid", "uuid NOT NULL", "varchar(36)", "c$::text", "c$::uuid"),
    Retyped("host", "inet", "text", "", "c$::inet"),
    Retyped("bits", "bit(8)", "integer", "c$::integer", "c$::bit(8)"),
    Retyped("numbers", "integer[]", "bigint[]", "c$::bigint[]", "c$::integer[]"),
    Retyped("mood", "m_mood NOT NULL", "text", "c$::text", "c$::m_mood"),
    Retyped("during", "tstzrange", "text", "c$::text", "c$::tstzrange"),
    Retyped("words", "tsvector", "text", "c$::text", "c$::tsvector"),
    Retyped("composite", "pair", "text", "c$::text", "c$::pair"),
    Retyped("composites", "kind[]", "text", "c$::text", "c$::kind[]"),
    Retyped("code", "code", "varchar(20)"),
    Retyped("closed", "path", "text", "c$::text", "c$::path"),
    # Texts as people write them: without a mask, without dashes.
    Retyped("address", "varchar(45)", "inet", "c$::inet", "host(c$)"),
    Retyped("digits", "char(32)", "uuid", "c$::uuid", "replace(c$::text, '-', '')"),
)
# Each cuts what is longer: rows must be that long, also under a unique key, and where they are made anew.
CUTS = (
    Retyped("left_of", "text UNIQUE", "varchar(40)", "left(c$, 40)"),
    Retyped("substr_of", "text NOT NULL UNIQUE", "varchar(40)", "substr(c$, 1, 40)"),
    Retyped("substring_of", "text", "varchar(3000)", "substring(c$ FROM 1 FOR 3000)"),
    Retyped("cast_of", "text", "varchar(40)", "c$::varchar(40)"),
    Retyped("shorter", "varchar(200) UNIQUE", "varchar(40)", "left(c$, 40)"),
    Retyped("very_long", "text", "varchar(20000)", "left(c$, 20000)"),
    Retyped("each", "text[]", "varchar(40)[]", "c$::varchar(40)[]"),
    Retyped("rounded", "bigint", "integer", "(c$ % 2147483648)::integer"),
    Retyped("bytes_of", "bytea", "bytea", "substring(c$ FROM 1 FOR 1000)"),
    Retyped("unique_bytes", "bytea UNIQUE", "bytea", "substring(c$ FROM 1 FOR 1000)"),
    Retyped("very_long_bytes", "bytea", "bytea", "substr(c$, 1, 20000)"),
)
# What the server refuses where it is longer loses nothing.
ROOM = (
    Retyped("refused", "varchar(200)", "varchar(40)"),
    Retyped("refused_text", "text UNIQUE", "varchar(40)"),
    Retyped("refused_number", "bigint", "integer"),
)
# It loses what no clock shows: not proved, and not refused.
SKIPPED = (Retyped("local", "timestamp NOT NULL", "timestamptz", BERLIN, BERLIN),)
# It loses what hardly a table has: proved with a note.
BOUNDS = (
    Retyped(
        "bounds", "integer[] NOT NULL", "jsonb", "to_jsonb(c$)", "translate(c$::text, '[] ', '{}')::integer[]"
    ),
)


def case(name: str, columns: tuple[Retyped, ...]) -> Case:
    """Make a revision of changes, all of one table."""
    made, there, back = (
        ", ".join(one)
        for one in (
            [f"{it.name} {it.was}" for it in columns],
            [it.change(back=False) for it in columns],
            [it.change(back=True) for it in columns],
        )
    )
    return Case(name, made, sql(f"ALTER TABLE $t {there}"), sql(f"ALTER TABLE $t {back}"))


def made_anew(name: str, columns: tuple[Retyped, ...]) -> Case:
    """Make such a revision that refuses the first sample rows for another reason: they hold NULLs."""
    one = case(name, columns)
    return Case(
        name, f"{one.columns}, n integer", f"{one.up}\n" + sql("ALTER TABLE $t ALTER n SET NOT NULL"),
        f"{one.down}\n" + sql("ALTER TABLE $t ALTER n DROP NOT NULL"),
    )  # fmt: skip


# A second cut of what was cut; one before the type; one beside a number that has no successor.
CUT_CASES = (
    case("cuts", CUTS),
    Case("cuts_again", "n integer", sql("ALTER TABLE t_cuts ALTER left_of TYPE varchar(20) USING left(left_of, 20)"),
         sql("ALTER TABLE t_cuts ALTER left_of TYPE varchar(40)")),
    made_anew("cuts_anew", (*CUTS, *ROOM)),
    Case("updates_before", "s text UNIQUE, n integer",
         sql("UPDATE $t SET s = left(s, 40)", "ALTER TABLE $t ALTER s TYPE varchar(40), ALTER n SET NOT NULL"),
         sql("ALTER TABLE $t ALTER s TYPE text, ALTER n DROP NOT NULL")),
    Case("beside_a_successor", "s bigint, n integer",
         sql("ALTER TABLE $t ADD m integer", "UPDATE $t SET m = n + 1",
             "ALTER TABLE $t ALTER s TYPE integer USING (s % 2147483648)::integer"),
         sql("ALTER TABLE $t DROP m, ALTER s TYPE bigint")),
    Case("beside_a_copy", "s text, x varchar(200), n integer",
         sql("ALTER TABLE $t ADD short varchar(30)", "UPDATE $t SET short = initcap(x)",
             "ALTER TABLE $t ALTER s TYPE varchar(40) USING left(s, 40)"),
         sql("ALTER TABLE $t DROP short, ALTER s TYPE text")),
    # Texts have to be shortened for it, and NULLs are there all the same.
    Case("parts_without_null", "s text",
         sql("ALTER TABLE $t ALTER s TYPE varchar(20)[] USING coalesce(string_to_array(s, ','), '{}'), ALTER s SET NOT NULL"),
         sql("ALTER TABLE $t ALTER s TYPE text USING array_to_string(s, ','), ALTER s DROP NOT NULL")),
    # A key is read as a number by one statement, and named by others.
    Case("key_as_a_number", "doc jsonb",
         sql("ALTER TABLE $t ADD n integer", "UPDATE $t SET n = (doc->>'level')::integer WHERE doc ? 'level'",
             "UPDATE $t SET doc = doc - 'level'"),
         sql("UPDATE $t SET doc = jsonb_set(doc, '{level}', to_jsonb(n)) WHERE n IS NOT NULL", "ALTER TABLE $t DROP n")),
    # NOT NULL of what is computed of a column that may be NULL.
    Case("flag_of_a_state", "state m_mood",
         sql("ALTER TABLE $t ADD glad boolean NOT NULL DEFAULT false", "UPDATE $t SET glad = (state = 'glad')",
             "ALTER TABLE $t DROP state"),
         sql("ALTER TABLE $t ADD state m_mood", "UPDATE $t SET state = CASE WHEN glad THEN 'glad' END::m_mood",
             "ALTER TABLE $t DROP glad")),
    # Made of a type that only the upgrade creates: a CHECK that its own UPDATE sees to.
    Case("check_of_a_type_to_come", "state text, closed timestamptz",
         sql("CREATE TYPE s_$t AS ENUM ('open', 'closed')", "ALTER TABLE $t ALTER state TYPE s_$t USING state::s_$t",
             "UPDATE $t SET closed = now() WHERE state = 'closed' AND closed IS NULL",
             "ALTER TABLE $t ADD CONSTRAINT c_$t CHECK (state <> 'closed' OR closed IS NOT NULL)"),
         sql("ALTER TABLE $t DROP CONSTRAINT c_$t, ALTER state TYPE text USING state::text", "DROP TYPE s_$t")),
    # An empty range has no bounds any more.
    Case("bounds_of_a_range", "a timestamptz, b timestamptz",
         sql("ALTER TABLE $t ADD r tstzrange", "UPDATE $t SET r = tstzrange(a, b)", "ALTER TABLE $t DROP a, DROP b"),
         sql("ALTER TABLE $t ADD a timestamptz, ADD b timestamptz", "UPDATE $t SET a = lower(r), b = upper(r)",
             "ALTER TABLE $t DROP r")),
    Case("day_in_a_format", "day text, amount text",
         sql("ALTER TABLE $t ALTER day TYPE date USING to_date(day, 'DD.MM.YYYY'), "
             "ALTER amount TYPE numeric(12,2) USING replace(amount, ',', '.')::numeric(12,2)"),
         sql("ALTER TABLE $t ALTER day TYPE text USING to_char(day, 'DD.MM.YYYY'), ALTER amount TYPE text")),
    Case("day_in_python", "day text",
         sql("ALTER TABLE $t ADD d date") + '''
for key, day in op.get_bind().exec_driver_sql("SELECT id, day FROM $t WHERE day IS NOT NULL").fetchall():
    op.get_bind().exec_driver_sql("UPDATE $t SET d = %s WHERE id = %s", (datetime.datetime.strptime(day, "%d %b %y").date(), key))
''' + sql("ALTER TABLE $t DROP day"),
         sql("ALTER TABLE $t ADD day text", "UPDATE $t SET day = to_char(d, 'YYYY-MM-DD')", "ALTER TABLE $t DROP d"),
         extra="import datetime\n"),
)  # fmt: skip

# Days without their zeros are read alike, and written with them: a query counts those of the first, none can of the second.
DAYS = (
    Case("day_there_and_back", "day text",
         sql("ALTER TABLE $t ALTER day TYPE date USING to_date(day, 'DD/MM/YYYY')"),
         sql("ALTER TABLE $t ALTER day TYPE text USING to_char(day, 'DD/MM/YYYY')")),
    Case("day_by_python", "day text",
         sql("ALTER TABLE $t ADD d date") + '''
for row in op.get_bind().exec_driver_sql("SELECT id, day FROM $t WHERE day IS NOT NULL").mappings().all():
    d = datetime.datetime.strptime(row["day"], "%d/%m/%Y").date()
    op.get_bind().exec_driver_sql("UPDATE $t SET d = %s WHERE id = %s", (d, row["id"]))
''' + sql("ALTER TABLE $t DROP day"),
         sql("ALTER TABLE $t ADD day text", "UPDATE $t SET day = to_char(d, 'DD/MM/YYYY')", "ALTER TABLE $t DROP d"),
         extra="import datetime\n"),
)  # fmt: skip

# Two columns of one kind, of which one overwrites the other; values that go with a part of their type.
APART = (
    Case("overwrites",
         "a boolean NOT NULL, b boolean NOT NULL, d m_mood NOT NULL, e m_mood NOT NULL, f uuid NOT NULL, g uuid NOT NULL, "
        "i integer NOT NULL, j integer NOT NULL, k integer NOT NULL UNIQUE, l integer UNIQUE DEFERRABLE INITIALLY DEFERRED",
        sql("UPDATE $t SET b = a, e = d, g = f, j = i, l = k"),
         beside="CREATE TABLE p_$t (id serial PRIMARY KEY)\n"
                "ALTER TABLE $t ADD FOREIGN KEY (i) REFERENCES p_$t, ADD FOREIGN KEY (j) REFERENCES p_$t"),
    Case("drops_a_part", "c a_$t, d a_$t[]", sql("ALTER TYPE a_$t DROP ATTRIBUTE mood"),
         sql("ALTER TYPE a_$t ADD ATTRIBUTE mood m_mood"), beside="CREATE TYPE a_$t AS (n integer, mood m_mood)"),
    Case("only_in_the_child", "c text NOT NULL", sql("UPDATE h_$t SET c = upper(c)"),
         beside="CREATE TABLE h_$t (more integer) INHERITS ($t)"),
    # The row that holds the letter also holds an array that begins elsewhere than at 1.
    Case("beside_an_array", "a integer[], c text", sql("ALTER TABLE $t ALTER c TYPE text USING replace(c, 'ø', 'o')")),
    Case("folds_addresses", "c text CHECK (c ~ '^[^@]+@[^@]+$')", sql("ALTER TABLE $t ALTER c TYPE text USING lower(c)")),
)  # fmt: skip
