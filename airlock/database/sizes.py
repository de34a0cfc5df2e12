"""How large a target's tables are, from its statistics: nothing is counted, nothing waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airlock.records.review import TableSize

if TYPE_CHECKING:
    from collections.abc import Collection

# A partitioned table is the sum of its leaves. n_live_tup serves where the table was never analysed.
_SIZES = """
SELECT n.nspname || '.' || c.relname, sum(GREATEST(leaf.reltuples, s.n_live_tup, 0))::bigint,
       sum(pg_total_relation_size(leaf.oid))::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (SELECT relid FROM pg_partition_tree(c.oid) UNION SELECT c.oid) tree
JOIN pg_class leaf ON leaf.oid = tree.relid LEFT JOIN pg_stat_all_tables s ON s.relid = leaf.oid
WHERE n.nspname || '.' || c.relname = ANY (%s) AND c.relkind IN ('r', 'p', 'm') AND leaf.relkind IN ('r', 'm')
GROUP BY 1 ORDER BY 1
"""
_FILLED = """
SELECT schemaname || '.' || tablename || '.' || attname, null_frac FROM pg_stats
WHERE schemaname || '.' || tablename || '.' || attname = ANY (%s)
"""


def prepare(connection: Any) -> None:
    """Make a target's session read-only and impatient: it waits for nobody and changes nothing."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SET default_transaction_read_only = on; SET lock_timeout = '1s'; SET statement_timeout = '10s'"
        )


def sizes(connection: Any, tables: Collection[str]) -> dict[str, TableSize]:
    """Tell rows and bytes (indexes and TOAST included) of those tables that the target has. Reads statistics."""
    with connection.cursor() as cursor:
        cursor.execute(_SIZES, (sorted(tables),))
        return {name: TableSize(name, rows, size) for name, rows, size in cursor.fetchall()}


def values(connection: Any, columns: Collection[str]) -> dict[str, int]:
    """Tell how many rows have a value in each column, as the last ANALYZE saw it."""
    tables = {column: column.rpartition(".")[0] for column in columns}
    with connection.cursor() as cursor:
        cursor.execute(_FILLED, (sorted(columns),))
        fractions = dict(cursor.fetchall())
    known = sizes(connection, set(tables.values()))
    return {
        column: round(known[table].rows * (1 - fractions.get(column, 0.0)))
        for column, table in tables.items()
        if table in known
    }
