"""The catalogue's rows about what leans on columns; `:columns` and `:names` give tables and columns.

Side by side: the table, and beside it a column of it, or nothing for the table as a whole.
"""

from __future__ import annotations

# Every query begins with these: the columns, what leans on each, the views behind each other with their depth.
COLUMNS = """
WITH RECURSIVE it AS (
  SELECT a.attrelid, a.attnum FROM unnest(CAST(:columns AS text[]), CAST(:names AS text[])) AS given (relation, name)
  JOIN pg_attribute a ON a.attrelid = to_regclass(given.relation) AND a.attname = given.name
  UNION SELECT CAST(to_regclass(given.relation) AS oid), 0
  FROM unnest(CAST(:columns AS text[]), CAST(:names AS text[])) AS given (relation, name) WHERE given.name = ''),
leaning AS (
  SELECT DISTINCT d.classid, d.objid, d.objsubid, d.refobjid FROM pg_depend d JOIN it
    ON d.refclassid = 'pg_class'::regclass AND d.refobjid = it.attrelid AND d.refobjsubid = it.attnum),
reading (oid, depth) AS (
  SELECT r.ev_class, 1 FROM leaning d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
  UNION
  SELECT r.ev_class, v.depth + 1 FROM reading v JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = v.oid
    JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid AND r.ev_class <> v.oid),
views AS (
  SELECT v.oid, max(v.depth) AS depth FROM reading v JOIN pg_class c ON c.oid = v.oid
  WHERE c.relkind IN ('v', 'm') GROUP BY v.oid)
"""

IN_THE_WAY = """
SELECT 'rule' AS kind, r.rulename || ' of ' || c.oid::regclass::text FROM leaning d
JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
JOIN pg_class c ON c.oid = r.ev_class WHERE c.relkind NOT IN ('v', 'm')
UNION SELECT 'function', d.objid::regprocedure::text FROM views v JOIN pg_class c ON c.oid = v.oid
JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = v.oid AND d.classid = 'pg_proc'::regclass
  OR d.refclassid = 'pg_type'::regclass AND d.refobjid = c.reltype AND d.classid = 'pg_proc'::regclass
UNION SELECT 'policy', p.polname || ' of ' || p.polrelid::regclass::text FROM views v
JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = v.oid AND d.classid = 'pg_policy'::regclass
JOIN pg_policy p ON p.oid = d.objid
UNION SELECT 'generated column', quote_ident(a.attname) FROM leaning d
JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
WHERE a.attgenerated = 's' AND (a.attrelid, a.attnum) NOT IN (SELECT attrelid, attnum FROM it)
UNION SELECT 'generated column', quote_ident(a.attname) FROM leaning d JOIN pg_attribute a
ON d.classid = 'pg_class'::regclass AND a.attrelid = d.objid AND a.attnum = d.objsubid AND a.attgenerated = 's'
WHERE (a.attrelid, a.attnum) NOT IN (SELECT attrelid, attnum FROM it)
UNION SELECT 'the partition key', '' FROM it JOIN pg_partitioned_table p ON p.partrelid = it.attrelid
WHERE it.attnum = ANY(p.partattrs::smallint[])
UNION SELECT 'table', i.inhrelid::regclass::text FROM it
JOIN pg_inherits i ON i.inhparent = it.attrelid
ORDER BY 1, 2"""

TRIGGERS = """
SELECT t.tgname, t.tgrelid::regclass::text, pg_get_triggerdef(t.oid), t.tgenabled::text, obj_description(t.oid, 'pg_trigger')
FROM pg_trigger t WHERE NOT t.tgisinternal AND t.tgparentid = 0
  AND t.oid IN (SELECT objid FROM leaning WHERE classid = 'pg_trigger'::regclass) ORDER BY 1, 2"""

POLICIES = """
SELECT p.polname, p.polrelid::regclass::text, p.polpermissive, p.polcmd::text,
  ARRAY(SELECT CASE WHEN r = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r)) END FROM unnest(p.polroles) r),
  pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid), obj_description(p.oid, 'pg_policy')
FROM pg_policy p WHERE p.oid IN (SELECT objid FROM leaning WHERE classid = 'pg_policy'::regclass) ORDER BY 1, 2"""

STATISTICS = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(s.stxname), pg_get_statisticsobjdef(s.oid),
  CAST(to_jsonb(s) ->> 'stxstattarget' AS integer), obj_description(s.oid, 'pg_statistic_ext')
FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
WHERE s.oid IN (SELECT objid FROM leaning WHERE classid = 'pg_statistic_ext'::regclass) ORDER BY 1"""

PUBLICATIONS = """
SELECT quote_ident(p.pubname), r.prrelid::regclass::text,
  ARRAY(SELECT quote_ident(a.attname) FROM unnest(r.prattrs::smallint[]) WITH ORDINALITY AS u(num, place)
        JOIN pg_attribute a ON a.attrelid = r.prrelid AND a.attnum = u.num ORDER BY u.place),
  pg_get_expr(r.prqual, r.prrelid)
FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
WHERE r.oid IN (SELECT objid FROM leaning WHERE classid = 'pg_publication_rel'::regclass) ORDER BY 1, 2"""

MARKED_INDEXES = """
SELECT DISTINCT i.indrelid::regclass::text, quote_ident(x.relname), i.indisreplident, i.indisclustered
FROM it JOIN pg_index i ON i.indrelid = it.attrelid AND it.attnum = ANY(i.indkey::smallint[])
JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indisreplident OR i.indisclustered ORDER BY 1, 2"""

VIRTUAL = """
SELECT a.attrelid::regclass::text, quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), pg_get_expr(f.adbin, f.adrelid),
  ARRAY(
    SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s', a.attrelid::regclass, w.conname, pg_get_constraintdef(w.oid))
      FROM pg_constraint w WHERE w.conrelid = a.attrelid AND w.contype = 'n' AND w.conkey[1] = a.attnum
    UNION ALL SELECT format('COMMENT ON COLUMN %s.%I IS %L', a.attrelid::regclass, a.attname,
        col_description(a.attrelid, a.attnum))
      WHERE col_description(a.attrelid, a.attnum) IS NOT NULL
    UNION ALL SELECT format('GRANT %s (%I) ON TABLE %s TO %s%s', g.privilege_type, a.attname, a.attrelid::regclass,
        CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
        CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
      FROM aclexplode(a.attacl) g)
FROM pg_attribute a JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
WHERE a.attgenerated = 'v' AND (a.attrelid, a.attnum) NOT IN (SELECT attrelid, attnum FROM it) AND (
  f.oid IN (SELECT objid FROM leaning WHERE classid = 'pg_attrdef'::regclass)
  OR (a.attrelid, a.attnum) IN (SELECT objid, objsubid FROM leaning WHERE classid = 'pg_class'::regclass))
ORDER BY 1, 2"""

FUNCTIONS = """
SELECT p.oid::regprocedure::text, pg_get_functiondef(p.oid) FROM pg_proc p
WHERE p.prokind IN ('f', 'p') AND p.oid IN (SELECT objid FROM leaning WHERE classid = 'pg_proc'::regclass)
  AND NOT EXISTS (SELECT FROM views v JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = v.oid
                  AND d.classid = 'pg_proc'::regclass AND d.objid = p.oid)
ORDER BY 1"""

# What makes a view what it is besides its text: owner, defaults, triggers, rules, comments, grants; in this order.
VIEWS = """
SELECT c.relkind::text, quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.reloptions, pg_get_viewdef(c.oid),
  (SELECT quote_ident(spcname) FROM pg_tablespace t WHERE t.oid = c.reltablespace), c.relispopulated,
  ARRAY(SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i WHERE i.indrelid = c.oid ORDER BY i.indexrelid),
  ARRAY(
    SELECT s.text FROM (
      SELECT 1 AS place, pg_get_statisticsobjdef(e.oid) AS text FROM pg_statistic_ext e WHERE e.stxrelid = c.oid
      UNION ALL SELECT 2, format('ALTER %s %s OWNER TO %I', k.what, k.called, pg_get_userbyid(c.relowner))
        WHERE c.relowner <> (SELECT oid FROM pg_roles WHERE rolname = current_user)
      UNION ALL SELECT 3, format('ALTER VIEW %s ALTER COLUMN %I SET DEFAULT %s', k.called, a.attname,
          pg_get_expr(f.adbin, f.adrelid))
        FROM pg_attrdef f JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum WHERE f.adrelid = c.oid
      UNION ALL SELECT 4, pg_get_triggerdef(t.oid) FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal
      UNION ALL SELECT 5, pg_get_ruledef(r.oid) FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'
      UNION ALL SELECT 6, format('COMMENT ON %s %s IS %L', k.what, k.called, obj_description(c.oid, 'pg_class'))
        WHERE obj_description(c.oid, 'pg_class') IS NOT NULL
      UNION ALL SELECT 7, format('COMMENT ON COLUMN %s.%I IS %L', k.called, a.attname, col_description(c.oid, a.attnum))
        FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND col_description(c.oid, a.attnum) IS NOT NULL
      UNION ALL SELECT 8, format('COMMENT ON INDEX %I.%I IS %L', n.nspname, x.relname, obj_description(x.oid, 'pg_class'))
        FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = c.oid AND obj_description(x.oid, 'pg_class') IS NOT NULL
      UNION ALL SELECT 9, format('ALTER MATERIALIZED VIEW %s CLUSTER ON %I', k.called, x.relname)
        FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid AND i.indisclustered
      UNION ALL SELECT 10, format('GRANT %s ON TABLE %s TO %s%s', g.privilege_type, k.called,
          CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
          CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
        FROM aclexplode(c.relacl) g WHERE g.grantee <> c.relowner
      UNION ALL SELECT 11, format('GRANT %s (%I) ON TABLE %s TO %s%s', g.privilege_type, a.attname, k.called,
          CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
          CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
        FROM pg_attribute a, aclexplode(a.attacl) g WHERE a.attrelid = c.oid AND a.attnum > 0
    ) s ORDER BY s.place, s.text),
  NOT EXISTS (SELECT FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
              AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> c.oid
              JOIN views other ON other.oid = d.refobjid WHERE r.ev_class = c.oid)
FROM views v JOIN pg_class c ON c.oid = v.oid JOIN pg_namespace n ON n.oid = c.relnamespace,
  LATERAL (SELECT CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END AS what,
           quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS called) k
ORDER BY v.depth, 2"""
