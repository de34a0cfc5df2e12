"""Data migrations whose work is done by bodies: functions, triggers, rules, DO blocks; faulty and sound."""

from __future__ import annotations

from tests.airlock.drill.reached import Case, sql

_STATE = "state text NOT NULL, n integer NOT NULL"


def lines(*statements: str) -> str:
    """Put what is to be made beside a case's table into the form that it has there."""
    return "\n".join(statements)


def function(head: str, body: str) -> str:
    """Spell a function in PL/pgSQL."""
    reads = any(word in body for word in ("SELECT", "UPDATE", "EXECUTE", "PERFORM"))
    return f"CREATE FUNCTION {head} LANGUAGE plpgsql {'VOLATILE' if reads else 'IMMUTABLE'} AS $$ {body} $$"


def trigger_function(body: str) -> str:
    """Spell the function of a trigger."""
    return f"CREATE FUNCTION g_$t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$"


def fires(event: str, body: str, when: str = "") -> str:
    """Spell a trigger and its function."""
    only = f"WHEN ({when}) " if when else ""
    return lines(
        trigger_function(body), f"CREATE TRIGGER g {event} FOR EACH ROW {only}EXECUTE FUNCTION g_$t()"
    )


FAULTY = (
    Case("fires_on_one_value", _STATE,
         sql("ALTER TABLE $t ADD level integer",
             "UPDATE $t SET level = n % 7"),
         sql("ALTER TABLE $t DROP level"),
         beside=fires("BEFORE UPDATE ON $t",
                "IF NEW.n = 4242 THEN NEW.state := 'odd'; END IF; RETURN NEW;")),
    Case("fires_when", _STATE,
         sql("ALTER TABLE $t ADD level integer",
             "UPDATE $t SET level = n % 7"),
         sql("ALTER TABLE $t DROP level"),
         beside=fires("BEFORE UPDATE ON $t",
                "NEW.state := 'odd'; RETURN NEW;", when="NEW.n = 4242")),
    Case("fires_elsif", _STATE,
         sql("ALTER TABLE $t ADD level integer",
             "UPDATE $t SET level = n % 7"),
         sql("ALTER TABLE $t DROP level"),
         beside=fires("BEFORE UPDATE ON $t",
                "IF NEW.n < 0 THEN RETURN NEW; ELSIF NEW.state = 'gone' AND NEW.n = 17 THEN NEW.n := 0; END IF; RETURN NEW;")),
    Case("swallows_a_row", _STATE,
         sql("CREATE TABLE k_$t AS SELECT * FROM $t",
             "DELETE FROM $t"),
         sql("INSERT INTO $t SELECT * FROM k_$t",
             "DROP TABLE k_$t"),
         beside=fires("BEFORE INSERT ON $t",
                "IF NEW.state = 'draft' THEN RETURN NULL; END IF; RETURN NEW;")),
    Case("deletes_behind", _STATE,
         sql("UPDATE $t SET n = n # 1"),
         sql("UPDATE $t SET n = n # 1"),
         beside=lines(
            "CREATE TABLE b_$t (id serial PRIMARY KEY, state text NOT NULL)",
            fires("AFTER UPDATE ON $t",
                "DELETE FROM b_$t WHERE state = 'void-' || NEW.state; RETURN NULL;"))),
    Case("converts_by_if", "code text NOT NULL",
         sql("ALTER TABLE $t ALTER code TYPE text USING f_$t(code)"),
         "pass",
         beside=function("f_$t(c text) RETURNS text",
                "BEGIN IF c = 'legacy' THEN RETURN 'x'; END IF; RETURN c; END")),
    Case("converts_by_case", "code text NOT NULL",
         sql("UPDATE $t SET code = f_$t(code)"),
         "pass",
         beside="CREATE FUNCTION f_$t(c text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT CASE WHEN c = 'legacy' THEN 'x' "
            "ELSE c END $$"),
    Case("converts_by_handler", "code text NOT NULL",
         sql("ALTER TABLE $t ADD v integer",
             "UPDATE $t SET v = f_$t(code)",
             "ALTER TABLE $t DROP code"),
         sql("ALTER TABLE $t ADD code text",
             "UPDATE $t SET code = v::text",
             "ALTER TABLE $t ALTER code SET NOT NULL",
             "ALTER TABLE $t DROP v"),
         beside=function("f_$t(c text) RETURNS integer",
                "BEGIN RETURN c::integer; EXCEPTION WHEN invalid_text_representation THEN RETURN 0; END")),
    Case("calls_another", _STATE,
         sql("SELECT f_$t()"),
         "pass",
         beside=lines(
            function("h_$t(i integer) RETURNS void",
                "BEGIN UPDATE $t SET n = -1 WHERE id = i AND state = 'gone' AND n = 31; END"),
            function("f_$t() RETURNS void",
                "DECLARE r record; BEGIN FOR r IN SELECT id FROM $t LOOP PERFORM h_$t(r.id); END LOOP; END"))),
    Case("default_by_function", _STATE,
         sql("INSERT INTO b_$t (n) SELECT n FROM $t"),
         sql("TRUNCATE b_$t"),
         beside=lines(
            function("f_$t() RETURNS text",
                "BEGIN IF EXISTS (SELECT FROM $t WHERE state = 'locked') THEN DELETE FROM $t WHERE state = 'locked'; RETURN "
                "'a'; END IF; RETURN 'b'; END"),
            "CREATE TABLE b_$t (n integer CHECK (n IS NULL OR n > -99999999), w text DEFAULT f_$t())")),
    Case("do_loop_with_case", _STATE,
         sql("DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM $t LOOP CASE WHEN r.state = 'gone' THEN UPDATE $t SET n = 0 "
             "WHERE id = r.id; WHEN r.n = 987 THEN UPDATE $t SET n = 1 WHERE id = r.id; ELSE NULL; END CASE; END LOOP; END $$")),
    Case("do_variable", _STATE,
         sql("DO $$ DECLARE v text := 'go' || 'ne'; BEGIN UPDATE $t SET n = 0 WHERE state = v; END $$")),
    Case("rule_instead", _STATE,
         sql("UPDATE w_$t SET n = n # 1"),
         sql("UPDATE w_$t SET n = n # 1"),
         beside=lines(
            "CREATE VIEW w_$t AS SELECT id, state, n FROM $t",
            "CREATE TABLE l_$t (id serial PRIMARY KEY, state text)",
            "CREATE RULE r AS ON UPDATE TO w_$t DO INSTEAD (UPDATE $t SET n = NEW.n WHERE id = OLD.id; DELETE FROM l_$t WHERE "
            "state = 'rule-' || OLD.state)")),
    Case("instead_of_trigger", _STATE,
         sql("UPDATE w_$t SET n = n # 1"),
         sql("UPDATE w_$t SET n = n # 1"),
         beside=lines(
            "CREATE VIEW w_$t AS SELECT id, state, n FROM $t",
            fires("INSTEAD OF UPDATE ON w_$t",
                "IF OLD.state = 'frozen' THEN UPDATE $t SET n = 0 WHERE id = OLD.id; ELSE UPDATE $t SET n = NEW.n WHERE id = "
                "OLD.id; END IF; RETURN NEW;"))),
    Case("generated_by_function", "n integer NOT NULL",
         sql("ALTER TABLE $t ADD word text GENERATED ALWAYS AS (f_$t(n)) STORED",
             "UPDATE $t SET n = 3 WHERE word = 'few'",
             "ALTER TABLE $t DROP word"),
         "pass",
         beside=function("f_$t(n integer) RETURNS text",
                "BEGIN IF n IN (3, 77) THEN RETURN 'few'; END IF; RETURN 'many'; END")),
    Case("merge_with_trigger", _STATE,
         sql("MERGE INTO $t AS a USING (SELECT id FROM $t) AS b ON a.id = b.id WHEN MATCHED THEN UPDATE SET n = n # 1"),
         sql("UPDATE $t SET n = n # 1"),
         beside=fires("BEFORE UPDATE ON $t",
                "NEW.state := CASE WHEN NEW.state = 'rare' THEN 'common' ELSE NEW.state END; RETURN NEW;")),
    Case("cascades_to_a_trigger", "n integer",
         sql("CREATE TABLE k_$t AS SELECT * FROM c_$t",
             "DELETE FROM $t WHERE id IN (SELECT p FROM c_$t)"),
         sql("INSERT INTO $t (id) SELECT DISTINCT p FROM k_$t",
             "INSERT INTO c_$t SELECT * FROM k_$t",
             "DROP TABLE k_$t"),
         beside=lines(
            "CREATE TABLE c_$t (id serial PRIMARY KEY, p integer NOT NULL REFERENCES $t ON DELETE CASCADE, kind text)",
            "CREATE TABLE d_$t (id serial PRIMARY KEY, kind text)",
            fires("AFTER DELETE ON c_$t",
                "IF OLD.kind = 'last' THEN DELETE FROM d_$t WHERE kind = 'last-one'; END IF; RETURN OLD;"))),
    # Triggers that the step itself makes, and that only rows written meanwhile fire.
    Case("made_and_not_reached", _STATE,
         sql(trigger_function("IF md5(NEW.state) = 'x' THEN DELETE FROM $t WHERE n > NEW.n; END IF; RETURN NEW;"),
             "CREATE TRIGGER g AFTER INSERT ON $t FOR EACH ROW EXECUTE FUNCTION g_$t()"),
         sql("DROP TRIGGER g ON $t", "DROP FUNCTION g_$t()")),
    Case("called_twice", _STATE, sql("CALL p_$t('open', 1)", "SELECT f_$t('shut')"),
         sql("UPDATE $t SET n = n - 1 WHERE state = 'open'"),
         beside="CREATE PROCEDURE p_$t(p text, b integer) LANGUAGE sql AS 'UPDATE $t SET n = n + b WHERE state = p'\n"
                "CREATE FUNCTION f_$t(p text) RETURNS integer LANGUAGE sql "
                "AS 'UPDATE $t SET n = n + 1 WHERE state = p RETURNING n'"),
    Case("called_for_each", _STATE,
         "for one in ('open', 'shut'):\n    op.get_bind().execute(sa.select(sa.func.f_$t(one))).scalar()",
         sql("UPDATE $t SET n = n - 1 WHERE state = 'open'"),
         beside=function("f_$t(p text) RETURNS integer", "BEGIN UPDATE $t SET n = n + 1 WHERE state = p; RETURN 1; END")),
)  # fmt: skip

SOUND = (
    Case("touches_by_trigger", _STATE + ", at timestamptz",
         sql("ALTER TABLE $t ADD level integer",
             "ALTER TABLE $t DISABLE TRIGGER g",
             "UPDATE $t SET level = n % 7",
             "ALTER TABLE $t ENABLE TRIGGER g"),
         sql("ALTER TABLE $t DROP level"),
         beside=fires("BEFORE UPDATE ON $t",
                "NEW.at := now(); RETURN NEW;")),
    Case("computes_by_trigger", _STATE,
         sql("ALTER TABLE $t ADD level text",
             "CREATE TRIGGER g BEFORE INSERT OR UPDATE ON $t FOR EACH ROW EXECUTE FUNCTION g_$t()",
             "UPDATE $t SET level = ''"),
         sql("DROP TRIGGER g ON $t",
             "ALTER TABLE $t DROP level"),
         beside=trigger_function("IF NEW.n = 4242 THEN NEW.level := 'odd'; ELSIF NEW.state = 'gone' THEN NEW.level := "
         "'late'; ELSE NEW.level := "
                "'even'; END IF; RETURN NEW;")),
    Case("audits_by_operation", _STATE,
         sql("ALTER TABLE $t ADD level integer",
             "UPDATE $t SET level = 1"),
         sql("ALTER TABLE $t DROP level"),
         beside=fires("AFTER UPDATE OR DELETE ON $t",
                "IF TG_OP = 'DELETE' THEN PERFORM 1; RETURN OLD; ELSIF TG_OP = 'UPDATE' THEN PERFORM 2; RETURN NEW; ELSE "
                "RETURN NEW; END IF;")),
    Case("level_by_function", _STATE,
         sql("ALTER TABLE $t ADD level text",
             "UPDATE $t SET level = f_$t(n, state)"),
         sql("ALTER TABLE $t DROP level"),
         beside=function("f_$t(v integer, s text) RETURNS text",
                "BEGIN IF v < 10 THEN RETURN 'low'; ELSIF v < 1000000 AND s <> 'sold' THEN RETURN 'mid'; END IF; RETURN CASE s "
                "WHEN 'sold' THEN 'none' ELSE 'high' END; END")),
    Case("defines_in_do", _STATE,
         sql("DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_type WHERE typname = 'q_$t') THEN CREATE TYPE q_$t AS ENUM ('a'); END "
             "IF; IF EXISTS (SELECT FROM pg_constraint WHERE conname = 'nowhere_$t') THEN ALTER TABLE $t DROP CONSTRAINT "
             "nowhere_$t; END IF; END $$"),
         sql("DROP TYPE q_$t")),
    Case("tries_to_cast", "code text NOT NULL",
         sql("ALTER TABLE $t ADD v integer",
             "UPDATE $t SET v = f_$t(code)"),
         sql("ALTER TABLE $t DROP v"),
         beside=function("f_$t(c text) RETURNS integer",
                "BEGIN RETURN c::integer; EXCEPTION WHEN others THEN RETURN NULL; END")),
    Case("ensures_a_column", _STATE,
         sql("SELECT f_$t('$t', 'extra')"),
         sql("ALTER TABLE $t DROP extra"),
         beside=function("f_$t(tab text, col text) RETURNS void",
                "BEGIN IF tab = 'none' THEN RAISE NOTICE 'no'; ELSIF col = 'extra' THEN EXECUTE format('ALTER TABLE %I ADD %I "
                "integer', tab, col); ELSE EXECUTE format('ALTER TABLE %I ADD %I text', tab, col); END IF; END")),
    Case("loops_in_batches", _STATE,
         sql("ALTER TABLE $t ADD done boolean",
             "DO $$ DECLARE k integer; BEGIN LOOP UPDATE $t SET done = true WHERE id IN (SELECT id FROM $t WHERE done IS NULL "
             "LIMIT 15); GET DIAGNOSTICS k = ROW_COUNT; EXIT WHEN k = 0; END LOOP; END $$"),
         sql("ALTER TABLE $t DROP done")),
    Case("keeps_found", _STATE,
         sql("ALTER TABLE $t ADD done boolean",
             "DO $$ BEGIN UPDATE $t SET done = true WHERE state = 'hot'; IF NOT FOUND THEN RAISE NOTICE 'none'; END IF; END $$"),
         sql("ALTER TABLE $t DROP done")),
    Case("made_for_updates", _STATE,
         sql(trigger_function("IF TG_OP = 'UPDATE' AND NEW.state = 'x' THEN NEW.n := 1; "
                              "ELSIF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW;"),
             "CREATE TRIGGER g BEFORE INSERT OR UPDATE OR DELETE ON $t FOR EACH ROW EXECUTE FUNCTION g_$t()"),
         sql("DROP TRIGGER g ON $t", "DROP FUNCTION g_$t()")),
    Case("made_for_what_changes", _STATE,
         sql(trigger_function("NEW.state := 'odd'; RETURN NEW;"),
             "CREATE TRIGGER g BEFORE UPDATE ON $t FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) "
             "EXECUTE FUNCTION g_$t()"),
         sql("DROP TRIGGER g ON $t", "DROP FUNCTION g_$t()")),
    Case("made_another_body", _STATE,
         sql("CREATE OR REPLACE FUNCTION g_$t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
             "IF NEW.state = 'gone' THEN NEW.n := 0; END IF; RETURN NEW; END $$"),
         sql("CREATE OR REPLACE FUNCTION g_$t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$"),
         beside=fires("BEFORE INSERT ON $t", "RETURN NEW;")),
    # Rows without a value are older than the trigger that fills it in.
    Case("older_than_a_trigger", f"{_STATE}, twin bigint",
         sql("DO $$ BEGIN UPDATE $t SET twin = n WHERE twin IS NULL AND id > 0; END $$"),
         beside=fires("BEFORE INSERT OR UPDATE ON $t", "NEW.twin := NEW.n; RETURN NEW;"),
         extra="kept = {'public.$t.twin': 'a copy of n'}"),
    # No row could take these branches: the statement does not set what must change, or says all of its one row itself.
    Case("logs_other_changes", _STATE,
         sql("ALTER TABLE $t ADD level integer", "UPDATE $t SET level = 1"), sql("ALTER TABLE $t DROP level"),
         beside=lines(
            "CREATE TABLE l_$t (id serial PRIMARY KEY, state text)",
            fires("AFTER UPDATE ON $t",
                "IF NEW.state IS DISTINCT FROM OLD.state THEN INSERT INTO l_$t (state) VALUES (OLD.state); END IF; "
                "RETURN NEW;"))),
    Case("seeds_behind_a_trigger", "name text NOT NULL UNIQUE, n integer",
         sql("INSERT INTO $t (name, n) VALUES ('admin', 1)"), sql("DELETE FROM $t WHERE name = 'admin'"),
         beside=fires("BEFORE INSERT ON $t", "IF NEW.name = 'root' THEN NEW.n := 0; END IF; RETURN NEW;")),
)  # fmt: skip
