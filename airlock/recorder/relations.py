"""The relations of a scratch database as the catalogue has committed them, read on the observer's connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airlock.drivers.statements import Query

_FACTS = """
SELECT c.oid::bigint, n.nspname, c.relname, c.relkind, c.reltuples::bigint,
       NULLIF(c.relfilenode, 0)::bigint, i.indrelid::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON i.indexrelid = c.oid
WHERE """

# By number, so that a renamed column is not taken for a dropped one. An absent table has no row here.
LIVE = """
SELECT c.oid::bigint, a.attname::text, a.attnum FROM pg_class c
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped WHERE c.oid = ANY ({})
"""
# Prepared once on the observer's connection: planning would be most of its cost.
PREPARE = f"""
SET plan_cache_mode = force_generic_plan;
PREPARE airlock_relations (oid[]) AS {_FACTS} c.oid = ANY ($1);
PREPARE airlock_columns (oid[]) AS {LIVE.format("$1")}
"""

_KINDS = {"i": "index ", "I": "index ", "v": "view ", "m": "materialized view ", "S": "sequence "}


@dataclass(frozen=True, slots=True)
class Relation:
    """What the catalogue has committed about one relation."""

    oid: int
    schema: str
    name: str
    kind: str
    rows: int
    filenode: int | None
    table: int | None

    @property
    def shown(self) -> str:
        """Spell it as reports do: `phase2.task`, `index phase2.ix_task_user_id`."""
        return f"{_KINDS.get(self.kind, '')}{self.schema}.{self.name}"

    @property
    def others_see_it(self) -> bool:
        """Tell whether another session could wait for it: no TOAST table, nobody's temporary table."""
        return not self.schema.startswith(("pg_toast", "pg_temp"))


def relations(query: Query, condition: str) -> dict[int, Relation]:
    """Read the relations that satisfy a condition on `c` (pg_class), `n` (pg_namespace), `i` (pg_index)."""
    return {row[0]: Relation(*row) for row in query(_FACTS + condition)}


def relations_of(query: Query, oids: Iterable[int]) -> dict[int, Relation]:
    """Read the relations of these numbers on a connection that ran PREPARE; those it cannot see are left out."""
    listed = ",".join(map(str, sorted(oids)))
    return {row[0]: Relation(*row) for row in query(f"EXECUTE airlock_relations ('{{{listed}}}')")}
