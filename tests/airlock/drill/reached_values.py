"""Faulty and sound data migrations whose condition is about one column and whose arithmetic is about another.

Sample rows hold the values that show a loss, and the condition chooses none of those rows. And texts of several statements
of which the first writes nothing, or in which a function is made that another one calls.
"""

from __future__ import annotations

from tests.airlock.drill.reached import Case, sql

_LATE = "at timestamptz NOT NULL, kind text NOT NULL"


def text(*statements: str) -> str:
    """Spell a body that sends all statements as one text."""
    return f'op.execute("""{"; ".join(statements)}""")'


_F = "CREATE FUNCTION f_$t() RETURNS integer LANGUAGE plpgsql AS $f$ BEGIN DELETE FROM $t WHERE kind = 'never'; RETURN 1; END $f$"
_GONE = "DROP FUNCTION f_$t()"

FAULTY = (
    # The last of a month, minutes that are days, digits that float4 has no room for, bits past the largest, a fraction.
    Case("next_month", _LATE, sql("UPDATE $t SET at = at + interval '1 month' WHERE kind = 'late'"),
         sql("UPDATE $t SET at = at - interval '1 month' WHERE kind = 'late'")),
    Case("next_month_of_an_arm", _LATE,
         sql("UPDATE $t SET at = CASE WHEN kind = 'late' THEN at + interval '1 month' ELSE at END"),
         sql("UPDATE $t SET at = CASE WHEN kind = 'late' THEN at - interval '1 month' ELSE at END")),
    Case("next_month_of_a_partner", "kind text NOT NULL",
         sql("UPDATE c_$t c SET at = at + interval '1 month' FROM $t p WHERE p.id = c.of_p AND p.kind = 'late'"),
         sql("UPDATE c_$t c SET at = at - interval '1 month' FROM $t p WHERE p.id = c.of_p AND p.kind = 'late'"),
         beside="CREATE TABLE c_$t (id serial PRIMARY KEY, of_p integer NOT NULL REFERENCES $t, at timestamptz NOT NULL)"),
    Case("hours_to_days", "i interval, kind text NOT NULL", sql("UPDATE $t SET i = justify_hours(i) WHERE kind = 'log'")),
    Case("shorter_float", "r double precision NOT NULL, kind text NOT NULL",
         sql("UPDATE $t SET r = r::real WHERE kind = 'gauge'")),
    Case("shorter_float_between", "r double precision NOT NULL",
         sql("UPDATE $t SET r = r::real WHERE r BETWEEN 5000 AND 6000")),
    Case("bits_fall_off", "n integer NOT NULL, kind text NOT NULL", sql("UPDATE $t SET n = n << 1 WHERE kind = 'bits'"),
         sql("UPDATE $t SET n = n >> 1 WHERE kind = 'bits'")),
    Case("tenths", "amount numeric(12, 2) NOT NULL, kind text NOT NULL",
         sql("UPDATE $t SET amount = round(amount, 1) WHERE kind = 'tenth'")),
    Case("nothing_to_zero", "n integer, kind text NOT NULL", sql("UPDATE $t SET n = coalesce(n, 0) WHERE kind = 'x'")),
    Case("minor_units", "amount numeric(12, 2) NOT NULL, currency text NOT NULL",
         sql("ALTER TABLE $t ALTER amount TYPE bigint USING (amount * CASE currency WHEN 'JPY' THEN 1 ELSE 100 END)"),
         sql("ALTER TABLE $t ALTER amount TYPE numeric(12, 2) "
             "USING (amount::numeric / CASE currency WHEN 'JPY' THEN 1 ELSE 100 END)")),
    # Texts whose first statement writes nothing.
    Case("behind_alter", "name text NOT NULL, kind text NOT NULL",
         text("ALTER TABLE $t ADD label text", "UPDATE $t SET name = lower(name) WHERE kind = 'never'"),
         sql("ALTER TABLE $t DROP label")),
    Case("behind_set", "kind text NOT NULL", text("SET LOCAL statement_timeout = 0", "DELETE FROM $t WHERE kind = 'never'")),
    Case("behind_lock", "kind text NOT NULL", text("LOCK TABLE $t", "DELETE FROM $t WHERE kind = 'never'")),
    Case("behind_begin", "kind text NOT NULL", text("BEGIN", "DELETE FROM $t WHERE kind = 'never'", "COMMIT")),
    Case("behind_savepoint", "kind text NOT NULL",
         text("SAVEPOINT a", "DELETE FROM $t WHERE kind = 'never'", "RELEASE SAVEPOINT a")),
    # Functions that are made, called and dropped in one text.
    Case("selects_a_function", "kind text NOT NULL", text(_F, "SELECT f_$t()", _GONE)),
    Case("lists_a_function", "kind text NOT NULL", text(_F, "VALUES (f_$t())", _GONE)),
    Case("fills_by_a_function", "kind text NOT NULL", text(_F, "CREATE TABLE z_$t AS SELECT f_$t()", "DROP TABLE z_$t", _GONE)),
    Case("calls_a_procedure", "kind text NOT NULL",
         text("CREATE PROCEDURE f_$t() LANGUAGE sql AS $f$ DELETE FROM $t WHERE kind = 'never' $f$", "CALL f_$t()",
              "DROP PROCEDURE f_$t()")),
    Case("calls_one_that_is_there", "kind text NOT NULL", text("SET LOCAL work_mem = '8MB'", "SELECT f_$t()"), beside=_F),
    Case("prepares", "kind text NOT NULL",
         sql("PREPARE q_$t AS DELETE FROM $t WHERE kind = 'never'", "EXECUTE q_$t", "DEALLOCATE q_$t")),
    # What a text is in another column above chooses rows on the way down: no text was made of that.
    Case("deletes_by_its_own_column", "born text",
         sql("ALTER TABLE $t ADD born_on date", "UPDATE $t SET born_on = born::date", "ALTER TABLE $t DROP born"),
         sql("ALTER TABLE $t ADD born text", "UPDATE $t SET born = born_on::text",
             "DELETE FROM $t WHERE born_on < '1955-01-01'", "ALTER TABLE $t DROP born_on")),
    Case("deletes_by_its_type_above", "born text",
         sql("ALTER TABLE $t ALTER born TYPE date USING born::date"),
         sql("DELETE FROM $t WHERE born < '1955-01-01'", "ALTER TABLE $t ALTER born TYPE text USING born::text")),
    Case("prepares_in_one_text", "kind text NOT NULL",
         text("PREPARE q_$t AS DELETE FROM $t WHERE kind = 'never'", "EXECUTE q_$t", "DEALLOCATE q_$t")),
)  # fmt: skip
SOUND = (
    Case("next_day", _LATE, sql("UPDATE $t SET at = at + interval '1 day' WHERE kind = 'late'"),
         sql("UPDATE $t SET at = at - interval '1 day' WHERE kind = 'late'")),
    Case("shifts", "n integer NOT NULL, kind text NOT NULL", sql("UPDATE $t SET n = n + 1 WHERE kind = 'shift'"),
         sql("UPDATE $t SET n = n - 1 WHERE kind = 'shift'")),
    Case("to_cents", "n integer NOT NULL, kind text NOT NULL", sql("UPDATE $t SET n = n * 100 WHERE kind = 'cents'"),
         sql("UPDATE $t SET n = n / 100 WHERE kind = 'cents'")),
    Case("doubles", "amount numeric(12, 2) NOT NULL, kind text NOT NULL",
         sql("UPDATE $t SET amount = amount * 2 WHERE kind = 'double'"),
         sql("UPDATE $t SET amount = amount / 2 WHERE kind = 'double'")),
    Case("puts_before", "name text NOT NULL, kind text NOT NULL",
         sql("UPDATE $t SET name = 'legacy:' || name WHERE kind = 'legacy'"),
         sql("UPDATE $t SET name = substr(name, 8) WHERE kind = 'legacy'")),
    Case("fits_cents", "amount numeric(12, 2) NOT NULL, kind text NOT NULL",
         text("ALTER TABLE $t ADD cents integer", "UPDATE $t SET cents = (amount * 100)::integer WHERE kind = 'money'"),
         sql("ALTER TABLE $t DROP cents")),
    Case("fits_a_short_text", "name text NOT NULL, kind text NOT NULL",
         text("ALTER TABLE $t ADD short varchar(8)", "UPDATE $t SET short = name WHERE kind = 'short'"),
         sql("ALTER TABLE $t DROP short")),
    Case("divides", "amount numeric(12, 2) NOT NULL, n integer NOT NULL, kind text NOT NULL",
         text("ALTER TABLE $t ADD q numeric", "UPDATE $t SET q = amount / n WHERE kind = 'per'"), sql("ALTER TABLE $t DROP q")),
    Case("reads_a_day", "name text NOT NULL, kind text NOT NULL",
         text("ALTER TABLE $t ADD day date", "UPDATE $t SET day = name::date WHERE kind = 'date'"),
         sql("ALTER TABLE $t DROP day")),
    Case("ends", "at timestamptz NOT NULL, i interval, kind text NOT NULL",
         text("ALTER TABLE $t ADD ends timestamptz", "UPDATE $t SET ends = at + i WHERE kind = 'span'"),
         sql("ALTER TABLE $t DROP ends")),
    Case("commits_between", "n integer NOT NULL",
         text("ALTER TABLE $t ADD m integer", "UPDATE $t SET m = n % 7", "COMMIT", "BEGIN",
              "ALTER TABLE $t ALTER m SET NOT NULL"),
         sql("ALTER TABLE $t DROP m")),
    Case("helps_itself", "n integer NOT NULL",
         text("CREATE FUNCTION h_$t(n integer) RETURNS integer LANGUAGE sql AS $f$ SELECT n % 7 $f$",
              "ALTER TABLE $t ADD m integer", "UPDATE $t SET m = h_$t(n)", "DROP FUNCTION h_$t(integer)"),
         sql("ALTER TABLE $t DROP m")),
)  # fmt: skip
