"""Queries of airlock's own that the server plans once for a connection: planning them costs more than running them.

Not for a connection behind a transaction pooler, where the next statement may meet another server process.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airlock.drivers import client

# Without it the server would plan anew the first times, each time for the values that are given.
GENERIC = "set_config('plan_cache_mode', 'force_generic_plan', true)"
# The names of what each connection has prepared, by its text.
_names: weakref.WeakKeyDictionary[Any, dict[str, str]] = weakref.WeakKeyDictionary()


def execute(
    connection: client.Connection,
    cursor: client.Cursor,
    query: str,
    types: Mapping[str, str] | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> None:
    """Run a query, prepared the first time; `types` are those of its named arguments (`%(name)s`), in any order."""
    types = types or {}
    names = _names.setdefault(connection, {})
    name = names.get(query)
    if name is None:
        name = f"airlock_prepared_{len(names)}"
        listed = f" ({', '.join(types.values())})" if types else ""
        numbered = {one: f"${place}" for place, one in enumerate(types, 1)}
        cursor.execute(f"PREPARE {name}{listed} AS {query % numbered}")
        names[query] = name
    if not types:
        cursor.execute(f"EXECUTE {name}")
        return
    given = ", ".join(f"%({one})s" for one in types)
    cursor.execute(f"EXECUTE {name} ({given})", arguments)
