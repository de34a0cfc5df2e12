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
    Case("a_member_removed", "tags text[] NOT NULL", sql("UPDATE $t SET tags = array_remove(tags, 'red')")),
)  # fmt: skip

SOUND = (
    flags("similar", "code text NOT NULL", "code SIMILAR TO '(foo|bar)-[0-9]+'"),
    flags("tags_of_json", "doc jsonb NOT NULL", "doc -> 'tags' ? 'spam'"),
    flags("infinite", "x double precision NOT NULL", "x = 'infinity' OR x = '-infinity'"),
    flags("a_partner_that_is", "c integer", "EXISTS (SELECT FROM p_$t p WHERE p.code = $t.c AND p.kind = 'vip')",
          "CREATE TABLE p_$t (code integer PRIMARY KEY, kind text NOT NULL)"),
    flags("four_columns", "a text NOT NULL, b integer NOT NULL, c boolean NOT NULL, d date",
          "a LIKE 'q%' AND b < -5 AND c AND d IS NULL"),
)  # fmt: skip
