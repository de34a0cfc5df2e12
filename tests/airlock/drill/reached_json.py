"""Data migrations that take the values of a JSON column for objects, or for arrays, where no default says which."""

from __future__ import annotations

from tests.airlock.drill.reached import Case, sql

_DOC = "doc jsonb NOT NULL"
_READ = "op.get_bind().execute(sa.text('SELECT id, doc FROM $t WHERE doc IS NOT NULL ORDER BY id')).all()"
_SENT = "op.get_bind().execute(sa.text('UPDATE $t SET {0} = {1} WHERE id = :i'), {{'v': {2}, 'i': {3}}})"
_WRITE = _SENT.format("doc", "CAST(:v AS jsonb)", "json.dumps(doc)", "row.id")


def mark(name: str, columns: str, written: str, down: str) -> Case:
    """Spell a sound one: a column more, filled from the document, from which the downgrade gives a key back."""
    up = sql("ALTER TABLE $t ADD kind text", written)
    return Case(name, columns, up, sql(down, "ALTER TABLE $t DROP kind"))


SOUND = (
    mark("a_key_moved_out", _DOC,
         "UPDATE $t SET kind = doc ->> 'kind', doc = doc - 'kind' "
         "WHERE jsonb_typeof(doc -> 'kind') = 'string'",
         "UPDATE $t SET doc = jsonb_set(doc, '{kind}', to_jsonb(kind)) WHERE kind IS NOT NULL"),
    Case("a_key_renamed", _DOC + " CHECK (NOT doc ? 'label')",
         sql("ALTER TABLE $t DROP CONSTRAINT t_a_key_renamed_doc_check",
             "UPDATE $t SET doc = (doc - 'title') || jsonb_build_object('label', doc -> 'title') WHERE doc ? 'title'"),
         sql("UPDATE $t SET doc = (doc - 'label') || jsonb_build_object('title', doc -> 'label') WHERE doc ? 'label'",
             "ALTER TABLE $t ADD CONSTRAINT t_a_key_renamed_doc_check CHECK (NOT doc ? 'label')")),
    Case("a_version_for_all", _DOC + " CHECK (NOT doc ? 'version')",
         sql("ALTER TABLE $t DROP CONSTRAINT t_a_version_for_all_doc_check",
             "UPDATE $t SET doc = jsonb_set(doc, '{version}', '2')"),
         sql("UPDATE $t SET doc = doc #- '{version}'",
             "ALTER TABLE $t ADD CONSTRAINT t_a_version_for_all_doc_check CHECK (NOT doc ? 'version')")),
    Case("a_version_merged", _DOC + " CHECK (NOT doc ? 'version')",
         sql("ALTER TABLE $t DROP CONSTRAINT t_a_version_merged_doc_check",
             "UPDATE $t SET doc = doc || '{\"version\": 2}'"),
         sql("UPDATE $t SET doc = doc - 'version'",
             "ALTER TABLE $t ADD CONSTRAINT t_a_version_merged_doc_check CHECK (NOT doc ? 'version')")),
    Case("keys_listed", _DOC,
         sql("CREATE TABLE k_$t AS SELECT t.id, k.key FROM $t t, jsonb_object_keys(t.doc) AS k (key)"), sql("DROP TABLE k_$t")),
    Case("a_nested_key", _DOC, sql("ALTER TABLE $t ADD city text", "UPDATE $t SET city = doc #>> '{address,city}'"),
         sql("UPDATE $t SET doc = jsonb_set(doc, '{address,city}', to_jsonb(city)) WHERE city IS NOT NULL "
             "AND doc #>> '{address,city}' <> city",
             "ALTER TABLE $t DROP city")),
    Case("a_key_read_in_python", _DOC,
         "op.execute('ALTER TABLE $t ADD kind text')\n"
         f"for row in {_READ}:\n"
         "    " + _SENT.format("kind", ":v", "json.dumps(row.doc.get('kind'))", "row.id"),
         sql("ALTER TABLE $t DROP kind"), extra="import json\n"),
    Case("arrays_read_by_place", "parts jsonb NOT NULL",
         "op.execute('ALTER TABLE $t ADD size integer')\n"
         "for row in op.get_bind().execute(sa.text('SELECT id, parts FROM $t ORDER BY id')).fetchall():\n"
         "    found = row[1] if isinstance(row[1], list) else json.loads(row[1] or '[]')\n"
         "    " + _SENT.format("size", ":v", "1 + len([one for one in found if one])", "row[0]"),
         sql("ALTER TABLE $t DROP size"), extra="import json\n"),
    Case("a_key_moved_in_python", _DOC,
         "op.execute('ALTER TABLE $t ADD kind jsonb')\n"
         f"for row in {_READ}:\n"
         "    doc = dict(row.doc)\n"
         "    if 'kind' in doc:\n"
         "        kind = json.dumps(doc.pop('kind'))\n"
         "        " + _SENT.format("kind", "CAST(:v AS jsonb)", "kind", "row.id") + "\n"
         f"        {_WRITE}",
         "for row in op.get_bind().execute(sa.text('SELECT id, doc, kind FROM $t WHERE kind IS NOT NULL')).all():\n"
         "    doc = {**row.doc, 'kind': row.kind}\n"
         f"    {_WRITE}\n"
         "op.execute('ALTER TABLE $t DROP kind')", extra="import json\n"),
    Case("members_of_an_array", "tags jsonb NOT NULL",
         sql("CREATE TABLE m_$t AS SELECT t.id, e.value "
             "FROM $t t, jsonb_array_elements(t.tags) AS e (value)"), sql("DROP TABLE m_$t")),
    Case("objects_in_an_array", "items jsonb NOT NULL",
         sql("CREATE TABLE m_$t AS SELECT t.id, e ->> 'name' AS name "
             "FROM $t t, jsonb_array_elements(t.items) AS e"),
         sql("DROP TABLE m_$t")),
    Case("a_guard", _DOC,
         sql("ALTER TABLE $t ADD kind text", "UPDATE $t SET kind = doc ->> 'kind' WHERE jsonb_typeof(doc) = 'object'"),
         sql("ALTER TABLE $t DROP kind")),
    Case("any_value_moved_out", _DOC,
         sql("ALTER TABLE $t ADD kind jsonb", "UPDATE $t SET kind = doc -> 'kind', doc = doc - 'kind' WHERE doc ? 'kind'"),
         sql("UPDATE $t SET doc = jsonb_set(doc, '{kind}', kind) WHERE kind IS NOT NULL", "ALTER TABLE $t DROP kind")),
    Case("put_back_by_a_default", _DOC + " CHECK (NOT doc ? 'kind')",
         sql("ALTER TABLE $t DROP CONSTRAINT t_put_back_by_a_default_doc_check",
             "ALTER TABLE $t ADD kind text NOT NULL DEFAULT 'x'", "UPDATE $t SET doc = doc || jsonb_build_object('kind', kind)"),
         sql("UPDATE $t SET doc = doc - 'kind'", "ALTER TABLE $t DROP kind",
             "ALTER TABLE $t ADD CONSTRAINT t_put_back_by_a_default_doc_check CHECK (NOT doc ? 'kind')")),
    Case("of_type_json", "doc json NOT NULL",
         sql("ALTER TABLE $t ADD was json", "UPDATE $t SET was = doc, doc = jsonb_set(doc::jsonb, '{version}', '2')::json"),
         sql("UPDATE $t SET doc = was WHERE was IS NOT NULL", "ALTER TABLE $t DROP was")),
    Case("unpacked_in_python", _DOC,
         "op.execute('ALTER TABLE $t ADD kind text')\n"
         "for number, payload in op.get_bind().execute(sa.text('SELECT id, doc FROM $t')).all():\n"
         "    kind = str(payload['kind']) if 'kind' in payload else payload.get('name')\n"
         "    " + _SENT.format("kind", ":v", "kind", "number"),
         sql("ALTER TABLE $t DROP kind")),
    Case("a_key_that_every_row_has", _DOC,
         "op.execute('ALTER TABLE $t ADD kind text')\n"
         f"for row in {_READ}:\n"
         "    " + _SENT.format("kind", ":v", "str(row.doc['kind'])", "row.id"),
         sql("ALTER TABLE $t DROP kind")),
    # No parameter of a statement takes an object.
    Case("a_text_under_a_key", _DOC,
         "op.execute('ALTER TABLE $t ADD kind text')\n"
         f"for row in {_READ}:\n"
         "    " + _SENT.format("kind", ":v", "(row.doc.get('about') or {}).get('kind')", "row.id") + "\n"
         "op.execute(\"UPDATE $t SET kind = 'none' WHERE doc ? 'about' AND kind IS NULL\")",
         sql("ALTER TABLE $t DROP kind")),
    Case("keys_of_each_element", "items jsonb NOT NULL DEFAULT '[]'",
         "op.execute('CREATE TABLE m_$t (o integer, sku text, name text)')\n"
         "for key, items in op.get_bind().execute(sa.text('SELECT id, items FROM $t')).all():\n"
         "    for item in items:\n"
         "        op.get_bind().execute(sa.text('INSERT INTO m_$t VALUES (:o, :s, :n)'),\n"
         "                              {'o': key, 's': item['sku'], 'n': item['name']})",
         sql("DROP TABLE m_$t")),
    Case("a_text_that_is_a_document", "doc text NOT NULL",
         "op.execute('ALTER TABLE $t ADD kind text')\n"
         f"for row in {_READ}:\n"
         "    kind = str(json.loads(row.doc)['kind'])\n"
         "    " + _SENT.format("kind", ":v", "kind", "row.id"),
         sql("ALTER TABLE $t DROP kind"), extra="import json\n"),
    # What cannot be read is none of the keys, by which the rows that were made are found again.
    Case("documents_under_texts", "n integer",
         "op.execute('ALTER TABLE d_$t ADD version text')\n"
         "op.execute('CREATE TABLE h_$t (version text PRIMARY KEY, id text, doc json, owner text NOT NULL)')\n"
         "c = op.get_bind()\n"
         "for row in c.execute(sa.text('SELECT id, owner, doc FROM d_$t')).all():\n"
         "    given = {'v': str(uuid.uuid4()), 'i': row.id, 'o': row.owner or '', 'd': json.dumps(json.loads(row.doc or '{}'))}\n"
         "    c.execute(sa.text('INSERT INTO h_$t VALUES (:v, :i, CAST(:d AS json), :o)'), given)\n"
         "    c.execute(sa.text('UPDATE d_$t SET version = :v WHERE id = :i'), {'v': given['v'], 'i': row.id})",
         sql("DROP TABLE h_$t", "ALTER TABLE d_$t DROP version"),
         beside="CREATE TABLE d_$t (id text PRIMARY KEY, owner text, doc text)", extra="import json, uuid\n"),
    Case("the_first_of_an_array", "items jsonb NOT NULL CHECK (jsonb_array_length(items) > 0)",
         sql("ALTER TABLE $t ADD head jsonb", "UPDATE $t SET head = items -> 0"), sql("ALTER TABLE $t DROP head")),
    Case("a_member_more", "tags jsonb NOT NULL CHECK (NOT tags ? 'new')",
         sql("ALTER TABLE $t DROP CONSTRAINT t_a_member_more_tags_check", "UPDATE $t SET tags = tags || '[\"new\"]'"),
         sql("UPDATE $t SET tags = tags - 'new'",
             "ALTER TABLE $t ADD CONSTRAINT t_a_member_more_tags_check CHECK (NOT tags ? 'new')")),
    Case("a_version_built", _DOC + " CHECK (NOT doc ? 'version')",
         sql("ALTER TABLE $t DROP CONSTRAINT t_a_version_built_doc_check",
             "UPDATE $t SET doc = doc || jsonb_build_object('version', 2)"),
         sql("UPDATE $t SET doc = doc #- '{version}'",
             "ALTER TABLE $t ADD CONSTRAINT t_a_version_built_doc_check CHECK (NOT doc ? 'version')")),
    Case("merged_in_python", _DOC + " CHECK (NOT doc ? 'version')",
         "op.execute('ALTER TABLE $t DROP CONSTRAINT t_merged_in_python_doc_check')\n"
         f"for row in {_READ}:\n"
         "    doc = {**row.doc, 'version': 2}\n"
         f"    {_WRITE}",
         f"for row in {_READ}:\n"
         "    doc = {key: value for key, value in row.doc.items() if key != 'version'}\n"
         f"    {_WRITE}\n"
         "op.execute(\"ALTER TABLE $t ADD CONSTRAINT t_merged_in_python_doc_check CHECK (NOT doc ? 'version')\")",
         extra="import json\n"),
    Case("only_the_way_down", _DOC, sql("ALTER TABLE $t ADD kind text"),
         sql("UPDATE $t SET doc = jsonb_set(doc, '{kind}', to_jsonb(kind)) WHERE kind IS NOT NULL", "ALTER TABLE $t DROP kind")),
)  # fmt: skip

FAULTY = (
    Case("a_key_forgotten", _DOC, sql("UPDATE $t SET doc = doc - 'kind' WHERE doc ? 'kind'")),
    mark("a_key_put_back_elsewhere", _DOC, "UPDATE $t SET kind = doc ->> 'kind', doc = doc - 'kind' WHERE doc ? 'kind'",
         "UPDATE $t SET doc = jsonb_set(doc, '{kin}', to_jsonb(kind)) WHERE kind IS NOT NULL"),
    Case("a_key_popped_in_python", _DOC,
         f"for row in {_READ}:\n"
         "    doc = dict(row.doc)\n"
         "    if doc.pop('kind', None) is not None:\n"
         f"        {_WRITE}", extra="import json\n"),
    Case("a_guard_on_one_way", _DOC,
         sql("ALTER TABLE $t ADD kept jsonb", "UPDATE $t SET kept = doc, doc = '{}'"),
         sql("UPDATE $t SET doc = kept WHERE jsonb_typeof(kept) = 'object'", "ALTER TABLE $t DROP kept")),
)  # fmt: skip
