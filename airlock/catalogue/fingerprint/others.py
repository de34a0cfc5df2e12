"""The queries for what stands beside tables: sequences, types, functions, and everything rare.

Same shape as in relations.py. The rare kinds share one query and give their attributes as one JSON object.
"""

from __future__ import annotations

from string import Template

from airlock.catalogue.fingerprint.relations import comment, options, privileges

_SEQUENCES = Template("""
SELECT 'sequence', n.nspname, NULL, c.relname,
  format_type(q.seqtypid, NULL) AS "data type", q.seqstart::text AS "start", q.seqincrement::text AS "increment",
  q.seqmin::text AS "minimum", q.seqmax::text AS "maximum", q.seqcache::text AS "cache",
  CASE WHEN q.seqcycle THEN 'yes' END AS "cycle",
  o.owned AS "owned by",
  CASE c.relpersistence WHEN 'u' THEN 'unlogged' END AS "persistence",
  pg_get_userbyid(c.relowner) AS "owner",
  d.description AS "comment",
  $privileges AS "privileges",
  o.schema AS "=schema", o.relation AS "=table", o.attribute AS "=column", c.oid::bigint AS "=relation"
FROM pg_sequence q JOIN pg_class c ON c.oid = q.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
  SELECT p.refobjid::regclass || '.' || quote_ident(a.attname) AS owned,
    (SELECT s.nspname FROM pg_namespace s WHERE s.oid = r.relnamespace) AS schema, r.relname AS relation,
    a.attname AS attribute
  FROM pg_depend p JOIN pg_attribute a ON a.attrelid = p.refobjid AND a.attnum = p.refobjsubid
  JOIN pg_class r ON r.oid = p.refobjid
  WHERE p.classid = 'pg_class'::regclass AND p.objid = c.oid AND p.objsubid = 0
    AND p.refclassid = 'pg_class'::regclass AND p.deptype IN ('a', 'i') AND p.refobjsubid > 0) o ON true
$comment
WHERE c.relnamespace = ANY (%(schemas)s::oid[]) AND c.oid <> ALL (%(extension_relations)s::oid[]) /*of c.oid*/
""").safe_substitute(
    privileges=privileges("c.relacl", "s", "c.relowner"), comment=comment("c.oid", "pg_class")
)

_TYPES = Template("""
SELECT CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'c' THEN 'composite type'
                      WHEN 'r' THEN 'range type' WHEN 'p' THEN 'shell type' ELSE 'base type' END,
  n.nspname, NULL, t.typname,
  CASE WHEN t.typtype = 'e' THEN (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
                                  FROM pg_enum e WHERE e.enumtypid = t.oid) END AS "values",
  CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END AS "base type",
  CASE WHEN t.typtype = 'd' AND t.typnotnull THEN 'yes' END AS "not null",
  CASE WHEN t.typtype = 'd' THEN t.typdefault END AS "default",
  CASE WHEN t.typtype = 'd' AND t.typcollation <> b.typcollation THEN (
    SELECT concat(nullif(l.collnamespace::regnamespace || '.', 'pg_catalog.'), l.collname)
    FROM pg_collation l WHERE l.oid = t.typcollation) END AS "collation",
  CASE WHEN t.typtype = 'r' THEN (
    SELECT concat_ws(', ', format_type(r.rngsubtype, NULL), 'operator class ' || o.opcname,
      'canonical ' || nullif(r.rngcanonical::oid, 0)::regproc, 'difference ' || nullif(r.rngsubdiff::oid, 0)::regproc,
      'collation ' || nullif(r.rngcollation, 0)::regcollation,
      'multirange ' || nullif((to_jsonb(r) ->> 'rngmultitypid')::oid, 0)::regtype)
    FROM pg_range r JOIN pg_opclass o ON o.oid = r.rngsubopc WHERE r.rngtypid = t.oid)
  WHEN t.typtype = 'b' THEN concat_ws(', ', t.typinput, t.typoutput, 'receive ' || nullif(t.typreceive::oid, 0)::regproc,
      'send ' || nullif(t.typsend::oid, 0)::regproc, t.typlen, t.typalign, t.typstorage, t.typcategory, t.typdefault)
  END AS "definition",
  pg_get_userbyid(t.typowner) AS "owner",
  d.description AS "comment",
  $privileges AS "privileges"
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_type b ON b.oid = t.typbasetype
LEFT JOIN pg_class c ON c.oid = t.typrelid
$comment
WHERE t.oid >= 16384 AND t.typnamespace = ANY (%(schemas)s::oid[]) AND t.oid <> ALL (%(extension_types)s::oid[])
  AND (t.typtype IN ('e', 'd', 'r', 'p') OR t.typtype = 'c' AND c.relkind = 'c'
       OR t.typtype = 'b' AND NOT EXISTS (SELECT FROM pg_type y WHERE y.oid = t.typelem AND y.typarray = t.oid))
""").safe_substitute(
    privileges=privileges("t.typacl", "T", "t.typowner"), comment=comment("t.oid", "pg_type")
)

_FUNCTIONS = Template("""
SELECT CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END,
  n.nspname, NULL, p.proname,
  CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) ELSE (
    SELECT concat_ws(', ', 'state ' || g.aggtransfn, 'of ' || format_type(g.aggtranstype, NULL),
      'final ' || nullif(g.aggfinalfn::oid, 0)::regproc, 'combine ' || nullif(g.aggcombinefn::oid, 0)::regproc,
      'serial ' || nullif(g.aggserialfn::oid, 0)::regproc, 'deserial ' || nullif(g.aggdeserialfn::oid, 0)::regproc,
      'moving ' || nullif(g.aggmtransfn::oid, 0)::regproc, 'inverse ' || nullif(g.aggminvtransfn::oid, 0)::regproc,
      'moving final ' || nullif(g.aggmfinalfn::oid, 0)::regproc, 'sort ' || nullif(g.aggsortop::oid, 0)::regoper,
      'start ' || g.agginitval, 'moving start ' || g.aggminitval,
      'moving ' || concat_ws(' ', nullif(g.aggmtranstype, 0)::regtype, g.aggmfinalextra, g.aggmfinalmodify, g.aggmtransspace),
      g.aggkind, g.aggnumdirectargs, g.aggfinalextra,
      g.aggfinalmodify, g.aggtransspace, p.proparallel, pg_get_function_result(p.oid))
    FROM pg_aggregate g WHERE g.aggfnoid = p.oid) END AS "definition",
  pg_get_userbyid(p.proowner) AS "owner",
  d.description AS "comment",
  $privileges AS "privileges",
  pg_get_function_identity_arguments(p.oid) AS "=arguments"
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
$comment
WHERE p.oid >= 16384 AND p.pronamespace = ANY (%(schemas)s::oid[]) AND p.oid <> ALL (%(extension_functions)s::oid[])
  AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = 'pg_proc'::regclass AND i.objid = p.oid AND i.deptype = 'i')
""").safe_substitute(
    privileges=privileges("p.proacl", "f", "p.proowner"), comment=comment("p.oid", "pg_proc")
)

_NOT_OF_EXTENSION = Template("""NOT EXISTS (SELECT FROM pg_depend z WHERE z.classid = '$catalogue'::regclass
  AND z.objid = $alias.oid AND z.deptype = 'e')""")


def _kind(
    kind: str, catalogue: str, schema: str, name: str, where: str = "true", joins: str = "", **attributes: str
) -> str:
    """Spell one arm of the rare kinds' query; attributes as name=expression, underscores for spaces."""
    pairs = ", ".join(f"'{key.replace('_', ' ')}', ({value})::text" for key, value in attributes.items())
    return Template("""
SELECT '$kind', $schema, NULL, ($name)::text, jsonb_build_object($pairs, 'comment', d.description)
FROM $catalogue o $joins $comment
WHERE o.oid >= 16384 AND $where AND $own""").substitute(
        kind=kind, catalogue=catalogue, schema=schema, name=name, joins=joins, where=where, pairs=pairs,
        comment=comment("o.oid", catalogue), own=_NOT_OF_EXTENSION.substitute(catalogue=catalogue, alias="o"),
    )  # fmt: skip


def _namespace(column: str) -> dict[str, str]:
    return {
        "schema": "n.nspname",
        "joins": f"JOIN pg_namespace n ON n.oid = o.{column}",
        "where": f"o.{column} = ANY (%(schemas)s::oid[])",
    }


_OWNER = "pg_get_userbyid(o.{0}owner)"


def _in_schemas() -> list[str]:
    return [
        _kind("statistics", "pg_statistic_ext", name="o.stxname", **_namespace("stxnamespace"),
              definition="pg_get_statisticsobjdef(o.oid)", target="nullif(o.stxstattarget, -1)",
              owner=_OWNER.format("stx")),
        _kind("collation", "pg_collation", name="o.collname", **_namespace("collnamespace"),
              definition="(to_jsonb(o) - '{oid,collversion,collowner,collnamespace,collname}'::text[])",
              owner=_OWNER.format("coll")),
        _kind("conversion", "pg_conversion", name="o.conname", **_namespace("connamespace"),
              definition="concat_ws(' ', o.conproc, pg_encoding_to_char(o.conforencoding), "
                         "pg_encoding_to_char(o.contoencoding), o.condefault)", owner=_OWNER.format("con")),
        _kind("operator", "pg_operator", name="o.oid::regoperator", **_namespace("oprnamespace"),
              definition="concat_ws(', ', o.oprcode, o.oprcanmerge, o.oprcanhash, o.oprrest, o.oprjoin, "
                         "nullif(o.oprcom, 0)::regoperator, nullif(o.oprnegate, 0)::regoperator, "
                         "format_type(o.oprresult, NULL))", owner=_OWNER.format("opr")),
        _kind("operator class", "pg_opclass", name="o.opcname || ' using ' || m.amname", schema="n.nspname",
              joins="JOIN pg_namespace n ON n.oid = o.opcnamespace JOIN pg_am m ON m.oid = o.opcmethod",
              where="o.opcnamespace = ANY (%(schemas)s::oid[])",
              definition="concat_ws(', ', format_type(o.opcintype, NULL), o.opcdefault, "
                         "format_type(nullif(o.opckeytype, 0), NULL), "
                         "(SELECT f.opfname FROM pg_opfamily f WHERE f.oid = o.opcfamily))",
              owner=_OWNER.format("opc")),
        _kind("operator family", "pg_opfamily", name="o.opfname || ' using ' || m.amname", schema="n.nspname",
              joins="JOIN pg_namespace n ON n.oid = o.opfnamespace JOIN pg_am m ON m.oid = o.opfmethod",
              where="o.opfnamespace = ANY (%(schemas)s::oid[])",
              operators="(SELECT string_agg(a.amopstrategy || ' ' || a.amopopr::regoperator || ' ' || a.amoppurpose::text, ', ' "
                        "ORDER BY a.amopstrategy, a.amopopr::regoperator::text) FROM pg_amop a WHERE a.amopfamily = o.oid)",
              functions="(SELECT string_agg(a.amprocnum || ' ' || a.amproc::regprocedure, ', ' "
                        "ORDER BY a.amprocnum, a.amproc::regprocedure::text) FROM pg_amproc a WHERE a.amprocfamily = o.oid)",
              owner=_OWNER.format("opf")),
        _kind("text search configuration", "pg_ts_config", name="o.cfgname", **_namespace("cfgnamespace"),
              definition="concat_ws(', ', (SELECT p.prsname FROM pg_ts_parser p WHERE p.oid = o.cfgparser), "
                         "(SELECT string_agg(m.maptokentype || ' ' || m.mapseqno || ' ' || m.mapdict::regdictionary, ', ' "
                         "ORDER BY m.maptokentype, m.mapseqno) FROM pg_ts_config_map m WHERE m.mapcfg = o.oid))",
              owner=_OWNER.format("cfg")),
        _kind("text search dictionary", "pg_ts_dict", name="o.dictname", **_namespace("dictnamespace"),
              definition="concat_ws(', ', (SELECT t.tmplname FROM pg_ts_template t WHERE t.oid = o.dicttemplate), "
                         "o.dictinitoption)", owner=_OWNER.format("dict")),
        _kind("text search parser", "pg_ts_parser", name="o.prsname", **_namespace("prsnamespace"),
              definition="concat_ws(', ', o.prsstart, o.prstoken, o.prsend, o.prsheadline, o.prslextype)"),
        _kind("text search template", "pg_ts_template", name="o.tmplname", **_namespace("tmplnamespace"),
              definition="concat_ws(', ', o.tmplinit, o.tmpllexize)"),
    ]  # fmt: skip


_USER_MAPPINGS = Template("""
SELECT 'user mapping', NULL, NULL, CASE u.umuser WHEN 0 THEN 'public' ELSE u.usename END || ' on ' || u.srvname,
  jsonb_build_object('options', $options)
FROM pg_user_mappings u""").substitute(options=options("u.umoptions"))

_DATABASE = Template("""
SELECT 'database', NULL, NULL, 'itself', jsonb_build_object(
  'comment', (SELECT d.description FROM pg_shdescription d
              WHERE d.objoid = b.oid AND d.classoid = 'pg_database'::regclass),
  'connection limit', nullif(b.datconnlimit, -1)::text, 'privileges', $database_privileges)
FROM pg_database b WHERE b.datname = current_database()
UNION ALL
SELECT 'setting', NULL, NULL,
  CASE s.setrole WHEN 0 THEN 'everybody' ELSE pg_get_userbyid(s.setrole)::text END
  || CASE s.setdatabase WHEN 0 THEN ' in every database' ELSE '' END,
  jsonb_build_object('definition', (
    SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM unnest(s.setconfig) AS o WHERE o NOT LIKE 'airlock.%%'))
FROM pg_db_role_setting s WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
  -- A scratch database carries a marker of its own.
  AND EXISTS (SELECT FROM unnest(s.setconfig) AS o WHERE o NOT LIKE 'airlock.%%')
UNION ALL
SELECT 'dependence', NULL, NULL,
  concat_ws(' ', i.type, i.identity, 'on extension', e.extname), jsonb_build_object()
FROM pg_depend x JOIN pg_extension e ON e.oid = x.refobjid, pg_identify_object(x.classid, x.objid, x.objsubid) AS i
WHERE x.deptype = 'x' AND x.refclassid = 'pg_extension'::regclass
UNION ALL
SELECT 'large object', NULL, NULL, m.oid::text, jsonb_build_object('owner', pg_get_userbyid(m.lomowner),
  'comment', d.description, 'privileges', $large_object_privileges)
FROM pg_largeobject_metadata m $large_object_comment
""").substitute(
    database_privileges=privileges("b.datacl", "d", "b.datdba"),
    large_object_privileges=privileges("m.lomacl", "L", "m.lomowner"),
    large_object_comment=comment("m.oid", "pg_largeobject"),
)


# What an extension brings is no object of the history, but who may use it is: where that is other than its own script left it.
_EXTENSIONS_ACL = Template("""
  SELECT '$kind ' || $name, '$catalogue'::regclass, o.oid, o.$acl, acldefault('$letter', o.$owner)
  FROM $catalogue o WHERE o.$acl IS NOT NULL AND o.oid >= 16384
""")
_EXTENSIONS_PRIVILEGES = Template("""
SELECT 'privileges', NULL, NULL, a.name, jsonb_build_object('definition', (
  SELECT string_agg(i::text, ', ' ORDER BY i::text COLLATE "C") FROM unnest(a.acl) AS i))
FROM ($arms) AS a (name, classid, oid, acl, by_default)
JOIN pg_depend x ON x.classid = a.classid AND x.objid = a.oid AND x.refclassid = 'pg_extension'::regclass AND x.deptype = 'e'
LEFT JOIN pg_init_privs n ON n.classoid = a.classid AND n.objoid = a.oid AND n.objsubid = 0
CROSS JOIN LATERAL (SELECT coalesce(n.initprivs, a.by_default)) AS w (was)
WHERE NOT (a.acl @> w.was AND a.acl <@ w.was)
""").substitute(
    arms="UNION ALL".join(
        _EXTENSIONS_ACL.substitute(
            kind=kind,
            catalogue=catalogue,
            name=name,
            acl=f"{prefix}acl",
            letter=letter,
            owner=f"{prefix}owner",
        )
        for kind, catalogue, name, prefix, letter in (
            ("function", "pg_proc", "o.oid::regprocedure", "pro", "f"),
            ("type", "pg_type", "o.oid::regtype", "typ", "T"),
            ("relation", "pg_class", "o.oid::regclass", "rel", "r"),
            ("schema", "pg_namespace", "o.nspname", "nsp", "n"),
        )
    )
)


def _of_database(server_version: int) -> list[str]:
    publication = "(to_jsonb(o) - '{oid,pubname,pubowner}'::text[])"
    members = """(SELECT string_agg(r.prrelid::regclass || coalesce(' ' || nullif(
      (to_jsonb(r) - '{oid,prpubid,prrelid,prqual,prattrs}'::text[])::text, '{}'), '')
      || coalesce((SELECT ' (' || string_agg(a.attname, ', ' ORDER BY a.attname COLLATE "C") || ')' FROM pg_attribute a
                   WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs::int2[])), '')
      || coalesce(' where ' || pg_get_expr((to_jsonb(r) ->> 'prqual')::pg_node_tree, r.prrelid), ''), ', '
      ORDER BY r.prrelid::regclass::text) FROM pg_publication_rel r WHERE r.prpubid = o.oid)"""
    # The row filter arrived with 15; pg_node_tree has no cast from text.
    members = members.replace("(to_jsonb(r) ->> 'prqual')::pg_node_tree", "r.prqual")
    if server_version < 150000:
        members = """(SELECT string_agg(r.prrelid::regclass::text, ', ' ORDER BY r.prrelid::regclass::text)
          FROM pg_publication_rel r WHERE r.prpubid = o.oid)"""
    schemas = """(SELECT string_agg(r.pnnspid::regnamespace::text, ', ' ORDER BY r.pnnspid::regnamespace::text)
      FROM pg_publication_namespace r WHERE r.pnpubid = o.oid)"""
    none = "NULL"
    return [
        _kind("event trigger", "pg_event_trigger", none, "o.evtname", owner=_OWNER.format("evt"),
              # What calls a function of pg_catalog is the server's own, on a scratch server for one, and no project's.
              where="(SELECT p.pronamespace FROM pg_proc p WHERE p.oid = o.evtfoid) <> 'pg_catalog'::regnamespace",
              definition="concat_ws(' ', o.evtevent, o.evtfoid::regproc, o.evttags)",
              enabled="nullif(o.evtenabled, 'O')"),
        _kind("publication", "pg_publication", none, "o.pubname", owner=_OWNER.format("pub"),
              definition=publication, tables=members, schemas=schemas if server_version >= 150000 else "NULL"),
        _kind("subscription", "pg_subscription", none, "o.subname", owner=_OWNER.format("sub"),
              where="o.subdbid = (SELECT b.oid FROM pg_database b WHERE b.datname = current_database())",
              definition="concat_ws(' ', o.subenabled, o.subpublications, o.subslotname, o.subsynccommit)"),
        _kind("foreign data wrapper", "pg_foreign_data_wrapper", none, "o.fdwname", owner=_OWNER.format("fdw"),
              definition="concat_ws(', ', nullif(o.fdwhandler, 0)::regproc, nullif(o.fdwvalidator, 0)::regproc, "
                         + options("o.fdwoptions") + ")", privileges=privileges("o.fdwacl", "F", "o.fdwowner")),
        _kind("foreign server", "pg_foreign_server", none, "o.srvname", owner=_OWNER.format("srv"),
              definition="concat_ws(', ', w.fdwname, o.srvtype, o.srvversion, " + options("o.srvoptions") + ")",
              joins="JOIN pg_foreign_data_wrapper w ON w.oid = o.srvfdw",
              privileges=privileges("o.srvacl", "S", "o.srvowner")),
        _kind("cast", "pg_cast", none, "format_type(o.castsource, NULL) || ' as ' || format_type(o.casttarget, NULL)",
              # A range type brings its own.
              where="NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = 'pg_cast'::regclass AND i.objid = o.oid "
                    "AND i.deptype = 'i')",
              definition="concat_ws(' ', nullif(o.castfunc, 0)::regprocedure, o.castcontext, o.castmethod)"),
        _kind("transform", "pg_transform", none, "format_type(o.trftype, NULL) || ' for ' || "
              "(SELECT l.lanname FROM pg_language l WHERE l.oid = o.trflang)",
              definition="concat_ws(' ', nullif(o.trffromsql::oid, 0)::regproc, nullif(o.trftosql::oid, 0)::regproc)"),
        _kind("language", "pg_language", none, "o.lanname", owner=_OWNER.format("lan"),
              definition="concat_ws(' ', o.lanpltrusted, nullif(o.lanplcallfoid, 0)::regproc, "
                         "nullif(o.laninline, 0)::regproc, nullif(o.lanvalidator, 0)::regproc)",
              privileges=privileges("o.lanacl", "l", "o.lanowner")),
        _kind("access method", "pg_am", none, "o.amname", definition="concat_ws(' ', o.amtype, o.amhandler)"),
        _EXTENSIONS_PRIVILEGES,
        _USER_MAPPINGS,
        _DATABASE,
    ]  # fmt: skip


_ALWAYS = Template("""
SELECT 'extension', NULL, NULL, e.extname, jsonb_build_object('version', e.extversion, 'schema', n.nspname,
  'owner', pg_get_userbyid(e.extowner), 'comment', d.description)
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace $extension_comment
WHERE %(everything)s OR e.extnamespace = ANY (%(schemas)s::oid[])
UNION ALL
SELECT 'default privileges', NULL, NULL, concat_ws(' ', 'of', pg_get_userbyid(a.defaclrole), 'in ' || n.nspname, 'for',
  CASE a.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions' WHEN 'T' THEN 'types'
                       WHEN 'n' THEN 'schemas' ELSE a.defaclobjtype::text END),
  jsonb_build_object('definition', (
    SELECT string_agg(i::text, ', ' ORDER BY i::text COLLATE "C") FROM unnest(a.defaclacl) AS i))
FROM pg_default_acl a LEFT JOIN pg_namespace n ON n.oid = a.defaclnamespace
WHERE a.defaclnamespace = ANY (%(schemas)s::oid[]) OR %(everything)s
UNION ALL
SELECT 'security label', NULL, NULL, concat_ws(' ', l.provider, 'on', l.objtype, l.objname),
  jsonb_build_object('definition', l.label)
FROM pg_seclabels l WHERE l.objnamespace = ANY (%(schemas)s::oid[]) OR %(everything)s
""").substitute(extension_comment=comment("e.oid", "pg_extension"))


def queries(server_version: int, *, everything: bool) -> tuple[str, ...]:
    """Give the queries for one server version; `everything` adds what belongs to no schema."""
    rare = [*_in_schemas(), *(_of_database(server_version) if everything else [])]
    return (_SEQUENCES, _TYPES, _FUNCTIONS, _ALWAYS + "".join(f"UNION ALL{arm}\n" for arm in rare))
