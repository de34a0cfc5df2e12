"""Types that models use and never create (`ENUM(…, create_type=False)`, a domain): taken over from the history.

Only a revision creates them, so the models alone cannot be created. What a type is called, the server's error says; what it
is, the catalogue of the database that the history made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airlock.drivers.spelling import literal

if TYPE_CHECKING:
    from collections.abc import Callable

# Each retry of a creation brings one type.
MOST = 200
_DEFINITION = """
SELECT CASE t.typtype
  WHEN 'e' THEN 'TYPE {target} AS ENUM (' || coalesce((
    SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) FROM pg_enum e
    WHERE e.enumtypid = t.oid), '') || ')'
  WHEN 'd' THEN 'DOMAIN {target} ' || {domain}
  END
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_type b ON b.oid = t.typbasetype
WHERE t.typname = '{name}' AND {where} AND t.typtype IN ('e', 'd') ORDER BY n.nspname
"""


def statement(ask: Callable[[str], list[Any]], schema: str | None, name: str, target: str) -> str | None:
    """Spell the CREATE of a type as `target`, from the one called `name` in `schema` (None: in any); None where there is none.

    `ask` runs a query in the database that the history made and gives its rows. Reads only.
    """
    # Seldom wanted, and the process that waits for its children does without SQLAlchemy otherwise.
    from airlock.catalogue.structure.queries import DOMAIN

    where = "true" if schema is None else f"n.nspname = {literal(schema)}"
    query = (
        _DEFINITION.replace("{domain}", DOMAIN).replace("{where}", where).replace("'{name}'", literal(name))
    )
    rows = [row[0] for row in ask(query) if row[0] is not None]
    return f"CREATE {rows[0].replace('{target}', target, 1)}" if rows else None
