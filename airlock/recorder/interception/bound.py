"""A statement with its values in it, where no driver spells it so."""

from __future__ import annotations

import datetime as dt
import decimal
import json
from typing import TYPE_CHECKING, Any

from airlock.recorder.tokens import OTHER, tokens

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def bound_text(sql: str, values: Sequence[Any] | Mapping[str, Any] | None, many: bool = False) -> str:
    """Spell a statement with its values as literals, where a driver cannot do it; of many rows with the first one's."""
    if many and values and not isinstance(values, dict):
        first: Any = next(iter(values))
        values = first if isinstance(first, (dict, tuple, list)) else values
    if not values:
        return sql.replace("%%", "%")
    parts, place, number = [], 0, 0
    some = tokens(sql)
    for at, token in enumerate(some):
        if token.kind != OTHER or token.start < place:
            continue
        found: Any = None
        end = token.end
        if token.text.startswith("$") and token.text[1:].isdigit() and not isinstance(values, dict):
            found = list(values)[int(token.text[1:]) - 1]
        elif token.text == "%" and at + 1 < len(some) and some[at + 1].start == end:
            following = some[at + 1]
            if following.text == "s" and not isinstance(values, dict):
                found, end = list(values)[number], following.end
                number += 1
            elif following.text == "(" and isinstance(values, dict) and sql.find(")s", end) > 0:
                close = sql.index(")s", end)
                found, end = values[sql[following.end : close]], close + 2
            else:
                continue
        else:
            continue
        parts += [sql[place : token.start], literal(found)]
        place = end
    return "".join([*parts, sql[place:]]).replace("%%", "%")


def literal(found: Any) -> str:
    """Spell a Python value as PostgreSQL reads it; what is not known as its text."""
    if found is None:
        return "NULL"
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, (int, float, decimal.Decimal)):
        return str(found) if str(found).lstrip("-").replace(".", "").isdigit() else f"'{found}'"
    if isinstance(found, (list, tuple)):
        return f"ARRAY[{', '.join(literal(one) for one in found)}]"
    if isinstance(found, dict):
        found = json.dumps(found, default=str)
    if isinstance(found, (bytes, memoryview)):
        return f"'\\x{bytes(found).hex()}'"
    if isinstance(found, dt.timedelta):
        return f"interval '{found.total_seconds()} seconds'"
    doubled = str(found).replace("'", "''")
    return f"'{doubled}'"
