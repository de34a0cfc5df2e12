"""Data migrations whose rows are hard to make: paths, lengths, partners, other columns, parts of a condition, CTEs."""

from __future__ import annotations

from tests.airlock.drill.reached import Case, sql


def flags(name: str, columns: str, condition: str, beside: str = "") -> Case:
    """Spell a sound one: rows that a condition chooses get a mark in a new column, which goes again."""
    up = sql(
        "ALTER TABLE $t ADD flag boolean NOT NULL DEFAULT false",
        f"UPDATE $t SET flag = true WHERE {condition}",
    )
    return Case(name, columns, up, sql("ALTER TABLE $t DROP flag"), beside)


_STATE = "state text NOT NULL, n integer NOT NULL"

FAULTY = (
    Case("a_new_domain", "mail text NOT NULL",
         sql("UPDATE $t SET mail = split_part(mail, '@', 1) || '@new.example' WHERE split_part(mail, '@', 2) = 'old.example'"),
         sql("UPDATE $t SET mail = split_part(mail, '@', 1) || '@old.example' WHERE split_part(mail, '@', 2) = 'new.example'")),
    Case("none_for_null", "note text", sql("UPDATE $t SET note = coalesce(note, 'none')"),
         sql("UPDATE $t SET note = NULLIF(note, 'none')")),
    Case("dashes", "code text NOT NULL", sql("UPDATE $t SET code = translate(code, '_', '-')"),
         sql("UPDATE $t SET code = translate(code, '-', '_')")),
    Case("a_path_of_json", "doc jsonb NOT NULL",
         sql("DELETE FROM $t WHERE jsonb_path_exists(doc, '$.items[*] ? (@.price > 100)')")),
    Case("a_chain_of_ctes", _STATE,
         sql("WITH a AS (SELECT id FROM $t WHERE state = 'chain'), b AS (SELECT id FROM a WHERE id > 0) "
             "UPDATE $t SET n = 0 WHERE id IN (SELECT id FROM b)")),
    Case("its_own_parent", "parent integer", sql("UPDATE $t SET parent = NULL WHERE parent = id")),
    Case("long_arrays", "tags integer[] NOT NULL", sql("UPDATE $t SET tags = tags[1:3] WHERE cardinality(tags) > 3")),
    # What a step does with rows beside those that it names: other sets of values, children, partitions.
    Case("many_sets", "n integer NOT NULL",
         "op.get_bind().execute(sa.text('UPDATE $t SET n = :b WHERE n = :a'), "
         "[{'a': 1, 'b': 10}, {'a': 2, 'b': 20}, {'a': 3, 'b': 20}])",
         "op.get_bind().execute(sa.text('UPDATE $t SET n = :a WHERE n = :b'), [{'a': 1, 'b': 10}, {'a': 2, 'b': 20}])"),
    Case("children_go_along", "name text",
         sql("CREATE TABLE k_$t AS SELECT * FROM $t WHERE name LIKE 'test%'", "DELETE FROM $t WHERE name LIKE 'test%'"),
         sql("INSERT INTO $t SELECT * FROM k_$t", "DROP TABLE k_$t"),
         beside="CREATE TABLE c_$t (id serial PRIMARY KEY, p integer REFERENCES $t ON DELETE CASCADE)\n"
                "CREATE TABLE d_$t (id serial PRIMARY KEY, c integer REFERENCES c_$t ON DELETE CASCADE)"),
    Case("a_partition_dropped", "n integer", sql("DROP TABLE old_$t"),
         sql("CREATE TABLE old_$t PARTITION OF m_$t FOR VALUES FROM ('2019-01-01') TO ('2020-01-01')"),
         beside="CREATE TABLE m_$t (id integer NOT NULL, at timestamptz NOT NULL) PARTITION BY RANGE (at)\n"
                "CREATE TABLE rest_$t PARTITION OF m_$t DEFAULT\n"
                "CREATE TABLE old_$t PARTITION OF m_$t FOR VALUES FROM ('2019-01-01') TO ('2020-01-01')"),
    Case("a_partition_below_dropped", "n integer", sql("DROP TABLE old_$t"),
         sql("CREATE TABLE old_$t PARTITION OF eu_$t FOR VALUES FROM ('2000-01-01') TO ('2020-01-01')"),
         beside="CREATE TABLE m_$t (id integer NOT NULL, area text NOT NULL, day date NOT NULL) PARTITION BY LIST (area)\n"
                "CREATE TABLE eu_$t PARTITION OF m_$t FOR VALUES IN ('eu') PARTITION BY RANGE (day)\n"
                "CREATE TABLE old_$t PARTITION OF eu_$t FOR VALUES FROM ('2000-01-01') TO ('2020-01-01')\n"
                "CREATE TABLE new_$t PARTITION OF eu_$t FOR VALUES FROM ('2020-01-01') TO ('2030-01-01')\n"
                "CREATE TABLE us_$t PARTITION OF m_$t FOR VALUES IN ('us')"),
    # Rows that the release below writes above: without the new column, without a row in the new table.
    Case("overwritten_by_the_new_column", "name text, more text",
         sql("ALTER TABLE $t ADD whole text", "UPDATE $t SET whole = name"),
         sql("UPDATE $t SET name = whole", "ALTER TABLE $t DROP whole")),
    Case("set_back_to_what_it_was", "name text, more text",
         sql("ALTER TABLE $t ADD whole text", "UPDATE $t SET whole = name"),
         sql("UPDATE $t SET name = whole WHERE whole IS NOT NULL", "ALTER TABLE $t DROP whole")),
    Case("a_copy_of_the_table", "name text, more text",
         sql("CREATE TABLE k_$t AS SELECT * FROM $t", "UPDATE $t SET more = lower(more)"),
         sql("TRUNCATE $t", "INSERT INTO $t SELECT * FROM k_$t", "DROP TABLE k_$t")),
    Case("the_old_table_again", "name text, more text",
         sql("ALTER TABLE $t RENAME TO o_$t", "CREATE TABLE $t (id integer PRIMARY KEY, name text, more text)",
             "INSERT INTO $t SELECT id, lower(name), more FROM o_$t"),
         sql("DROP TABLE $t", "ALTER TABLE o_$t RENAME TO $t")),
    Case("joined_from_the_new_table", "name text",
         sql("CREATE TABLE n_$t (id integer PRIMARY KEY, name text)", "INSERT INTO n_$t SELECT id, name FROM $t"),
         sql("UPDATE $t SET name = (SELECT n.name FROM n_$t n WHERE n.id = $t.id)", "DROP TABLE n_$t")),
    Case("unmarked_rows_deleted", "name text", sql("ALTER TABLE $t ADD source text", "UPDATE $t SET source = 'old'"),
         sql("DELETE FROM $t WHERE source IS DISTINCT FROM 'old'", "ALTER TABLE $t DROP source")),
    # What others write above, into the place that a column has moved to: it comes back from another one.
    Case("back_from_a_copy", "price numeric(10,2)",
         sql("CREATE TABLE k_$t AS SELECT id, price FROM $t",
             "CREATE TABLE n_$t (p integer PRIMARY KEY REFERENCES $t ON DELETE CASCADE, amount numeric(10,2))",
             "INSERT INTO n_$t SELECT id, price FROM $t", "ALTER TABLE $t DROP price"),
         sql("ALTER TABLE $t ADD price numeric(10,2)", "UPDATE $t SET price = k.price FROM k_$t k WHERE k.id = $t.id",
             "DROP TABLE n_$t, k_$t")),
    Case("back_by_its_name", "phone text, mail text",
         sql("CREATE TABLE n_$t (p integer REFERENCES $t ON DELETE CASCADE, kind text, v text, PRIMARY KEY (p, kind))",
             "INSERT INTO n_$t SELECT id, 'phone', phone FROM $t WHERE phone IS NOT NULL",
             "INSERT INTO n_$t SELECT id, 'mail', mail FROM $t WHERE mail IS NOT NULL",
             "ALTER TABLE $t RENAME phone TO old_phone", "ALTER TABLE $t RENAME mail TO old_mail"),
         sql("ALTER TABLE $t RENAME old_phone TO phone", "ALTER TABLE $t RENAME old_mail TO mail", "DROP TABLE n_$t")),
    Case("back_from_beside", "driver text",
         sql("CREATE TABLE n_$t (p integer PRIMARY KEY REFERENCES $t ON DELETE CASCADE, driver text NOT NULL)",
             "INSERT INTO n_$t SELECT id, driver FROM $t WHERE driver IS NOT NULL",
             "ALTER TABLE $t ADD was text", "UPDATE $t SET was = driver", "ALTER TABLE $t DROP driver"),
         sql("ALTER TABLE $t ADD driver text", "UPDATE $t SET driver = was", "ALTER TABLE $t DROP was", "DROP TABLE n_$t")),
    Case("back_from_other_units", "price numeric(10,2), mood m_mood",
         sql("ALTER TABLE $t ADD cents bigint, ADD code smallint", "UPDATE $t SET cents = price * 100",
             "UPDATE $t SET code = CASE mood WHEN 'glad' THEN 1 WHEN 'sad' THEN 2 END",
             "ALTER TABLE $t RENAME price TO old_price", "ALTER TABLE $t RENAME mood TO old_mood"),
         sql("ALTER TABLE $t RENAME old_price TO price", "ALTER TABLE $t RENAME old_mood TO mood",
             "ALTER TABLE $t DROP cents, DROP code")),
    Case("built_anew", "name text",
         sql("ALTER TABLE c_$t RENAME TO o_$t", "CREATE TABLE c_$t (id bigint PRIMARY KEY, name text)",
             "INSERT INTO c_$t SELECT * FROM o_$t"),
         sql("DROP TABLE c_$t", "ALTER TABLE o_$t RENAME TO c_$t"),
         beside="CREATE TABLE c_$t (id integer CONSTRAINT k_$t PRIMARY KEY, name text)"),
    # Rows that are made up: of a pair that was one way, the other way too.
    Case("both_ways", "n integer",
         sql("CREATE TABLE n_$t AS SELECT DISTINCT least(a, b) AS low, greatest(a, b) AS high FROM c_$t", "DROP TABLE c_$t"),
         sql("CREATE TABLE c_$t (a integer NOT NULL, b integer NOT NULL, PRIMARY KEY (a, b))",
             "INSERT INTO c_$t SELECT low, high FROM n_$t UNION SELECT high, low FROM n_$t", "DROP TABLE n_$t"),
         beside="CREATE TABLE c_$t (a integer NOT NULL, b integer NOT NULL, PRIMARY KEY (a, b))"),
    # Texts that are read as something else, and come back in its spelling.
    Case("leading_zeros", "code text", sql("ALTER TABLE $t ALTER code TYPE integer USING code::integer"),
         sql("ALTER TABLE $t ALTER code TYPE text")),
    # The cast alone tells nothing of what becomes of blanks.
    Case("spelled_otherwise_by_more", "d text", sql("ALTER TABLE $t ALTER d TYPE date USING btrim(d)::date"),
         sql("ALTER TABLE $t ALTER d TYPE text")),
    Case("spelled_otherwise_twice", "d text", sql("ALTER TABLE $t ALTER d TYPE date USING d::timestamp::date"),
         sql("ALTER TABLE $t ALTER d TYPE text")),
    Case("leading_zeros_in_python", "code text",
         "op.execute('ALTER TABLE $t ADD n integer')\n"
         "for row in op.get_bind().execute(sa.text('SELECT id, code FROM $t WHERE code IS NOT NULL')).all():\n"
         "    op.get_bind().execute(sa.text('UPDATE $t SET n = :n WHERE id = :i'), {'n': int(row.code), 'i': row.id})\n"
         "op.execute('ALTER TABLE $t DROP code')",
         sql("ALTER TABLE $t ADD code text", "UPDATE $t SET code = n::text", "ALTER TABLE $t DROP n")),
    Case("leading_zeros_where_it_can", "code text",
         "op.execute('ALTER TABLE $t ADD n integer')\n"
         "for row in op.get_bind().execute(sa.text('SELECT id, code FROM $t')).all():\n"
         "    try:\n"
         "        found = int(row.code)\n"
         "    except (TypeError, ValueError):\n"
         "        continue\n"
         "    op.get_bind().execute(sa.text('UPDATE $t SET n = :n, code = NULL WHERE id = :i'), {'n': found, 'i': row.id})",
         sql("UPDATE $t SET code = n::text WHERE n IS NOT NULL", "ALTER TABLE $t DROP n")),
    Case("leading_zeros_behind_a_guard", "code text",
         sql("ALTER TABLE $t ADD n integer", "UPDATE $t SET n = code::int, code = NULL WHERE code ~ '^[0-9]{1,6}$'"),
         sql("UPDATE $t SET code = n::text WHERE n IS NOT NULL", "ALTER TABLE $t DROP n")),
    Case("a_key_that_was_there", "doc jsonb NOT NULL",
         sql("UPDATE $t SET doc = doc || '{\"more\": 1}' WHERE doc ->> 'kind' = 'cold'"),
         sql("UPDATE $t SET doc = doc - 'more' WHERE doc ->> 'kind' = 'cold'")),
    Case("a_member_removed", "tags text[] NOT NULL", sql("UPDATE $t SET tags = array_remove(tags, 'red')")),
    Case("objects_stay", "body bytea NOT NULL",
         sql("ALTER TABLE $t ADD o oid", "UPDATE $t SET o = lo_from_bytea(0, body)"), sql("ALTER TABLE $t DROP o")),
    Case("objects_cut", "o oid", sql("SELECT lo_truncate(lo_open(o, 131072), 1) FROM $t WHERE o IS NOT NULL")),
    # Another number than the one that a sequence hands out.
    Case("numbered_at_random", "n integer NOT NULL",
         sql("DO $$ BEGIN PERFORM nextval('n_$t'); EXECUTE format('CREATE VIEW v_$t AS SELECT id, %s AS layer FROM $t', "
             "floor(random() * 1000000000)); END $$"),
         sql("DROP VIEW v_$t"), beside="CREATE SEQUENCE n_$t START 7"),
)  # fmt: skip

SOUND = (
    Case("many_sets_of_marks", "state text NOT NULL",
         "op.execute('ALTER TABLE $t ADD mark integer')\n"
         "op.get_bind().execute(sa.text('UPDATE $t SET mark = :m WHERE state = :s'), "
         "[{'s': 'new', 'm': 1}, {'s': 'done', 'm': 2}, {'s': 'gone', 'm': 3}])",
         sql("ALTER TABLE $t DROP mark")),
    Case("children_put_back", "name text",
         sql("CREATE TABLE l_$t AS SELECT c.* FROM c_$t c JOIN $t t ON t.id = c.p WHERE t.name LIKE 'test%'",
             "CREATE TABLE k_$t AS SELECT * FROM $t WHERE name LIKE 'test%'", "DELETE FROM $t WHERE name LIKE 'test%'"),
         sql("INSERT INTO $t SELECT * FROM k_$t", "INSERT INTO c_$t SELECT * FROM l_$t", "DROP TABLE k_$t, l_$t"),
         beside="CREATE TABLE c_$t (id serial PRIMARY KEY, p integer REFERENCES $t ON DELETE CASCADE)"),
    Case("a_partition_more", "n integer",
         sql("CREATE TABLE new_$t PARTITION OF m_$t FOR VALUES FROM ('2031-01-01') TO ('2032-01-01')"),
         sql("DROP TABLE new_$t"),
         beside="CREATE TABLE m_$t (id integer NOT NULL, at timestamptz NOT NULL) PARTITION BY RANGE (at)\n"
                "CREATE TABLE old_$t PARTITION OF m_$t FOR VALUES FROM ('2019-01-01') TO ('2020-01-01')"),
    Case("filled_where_empty", "name text, more text",
         sql("ALTER TABLE $t ADD whole text", "UPDATE $t SET whole = name"),
         sql("UPDATE $t SET name = whole WHERE name IS NULL", "ALTER TABLE $t DROP whole")),
    Case("translated_for_all", "state text NOT NULL CHECK (state IN ('a', 'b'))",
         sql("ALTER TABLE $t DROP CONSTRAINT t_translated_for_all_state_check", "ALTER TABLE $t ADD more integer",
             "UPDATE $t SET state = state || '1'"),
         sql("UPDATE $t SET state = left(state, 1)", "ALTER TABLE $t DROP more",
             "ALTER TABLE $t ADD CONSTRAINT t_translated_for_all_state_check CHECK (state IN ('a', 'b'))")),
    Case("numbers_without_zeros", "code text CHECK (code ~ '^[1-9][0-9]{0,5}$')",
         sql("ALTER TABLE $t DROP CONSTRAINT t_numbers_without_zeros_code_check",
             "ALTER TABLE $t ALTER code TYPE integer USING code::integer"),
         sql("ALTER TABLE $t ALTER code TYPE text",
             "ALTER TABLE $t ADD CONSTRAINT t_numbers_without_zeros_code_check CHECK (code ~ '^[1-9][0-9]{0,5}$')")),
    flags("similar", "code text NOT NULL", "code SIMILAR TO '(foo|bar)-[0-9]+'"),
    flags("tags_of_json", "doc jsonb NOT NULL", "doc -> 'tags' ? 'spam'"),
    flags("infinite", "x double precision NOT NULL", "x = 'infinity' OR x = '-infinity'"),
    flags("a_partner_that_is", "c integer", "EXISTS (SELECT FROM p_$t p WHERE p.code = $t.c AND p.kind = 'vip')",
          "CREATE TABLE p_$t (code integer PRIMARY KEY, kind text NOT NULL)"),
    flags("four_columns", "a text NOT NULL, b integer NOT NULL, c boolean NOT NULL, d date",
          "a LIKE 'q%' AND b < -5 AND c AND d IS NULL"),
    flags("open_ranges", "valid tstzrange NOT NULL", "upper_inf(valid) OR upper(valid) > now()"),
    # A bound of the project's own, which values at the edge of their type pass.
    Case("a_bound", "cents integer NOT NULL",
         sql("ALTER TABLE $t ADD price numeric(12,2)", "UPDATE $t SET price = cents / 100.0",
             "ALTER TABLE $t ADD CONSTRAINT k_$t CHECK (price BETWEEN -9000000 AND 9000000)"),
         sql("ALTER TABLE $t DROP price")),
    Case("a_new_partition", "n integer",
         sql("CREATE TABLE m_$t_2025 (LIKE m_$t INCLUDING ALL)",
             "WITH moved AS (DELETE FROM m_$t_rest WHERE d >= '2025-01-01' AND d < '2026-01-01' RETURNING *) "
             "INSERT INTO m_$t_2025 SELECT * FROM moved",
             "ALTER TABLE m_$t ATTACH PARTITION m_$t_2025 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')"),
         sql("ALTER TABLE m_$t DETACH PARTITION m_$t_2025", "INSERT INTO m_$t SELECT * FROM m_$t_2025", "DROP TABLE m_$t_2025"),
         "CREATE TABLE m_$t (d date NOT NULL, k integer NOT NULL, PRIMARY KEY (d, k)) PARTITION BY RANGE (d)\n"
         "CREATE TABLE m_$t_2024 PARTITION OF m_$t FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')\n"
         "CREATE TABLE m_$t_rest PARTITION OF m_$t DEFAULT"),
    # What it looks for in a table of its own was copied from another.
    Case("units", "kind text NOT NULL",
         sql("CREATE TABLE u_$t (name text PRIMARY KEY, unit text)", "INSERT INTO u_$t (name) SELECT DISTINCT kind FROM $t",
             "UPDATE u_$t SET unit = CASE name WHEN 'weight' THEN 'kg' WHEN 'height' THEN 'cm' ELSE '' END"),
         sql("DROP TABLE u_$t")),
    # Nobody but the step writes there: a row without its partner would not come back.
    Case("an_archive", "p integer NOT NULL, state text NOT NULL",
         sql("CREATE TABLE a_$t (LIKE $t)",
             "WITH gone AS (DELETE FROM $t WHERE state = 'old' RETURNING *) INSERT INTO a_$t SELECT * FROM gone"),
         sql("INSERT INTO $t SELECT * FROM a_$t", "DROP TABLE a_$t"),
         "CREATE TABLE p_$t (id serial PRIMARY KEY)\nALTER TABLE $t ADD FOREIGN KEY (p) REFERENCES p_$t"),
    # A parent without a child, a row of references alone, a value computed of one that others change, documents of a pattern.
    Case("totals_of_children", "total numeric(14,2)",
         sql("ALTER TABLE $t ADD whole numeric(30,2)",
             "UPDATE $t SET whole = (SELECT sum(c.n * c.price) FROM c_$t c WHERE c.p = $t.id)",
             "UPDATE $t SET whole = 0 WHERE whole IS NULL", "ALTER TABLE $t ALTER whole SET NOT NULL"),
         sql("ALTER TABLE $t DROP whole"),
         beside="CREATE TABLE c_$t (id serial PRIMARY KEY, p integer NOT NULL REFERENCES $t, n integer NOT NULL, "
                "price numeric(10,2) NOT NULL)"),
    Case("codes_that_are_linked", "n integer", sql("INSERT INTO d_$t VALUES ('doc.read'), ('doc.write')"),
         sql("DELETE FROM l_$t WHERE code IN ('doc.read', 'doc.write')",
             "DELETE FROM d_$t WHERE code IN ('doc.read', 'doc.write')"),
         beside="CREATE TABLE d_$t (code text PRIMARY KEY)\n"
                "CREATE TABLE l_$t (p integer REFERENCES $t, code text REFERENCES d_$t, PRIMARY KEY (p, code))"),
    Case("computed_of_what_moves", "title text NOT NULL, body text NOT NULL, "
         "whole text GENERATED ALWAYS AS (title || ' ' || body) STORED",
         sql("CREATE TABLE b_$t (id integer PRIMARY KEY REFERENCES $t ON DELETE CASCADE, body text NOT NULL)",
             "INSERT INTO b_$t SELECT id, body FROM $t", "ALTER TABLE $t DROP whole", "ALTER TABLE $t DROP body"),
         sql("ALTER TABLE $t ADD body text", "UPDATE $t SET body = b.body FROM b_$t b WHERE b.id = $t.id",
             "UPDATE $t SET body = '' WHERE body IS NULL", "ALTER TABLE $t ALTER body SET NOT NULL",
             "ALTER TABLE $t ADD whole text GENERATED ALWAYS AS (title || ' ' || body) STORED", "DROP TABLE b_$t")),
    Case("sizes_in_a_document", "width integer, height integer",
         sql("ALTER TABLE $t ADD dims jsonb", "UPDATE $t SET dims = jsonb_build_object('w', width, 'h', height)",
             "ALTER TABLE $t DROP width, DROP height"),
         sql("ALTER TABLE $t ADD width integer, ADD height integer",
             "UPDATE $t SET width = (dims ->> 'w')::integer, height = (dims ->> 'h')::integer", "ALTER TABLE $t DROP dims")),
)  # fmt: skip
