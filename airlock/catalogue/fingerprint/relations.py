"""The queries for what hangs on a table: relations, columns, constraints, indexes, triggers, policies, rules.

Every query yields kind, schema, relation, name, then attributes: a column's alias is the attribute's name; "=relation" is the
oid of the table that all of it hangs on. NULL and the empty text both mean "nothing said". Parameters: the schemas' oids, the
extensions' relations. `of_some` has them read what hangs on some relations only.
"""

from __future__ import annotations

import re
from string import Template

_SOME = re.compile(r"/\*of (\S+)\*/")

# A NULL list and one that spells out the owner's default privileges mean the same.
_PRIVILEGES = Template("""CASE WHEN $acl IS NOT NULL THEN nullif(
    coalesce((SELECT string_agg(i::text, ', ' ORDER BY i::text COLLATE "C") FROM unnest($acl) AS i), 'nobody'),
    coalesce((SELECT string_agg(i::text, ', ' ORDER BY i::text COLLATE "C")
              FROM unnest(acldefault('$letter', $owner)) AS i), 'nobody')) END""")
# Of an option that is a secret (a mapping's password, a server's api_key) a few digits of its digest tell whether it changed.
_OPTIONS = Template("""(SELECT string_agg(CASE
    WHEN o ~* '^[^=]*(password|passwd|secret\\w*|token|api_?key|access_?key)='
    THEN split_part(o, '=', 1) || '=*** (' || left(md5(o), 4) || ')' ELSE o END, ', ' ORDER BY o COLLATE "C")
  FROM unnest($options) AS o)""")
_COMMENT = Template("""LEFT JOIN pg_description $alias
    ON $alias.objoid = $oid AND $alias.classoid = '$catalogue'::regclass AND $alias.objsubid = $part""")


def of_some(query: str) -> str:
    """Give the query for what hangs on `%(some)s`, oids of relations."""
    return _SOME.sub(r"AND \1 = ANY (%(some)s::oid[])", query)


def privileges(acl: str, letter: str, owner: str) -> str:
    """Spell the expression for an ACL column that is NULL where only the default privileges are granted."""
    return _PRIVILEGES.substitute(acl=acl, letter=letter, owner=owner)


def options(expression: str) -> str:
    """Spell the expression for a sorted, comma-separated text[]."""
    return _OPTIONS.substitute(options=expression)


def comment(oid: str, catalogue: str, part: str = "0", alias: str = "d") -> str:
    """Spell the join that brings an object's comment in as `<alias>.description`."""
    return _COMMENT.substitute(oid=oid, catalogue=catalogue, part=part, alias=alias)


_RELATIONS = Template("""
SELECT CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
                      WHEN 'm' THEN 'materialized view' ELSE 'foreign table' END,
  n.nspname, NULL, c.relname,
  pg_get_userbyid(c.relowner) AS "owner",
  CASE c.relpersistence WHEN 'u' THEN 'unlogged' WHEN 't' THEN 'temporary' END AS "persistence",
  CASE WHEN c.relkind = 'p' OR m.amname <> 'heap' THEN m.amname END AS "access method",
  s.spcname AS "tablespace",
  $options AS "options",
  $toast_options AS "toast options",
  CASE CASE WHEN c.relkind IN ('r', 'p', 'm') THEN c.relreplident END WHEN 'n' THEN 'nothing' WHEN 'f' THEN 'full' WHEN 'i' THEN (
    SELECT 'index ' || x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
    WHERE i.indrelid = c.oid AND i.indisreplident) END AS "replica identity",
  CASE WHEN c.relforcerowsecurity AND c.relrowsecurity THEN 'enabled, forced on the owner'
       WHEN c.relforcerowsecurity THEN 'disabled, forced on the owner'
       WHEN c.relrowsecurity THEN 'enabled' END AS "row security",
  CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END AS "partition key",
  CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END AS "partition bound",
  CASE WHEN c.relkind IN ('r', 'p', 'f') THEN (
    SELECT string_agg(i.inhparent::regclass::text || CASE WHEN i.inhdetachpending THEN ' (detaching)' ELSE '' END,
                      ', ' ORDER BY i.inhseqno)
    FROM pg_inherits i WHERE i.inhrelid = c.oid) END AS "inherits",
  CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END AS "of type",
  CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END AS "definition",
  CASE WHEN NOT c.relispopulated THEN 'no' END AS "populated",
  CASE WHEN c.relkind = 'f' THEN (
    SELECT r.srvname || coalesce(': ' || $foreign_options, '')
    FROM pg_foreign_table f JOIN pg_foreign_server r ON r.oid = f.ftserver
    WHERE f.ftrelid = c.oid) END AS "foreign server",
  d.description AS "comment",
  $privileges AS "privileges", c.oid::bigint AS "=relation"
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_am m ON m.oid = c.relam
LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace
$comment
WHERE c.relnamespace = ANY (%(schemas)s::oid[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND c.oid <> ALL (%(extension_relations)s::oid[]) /*of c.oid*/
""").safe_substitute(
    options=options("c.reloptions"),
    toast_options=options("(SELECT t.reloptions FROM pg_class t WHERE t.oid = c.reltoastrelid)"),
    foreign_options=options("f.ftoptions"),
    privileges=privileges("c.relacl", "r", "c.relowner"),
    comment=comment("c.oid", "pg_class"),
)

_COLUMNS = Template("""
SELECT 'column', n.nspname, c.relname, a.attname,
  format_type(a.atttypid, a.atttypmod) AS "type",
  CASE WHEN a.attcollation <> t.typcollation THEN (
    SELECT concat(nullif(l.collnamespace::regnamespace || '.', 'pg_catalog.'), l.collname)
    FROM pg_collation l WHERE l.oid = a.attcollation) END AS "collation",
  CASE WHEN a.attnotnull THEN $not_null END AS "not null",
  CASE WHEN a.attgenerated = '' THEN pg_get_expr(e.adbin, e.adrelid) END AS "default",
  CASE a.attgenerated WHEN 's' THEN 'stored as ' || pg_get_expr(e.adbin, e.adrelid)
                      WHEN 'v' THEN 'virtual as ' || pg_get_expr(e.adbin, e.adrelid) END AS "generated",
  CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END AS "identity",
  CASE WHEN a.attstorage <> t.typstorage THEN
    CASE a.attstorage WHEN 'p' THEN 'plain' WHEN 'e' THEN 'external' WHEN 'm' THEN 'main' ELSE 'extended' END
  END AS "storage",
  CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END AS "compression",
  nullif(a.attstattarget, -1)::text AS "statistics target",
  $options AS "options",
  $foreign_options AS "foreign options",
  CASE WHEN a.attinhcount > 0 THEN 'yes' || CASE WHEN a.attislocal THEN ', and of its own' ELSE '' END
  END AS "inherited",
  d.description AS "comment",
  $privileges AS "privileges", c.oid::bigint AS "=relation"
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
$not_null_join
$comment
WHERE c.relnamespace = ANY (%(schemas)s::oid[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
  AND c.oid <> ALL (%(extension_relations)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped /*of c.oid*/
ORDER BY a.attrelid, a.attnum
""").safe_substitute(
    # A minor release may leave options of its own on columns (pg_attver...): nobody's revision wrote them.
    options="""(SELECT string_agg(o, ', ' ORDER BY o COLLATE "C")
                FROM unnest(a.attoptions) AS o WHERE o NOT LIKE 'pg\\_att%%')""",
    foreign_options=options("a.attfdwoptions"),
    privileges=privileges("a.attacl", "c", "c.relowner"),
    comment=comment("a.attrelid", "pg_class", "a.attnum"),
)

# A trigger's constraint and a domain's NOT NULL are told with these, but where somebody has named it or put a comment on it.
# A foreign key depends on one index of the key that it refers to: of several it is told which, for that one cannot be
# dropped.
_CONSTRAINTS = Template("""
SELECT 'constraint', n.nspname, coalesce(c.relname, t.typname), k.conname,
  pg_get_constraintdef(k.oid) AS "definition",
  CASE WHEN k.coninhcount > 0 THEN 'yes' || CASE WHEN k.conislocal THEN ', and of its own' ELSE '' END
  END AS "inherited",
  CASE WHEN k.conrelid <> 0 THEN (
    SELECT string_agg(DISTINCT CASE g.tgenabled WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'on replicas only'
                                                ELSE 'always' END, ', ')
    FROM pg_trigger g WHERE g.tgconstraint = k.oid AND g.tgenabled <> 'O') END AS "enforcing triggers",
  CASE WHEN k.contype = 'f' AND (
    SELECT count(*) FROM pg_index i WHERE i.indrelid = k.confrelid AND i.indisunique
      AND i.indnkeyatts = cardinality(k.confkey) AND k.confkey @> (i.indkey::int2[])[0:i.indnkeyatts - 1]) > 1
    THEN k.conindid::regclass::text END AS "rests on the index",
  d.description AS "comment",
  CASE WHEN k.contypid <> 0 THEN 'type' END AS "=of", k.conrelid::bigint AS "=relation"
FROM pg_constraint k
JOIN pg_namespace n ON n.oid = k.connamespace
LEFT JOIN pg_class c ON c.oid = k.conrelid
LEFT JOIN pg_type t ON t.oid = k.contypid
$comment
WHERE n.oid = ANY (%(schemas)s::oid[])
  AND CASE k.contype WHEN 't' THEN d.description IS NOT NULL
                     WHEN 'n' THEN k.contypid <> 0 AND (d.description IS NOT NULL OR k.conname !~ '_not_null\\d*$$')
                     ELSE true END
  AND k.conrelid <> ALL (%(extension_relations)s::oid[]) /*of k.conrelid*/
""").safe_substitute(comment=comment("k.oid", "pg_constraint"))

_INDEXES = Template("""
SELECT 'index', n.nspname, NULL, x.relname,
  pg_get_indexdef(i.indexrelid) AS "definition",
  CASE WHEN NOT i.indisvalid OR NOT i.indisready OR NOT i.indislive THEN 'no' END AS "valid",
  CASE WHEN i.indisclustered THEN 'yes' END AS "clustered on",
  (SELECT 'index ' || h.inhparent::regclass FROM pg_inherits h WHERE h.inhrelid = i.indexrelid) AS "attached to",
  CASE WHEN 0 = ANY (i.indkey::int2[]) THEN (
    SELECT string_agg(a.attnum || ': ' || a.attstattarget, ', ' ORDER BY a.attnum)
    FROM pg_attribute a WHERE a.attrelid = i.indexrelid AND a.attstattarget >= 0) END AS "statistics target",
  s.spcname AS "tablespace",
  d.description AS "comment",
  c.relname AS "=table", k.conname AS "=constraint", c.oid::bigint AS "=relation"
FROM pg_index i
JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_namespace n ON n.oid = x.relnamespace
LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
LEFT JOIN pg_tablespace s ON s.oid = x.reltablespace
$comment
WHERE x.relnamespace = ANY (%(schemas)s::oid[]) AND c.oid <> ALL (%(extension_relations)s::oid[]) /*of c.oid*/
""").safe_substitute(comment=comment("x.oid", "pg_class"))

_ACTIONS = Template("""
SELECT 'trigger', n.nspname, c.relname, g.tgname,
  pg_get_triggerdef(g.oid) AS "definition",
  CASE g.tgenabled WHEN 'D' THEN 'no' WHEN 'R' THEN 'on replicas only' WHEN 'A' THEN 'always' END AS "enabled",
  d.description AS "comment", c.oid::bigint AS "=relation"
FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
$trigger_comment
WHERE n.oid = ANY (%(schemas)s::oid[]) AND $of_somebody AND c.oid <> ALL (%(extension_relations)s::oid[])
  /*of c.oid*/
UNION ALL
SELECT 'rule', n.nspname, c.relname, r.rulename, pg_get_ruledef(r.oid),
  CASE r.ev_enabled WHEN 'D' THEN 'no' WHEN 'R' THEN 'on replicas only' WHEN 'A' THEN 'always' END, d.description,
  c.oid::bigint
FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
$rule_comment
WHERE n.oid = ANY (%(schemas)s::oid[]) AND r.rulename <> '_RETURN'
  AND c.oid <> ALL (%(extension_relations)s::oid[]) /*of c.oid*/
UNION ALL
SELECT 'policy', n.nspname, c.relname, p.polname,
  CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END || ' for '
  || CASE p.polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update' WHEN 'd' THEN 'delete'
                   ELSE 'all' END
  || ' to ' || (SELECT string_agg(CASE u WHEN 0 THEN 'public' ELSE pg_get_userbyid(u)::text END, ', '
                                  ORDER BY CASE u WHEN 0 THEN 'public' ELSE pg_get_userbyid(u)::text END COLLATE "C")
                FROM unnest(p.polroles) AS u)
  || coalesce(' using (' || pg_get_expr(p.polqual, p.polrelid) || ')', '')
  || coalesce(' with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', ''),
  NULL, d.description, c.oid::bigint
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
$policy_comment
WHERE n.oid = ANY (%(schemas)s::oid[]) AND c.oid <> ALL (%(extension_relations)s::oid[]) /*of c.oid*/
""").safe_substitute(
    trigger_comment=comment("g.oid", "pg_trigger"),
    rule_comment=comment("r.oid", "pg_rewrite"),
    policy_comment=comment("p.oid", "pg_policy"),
)

# PostgreSQL 18: NOT NULL is a constraint with a name, may be NOT VALID, and may stop at this table. A name that the server has
# given keeps that of a column or table that has been renamed since: nobody has chosen it, and made anew it is another.
_NAMED_NOT_NULL = r"""'yes' || CASE WHEN w.conname IS NOT NULL AND w.conname !~ '_not_null\d*$'
    THEN ', named ' || w.conname ELSE '' END
  || CASE WHEN w.connoinherit THEN ', not inherited' ELSE '' END
  || CASE WHEN NOT w.convalidated THEN ', not valid' ELSE '' END
  || CASE WHEN wd.description IS NOT NULL THEN ', comment ' || wd.description ELSE '' END"""
_NOT_NULL_JOIN = """LEFT JOIN pg_constraint w ON w.conrelid = a.attrelid AND w.contype = 'n' AND w.conkey[1] = a.attnum
""" + comment("w.oid", "pg_constraint", alias="wd")  # fmt: skip


def queries(server_version: int) -> tuple[str, ...]:
    """Give the queries for one server version (`server_version_num`)."""
    named = server_version >= 180000
    columns = Template(_COLUMNS).substitute(
        not_null=_NAMED_NOT_NULL if named else "'yes'", not_null_join=_NOT_NULL_JOIN if named else ""
    )
    # Before 15 a partition's trigger that comes of its parent's is told as the server's own, as a foreign key's are.
    of_somebody = (
        "NOT g.tgisinternal" if server_version >= 150000 else "(NOT g.tgisinternal OR g.tgparentid <> 0)"
    )
    actions = Template(_ACTIONS).substitute(of_somebody=of_somebody)
    return (_RELATIONS, columns, _CONSTRAINTS, _INDEXES, actions)
