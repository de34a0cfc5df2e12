"""Which relations' catalogue rows are others than at an earlier look: one cheap query, so that only those are read again.

Every row of the catalogue carries the transaction that wrote it. How many rows a relation has in each catalogue, and the
sum of those numbers, are the same as before only while nothing of it was written: who deletes a row takes it from the
count, who writes one puts in a number higher than any before. What belongs to no relation (a type, a function, a role) is
summed in one, and all is read again where that differs.
"""

from __future__ import annotations

# What counts as what belongs to no relation.
REST = 0
# Where a relation's rows are, and the column that says whose they are. Rows of indexes and TOAST tables are their table's.
_OWN = {
    "pg_attrdef": "adrelid", "pg_index": "indrelid", "pg_trigger": "tgrelid", "pg_rewrite": "ev_class",
    "pg_policy": "polrelid", "pg_sequence": "seqrelid", "pg_partitioned_table": "partrelid", "pg_foreign_table": "ftrelid",
}  # fmt: skip
# Small ones are looked at whole, with what the server brought; of the others, what it brought is nobody's revision.
_WHOLE = (
    "pg_namespace", "pg_language", "pg_extension", "pg_am", "pg_database", "pg_authid", "pg_tablespace", "pg_range", "pg_enum",
    "pg_foreign_data_wrapper", "pg_foreign_server", "pg_user_mapping", "pg_publication", "pg_publication_rel",
    "pg_publication_namespace", "pg_subscription", "pg_event_trigger", "pg_transform", "pg_default_acl",
    "pg_db_role_setting", "pg_seclabel", "pg_shseclabel", "pg_shdescription", "pg_largeobject_metadata",
    "pg_statistic_ext",
)  # fmt: skip
_OF_USERS = {
    "pg_proc": "oid", "pg_aggregate": "aggfnoid", "pg_cast": "oid", "pg_operator": "oid", "pg_opclass": "oid",
    "pg_opfamily": "oid", "pg_amop": "oid", "pg_amproc": "oid", "pg_collation": "oid", "pg_conversion": "oid",
    "pg_ts_config": "oid", "pg_ts_config_map": "mapcfg", "pg_ts_dict": "oid", "pg_ts_parser": "oid",
    "pg_ts_template": "oid",
}  # fmt: skip
_SINCE_15 = frozenset({"pg_publication_namespace"})
_OTHERS = """
SELECT coalesce(i.indrelid, o.oid, c.oid), c.xmin FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid
LEFT JOIN pg_class o ON c.relkind = 't' AND o.reltoastrelid = c.oid WHERE c.oid >= 16384
UNION ALL SELECT coalesce(i.indrelid, a.attrelid), a.xmin FROM pg_attribute a LEFT JOIN pg_index i ON i.indexrelid = a.attrelid
WHERE a.attrelid >= 16384
UNION ALL SELECT coalesce(i.indrelid, h.inhrelid), h.xmin FROM pg_inherits h LEFT JOIN pg_index i ON i.indexrelid = h.inhrelid
UNION ALL SELECT h.inhparent, h.xmin FROM pg_inherits h
UNION ALL SELECT k.conrelid, k.xmin FROM pg_constraint k WHERE k.oid >= 16384
UNION ALL SELECT coalesce(i.indrelid, p.objid), p.xmin FROM pg_depend p LEFT JOIN pg_index i ON i.indexrelid = p.objid
WHERE p.classid = 'pg_class'::regclass AND p.objid >= 16384
UNION ALL SELECT coalesce(i.indrelid, CASE d.classoid WHEN 'pg_class'::regclass THEN d.objoid ELSE 0 END), d.xmin
FROM pg_description d LEFT JOIN pg_index i ON d.classoid = 'pg_class'::regclass AND i.indexrelid = d.objoid
WHERE d.objoid >= 10000 OR d.objoid = 2200
UNION ALL SELECT 0, p.xmin FROM pg_depend p WHERE p.refclassid = 'pg_extension'::regclass
UNION ALL SELECT 0, c.xmin FROM pg_depend p JOIN pg_class c ON c.oid = p.objid
WHERE p.refclassid = 'pg_extension'::regclass AND p.classid = 'pg_class'::regclass AND p.deptype = 'e'
UNION ALL SELECT 0, t.xmin FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
LEFT JOIN pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
WHERE t.oid >= 16384 AND e.oid IS NULL AND (t.typrelid = 0 OR c.relkind = 'c')
"""
_ARM = "SELECT {}, xmin FROM {} WHERE {}"
_MARKS = """
SELECT m.relation::bigint, count(*), sum(m.xmin::text::bigint)::bigint FROM ({}) AS m (relation, xmin) GROUP BY 1
"""
# What may be told in other words because of a relation: views, keys, defaults that name it, and what hangs on its row type.
# Whose that is; REST where it belongs to no relation.
CONCERNED = """
WITH RECURSIVE named (oid) AS (
  SELECT unnest(%(relations)s::oid[]) UNION SELECT indexrelid FROM pg_index WHERE indrelid = ANY (%(relations)s::oid[])),
types (oid) AS (
  SELECT t.oid FROM pg_type t WHERE t.typrelid = ANY (%(relations)s::oid[])
  UNION ALL SELECT t.typarray FROM pg_type t WHERE t.typrelid = ANY (%(relations)s::oid[]) AND t.typarray <> 0),
leaning (classid, objid) AS (
  SELECT d.classid, d.objid FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT oid FROM named)
    AND (d.classid <> 'pg_type'::regclass OR d.objid NOT IN (SELECT oid FROM types))
  UNION SELECT d.classid, d.objid FROM pg_depend d
  WHERE d.refclassid = 'pg_type'::regclass AND d.refobjid IN (SELECT oid FROM types)
    AND (d.classid <> 'pg_type'::regclass OR d.objid NOT IN (SELECT oid FROM types))),
above (oid) AS (
  SELECT h.inhparent FROM pg_inherits h WHERE h.inhrelid IN (SELECT oid FROM named)
  UNION SELECT h.inhparent FROM pg_inherits h JOIN above ON h.inhrelid = above.oid)
SELECT CASE l.classid
    WHEN 'pg_class'::regclass THEN coalesce((SELECT i.indrelid FROM pg_index i WHERE i.indexrelid = l.objid), l.objid)
    WHEN 'pg_constraint'::regclass THEN (SELECT k.conrelid FROM pg_constraint k WHERE k.oid = l.objid)
    WHEN 'pg_rewrite'::regclass THEN (SELECT r.ev_class FROM pg_rewrite r WHERE r.oid = l.objid)
    WHEN 'pg_attrdef'::regclass THEN (SELECT a.adrelid FROM pg_attrdef a WHERE a.oid = l.objid)
    WHEN 'pg_trigger'::regclass THEN (SELECT g.tgrelid FROM pg_trigger g WHERE g.oid = l.objid)
    WHEN 'pg_policy'::regclass THEN (SELECT p.polrelid FROM pg_policy p WHERE p.oid = l.objid)
    ELSE 0 END::bigint
FROM leaning l
UNION SELECT oid::bigint FROM above
UNION SELECT d.refobjid::bigint FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
  AND d.objid = ANY (%(relations)s::oid[]) AND d.refclassid = 'pg_class'::regclass
"""


def marks(server_version: int) -> str:
    """Give the query for one server version: a relation (or REST), its rows, and the sum of who wrote them.

    Wants a superuser: roles are summed too.
    """
    own = [_ARM.format(column, name, f"{column} >= 16384") for name, column in _OWN.items()]
    whole = [
        _ARM.format(REST, name, "true")
        for name in _WHOLE
        if server_version >= 150000 or name not in _SINCE_15
    ]
    of_users = [_ARM.format(REST, name, f"{column} >= 16384") for name, column in _OF_USERS.items()]
    return _MARKS.format("\nUNION ALL ".join((_OTHERS.strip(), *own, *whole, *of_users)))
