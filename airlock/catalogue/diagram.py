"""Read the tables, columns and foreign keys of a database for a diagram, and mark what changed between two."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airlock.records.diagram import Column, Diagram, Edge, Entity

_OURS = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'"

# Partitions are drawn as their parent.
_COLUMNS = f"""
SELECT n.nspname || '.' || c.relname, a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
       COALESCE(bool_or(k.contype = 'p'), false), COALESCE(bool_or(k.contype = 'f'), false)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_constraint k ON k.conrelid = c.oid AND a.attnum = ANY (k.conkey) AND k.contype IN ('p', 'f')
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND {_OURS}
GROUP BY n.nspname, c.relname, c.oid, a.attname, a.attnum, a.atttypid, a.atttypmod, a.attnotnull
ORDER BY n.nspname, c.relname, a.attnum
"""  # noqa: S608 - constants of this module
_EDGES = f"""
SELECT k.conname, n.nspname || '.' || c.relname, fn.nspname || '.' || f.relname, k.confdeltype::text,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u (num, place)
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.num ORDER BY place),
       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u (num, place)
             JOIN pg_attribute a ON a.attrelid = f.oid AND a.attnum = u.num ORDER BY place),
       EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (k.conkey) AND NOT a.attnotnull),
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indpred IS NULL
               AND i.indkey::int2[] <@ k.conkey)
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class f ON f.oid = k.confrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND NOT c.relispartition AND {_OURS}
ORDER BY 2, 1
"""  # noqa: S608 - constants of this module
_ON_DELETE = {"a": "", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


def read(connection: Any) -> Diagram:
    """Read every table outside PostgreSQL's own schemas. Reads catalogues only."""
    with connection.cursor() as cursor:
        cursor.execute(_COLUMNS)
        columns: dict[str, list[Column]] = {}
        for table, name, kind, nullable, primary, foreign in cursor.fetchall():
            key = " ".join(word for word, is_it in (("PK", primary), ("FK", foreign)) if is_it)
            columns.setdefault(table, []).append(Column(name, kind, nullable, key))
        cursor.execute(_EDGES)
        edges = [
            Edge(name, table, tuple(own), target, tuple(theirs), _ON_DELETE[action], optional, unique)
            for name, table, target, action, own, theirs, optional, unique in cursor.fetchall()
        ]
    entities = [Entity(table, tuple(made)) for table, made in sorted(columns.items())]
    return Diagram(tuple(entities), tuple(edges))


def marked(before: Diagram, after: Diagram) -> Diagram:
    """Draw both as one: what is new, what is gone and what changed is marked."""
    old = {entity.name: entity for entity in before.entities}
    new = {entity.name: entity for entity in after.entities}
    entities = []
    for name in sorted(old | new):
        if name not in new:
            entities.append(replace(old[name], mark="gone"))
        elif name not in old:
            entities.append(replace(new[name], mark="new"))
        else:
            entities.append(_entity(old[name], new[name]))
    old_edges = {(edge.table, edge.name): edge for edge in before.edges}
    new_edges = {(edge.table, edge.name): edge for edge in after.edges}
    edges = []
    for key in sorted(old_edges | new_edges):
        if key not in new_edges:
            edges.append(replace(old_edges[key], mark="gone"))
        elif key not in old_edges:
            edges.append(replace(new_edges[key], mark="new"))
        else:
            edges.append(replace(new_edges[key], mark="changed" if old_edges[key] != new_edges[key] else ""))
    return Diagram(tuple(entities), tuple(edges))


def _entity(old: Entity, new: Entity) -> Entity:
    before = {column.name: column for column in old.columns}
    columns = [
        replace(
            column,
            mark="new" if column.name not in before else "changed" if before[column.name] != column else "",
        )
        for column in new.columns
    ]
    present = {column.name for column in new.columns}
    columns += [replace(column, mark="gone") for column in old.columns if column.name not in present]
    return replace(new, columns=tuple(columns), mark="changed" if any(one.mark for one in columns) else "")
