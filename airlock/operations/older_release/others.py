"""What a release names beside tables and views: functions, procedures, and sequences that stand by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airlock.catalogue.fingerprint.model import plain
from airlock.drivers.spelling import literal, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROUTINES = """
SELECT n.nspname, p.proname, p.prokind::text,
  ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, place) ORDER BY place)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.oid >= 16384 AND p.prokind IN ('f', 'p') AND p.provariadic = 0
  AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
  AND NOT EXISTS (SELECT FROM unnest(p.proargtypes) AS a (t) JOIN pg_type ON pg_type.oid = t WHERE typtype = 'p')
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')
ORDER BY 1, 2, 4
"""
_SEQUENCES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND c.oid >= 16384
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                  AND d.deptype IN ('a', 'i', 'e'))
ORDER BY 1, 2
"""


@dataclass(frozen=True)
class Other:
    """One of them: its name for people, and the one statement that names it, shown and as it is sent to be analysed."""

    label: str
    shown: str
    sql: str


def read_others(cursor: Any) -> Iterator[Other]:
    """Read all of the project's. None is called: what names it is parsed and analysed, and that tells."""
    cursor.execute(_ROUTINES)
    for schema, name, kind, types in cursor.fetchall():
        place, shown = quoted(schema, name), f"{plain(schema)}.{plain(name)}"
        listed = f"({', '.join(types)})"
        if kind == "p":
            yield Other(
                f"{shown}{listed}",
                f"CALL {shown}{listed}",
                f"SELECT {literal(f'{place}{listed}')}::regprocedure",
            )
        else:
            given = ", ".join(f"NULL::{one}" for one in types)
            yield Other(f"{shown}{listed}", f"SELECT {shown}{listed}", f"SELECT {place}({given})")
    cursor.execute(_SEQUENCES)
    for schema, name in cursor.fetchall():
        shown = f"{plain(schema)}.{plain(name)}"
        sent = f"SELECT nextval({literal(quoted(schema, name))}::regclass)"
        yield Other(shown, f"SELECT nextval('{shown}')", sent)
