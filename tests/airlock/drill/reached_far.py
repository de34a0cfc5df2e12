"""Data migrations whose telling rows are rare: keys far away, rows past a LIMIT, near misses of patterns, pairs alike in part."""

from __future__ import annotations

from tests.airlock.drill.reached import Case, sql

_KEEP = "INSERT INTO $t SELECT * FROM k_$t"
_FIRST_ROWS = """\
op.execute('ALTER TABLE $t ADD m integer')
for row in {rows}:
    op.get_bind().execute(sa.text('UPDATE $t SET m = n WHERE id = :i'), {{'i': row.id}})
op.execute('ALTER TABLE $t DROP n')"""
_ROWS = "op.get_bind().execute(sa.text('SELECT id FROM $t ORDER BY id'))"
_BACK = sql(
    "ALTER TABLE $t ADD n integer",
    "UPDATE $t SET n = coalesce(m, 0)",
    "ALTER TABLE $t DROP m, ALTER n SET NOT NULL",
)
_LOOP = """\
op.execute('ALTER TABLE $t ADD m integer')
while True:
    rows = op.get_bind().execute(sa.text('SELECT id FROM $t WHERE m IS NULL ORDER BY id LIMIT 1000')).all()
    if not rows:
        break
    for row in rows:
        op.get_bind().execute(sa.text('UPDATE $t SET m = n WHERE id = :i'), {'i': row.id})
found = op.get_bind().execute(sa.text('SELECT id FROM $t'))
for some in iter(lambda: found.fetchmany(500), []):
    for row in some:
        op.get_bind().execute(sa.text('UPDATE $t SET m = n WHERE id = :i'), {'i': row.id})
op.execute('ALTER TABLE $t DROP n')"""


def kept_apart(name: str, columns: str, kept: str, deleted: str, beside: str = "") -> Case:
    """Spell a step that keeps some rows and deletes others."""
    up = sql(f"CREATE TABLE k_$t AS SELECT * FROM $t WHERE {kept}", f"DELETE FROM $t WHERE {deleted}")
    return Case(name, columns, up, sql(_KEEP, "DROP TABLE k_$t"), beside=beside)


_PARTNERS = "CREATE TABLE c_$t (p integer PRIMARY KEY REFERENCES $t, bio text)"

_SLUG = "op.get_bind().execute(sa.text('UPDATE $t SET slug = :v WHERE id = :i'), {{'v': {}f's-{{row.id}}', 'i': row.id}})"

FAULTY = (
    # New rows are never in a copy put aside: there is no way down from the first of them on.
    Case("copy_has_it", "phone text NOT NULL",
         sql("CREATE TABLE p_$t AS SELECT id AS t_id, phone FROM $t", "ALTER TABLE $t DROP phone"),
         sql("ALTER TABLE $t ADD phone text", "UPDATE $t t SET phone = p.phone FROM p_$t p WHERE p.t_id = t.id",
             "ALTER TABLE $t ALTER phone SET NOT NULL", "DROP TABLE p_$t")),
    # Digits that hold no text: what is read goes back in another form.
    Case("hex_comes_back_as_base64", "h text NOT NULL", sql("ALTER TABLE $t ALTER h TYPE bytea USING decode(h, 'hex')"),
         sql("ALTER TABLE $t ALTER h TYPE text USING encode(h, 'base64')")),
    # Numbers of a key: cut, shifted into those that are there, counted anew.
    Case("cuts_a_key", "ext bigint NOT NULL UNIQUE",
         sql("ALTER TABLE $t ALTER ext TYPE integer USING (ext % 2147483647)::integer"),
         sql("ALTER TABLE $t ALTER ext TYPE bigint")),
    Case("shifts_keys", "n integer", sql("UPDATE $t SET id = id + 100000 WHERE id < 100000"),
         sql("UPDATE $t SET id = id - 100000 WHERE id >= 100000")),
    Case("counts_anew", "name text",
         sql("CREATE TABLE k_$t AS SELECT id, name FROM $t", "DROP TABLE $t"),
         sql("CREATE TABLE $t (id serial PRIMARY KEY, name text)", "INSERT INTO $t (name) SELECT name FROM k_$t ORDER BY id",
             "DROP TABLE k_$t")),
    # Rows past what is taken.
    Case("keeps_a_thousand", "n integer NOT NULL",
         sql("CREATE TABLE k_$t AS SELECT id, n FROM $t ORDER BY id LIMIT 1000", "UPDATE $t SET n = 0"),
         sql("UPDATE $t SET n = k.n FROM k_$t k WHERE k.id = $t.id", "DROP TABLE k_$t")),
    Case("changes_the_first", "n integer NOT NULL",
         sql("ALTER TABLE $t ADD m integer",
             "UPDATE $t SET m = n WHERE id IN (SELECT id FROM $t ORDER BY id FETCH FIRST 5000 ROWS ONLY)",
             "ALTER TABLE $t DROP n"), _BACK),
    Case("fetches_once", "n integer NOT NULL", _FIRST_ROWS.format(rows=f"{_ROWS}.fetchmany(500)"), _BACK),
    Case("slices", "n integer NOT NULL", _FIRST_ROWS.format(rows=f"{_ROWS}.all()[:200]"), _BACK),
    # Near misses.
    kept_apart("upper_case_only", "sku text NOT NULL", "sku ~ '^[A-Z]{2}-[0-9]+$'", "sku ~* '^[A-Z]{2}-[0-9]+$'"),
    kept_apart("some_digits", "sku text NOT NULL", "sku ~ '^[A-Z]{2}-[0-9]+$'", "sku ~ '^[A-Z]{2}-[0-9]*$'"),
    Case("alike_in_front", "city text",
         sql("CREATE TABLE k_$t AS SELECT DISTINCT ON (left(city, 20)) city FROM $t ORDER BY left(city, 20), city",
             "ALTER TABLE $t ADD short text", "UPDATE $t SET short = left(city, 20)", "ALTER TABLE $t DROP city"),
         sql("ALTER TABLE $t ADD city text", "UPDATE $t SET city = k.city FROM k_$t k WHERE left(k.city, 20) = short",
             "ALTER TABLE $t DROP short", "DROP TABLE k_$t")),
    Case("epoch_for_none", "gone_at timestamptz", sql("UPDATE $t SET gone_at = coalesce(gone_at, 'epoch')"),
         sql("UPDATE $t SET gone_at = nullif(gone_at, 'epoch')")),
    Case("lowers_by_trigger", "email text NOT NULL",
         sql("CREATE FUNCTION f_$t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.email := lower(NEW.email); RETURN NEW; "
             "END $$", "CREATE TRIGGER g BEFORE UPDATE ON $t FOR EACH ROW EXECUTE FUNCTION f_$t()",
             "UPDATE $t SET email = email WHERE email LIKE '%@%'"),
         sql("DROP TRIGGER g ON $t", "DROP FUNCTION f_$t()")),
    Case("setting_was_there", "key text NOT NULL UNIQUE, value text",
         sql("INSERT INTO $t (key, value) VALUES ('limit', '10') ON CONFLICT DO NOTHING"),
         sql("DELETE FROM $t WHERE key = 'limit' AND value = '10'")),
    Case("long_lists", "doc jsonb NOT NULL DEFAULT '{}'",
         "import json\n"
         "for row in op.get_bind().execute(sa.text('SELECT id, doc FROM $t')).all():\n"
         "    if isinstance(row.doc.get('items'), list):\n"
         "        doc = json.dumps({**row.doc, 'items': row.doc['items'][:10]})\n"
         "        op.get_bind().execute(sa.text('UPDATE $t SET doc = :d WHERE id = :i'), {'d': doc, 'i': row.id})"),
    # Rows of two tables together; a condition that is asked of the copies.
    kept_apart("children_all_gone", "name text NOT NULL",
               "NOT EXISTS (SELECT FROM c_$t c WHERE c.p = $t.id)",
               "NOT EXISTS (SELECT FROM c_$t c WHERE c.p = $t.id AND c.state <> 'gone')",
               "CREATE TABLE c_$t (id serial PRIMARY KEY, p integer REFERENCES $t ON DELETE CASCADE, state text NOT NULL)\n"
               # Others with such columns, which no statement names.
               + "\n".join(f"CREATE TABLE x{n}_$t (id serial PRIMARY KEY, state text NOT NULL)" for n in range(8))),
    kept_apart("below_itself", "name text NOT NULL, parent integer REFERENCES $t ON DELETE CASCADE",
               "name LIKE 'arch%'", "name LIKE 'arch%'"),
    kept_apart("a_day_later", "at timestamptz NOT NULL", "at < now() - interval '31 days'", "at < now() - interval '30 days'"),
    kept_apart("as_long", "b bytea NOT NULL", "length(b) > 10", "length(b) >= 10"),
    kept_apart("partners_by_case", "code text NOT NULL", "EXISTS (SELECT FROM c_$t c WHERE c.code = $t.code)",
               "EXISTS (SELECT FROM c_$t c WHERE lower(c.code) = lower($t.code))",
               "CREATE TABLE c_$t (id serial PRIMARY KEY, code text NOT NULL)"),
    Case("wide_key", "a integer NOT NULL, b integer NOT NULL, UNIQUE (a, b)",
         sql("DELETE FROM c_$t WHERE (a, b) IN (SELECT a, b FROM $t WHERE a = 4242)", "DELETE FROM $t WHERE a = 4242"),
         beside="CREATE TABLE c_$t (id serial PRIMARY KEY, a integer NOT NULL, b integer NOT NULL, "
                "FOREIGN KEY (a, b) REFERENCES $t (a, b))"),
    Case("restores_the_recent", "state text NOT NULL, at timestamptz",
         sql("CREATE TABLE k_$t (LIKE $t)",
             "WITH gone AS (DELETE FROM $t WHERE state = 'closed' RETURNING *) INSERT INTO k_$t SELECT * FROM gone"),
         sql("INSERT INTO $t SELECT * FROM k_$t WHERE at > '2020-01-01'", "DROP TABLE k_$t")),
    # An arm of an OR in a body that no row meets.
    Case("arm_in_a_body", "state text NOT NULL, n integer NOT NULL",
         sql("DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM $t LOOP IF r.n IS NULL OR r.n > 0 THEN "
             "UPDATE $t SET n = n # 1 WHERE id = r.id; END IF; END LOOP; END $$"),
         sql("UPDATE $t SET n = n # 1 WHERE n > 1 OR n = 0")),
    # A partner for each row, also for those that had none; two columns alike; a document that is written anew.
    Case("partner_for_all", "name text NOT NULL",
         sql("ALTER TABLE $t ADD bio text", "UPDATE $t SET bio = c.bio FROM c_$t c WHERE c.p = $t.id", "DROP TABLE c_$t"),
         sql(_PARTNERS, "INSERT INTO c_$t SELECT id, bio FROM $t", "ALTER TABLE $t DROP bio"), beside=_PARTNERS),
    # What a condition computes of the row itself, or of the largest of all rows; rows of two tables of which one holds nothing.
    Case("due_as_computed", "issued date NOT NULL, due date", sql("UPDATE $t SET due = issued + 14 WHERE due IS NULL"),
         sql("UPDATE $t SET due = NULL WHERE due = issued + 14")),
    kept_apart("near_the_newest", "doc integer NOT NULL, v integer NOT NULL",
               "v <= (SELECT max(x.v) - 5 FROM $t x) AND v <= (SELECT max(x.v) - 3 FROM $t x WHERE x.doc = $t.doc)",
               "v <= (SELECT max(x.v) - 3 FROM $t x WHERE x.doc = $t.doc)"),
    Case("added_to_nothing", "n integer NOT NULL",
         sql("MERGE INTO m_$t a USING (SELECT k, day, sum(n) AS n FROM c_$t GROUP BY 1, 2) b ON a.k = b.k AND a.day = b.day "
             "WHEN MATCHED THEN UPDATE SET n = a.n + b.n WHEN NOT MATCHED THEN INSERT VALUES (b.k, b.day, b.n)"),
         sql("MERGE INTO m_$t a USING (SELECT k, day, sum(n) AS n FROM c_$t GROUP BY 1, 2) b ON a.k = b.k AND a.day = b.day "
             "WHEN MATCHED AND a.n > b.n THEN UPDATE SET n = a.n - b.n WHEN MATCHED THEN DELETE"),
         beside="CREATE TABLE m_$t (k integer NOT NULL, day date NOT NULL, n integer NOT NULL, PRIMARY KEY (k, day))\n"
                "CREATE TABLE c_$t (k integer NOT NULL, day date NOT NULL, n integer NOT NULL)"),
    # What nearly the same condition takes: another mark, a zero, the separator twice, a second member, a tab, a second past.
    kept_apart("another_mark", "name text NOT NULL", "name ~ '[^a-z0-9_.]'", "name ~ '[^a-z0-9_]'"),
    Case("zero_in_front", "actor text",
         sql("ALTER TABLE $t ADD n integer",
             "UPDATE $t SET n = substring(actor from 6)::integer, actor = NULL WHERE actor SIMILAR TO 'user:[0-9]{1,9}'"),
         sql("UPDATE $t SET actor = 'user:' || n WHERE n IS NOT NULL", "ALTER TABLE $t DROP n")),
    kept_apart("one_of_a_list", "code text NOT NULL", "code = ANY ('{E10}')", "code = ANY ('{E10,E11}'::text[])"),
    kept_apart("separated_twice", "email text NOT NULL", "split_part(email, '@', 2) = 'old.org'", "email LIKE '%@old.org'"),
    kept_apart("member_behind", "tags text[] NOT NULL", "tags[1] = 'old'", "tags @> '{old}'"),
    kept_apart("only_a_tab", "name text", "trim(name) = ''", "name !~ '[^[:space:]]'"),
    kept_apart("letters_of_two_bytes", "body text NOT NULL", "octet_length(body) < 5", "length(body) < 5"),
    kept_apart("a_second_past", "at timestamp NOT NULL", "at::time = '00:00'", "extract(hour FROM at) = 0"),
    Case("bounds_alike", "low integer, high integer, CHECK (low <= high)",
         sql("ALTER TABLE $t ADD r int4range", "UPDATE $t SET r = int4range(low, high)", "ALTER TABLE $t DROP low, DROP high"),
         sql("ALTER TABLE $t ADD low integer, ADD high integer", "UPDATE $t SET low = lower(r), high = upper(r)",
             "ALTER TABLE $t ADD CHECK (low <= high), DROP r")),
    Case("document_anew", "doc text NOT NULL",
         "import json\n"
         "for row in op.get_bind().execute(sa.text('SELECT id, doc FROM $t')).all():\n"
         "    doc = json.dumps({**json.loads(row.doc), 'version': 2})\n"
         "    op.get_bind().execute(sa.text('UPDATE $t SET doc = :d WHERE id = :i'), {'d': doc, 'i': row.id})",
         "import json\n"
         "for row in op.get_bind().execute(sa.text('SELECT id, doc FROM $t')).all():\n"
         "    doc = {key: one for key, one in json.loads(row.doc).items() if key != 'version'}\n"
         "    op.get_bind().execute(sa.text('UPDATE $t SET doc = :d WHERE id = :i'), {'d': json.dumps(doc), 'i': row.id})"),
    # No row more goes in, and every one that is there is chosen.
    Case("leaves_none_of_few", "state text",
         sql("ALTER TABLE $t ADD b text", "UPDATE $t SET b = state WHERE state <> 'frozen'", "ALTER TABLE $t DROP state"),
         sql("ALTER TABLE $t ADD state text", "UPDATE $t SET state = b", "ALTER TABLE $t DROP b"),
         beside="CREATE FUNCTION f_$t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF (SELECT count(*) FROM $t) >= 40 "
                "THEN RAISE EXCEPTION ''full''; END IF; RETURN NEW; END'\n"
                "CREATE TRIGGER f_$t BEFORE INSERT ON $t FOR EACH ROW EXECUTE FUNCTION f_$t()"),
    # 0.29 becomes 28.
    Case("cents_of_a_double", "price numeric(12,2)",
         "op.execute('ALTER TABLE $t ADD cents bigint')\n"
         "for row in op.get_bind().execute(sa.text('SELECT id, price FROM $t WHERE price IS NOT NULL')).all():\n"
         "    cents = int(float(row.price) * 100)\n"
         "    op.get_bind().execute(sa.text('UPDATE $t SET cents = :c WHERE id = :i'), {'c': cents, 'i': row.id})\n"
         "op.execute('ALTER TABLE $t DROP price')",
         sql("ALTER TABLE $t ADD price numeric(12,2)", "UPDATE $t SET price = cents / 100.0", "ALTER TABLE $t DROP cents")),
    # '' is false as NULL is, and a unique column holds it once.
    Case("empty_and_unique", "slug text UNIQUE, open boolean",
         "for row in op.get_bind().execute(sa.text('SELECT id, slug FROM $t WHERE open')).all():\n"
         f"    {_SLUG.format('row.slug or ')}",
         sql("UPDATE $t SET slug = NULL WHERE open AND slug = 's-' || id")),
    Case("empty_and_passed", "slug text UNIQUE, open boolean",
         "for row in op.get_bind().execute(sa.text('SELECT id, slug, open FROM $t')).all():\n"
         "    if row.slug or not row.open:\n"
         "        continue\n"
         f"    {_SLUG.format('')}",
         sql("UPDATE $t SET slug = NULL WHERE open AND slug = 's-' || id")),
)  # fmt: skip

SOUND = (
    Case("decodes", "h text NOT NULL, b varchar(12), u bytea NOT NULL",
         sql("ALTER TABLE $t ADD x bytea, ADD y bytea, ADD z text",
             "UPDATE $t SET x = decode(h, 'hex'), y = decode(b, 'base64'), z = convert_from(u, 'UTF8')"),
         sql("ALTER TABLE $t DROP x, DROP y, DROP z")),
    # Written only where no ValueError was caught.
    Case("reads_days", "day text",
         "from datetime import datetime\nop.execute('ALTER TABLE $t ADD d date')\nbind = op.get_bind()\n"
         "for id_, day in bind.execute(sa.text('SELECT id, day FROM $t WHERE day IS NOT NULL')).all():\n"
         "    form = '%d.%m.%Y'\n"
         "    try:\n        read = datetime.strptime(day, form).date()\n    except ValueError:\n        continue\n"
         "    bind.execute(sa.text('UPDATE $t SET d = :d WHERE id = :i'), {'d': read, 'i': id_})",
         sql("ALTER TABLE $t DROP d")),
    Case("reads_ids", "code text NOT NULL",
         "from uuid import UUID\nop.execute('ALTER TABLE $t ADD u uuid')\nbind = op.get_bind()\n"
         "for id_, code in bind.execute(sa.text('SELECT id, code FROM $t')).all():\n"
         "    try:\n        read = str(UUID(code))\n    except ValueError:\n        continue\n"
         "    bind.execute(sa.text('UPDATE $t SET u = CAST(:u AS uuid) WHERE id = :i'), {'u': read, 'i': id_})",
         sql("ALTER TABLE $t DROP u")),
    # A NULL in what the upgrade makes, and a row without its partner there, stop the downgrade: conditions count them.
    Case("parts_make_a_total", "total integer NOT NULL",
         sql("ALTER TABLE $t ADD units integer, ADD cents integer",
             "UPDATE $t SET units = total / 100, cents = total % 100", "ALTER TABLE $t DROP total"),
         sql("ALTER TABLE $t ADD total integer", "UPDATE $t SET total = units * 100 + cents",
             "ALTER TABLE $t ALTER total SET NOT NULL", "ALTER TABLE $t DROP units, DROP cents")),
    Case("partner_has_it", "phone text NOT NULL",
         sql("CREATE TABLE p_$t (t_id integer PRIMARY KEY REFERENCES $t ON DELETE CASCADE, phone text NOT NULL)",
             "INSERT INTO p_$t SELECT id, phone FROM $t", "ALTER TABLE $t DROP phone"),
         sql("ALTER TABLE $t ADD phone text", "UPDATE $t t SET phone = p.phone FROM p_$t p WHERE p.t_id = t.id",
             "ALTER TABLE $t ALTER phone SET NOT NULL", "DROP TABLE p_$t")),
    Case("marked_as_computed", "issued date NOT NULL, due date",
         sql("ALTER TABLE $t ADD guessed boolean NOT NULL DEFAULT false",
             "UPDATE $t SET due = issued + 14, guessed = true WHERE due IS NULL"),
         sql("UPDATE $t SET due = NULL WHERE guessed", "ALTER TABLE $t DROP guessed")),
    Case("prefix_once", "vat text, country text NOT NULL",
         sql("ALTER TABLE $t ADD was text",
             "UPDATE $t SET was = vat, vat = country || vat WHERE vat NOT LIKE country || '%'"),
         sql("UPDATE $t SET vat = was WHERE was IS NOT NULL", "ALTER TABLE $t DROP was")),
    Case("in_rounds", "n integer NOT NULL", _LOOP, _BACK),
    Case("any_one", "n integer NOT NULL",
         sql("ALTER TABLE $t ADD m integer", "UPDATE $t SET m = (SELECT id FROM $t WHERE n IS NOT NULL LIMIT 1)"),
         sql("ALTER TABLE $t DROP m")),
    Case("large_key", "ext bigint NOT NULL UNIQUE", sql("UPDATE $t SET ext = ext + 7000"), sql("UPDATE $t SET ext = ext - 7000")),
    Case("same_keys", "name text", sql("CREATE TABLE k_$t AS SELECT id, name FROM $t", "DROP TABLE $t"),
         sql("CREATE TABLE $t (id serial PRIMARY KEY, name text)", "INSERT INTO $t SELECT id, name FROM k_$t",
             "SELECT setval('$t_id_seq', (SELECT max(id) FROM $t))", "DROP TABLE k_$t")),
    Case("read_only_below", "doc jsonb NOT NULL DEFAULT '{}'", sql("ALTER TABLE $t ADD m integer"),
         sql("UPDATE $t SET m = (doc ->> 'n')::integer WHERE doc ? 'n'", "ALTER TABLE $t DROP m")),
    kept_apart("digits", "sku text NOT NULL", "sku ~ '^[A-Z]{2}-[0-9]+$'", "sku ~ '^[A-Z]{2}-[0-9]+$'"),
    Case("partner_of_some", "name text NOT NULL",
         sql("ALTER TABLE $t ADD bio text, ADD has_bio boolean NOT NULL DEFAULT false",
             "UPDATE $t SET bio = c.bio, has_bio = true FROM c_$t c WHERE c.p = $t.id", "DROP TABLE c_$t"),
         sql(_PARTNERS, "INSERT INTO c_$t SELECT id, bio FROM $t WHERE has_bio", "ALTER TABLE $t DROP bio, DROP has_bio"),
         beside=_PARTNERS),
    # While nobody takes a key again.
    Case("codes_again", "code text NOT NULL UNIQUE, n integer",
         sql("CREATE TABLE k_$t AS SELECT * FROM $t WHERE n > 100", "DELETE FROM $t WHERE n > 100"),
         sql(_KEEP, "DROP TABLE k_$t")),
    # While no array has two dimensions.
    Case("one_by_one", "cells integer[] NOT NULL",
         sql("CREATE TABLE c_$t AS SELECT t.id AS p, c.i, c.n FROM $t t, unnest(t.cells) WITH ORDINALITY AS c (n, i)",
             "ALTER TABLE $t DROP cells"),
         sql("ALTER TABLE $t ADD cells integer[]",
             "UPDATE $t SET cells = ARRAY(SELECT n FROM c_$t WHERE p = $t.id ORDER BY i)",
             "ALTER TABLE $t ALTER cells SET NOT NULL", "DROP TABLE c_$t")),
)  # fmt: skip
