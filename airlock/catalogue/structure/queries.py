"""The catalogue's rows that a structure is read from; `:schemas` names the schemas, oids tie the rows together."""

from __future__ import annotations

_NO_EXTENSION = "NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = '{0}'::regclass AND e.objid = {1} AND e.deptype = 'e')"


TABLES = f"""
SELECT c.oid::bigint, n.nspname, c.relname, c.relpersistence::text, coalesce(c.reloptions, '{{}}'),
  CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END, obj_description(c.oid, 'pg_class'),
  (SELECT spcname::text FROM pg_tablespace s WHERE s.oid = c.reltablespace),
  ARRAY(SELECT i.inhparent::regclass::text FROM pg_inherits i WHERE i.inhrelid = c.oid ORDER BY i.inhseqno),
  c.relrowsecurity, c.relforcerowsecurity, c.relreplident::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN :schemas AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND {_NO_EXTENSION.format("pg_class", "c.oid")}
ORDER BY n.nspname, c.relname"""  # noqa: S608  no value of anybody's


COLUMNS = """
SELECT a.attrelid::bigint, a.attname, format_type(a.atttypid, a.atttypmod),
  CASE WHEN a.attcollation <> t.typcollation
    THEN (SELECT quote_ident(cn.nspname) || '.' || quote_ident(co.collname) FROM pg_collation co
          JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = a.attcollation) END,
  a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity::text, a.attgenerated::text,
  col_description(a.attrelid, a.attnum), a.attnum::int, a.attinhcount::int
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE n.nspname IN :schemas AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum"""


CONSTRAINTS = """
SELECT k.conrelid::bigint, k.conname, k.contype::text, pg_get_constraintdef(k.oid),
  ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u(num, place)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num ORDER BY u.place),
  k.convalidated, obj_description(k.oid, 'pg_constraint'),
  CASE WHEN k.contype IN ('p', 'u') THEN pg_get_indexdef(k.conindid) END,
  CASE WHEN k.confrelid <> 0 THEN k.confrelid::regclass::text END,
  ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS u(num, place)
        JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num ORDER BY u.place),
  ARRAY(SELECT pg_get_indexdef(k.conindid, u.place::int, false) FROM unnest(k.conexclop) WITH ORDINALITY AS u(num, place)
        ORDER BY u.place),
  CASE WHEN k.conexclop IS NOT NULL THEN ARRAY(
    SELECT CASE WHEN m.nspname = 'pg_catalog' THEN o.oprname::text
                ELSE 'OPERATOR(' || quote_ident(m.nspname) || '.' || o.oprname || ')' END
    FROM unnest(k.conexclop) WITH ORDINALITY AS u(num, place) JOIN pg_operator o ON o.oid = u.num
    JOIN pg_namespace m ON m.oid = o.oprnamespace ORDER BY u.place) ELSE '{}' END,
  (SELECT pg_get_expr(i.indpred, i.indrelid) FROM pg_index i WHERE i.indexrelid = k.conindid AND k.contype = 'x')
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN :schemas AND k.contype IN ('p', 'u', 'f', 'c', 'x', 'n') AND k.conparentid = 0 AND k.conislocal
ORDER BY k.conrelid, k.conname"""


# pg_get_indexdef leaves the tablespace out.
INDEXES = """
SELECT i.indrelid::bigint, x.relname, pg_get_indexdef(i.indexrelid),
  (SELECT spcname::text FROM pg_tablespace s WHERE s.oid = x.reltablespace), i.indisunique, i.indisvalid,
  obj_description(i.indexrelid, 'pg_class'),
  ARRAY(SELECT DISTINCT a.attname::text FROM pg_depend p JOIN pg_attribute a
        ON a.attrelid = p.refobjid AND a.attnum = p.refobjsubid
        WHERE p.classid = 'pg_class'::regclass AND p.objid = i.indexrelid AND p.refobjid = i.indrelid
        AND p.refobjsubid > 0 ORDER BY 1)
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN :schemas AND c.relkind IN ('r', 'p') AND NOT EXISTS (
  SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
ORDER BY i.indrelid, x.relname"""


# What a table has of one of its indexes: that it tells rows by it, that it is ordered by it.
MARKS = """
SELECT i.indrelid::bigint, x.relname, i.indisreplident, i.indisclustered FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = x.relnamespace WHERE n.nspname IN :schemas AND (i.indisreplident OR i.indisclustered)
ORDER BY i.indrelid, x.relname"""


SEQUENCES = f"""
SELECT n.nspname, c.relname, format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax,
  s.seqcache, s.seqcycle, o.refobjid::bigint, o.refobjsubid, obj_description(c.oid, 'pg_class'),
  ARRAY(SELECT 'GRANT ' || x.privilege_type || ' ON SEQUENCE {{sequence}} TO '
          || CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END
          || CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
        FROM aclexplode(c.relacl) x WHERE x.grantee <> c.relowner ORDER BY x.privilege_type, x.grantee)
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_depend o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid AND o.deptype IN ('a', 'i')
  AND o.refclassid = 'pg_class'::regclass AND o.refobjsubid > 0
WHERE n.nspname IN :schemas AND {_NO_EXTENSION.format("pg_class", "c.oid")} ORDER BY 1, 2"""  # noqa: S608


# What inherits from a table, and its partitions, each behind what it is below.
BELOW = """
WITH RECURSIVE below AS (
  SELECT i.inhparent AS root, i.inhparent, i.inhrelid, 1 AS depth FROM pg_inherits i
  JOIN pg_class c ON c.oid = i.inhparent JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname IN :schemas AND c.relkind IN ('r', 'p')
  UNION ALL
  SELECT b.root, i.inhparent, i.inhrelid, b.depth + 1 FROM below b JOIN pg_inherits i ON i.inhparent = b.inhrelid)
SELECT b.root::bigint, n.nspname, c.relname, quote_ident(n.nspname) || '.' || quote_ident(c.relname), b.inhparent::regclass::text,
  pg_get_expr(c.relpartbound, c.oid), CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END
FROM below b JOIN pg_class c ON c.oid = b.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY b.root, b.depth, 2, 3"""

# What stands behind a domain's name in CREATE DOMAIN: of the type `t`, made of `b`.
DOMAIN_BASE = """'AS ' || format_type(t.typbasetype, t.typtypmod)
  || CASE WHEN t.typcollation <> b.typcollation
    THEN ' COLLATE ' || CAST(CAST(t.typcollation AS regcollation) AS text) ELSE '' END"""
DOMAIN = f"""{DOMAIN_BASE}
  || coalesce(' DEFAULT ' || t.typdefault, '') || CASE WHEN t.typnotnull THEN ' NOT NULL' ELSE '' END
  || coalesce((
    SELECT string_agg(' CONSTRAINT ' || quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid), '' ORDER BY k.conname)
    FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'), '')"""  # noqa: S608  no value of anybody's
DOMAINS = f"""
SELECT n.nspname, t.typname, {DOMAIN_BASE}, t.typdefault, t.typnotnull,
  ARRAY(SELECT k.conname::text FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c' ORDER BY k.conname),
  ARRAY(SELECT pg_get_constraintdef(k.oid) FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c' ORDER BY k.conname)
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace JOIN pg_type b ON b.oid = t.typbasetype
WHERE n.nspname IN :schemas AND t.typtype = 'd' AND {_NO_EXTENSION.format("pg_type", "t.oid")}
ORDER BY t.oid"""  # noqa: S608

ENUMS = f"""
SELECT n.nspname, t.typname, ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid
                                   ORDER BY e.enumsortorder)
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname IN :schemas AND t.typtype = 'e' AND {_NO_EXTENSION.format("pg_type", "t.oid")}
ORDER BY 1, 2"""  # noqa: S608


GRANTS = """
SELECT c.oid::bigint, NULL::text, x.privilege_type, x.is_grantable,
  CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) x
WHERE n.nspname IN :schemas AND c.relkind IN ('r', 'p') AND x.grantee <> c.relowner
UNION ALL
SELECT c.oid::bigint, a.attname::text, x.privilege_type, x.is_grantable,
  CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid,
  aclexplode(a.attacl) x
WHERE n.nspname IN :schemas AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY 1, 2, 3, 5"""


TRIGGERS = """
SELECT t.tgrelid::bigint, pg_get_triggerdef(t.oid), t.tgname, t.tgenabled::text
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN :schemas AND NOT t.tgisinternal AND t.tgparentid = 0 ORDER BY t.tgrelid, t.tgname"""


POLICIES = """
SELECT p.polrelid::bigint, p.polname, p.polpermissive, p.polcmd::text,
  ARRAY(SELECT CASE WHEN r = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r)) END FROM unnest(p.polroles) r),
  pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN :schemas ORDER BY p.polrelid, p.polname"""


STATISTICS = """
SELECT s.stxrelid::bigint, pg_get_statisticsobjdef(s.oid)
FROM pg_statistic_ext s JOIN pg_class c ON c.oid = s.stxrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN :schemas ORDER BY s.stxrelid, s.stxname"""
