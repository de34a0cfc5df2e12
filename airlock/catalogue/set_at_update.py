"""Columns that triggers set at each UPDATE of their table, whatever it is about (`updated_at`): nothing brings them back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airlock.catalogue.fingerprint.model import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# BEFORE (2), FOR EACH ROW (1), UPDATE (16), not of some columns only.
_BODIES = """
SELECT n.nspname::text, c.relname::text, p.proname::text, p.prosrc
FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE t.tgtype & 19 = 19 AND cardinality(t.tgattr::int2[]) = 0 AND t.tgenabled IN ('O', 'A') AND NOT t.tgisinternal
ORDER BY 1, 2, t.tgname
"""
_SET = re.compile(r'\bNEW\s*\.\s*(?:"([^"]+)"|(\w+))\s*:?=(?!=)', re.IGNORECASE)
_COMPARED = re.compile(
    r"\b(?:IF|ELSIF|ELSEIF|WHEN|AND|OR|NOT|WHILE|RETURN|SELECT|WHERE|ON)[\s(]*$", re.IGNORECASE
)


def set_at_update(ask: Callable[[str], Sequence[Sequence[Any]]]) -> dict[str, str]:
    """Name the columns (`public.post.updated_at`), each with the trigger's function. Reads the catalogue only."""
    found: dict[str, str] = {}
    for schema, table, function, body in ask(_BODIES):
        for one in _SET.finditer(body):
            # `IF NEW.a = …` compares; `NEW.a = …` and `NEW.a := …` assign.
            if _COMPARED.search(body[: one.start()]):
                continue
            name = one[1] or str(one[2]).lower()
            found[f"{plain(schema)}.{plain(table)}.{plain(name)}"] = str(function)
    return found
