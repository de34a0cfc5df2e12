"""Tables and columns by identity, not by name: a renamed column is still there, a re-created one is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.catalogue.fingerprint.model import plain
from airlock.operations.downgrade import restrictions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airlock.database.server import type_connection
    from airlock.operations.downgrade.restrictions import Restriction

# (table's oid, column's number); number 0 is the table itself.
type_identity = tuple[int, int]

_QUERY = """
SELECT c.oid::bigint, n.nspname, c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod),
  CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END, a.attgenerated <> '',
  CASE WHEN t.typtype = 'e' THEN
    (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid) END,
  CASE WHEN a.atttypid >= 16384 AND t.typtype <> 'e' THEN t.oid::bigint END,
  a.attnotnull OR t.typtype = 'd' AND EXISTS (
    WITH RECURSIVE made AS (SELECT t.typnotnull AS never, t.typbasetype AS base
      UNION ALL SELECT b.typnotnull, b.typbasetype FROM made JOIN pg_type b ON b.oid = made.base)
    SELECT FROM made WHERE never),
  CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
  CASE WHEN t.typtype = 'e' THEN
    (SELECT array_agg(e.oid::bigint ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid) END,
  a.atttypmod,
  CASE WHEN t.typcategory = 'A' THEN
    (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.typelem) END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
"""
_TABLES = """
SELECT c.oid::bigint, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
"""
# Without a lock on any table that has a column of the type, and without a trace in that column.
_ATTRIBUTES = """
SELECT t.oid::bigint, n.nspname, t.typname, a.attnum, a.attname
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c'
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
"""


@dataclass(frozen=True)
class Column:
    """One column of one table, as the catalogue spells it."""

    schema: str
    table: str
    name: str
    type: str
    default: str | None
    generated: bool
    labels: tuple[str, ...] | None
    # The number of a type that is neither PostgreSQL's own nor an enum: a domain, an extension's, a range.
    custom_type: int | None
    not_null: bool = False
    # What a domain is made of.
    base: str | None = None
    # Numbers of the labels: one that has another name is still there.
    label_numbers: Sequence[int] | None = None
    modifier: int = -1
    # Of an array of an enum: what its members may be.
    members: Sequence[str] | None = None

    def has_type_of(self, other: Column) -> bool:
        """Tell whether both are of one type: it may have got another name, or another schema, meanwhile."""
        named = (self.type, self.labels, self.members) == (other.type, other.labels, other.members)
        numbers = (self.custom_type, self.modifier)
        return named or (self.custom_type is not None and numbers == (other.custom_type, other.modifier))

    def numbered_labels(self) -> dict[int, str]:
        """Give an enum's labels by their numbers; nothing of what is no enum."""
        return dict(zip(self.label_numbers or (), self.labels or (), strict=True))

    @property
    def table_name(self) -> str:
        """Name its table for a reader."""
        return f"{plain(self.schema)}.{plain(self.table)}"

    @property
    def full_name(self) -> str:
        """Name it for a reader."""
        return f"{self.table_name}.{plain(self.name)}"


@dataclass(frozen=True)
class Snapshot:
    """Every table (partitioned ones too) and its columns at one moment; the types that are not PostgreSQL's; the schemas.

    `attributes` are those of composite types: (type's oid, attribute's number), with the name for a reader;
    `restrictions` the rules over rows.
    """

    tables: Mapping[int, tuple[str, str]]
    columns: Mapping[type_identity, Column]
    types: frozenset[int]
    schemas: Mapping[int, str]
    attributes: Mapping[type_identity, str]
    restrictions: frozenset[Restriction] = frozenset()
    # The server's: what it can be asked.
    major: int = 0


def take(connection: type_connection) -> Snapshot:
    """Read tables, columns, types and schemas of a database. Queries of the catalogue, no lock."""
    with connection.cursor() as cursor:
        cursor.execute(_TABLES)
        tables = {oid: (schema, name) for oid, schema, name in cursor.fetchall()}
        cursor.execute(_QUERY)
        columns = {
            (oid, number): Column(
                schema,
                table,
                name,
                kind,
                default,
                generated,
                tuple(labels) if labels else None,
                custom,
                *more,
            )
            for oid, schema, table, number, name, kind, default, generated, labels, custom, *more in cursor.fetchall()
        }
        cursor.execute("SELECT oid::bigint FROM pg_type WHERE oid >= 16384")
        types = frozenset(row[0] for row in cursor.fetchall())
        cursor.execute("SELECT oid::bigint, nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%'")
        schemas = dict(cursor.fetchall())
        cursor.execute(_ATTRIBUTES)
        attributes = {
            (oid, number): f"{plain(schema)}.{plain(kind)}.{plain(name)}"
            for oid, schema, kind, number, name in cursor.fetchall()
        }
    major = connection.server_version // 10_000
    return Snapshot(tables, columns, types, schemas, attributes, restrictions.read(connection), major)
