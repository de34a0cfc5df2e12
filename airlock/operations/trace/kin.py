"""Partitions and heirs: one statement on their root takes them all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airlock.catalogue.fingerprint.model import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

_KIN = """
WITH RECURSIVE up (member, parent) AS (
  SELECT inhrelid, inhparent FROM pg_inherits
  UNION SELECT up.member, i.inhparent FROM up JOIN pg_inherits i ON i.inhrelid = up.parent)
SELECT m.nspname, c.relname, n.nspname, p.relname, c.relkind = 'p'
FROM up JOIN pg_class c ON c.oid = up.member JOIN pg_namespace m ON m.oid = c.relnamespace
JOIN pg_class p ON p.oid = up.parent JOIN pg_namespace n ON n.oid = p.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = p.oid)
"""


@dataclass(frozen=True)
class Kin:
    """The root of every partition and heir, and those of them that hold rows of their own."""

    roots: Mapping[str, str] = field(default_factory=dict)
    leaves: frozenset[str] = frozenset()

    def members(self, root: str) -> set[str]:
        """Name all that stand below a root."""
        return {name for name, of in self.roots.items() if of == root}


def read_kin(connection: Any) -> Kin:
    """Read all of them. One query of the catalogue."""
    found: dict[str, str] = {}
    leaves: set[str] = set()
    with connection.cursor() as cursor:
        cursor.execute(_KIN)
        for schema, table, of_schema, of, partitioned in cursor.fetchall():
            name = f"{plain(schema)}.{plain(table)}"
            found[name] = f"{plain(of_schema)}.{plain(of)}"
            if not partitioned:
                leaves.add(name)
    return Kin(found, frozenset(leaves))
