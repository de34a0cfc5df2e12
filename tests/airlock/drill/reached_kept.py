"""Sound data migrations as careful teams write them: guards, copies put aside, documents and duplicates in Python."""

from __future__ import annotations

from tests.airlock.drill.reached import Case, sql

SOUND = (
    # A guard raises for rows that a query finds: the others go on.
    Case("guarded_in_python", "views varchar(20)",
         "bad = op.get_bind().execute(sa.text(\"SELECT count(*) FROM $t WHERE views !~ '^(0|[1-9][0-9]{0,8})$'\")).scalar()\n"
         "if bad: raise RuntimeError(f'{bad} are no plain numbers')\n"
         + sql("ALTER TABLE $t ALTER views TYPE integer USING views::integer"),
         sql("ALTER TABLE $t ALTER views TYPE varchar(20)")),
    Case("guarded_in_a_block", "doc jsonb NOT NULL CHECK (jsonb_typeof(doc) = 'object')",
         sql("DO $$ BEGIN IF EXISTS (SELECT FROM $t WHERE doc ? 'template') THEN RAISE EXCEPTION 'there already'; END IF; END $$",
             "UPDATE $t SET doc = (doc - 'layout') || jsonb_build_object('template', doc->'layout') WHERE doc ? 'layout'",
             "ALTER TABLE $t ADD CONSTRAINT no_layout CHECK (NOT doc ? 'layout')"),
         sql("ALTER TABLE $t DROP CONSTRAINT no_layout",
             "UPDATE $t SET doc = (doc - 'template') || jsonb_build_object('layout', doc->'template') WHERE doc ? 'template'")),
    # What another type does not hold is put aside, by key.
    Case("numbers_aside", "active integer NOT NULL",
         sql("CREATE TABLE k_$t AS SELECT id, active FROM $t WHERE active NOT IN (0, 1)",
             "ALTER TABLE $t ALTER active TYPE boolean USING active <> 0"),
         sql("ALTER TABLE $t ALTER active TYPE integer USING active::integer",
             "UPDATE $t SET active = k.active FROM k_$t k WHERE k.id = $t.id", "DROP TABLE k_$t")),
    # The same default, spelled otherwise.
    Case("year_of_a_date", "year smallint NOT NULL DEFAULT '2024' CHECK (year BETWEEN 1900 AND 2100)",
         sql("ALTER TABLE $t ADD day date CHECK (day BETWEEN '1900-01-01' AND '2100-12-31')",
             "UPDATE $t SET day = make_date(year, 1, 1)", "ALTER TABLE $t DROP year"),
         sql("ALTER TABLE $t ADD year smallint NOT NULL DEFAULT 2024", "UPDATE $t SET year = extract(year FROM day)",
             "ALTER TABLE $t DROP day, ADD CONSTRAINT t_year_of_a_date_year_check CHECK (year BETWEEN 1900 AND 2100)")),
    Case("children_counted", "name text",
         sql("ALTER TABLE $t ADD tier text",
             "UPDATE $t SET tier = CASE WHEN (SELECT count(*) FROM c_$t c WHERE c.p = $t.id) >= 3 THEN 'many' ELSE 'few' END"),
         sql("ALTER TABLE $t DROP tier"),
         beside="CREATE TABLE c_$t (id serial PRIMARY KEY, p integer REFERENCES $t ON DELETE CASCADE)"),
    # Values that only a DEFAULT, or the body of a function, says.
    Case("zones_by_default", "due timestamp, zone text NOT NULL DEFAULT 'UTC'",
         sql("ALTER TABLE $t ADD due_at timestamptz",
             "UPDATE $t SET due_at = due AT TIME ZONE zone WHERE due IS NOT NULL "
             "AND EXISTS (SELECT FROM pg_timezone_names z WHERE z.name = zone)"),
         sql("ALTER TABLE $t DROP due_at")),
    Case("known_by_a_function", "state text NOT NULL",
         sql("ALTER TABLE $t ADD mark boolean", "UPDATE $t SET mark = true WHERE state = 'won'"),
         sql("ALTER TABLE $t DROP mark"),
         beside="CREATE FUNCTION known_$t(text) RETURNS boolean LANGUAGE sql IMMUTABLE "
                "AS 'SELECT $1 = ANY (''{new,won}''::text[])'\n"
                "ALTER TABLE $t ADD CHECK (known_$t(state))"),
    # Python that looks into documents, and goes through groups of rows and what refers to them.
    Case("documents_in_python", "doc jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(doc) = 'object')",
         sql("CREATE TABLE k_$t (id integer PRIMARY KEY, doc jsonb NOT NULL)")
         + "\nfor key, doc in op.get_bind().execute(sa.text('SELECT id, doc FROM $t')).all():\n"
         "    remind = doc.get('remind')\n"
         "    if not isinstance(remind, dict) or 'days' not in remind:\n        continue\n"
         "    op.get_bind().execute(sa.text('INSERT INTO k_$t SELECT id, doc FROM $t WHERE id = :id'), {'id': key})\n"
         "    changed = {**doc, 'remind_days': remind['days']}\n    del changed['remind']\n"
         "    op.get_bind().execute(sa.text('UPDATE $t SET doc = CAST(:doc AS jsonb) WHERE id = :id'), "
         "{'doc': json.dumps(changed), 'id': key})",
         sql("UPDATE $t SET doc = k.doc FROM k_$t k WHERE k.id = $t.id", "DROP TABLE k_$t"), extra="import json\n"),
    Case("duplicates_in_python", "mail text",
         sql("CREATE TABLE k_$t (id integer PRIMARY KEY, mail text)", "CREATE TABLE m_$t (id integer PRIMARY KEY, p integer)")
         + "\ndef send(text, **values): op.get_bind().execute(sa.text(text), values)\n"
         "for group in op.get_bind().execute(sa.text('SELECT lower(mail), array_agg(id ORDER BY id) AS ids FROM $t '\n"
         "        'WHERE mail IS NOT NULL GROUP BY 1 HAVING count(*) > 1')).all():\n"
         "    kept, *gone = group.ids\n"
         "    for one in gone:\n"
         "        send('INSERT INTO k_$t SELECT id, mail FROM $t WHERE id = :gone', gone=one)\n"
         "        send('INSERT INTO m_$t SELECT id, p FROM c_$t WHERE p = :gone', gone=one)\n"
         "        send('UPDATE c_$t SET p = :kept WHERE p = :gone', kept=kept, gone=one)\n"
         "        send('DELETE FROM $t WHERE id = :gone', gone=one)\n"
         + sql("CREATE UNIQUE INDEX u_$t ON $t (lower(mail))"),
         sql("DROP INDEX u_$t", "INSERT INTO $t SELECT id, mail FROM k_$t",
             "UPDATE c_$t SET p = m.p FROM m_$t m WHERE m.id = c_$t.id", "DROP TABLE k_$t, m_$t"),
         beside="CREATE TABLE c_$t (id serial PRIMARY KEY, p integer REFERENCES $t ON DELETE CASCADE)"),
    # Moved, with a copy for safety that nothing reads; keys that are texts above, and written meanwhile.
    Case("copied_for_safety", "price numeric(10,2) NOT NULL",
         sql("CREATE TABLE k_$t (id integer PRIMARY KEY, price numeric(10,2))", "INSERT INTO k_$t SELECT id, price FROM $t",
             "CREATE TABLE n_$t (p integer PRIMARY KEY REFERENCES $t ON DELETE CASCADE, amount numeric(10,2) NOT NULL)",
             "INSERT INTO n_$t SELECT id, price FROM $t", "ALTER TABLE $t DROP price"),
         sql("ALTER TABLE $t ADD price numeric(10,2)", "UPDATE $t SET price = n.amount FROM n_$t n WHERE n.p = $t.id",
             "UPDATE $t SET price = 0 WHERE id NOT IN (SELECT p FROM n_$t)",
             "ALTER TABLE $t ALTER price SET NOT NULL", "DROP TABLE n_$t, k_$t")),
    Case("beside_one_that_goes", "n integer, note text",
         sql("CREATE TABLE k_$t AS SELECT id, note FROM $t", "ALTER TABLE $t ADD m bigint", "UPDATE $t SET m = n * 2::bigint",
             "ALTER TABLE $t DROP note"),
         sql("ALTER TABLE $t ADD note text", "UPDATE $t SET note = k.note FROM k_$t k WHERE k.id = $t.id",
             "ALTER TABLE $t DROP m", "DROP TABLE k_$t")),
    Case("keys_as_texts", "name text",
         sql("ALTER TABLE c_$t ADD code text", "UPDATE c_$t SET code = n::text",
             "ALTER TABLE c_$t DROP n, ADD CONSTRAINT k_$t PRIMARY KEY (code)"),
         sql("ALTER TABLE c_$t ADD n integer", "UPDATE c_$t SET n = code::integer",
             "ALTER TABLE c_$t DROP code, ADD CONSTRAINT k_$t PRIMARY KEY (n)"),
         beside="CREATE TABLE c_$t (n integer CONSTRAINT k_$t PRIMARY KEY, name text)"),
    # What a table of the step's own is filled with, and looked for in rows that are there.
    Case("seeded_by_itself", "country text",
         sql("CREATE TABLE k_$t (id smallint PRIMARY KEY, name text NOT NULL UNIQUE)",
             "INSERT INTO k_$t VALUES (1, 'Germany'), (2, 'France')", "ALTER TABLE $t ADD k smallint REFERENCES k_$t",
             "UPDATE $t SET k = k.id, country = NULL FROM k_$t k WHERE k.name = $t.country"),
         sql("UPDATE $t SET country = k.name FROM k_$t k WHERE k.id = $t.k", "ALTER TABLE $t DROP k", "DROP TABLE k_$t")),
    Case("lists_among_documents", "doc json",
         sql("CREATE TABLE k_$t (id integer, n bigint, file text)",
             "INSERT INTO k_$t SELECT p.id, e.n, e.file FROM $t p, "
             "json_array_elements_text(p.doc) WITH ORDINALITY AS e (file, n) "
             "WHERE json_typeof(p.doc) = 'array' AND e.file IS NOT NULL"),
         sql("DROP TABLE k_$t")),
    # Above, another key tells the rows that others write meanwhile.
    Case("another_key", "serial varchar(40) NOT NULL UNIQUE",
         sql("ALTER TABLE c_$t ADD p integer", "UPDATE c_$t c SET p = d.id FROM $t d WHERE d.serial = c.serial",
             "ALTER TABLE c_$t ALTER p SET NOT NULL, DROP CONSTRAINT k_$t, ADD CONSTRAINT k_$t PRIMARY KEY (p, at)",
             "ALTER TABLE c_$t ADD CONSTRAINT f_$t FOREIGN KEY (p) REFERENCES $t (id)", "ALTER TABLE c_$t DROP serial"),
         sql("ALTER TABLE c_$t ADD serial varchar(40)", "UPDATE c_$t c SET serial = d.serial FROM $t d WHERE d.id = c.p",
             "ALTER TABLE c_$t ALTER serial SET NOT NULL, DROP CONSTRAINT k_$t, ADD CONSTRAINT k_$t PRIMARY KEY (serial, at)",
             "ALTER TABLE c_$t ADD CONSTRAINT f_$t_below FOREIGN KEY (serial) REFERENCES $t (serial)",
             "ALTER TABLE c_$t DROP p"),
         beside="CREATE TABLE c_$t (serial varchar(40) NOT NULL, at timestamptz NOT NULL, v real, "
                "CONSTRAINT k_$t PRIMARY KEY (serial, at), CONSTRAINT f_$t_below FOREIGN KEY (serial) REFERENCES $t (serial))"),
    # What was put aside has keys that are no numbers of a sequence.
    Case("aside_by_time", "name text",
         sql("CREATE TABLE o_$t (LIKE c_$t INCLUDING ALL)",
             "WITH moved AS (DELETE FROM c_$t WHERE at < '2020-06-01' RETURNING *) INSERT INTO o_$t SELECT * FROM moved"),
         sql("INSERT INTO c_$t (p, at, v) SELECT p, at, v FROM o_$t", "DROP TABLE o_$t"),
         beside="CREATE TABLE c_$t (p integer NOT NULL REFERENCES $t, at timestamptz NOT NULL, v real, PRIMARY KEY (p, at))"),
    # Whom the upgrade mirrored is told by a column that others may change meanwhile.
    Case("mirrored_where_owed", "owed boolean NOT NULL DEFAULT false, n integer NOT NULL",
         sql("UPDATE $t SET n = -n WHERE owed"), sql("UPDATE $t SET n = -n WHERE owed")),
    # Large objects: of every row, whoever wrote it, one of its own.
    Case("into_objects", "body bytea NOT NULL",
         sql("ALTER TABLE $t ADD o oid", "UPDATE $t SET o = lo_from_bytea(0, body)", "ALTER TABLE $t ALTER o SET NOT NULL",
             "ALTER TABLE $t DROP body"),
         sql("ALTER TABLE $t ADD body bytea", "UPDATE $t SET body = lo_get(o)", "SELECT lo_unlink(o) FROM $t",
             "ALTER TABLE $t ALTER body SET NOT NULL", "ALTER TABLE $t DROP o")),
    Case("out_of_objects", "o oid",
         sql("ALTER TABLE $t ADD body bytea", "UPDATE $t SET body = lo_get(o)"), sql("ALTER TABLE $t DROP body")),
    # Another changes the day of a row meanwhile, of which the downgrade computes.
    Case("days_to_a_day", "issued date NOT NULL, days integer NOT NULL",
         sql("ALTER TABLE $t ADD due date", "UPDATE $t SET due = issued + days", "ALTER TABLE $t DROP days"),
         sql("ALTER TABLE $t ADD days integer", "UPDATE $t SET days = due - issued", "ALTER TABLE $t ALTER days SET NOT NULL",
             "ALTER TABLE $t DROP due")),
    # A key of others, for which SQLAlchemy makes a sequence that nobody asks.
    Case("keys_of_others", "note text",
         "op.create_table('k_$t', sa.Column('order_id', sa.Integer, primary_key=True), sa.Column('note', sa.Text))\n"
         + sql("INSERT INTO k_$t SELECT id, note FROM $t WHERE note <> ''", "UPDATE $t SET note = NULL WHERE note <> ''"),
         sql("UPDATE $t SET note = k.note FROM k_$t k WHERE k.order_id = $t.id AND $t.note IS NULL", "DROP TABLE k_$t")),
    # What is tried in bodies and taken back is no transaction of another session: rows are made for the downgrade.
    Case("gone_beside_a_trigger", "name text",
         sql("ALTER TABLE $t ADD gone timestamptz"),
         sql("DELETE FROM g_$t g USING $t t WHERE t.id = g.p AND t.gone IS NOT NULL AND NOT EXISTS "
             "(SELECT FROM c_$t c WHERE c.p = t.id)",
             "DELETE FROM $t t WHERE t.gone IS NOT NULL AND NOT EXISTS (SELECT FROM c_$t c WHERE c.p = t.id)",
             "ALTER TABLE $t DROP gone"),
         beside="CREATE TABLE c_$t (id serial PRIMARY KEY, p integer NOT NULL REFERENCES $t)\n"
                "CREATE TABLE g_$t (p integer REFERENCES $t ON DELETE CASCADE, tag text, PRIMARY KEY (p, tag))\n"
                "CREATE FUNCTION f_$t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN "
                "IF TG_OP IN (''INSERT'', ''UPDATE'') THEN UPDATE $t SET name = name WHERE id = NEW.p; END IF; "
                "IF TG_OP IN (''DELETE'', ''UPDATE'') THEN UPDATE $t SET name = name WHERE id = OLD.p; END IF; "
                "RETURN NULL; END'\n"
                "CREATE TRIGGER t AFTER INSERT OR UPDATE OF p OR DELETE ON c_$t FOR EACH ROW EXECUTE FUNCTION f_$t()"),
    Case("keys_in_a_wide_table", "doc jsonb NOT NULL DEFAULT '{}', a date, b text, c char(3), d numeric(9,2), e integer, f text, "
         "g timestamptz, h text, i boolean, j bigint",
         sql("ALTER TABLE $t ADD net integer")
         + "\nfor key, doc in op.get_bind().execute(sa.text('SELECT id, doc FROM $t')).all():\n"
         "    net = doc.get('net')\n"
         "    if isinstance(net, dict) and isinstance(net.get('days'), int) and 0 <= net['days'] <= 365:\n"
         "        op.get_bind().execute(sa.text('UPDATE $t SET net = :n WHERE id = :id'), {'n': int(net['days']), 'id': key})",
         sql("ALTER TABLE $t DROP net")),
    # Rows made for the downgrade, in a table whose keys let no copy in, are written meanwhile as well.
    Case("keys_of_a_list", "name text",
         sql("CREATE TABLE k_$t (id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, code varchar(30) NOT NULL UNIQUE)",
             "INSERT INTO k_$t (code) SELECT DISTINCT code FROM c_$t ORDER BY 1",
             "ALTER TABLE c_$t ADD k integer REFERENCES k_$t", "UPDATE c_$t c SET k = k.id FROM k_$t k WHERE k.code = c.code",
             "ALTER TABLE c_$t ALTER k SET NOT NULL, DROP CONSTRAINT k_c_$t, ADD CONSTRAINT k_c_$t PRIMARY KEY (p, k)",
             "ALTER TABLE c_$t DROP code"),
         sql("ALTER TABLE c_$t ADD code varchar(30)", "UPDATE c_$t c SET code = k.code FROM k_$t k WHERE k.id = c.k",
             "ALTER TABLE c_$t DROP CONSTRAINT k_c_$t, ADD CONSTRAINT k_c_$t PRIMARY KEY (p, code)",
             "ALTER TABLE c_$t DROP k", "DROP TABLE k_$t"),
         beside="CREATE TABLE c_$t (p integer REFERENCES $t ON DELETE CASCADE, code varchar(30), v numeric NOT NULL, "
                "CONSTRAINT k_c_$t PRIMARY KEY (p, code))"),
    # Copies of old rows are newer than those: another one of the group is put aside the second time.
    Case("newest_of_each", "who text NOT NULL, at timestamp NOT NULL",
         sql("CREATE TABLE k_$t (LIKE $t)",
             "INSERT INTO k_$t SELECT id, who, at FROM (SELECT *, row_number() OVER (PARTITION BY who ORDER BY at DESC, id DESC) "
             "AS place FROM $t) AS x WHERE place > 1", "DELETE FROM $t USING k_$t k WHERE k.id = $t.id"),
         sql("INSERT INTO $t SELECT * FROM k_$t", "DROP TABLE k_$t")),
    # A number that a sequence hands out stands in the names and definitions of what is made: the next time it is the next one.
    Case("numbered", "name text",
         sql("DO $$ DECLARE one bigint := nextval('n_$t'); BEGIN EXECUTE format('CREATE SEQUENCE made_$t_%s', one); "
             "EXECUTE format('CREATE VIEW v_$t AS SELECT id, %s AS layer FROM $t', one); END $$"),
         sql("DROP VIEW v_$t", "DO $$ BEGIN EXECUTE format('DROP SEQUENCE made_$t_%s', (SELECT last_value FROM n_$t)); END $$"),
         beside="CREATE SEQUENCE n_$t START 7"),
    # What the drill's own rows once kept from being looked at: texts that are bytes or keys in another column above, and
    # come back as those are spelled; texts that have room in a short column together; rows that the Python fails on.
    Case("bytes_elsewhere", "digest text, code text",
         sql("ALTER TABLE $t ADD raw bytea, ADD k uuid", "UPDATE $t SET raw = decode(digest, 'hex')",
             "UPDATE $t SET k = code::uuid WHERE code IS NOT NULL", "ALTER TABLE $t DROP digest, DROP code"),
         sql("ALTER TABLE $t ADD digest text, ADD code text", "UPDATE $t SET digest = encode(raw, 'hex'), code = k::text",
             "ALTER TABLE $t DROP raw, DROP k")),
    Case("bytes_by_using", "digest text",
         sql("ALTER TABLE $t ALTER digest TYPE bytea USING decode(digest, 'base64')"),
         sql("ALTER TABLE $t ALTER digest TYPE text USING encode(digest, 'base64')")),
    Case("joined_in_five", "a text NOT NULL, b text NOT NULL",
         sql("ALTER TABLE $t ADD code varchar(5)", "UPDATE $t SET code = a || b"), sql("ALTER TABLE $t DROP code")),
    Case("fails_on_some_rows", "phone text, config jsonb NOT NULL DEFAULT '{}'",
         sql("ALTER TABLE $t ADD digits varchar(15), ADD zone text, ADD retries integer")
         + "\n_set = 'UPDATE $t SET {} = :v WHERE id = :id'.format\n"
         "for row in op.get_bind().execute(sa.text('SELECT id, phone, config FROM $t')).all():\n"
         "    config = row.config or {}\n    digits = re.sub('[^0-9]', '', row.phone or '')\n"
         "    zone, retries = config.get('user', {}).get('zone'), config.get('retries')\n"
         "    if 7 <= len(digits) <= 15:\n"
         "        op.get_bind().execute(sa.text(_set('digits')), {'v': digits, 'id': row.id})\n"
         "    if zone:\n        op.get_bind().execute(sa.text(_set('zone')), {'v': str(zone), 'id': row.id})\n"
         "    if isinstance(retries, int):\n"
         "        op.get_bind().execute(sa.text(_set('retries')), {'v': retries, 'id': row.id})",
         sql("ALTER TABLE $t DROP digits, DROP zone, DROP retries"), extra="import re\n"),
    # What a driver copies in, and the rows that there are are looked for in; a guard that lists the rows in its way.
    Case("copied_in", "name text NOT NULL",
         sql("CREATE TABLE k_$t (code char(2) PRIMARY KEY, name text NOT NULL)")
         + "\nwith op.get_bind().connection.driver_connection.cursor() as cursor:\n"
         "    cursor.copy_expert('COPY k_$t FROM STDIN', io.StringIO('de\\tGermany\\nfr\\tFrance\\n'))\n"
         + sql("ALTER TABLE $t ADD k char(2)", "UPDATE $t SET k = c.code FROM k_$t c WHERE lower(c.name) = lower($t.name)",
               "ALTER TABLE $t ALTER name DROP NOT NULL"),
         "nameless = op.get_bind().execute(sa.text('SELECT id FROM $t WHERE name IS NULL')).scalars().all()\n"
         "first = nameless[:10]\nif first: raise RuntimeError(f'rows without a name: {first}')\n"
         + sql("ALTER TABLE $t ALTER name SET NOT NULL, DROP k", "DROP TABLE k_$t"), extra="import io\n"),
    # Guards for rows that the way down has no place for: of a new table, of a new column, without a child, alike.
    Case("asks_for_notes", "name text, v integer CONSTRAINT k_$t UNIQUE",
         sql("CREATE TABLE n_$t (id serial PRIMARY KEY, t_id integer NOT NULL REFERENCES $t, note text NOT NULL)",
             "ALTER TABLE $t ADD phone text, DROP CONSTRAINT k_$t"),
         "b = op.get_bind()\n"
         "if b.execute(sa.text('SELECT count(*) FROM n_$t')).scalar(): raise RuntimeError('notes would be lost')\n"
         "if b.execute(sa.text('SELECT id FROM $t WHERE phone IS NOT NULL')).first(): raise ValueError('phones would be lost')\n"
         "alike = b.execute(sa.text('SELECT v FROM $t GROUP BY v HAVING count(v) > 1')).all()\nassert not alike\n"
         + sql("DROP TABLE n_$t", "ALTER TABLE $t DROP phone, ADD CONSTRAINT k_$t UNIQUE (v)")),
    Case("asks_for_a_child", "label text NOT NULL",
         sql("CREATE TABLE l_$t (t_id integer PRIMARY KEY REFERENCES $t ON DELETE CASCADE, label text NOT NULL)",
             "INSERT INTO l_$t SELECT id, label FROM $t", "ALTER TABLE $t DROP label"),
         sql("DO $$ DECLARE n bigint; BEGIN SELECT count(*) INTO n FROM $t t WHERE NOT EXISTS (SELECT FROM l_$t l "
             "WHERE l.t_id = t.id); IF n > 0 THEN RAISE EXCEPTION '% without a label', n; END IF; END $$",
             "ALTER TABLE $t ADD label text", "UPDATE $t SET label = l.label FROM l_$t l WHERE l.t_id = $t.id",
             "ALTER TABLE $t ALTER label SET NOT NULL", "DROP TABLE l_$t")),
    Case("asks_for_nulls_it_made", "label text NOT NULL",
         sql("CREATE TABLE l_$t (t_id integer PRIMARY KEY REFERENCES $t ON DELETE CASCADE, label text NOT NULL)",
             "INSERT INTO l_$t SELECT id, label FROM $t", "ALTER TABLE $t DROP label"),
         sql("ALTER TABLE $t ADD label text", "UPDATE $t SET label = l.label FROM l_$t l WHERE l.t_id = $t.id")
         + "\nif op.get_bind().exec_driver_sql('SELECT count(*) FROM $t WHERE label IS NULL').scalar():\n"
           "    raise RuntimeError('some have no label')\n"
         + sql("ALTER TABLE $t ALTER label SET NOT NULL", "DROP TABLE l_$t")),
    # What the first try leaves half built, on rows that are alike, is not in the way of the next.
    Case("built_beside_rows", "ip inet, enabled boolean NOT NULL",
         "with op.get_context().autocommit_block():\n"
         "    op.execute('CREATE UNIQUE INDEX CONCURRENTLY u_$t ON $t (ip) WHERE enabled')",
         sql("DROP INDEX u_$t")),
    # A key set back that another row has by now, or whose partner is gone; no value made of a new row's; rows of two tables
    # with the same keys in one.
    Case("key_set_back", "sku text NOT NULL UNIQUE",
         sql("ALTER TABLE $t ADD was text", "UPDATE $t SET was = sku", "UPDATE $t SET sku = 'P-' || id"),
         sql("UPDATE $t SET sku = was WHERE was IS NOT NULL", "ALTER TABLE $t DROP was")),
    Case("unwrapped", "doc jsonb NOT NULL", sql("UPDATE $t SET doc = jsonb_build_object('v', 1, 'data', doc)"),
         sql("UPDATE $t SET doc = doc -> 'data'")),
    Case("partner_set_back", "lead integer CONSTRAINT k_$t REFERENCES $t",
         sql("ALTER TABLE $t ADD led integer", "UPDATE $t SET led = lead, lead = NULL WHERE lead IS NOT NULL"),
         sql("UPDATE $t SET lead = led WHERE led IS NOT NULL", "ALTER TABLE $t DROP led")),
    Case("two_in_one", "name text",
         sql("CREATE TABLE p_$t (id serial PRIMARY KEY, kind text NOT NULL, old_id integer NOT NULL, name text NOT NULL)",
             "INSERT INTO p_$t (kind, old_id, name) SELECT 'cat', id, name FROM c_$t",
             "INSERT INTO p_$t (kind, old_id, name) SELECT 'dog', id, name FROM d_$t", "DROP TABLE c_$t, d_$t"),
         sql("CREATE TABLE c_$t (id integer PRIMARY KEY, name text NOT NULL)",
             "CREATE TABLE d_$t (id integer PRIMARY KEY, name text NOT NULL)",
             "INSERT INTO c_$t SELECT old_id, name FROM p_$t WHERE kind = 'cat'",
             "INSERT INTO d_$t SELECT old_id, name FROM p_$t WHERE kind = 'dog'", "DROP TABLE p_$t"),
         beside="CREATE TABLE c_$t (id integer PRIMARY KEY, name text NOT NULL)\n"
                "CREATE TABLE d_$t (id integer PRIMARY KEY, name text NOT NULL)"),
)  # fmt: skip
