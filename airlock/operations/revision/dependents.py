"""What leans on a column besides its constraints and indexes: it stands in the way of another type, and of dropping it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from airlock.catalogue.structure import Table
    from airlock.operations.revision.shadow import Sides

_DEPENDENTS = sa.text("""
WITH it AS (
  SELECT a.attrelid, a.attnum FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = :schema AND c.relname = :name AND a.attname = :column),
leaning AS (
  SELECT d.* FROM pg_depend d JOIN it ON d.refclassid = 'pg_class'::regclass AND d.refobjid = it.attrelid
    AND d.refobjsubid = it.attnum)
SELECT CASE c.relkind WHEN 'm' THEN 'materialized view ' ELSE 'view ' END || c.oid::regclass::text
FROM leaning d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
JOIN pg_class c ON c.oid = r.ev_class WHERE c.relkind IN ('v', 'm')
UNION SELECT 'rule ' || r.rulename FROM leaning d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
JOIN pg_class c ON c.oid = r.ev_class WHERE c.relkind NOT IN ('v', 'm')
UNION SELECT 'policy ' || p.polname FROM leaning d JOIN pg_policy p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
UNION SELECT 'trigger ' || t.tgname FROM leaning d JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
  WHERE NOT t.tgisinternal
UNION SELECT 'publication ' || p.pubname FROM leaning d
JOIN pg_publication_rel r ON d.classid = 'pg_publication_rel'::regclass AND r.oid = d.objid
JOIN pg_publication p ON p.oid = r.prpubid
UNION SELECT 'statistics ' || s.stxname FROM leaning d
JOIN pg_statistic_ext s ON d.classid = 'pg_statistic_ext'::regclass AND s.oid = d.objid
UNION SELECT 'function ' || p.oid::regprocedure::text FROM leaning d
JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
UNION SELECT 'generated column ' || a.attname FROM leaning d
JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum JOIN it ON it.attnum <> a.attnum
WHERE a.attgenerated <> ''
UNION SELECT 'generated column ' || a.attname FROM leaning d JOIN pg_attribute a
ON d.classid = 'pg_class'::regclass AND a.attrelid = d.objid AND a.attnum = d.objsubid AND a.attgenerated <> ''
UNION SELECT 'the partition key' FROM it JOIN pg_partitioned_table p ON p.partrelid = it.attrelid
WHERE it.attnum = ANY(p.partattrs::smallint[])
UNION SELECT 'table ' || i.inhrelid::regclass::text || ', which inherits it' FROM it
JOIN pg_inherits i ON i.inhparent = it.attrelid
UNION SELECT 'REPLICA IDENTITY USING INDEX ' || x.relname FROM it JOIN pg_index i ON i.indrelid = it.attrelid
JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indisreplident AND it.attnum = ANY(i.indkey::smallint[])
ORDER BY 1""")


def dependents(sides: Sides, table: Table, column: str) -> list[str]:
    """Name what leans on a live column and would not follow it. Reads the catalogue only."""
    given = {"schema": sides.real[table.schema], "name": table.name, "column": column}
    return [str(name) for (name,) in sides.connection.execute(_DEPENDENTS, given)]
