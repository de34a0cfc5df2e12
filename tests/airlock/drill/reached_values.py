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

# A function of a text that deletes what no sample is, called by what is defined, not by what is sent.
_OF_TEXT = _F.replace("()", "(x text)", 1).replace("integer", "boolean").replace("RETURN 1", "RETURN true")
_OTHER = "CREATE TABLE o_$t (id serial PRIMARY KEY, x text)"
_OF_TWO = _F.replace("()", "(a integer, b integer)", 1).replace("RETURN 1", "RETURN coalesce(a, b)")
_NEVER = "kind text NOT NULL, n integer NOT NULL"

# Writes that only some row leads to, of which no sample is one: none of their lines is passed by without that being seen.
_RARE = "import zlib\n\ndef rare(row): return zlib.crc32(row.kind.encode()) % 1000003 == 7\n\n"
_FIX = "def fix(b, row): b.execute(sa.text('UPDATE $t SET n = 0 WHERE id = :i'), {'i': row.id})\n\n"
_ROWS = "b = op.get_bind()\nrows = b.execute(sa.text('SELECT id, kind FROM $t')).all()\n"

FAULTY = (
    Case("fixes_by_a_function", _NEVER, f"{_ROWS}for row in rows:\n    if rare(row): fix(b, row)", extra=_RARE + _FIX),
    Case("fixes_what_is_found", _NEVER, f"{_ROWS}for row in rows: rare(row) and fix(b, row)", extra=_RARE + _FIX),
    Case("returns_before", _NEVER, f"{_ROWS}if not any(map(rare, rows)): return\nop.execute('UPDATE $t SET n = 0')", extra=_RARE),
    Case("elsewhere", _NEVER, "import os\nif os.environ.get('AIRLOCK_TEST') == 'there': op.execute('UPDATE $t SET n = 0')"),
    Case("chosen_elsewhere", _NEVER,
         "import os\nop.execute('UPDATE $t SET n = 0' if os.environ.get('AIRLOCK_TEST') == 'there' else 'SELECT 1')"),
    # Constants that a function, or what was prepared, is given.
    Case("called_with_a_kind", _NEVER,
         sql("CREATE PROCEDURE f_$t(k text) LANGUAGE sql BEGIN ATOMIC DELETE FROM $t WHERE kind = k; END", "CALL f_$t('never')",
             "DROP PROCEDURE f_$t(text)")),
    Case("executed_with_a_kind", _NEVER,
         sql("PREPARE q_$t (text, integer) AS UPDATE $t SET n = 0 WHERE kind = $1 AND n > $2", "EXECUTE q_$t('never', 700)",
             "DEALLOCATE q_$t")),
    # Several conditions on one column; a query named before the one that deletes; what a unique key folds or trims.
    Case("within_bounds", "n integer NOT NULL, x double precision",
         sql("DELETE FROM $t WHERE n >= 7000 AND n < 7100 AND x IS NULL")),
    Case("named_before", "kind text NOT NULL, at date NOT NULL",
         sql("WITH old AS (SELECT id FROM $t WHERE at < '1990-01-01'), gone AS (DELETE FROM $t WHERE id IN (SELECT id FROM old) "
             "AND kind = 'never' RETURNING id) SELECT count(*) FROM gone")),
    Case("folds_a_key", "kind text NOT NULL",
         sql("UPDATE $t SET kind = lower(kind) WHERE kind <> lower(kind)", "CREATE UNIQUE INDEX u_$t ON $t (lower(kind))"),
         sql("DROP INDEX u_$t")),
    Case("trims_a_mark", "path text NOT NULL UNIQUE", sql("UPDATE $t SET path = rtrim(path, '/')")),
    Case("digests", "kind text NOT NULL", sql("UPDATE $t SET kind = encode(sha256(kind::bytea), 'hex')")),
    Case("hours_of_a_country", "at timestamp NOT NULL, kind text NOT NULL",
         *(sql(f"ALTER TABLE $t ALTER at TYPE {one} USING at AT TIME ZONE "
               "CASE kind WHEN 'DE' THEN 'Europe/Berlin' ELSE 'UTC' END") for one in ("timestamptz", "timestamp"))),
    # What others have changed in a column that the upgrade leaves alone.
    Case("put_back_over_what_is_there", "kind text NOT NULL, n integer NOT NULL",
         sql("CREATE TABLE k_$t AS SELECT * FROM $t", "DELETE FROM $t WHERE n = 0"),
         sql("INSERT INTO $t SELECT * FROM k_$t ON CONFLICT (id) DO UPDATE SET kind = excluded.kind", "DROP TABLE k_$t")),
    Case("called_by_a_default", _NEVER,
         text(_F, "ALTER TABLE o_$t ADD m integer DEFAULT f_$t()", "ALTER TABLE o_$t DROP m", _GONE), beside=_OTHER),
    Case("called_by_a_check", _NEVER,
         text(_OF_TEXT, "ALTER TABLE o_$t ADD CONSTRAINT c CHECK (f_$t(x))", "ALTER TABLE o_$t DROP CONSTRAINT c",
              "DROP FUNCTION f_$t(text)"), beside=_OTHER),
    Case("called_by_what_is_validated", _NEVER,
         sql("ALTER TABLE o_$t VALIDATE CONSTRAINT c", "ALTER TABLE o_$t DROP CONSTRAINT c"),
         sql("ALTER TABLE o_$t ADD CONSTRAINT c CHECK (f_$t(x)) NOT VALID"),
         beside=f"{_OTHER}\n{_OF_TEXT}\nALTER TABLE o_$t ADD CONSTRAINT c CHECK (f_$t(x)) NOT VALID"),
    Case("called_by_a_domain", _NEVER,
         sql(_OF_TEXT, "CREATE DOMAIN d_$t AS text CHECK (f_$t(value))", "ALTER TABLE o_$t ALTER x TYPE d_$t",
             "ALTER TABLE o_$t ALTER x TYPE text", "DROP DOMAIN d_$t", "DROP FUNCTION f_$t(text)"), beside=_OTHER),
    Case("called_by_a_view", _NEVER,
         text(_F, "CREATE VIEW v_$t AS SELECT f_$t() AS x", "SELECT * FROM v_$t", "DROP VIEW v_$t", _GONE)),
    Case("called_by_an_aggregate", _NEVER,
         sql(_OF_TWO, "CREATE AGGREGATE a_$t (integer) (SFUNC = f_$t, STYPE = integer)",
             "SELECT a_$t(g) FROM generate_series(1, 2) g", "DROP AGGREGATE a_$t (integer)",
             "DROP FUNCTION f_$t(integer, integer)")),
    Case("called_by_an_operator", _NEVER,
         sql(_OF_TWO, "CREATE OPERATOR ### (LEFTARG = integer, RIGHTARG = integer, FUNCTION = f_$t)", "SELECT 1 ### 2",
             "DROP OPERATOR ### (integer, integer)", "DROP FUNCTION f_$t(integer, integer)")),
    Case("called_by_a_cast", _NEVER,
         sql("CREATE TYPE k_$t AS (a integer)", _F.replace("()", "(a k_$t)", 1),
             "CREATE CAST (k_$t AS integer) WITH FUNCTION f_$t(k_$t)", "SELECT (ROW(1)::k_$t)::integer",
             "DROP CAST (k_$t AS integer)", "DROP FUNCTION f_$t(k_$t)", "DROP TYPE k_$t")),
    # Bodies that PostgreSQL keeps parsed; what runs behind the name of a plan, of a cursor, and as rows come from a client.
    Case("called_atomically", _NEVER,
         sql("CREATE FUNCTION f_$t() RETURNS void LANGUAGE sql BEGIN ATOMIC DELETE FROM $t WHERE kind = 'never'; END",
             "SELECT f_$t()", _GONE)),
    Case("returns_what_deletes", _NEVER, sql("SELECT g_$t()"),
         beside=f"{_F}\nCREATE FUNCTION g_$t() RETURNS integer LANGUAGE sql RETURN f_$t() + 1"),
    Case("executes_a_call", _NEVER, sql("PREPARE q_$t AS SELECT f_$t()", "EXECUTE q_$t", "DEALLOCATE q_$t"), beside=_F),
    Case("fetches_a_call", _NEVER, sql("DECLARE q_$t CURSOR FOR SELECT f_$t()", "FETCH ALL FROM q_$t"), beside=_F),
    Case("copies_into_a_trigger", _NEVER,
         "import io\nc = op.get_bind().connection.cursor()\nc.copy_expert('COPY o_$t (x) FROM STDIN', io.StringIO('1\\n'))\n"
         "op.execute(\"DELETE FROM o_$t WHERE x = '1'\")",
         beside=f"{_OTHER}\n" + _F.replace("integer", "trigger").replace("RETURN 1", "RETURN NEW")
                + "\nCREATE TRIGGER f AFTER INSERT ON o_$t FOR EACH ROW EXECUTE FUNCTION f_$t()"),
    # Rows are made below a view that the step writes through, made before or by itself.
    Case("through_a_view", _NEVER,
         text("CREATE VIEW v_$t AS SELECT * FROM $t WHERE kind = 'never'", "UPDATE v_$t SET n = 0", "DROP VIEW v_$t")),
    Case("through_two_views", _NEVER, sql("DELETE FROM w_$t AS x WHERE x.k = 'never'"),
         beside="CREATE VIEW v_$t AS SELECT id, kind AS k, n FROM $t WHERE n > 0\n"
                "CREATE VIEW w_$t AS SELECT * FROM v_$t WHERE n < 90"),
    # What a COPY or a cursor of a query leaves out.
    Case("copied_but_for_some", _NEVER,
         "import io\nc = op.get_bind().connection.cursor()\nf = io.StringIO()\n"
         "c.copy_expert(\"COPY (SELECT id, kind, n FROM $t WHERE kind <> 'never') TO STDOUT\", f)\nf.seek(0)\n"
         "c.execute('TRUNCATE $t')\nc.copy_expert('COPY $t (id, kind, n) FROM STDIN', f)"),
    Case("declared", _NEVER,
         "op.execute(\"DECLARE c CURSOR FOR SELECT id FROM $t WHERE kind = 'never'\")\nb = op.get_bind()\n"
         "for row in b.exec_driver_sql('FETCH ALL FROM c').all():\n"
         "    b.exec_driver_sql('DELETE FROM $t WHERE id = %s', (row[0],))"),
    # Digits of another spelling, under a condition that no sample row meets; numbers that come back as their neighbours.
    Case("reads_numbers", "code text NOT NULL, kind text NOT NULL",
         sql("UPDATE $t SET code = code::integer::text WHERE kind = 'number'")),
    Case("a_tenth_more", "w double precision NOT NULL", sql("UPDATE $t SET w = w * 1.1"), sql("UPDATE $t SET w = w / 1.1")),
    Case("ten_times", "w real NOT NULL, kind text NOT NULL", sql("UPDATE $t SET w = w * 10 WHERE kind = 'ten'"),
         sql("UPDATE $t SET w = w / 10 WHERE kind = 'ten'")),
    # What Python matches with, or has a name for.
    Case("matches", _NEVER,
         "class Kind:\n    NEVER = 'never'\n\nb = op.get_bind()\n"
         "for row in b.execute(sa.text('SELECT id, kind FROM $t')).all():\n"
         "    match row.kind:\n        case 'gone' | 'lost': kind = Kind.NEVER\n        case other: kind = other\n"
         "    b.execute(sa.text('UPDATE $t SET kind = :k WHERE id = :i'), {'k': kind, 'i': row.id})"),
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
    Case("member_removed_in_an_arm", "a text[], b integer NOT NULL",
         sql("UPDATE $t SET a = CASE WHEN a = '{}' OR b = 31 THEN array_remove(a, 'red') ELSE a END")),
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
    Case("fixes_each_by_a_function", _NEVER,
         f"{_ROWS}for row in rows: fix(b, row.id, 1)", f"{_ROWS}for row in rows: fix(b, row.id, -1)",
         extra="def fix(b, key, more): b.execute(sa.text('UPDATE $t SET n = n + :m WHERE id = :i'), {'i': key, 'm': more})\n\n"
               "def later(b): b.execute(sa.text('DELETE FROM $t'))\n"),
    Case("executed_both_ways", _NEVER,
         sql("PREPARE q_$t (integer) AS UPDATE $t SET n = n + $1 WHERE kind = 'never'", "EXECUTE q_$t(1)", "DEALLOCATE q_$t"),
         sql("PREPARE q_$t (integer) AS UPDATE $t SET n = n - $1 WHERE kind = 'never'", "EXECUTE q_$t(1)", "DEALLOCATE q_$t")),
    Case("called_both_ways", _NEVER, sql("SELECT f_$t('never', 1)"), sql("SELECT f_$t('never', -1)"),
         beside="CREATE FUNCTION f_$t(k text, m integer) RETURNS void LANGUAGE sql AS "
                "$f$ UPDATE $t SET n = n + m WHERE kind = k $f$"),
    Case("shifts_through_a_view", _NEVER, sql("UPDATE v_$t SET n = n + 1"), sql("UPDATE v_$t SET n = n - 1"),
         beside="CREATE VIEW v_$t AS SELECT * FROM $t WHERE kind = 'never'"),
    # More rows are tried than are kept, and a table lets them in and not out again.
    Case("appended_only", f"{_NEVER}, a text, b text",
         sql("CREATE TABLE k_$t AS SELECT id FROM $t WHERE kind = 'never' AND n > 40000 OR a LIKE 'x%' "
             "OR b IN ('y', 'z', 'w', 'q') OR n BETWEEN 7000 AND 8000"), sql("DROP TABLE k_$t"),
         beside="CREATE FUNCTION d_$t() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION 'append only'; END $f$\n"
                "CREATE TRIGGER d BEFORE UPDATE OR DELETE ON $t FOR EACH ROW EXECUTE FUNCTION d_$t()"),
    Case("selects_into", _NEVER, sql("SELECT id, n INTO k_$t FROM $t WHERE kind = 'never'"), sql("DROP TABLE k_$t")),
    Case("checks_by_a_function", _NEVER, sql("ALTER TABLE $t ADD CONSTRAINT c CHECK (f_$t(n))"),
         sql("ALTER TABLE $t DROP CONSTRAINT c"),
         beside="CREATE FUNCTION f_$t(n integer) RETURNS boolean LANGUAGE sql AS $f$ SELECT n IS NOT NULL $f$"),
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
