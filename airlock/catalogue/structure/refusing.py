"""What would have the server refuse DROP TABLE or DROP TYPE: whatever depends on it and does not go with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Collection

# Automatic and internal dependents go with what they depend on (indexes, row types, owned sequences, partitions); normal
# ones refuse. A view depends by its rule, so the view is named.
_REFUSING = sa.text("""
WITH RECURSIVE going (origin, classid, objid) AS (
  (SELECT given, CAST('pg_class'::regclass AS oid), CAST(to_regclass(given) AS oid) FROM unnest(CAST(:tables AS text[])) given
   UNION
   SELECT given, CAST('pg_type'::regclass AS oid), CAST(to_regtype(given) AS oid) FROM unnest(CAST(:types AS text[])) given)
  UNION
  SELECT g.origin, d.classid, d.objid FROM going g JOIN pg_depend d
    ON d.refclassid = g.classid AND d.refobjid = g.objid AND d.deptype IN ('a', 'i', 'P', 'S'))
SELECT DISTINCT g.origin, CASE WHEN r.rulename = '_RETURN' THEN pg_describe_object('pg_class'::regclass, r.ev_class, 0)
  ELSE pg_describe_object(d.classid, d.objid, d.objsubid) END
FROM going g JOIN pg_depend d ON d.refclassid = g.classid AND d.refobjid = g.objid AND d.deptype = 'n'
LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
WHERE g.origin = ANY(CAST(:asked AS text[])) AND (d.classid, d.objid) NOT IN (SELECT classid, objid FROM going)
  AND NOT (d.classid = 'pg_constraint'::regclass AND EXISTS (
    SELECT FROM pg_constraint k JOIN unnest(CAST(:changed AS text[])) given ON k.conrelid = to_regclass(given)
    WHERE k.oid = d.objid))
ORDER BY 1, 2""")


def refusing(
    connection: sa.Connection,
    *,
    tables: Collection[str] = (),
    types: Collection[str] = (),
    beside: Collection[str] = (),
    changed: Collection[str] = (),
) -> dict[str, list[str]]:
    """Say what stands in the way of dropping tables and types together, by their names as SQL spells them.

    `beside` are tables whose own dependence counts for nothing: they let go of it before; of `changed` ones the constraints do.
    Reads the catalogue only.
    """
    given = {
        "tables": sorted({*tables, *beside}), "types": sorted(types), "asked": sorted({*tables, *types}),
        "changed": sorted(changed),
    }  # fmt: skip
    found: dict[str, list[str]] = {}
    for origin, label in connection.execute(_REFUSING, given):
        found.setdefault(str(origin), []).append(str(label))
    return found
