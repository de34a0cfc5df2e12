"""Changes of types that compute values of their own: of those no query tells beforehand which values come out.

What only casts the column (`USING c::integer`, `USING c::text::mood`) does what the types say, and is counted by them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from airlock.operations.downgrade.casts import ANY_TEXT, casts, retyped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airlock.operations.downgrade.casts import Retyped
    from airlock.records.trace import StatementRecord

_USING = re.compile(r"(?i)\bUSING\b")
_COMPUTED = re.compile(r"(?is)\bTYPE\b.*\bUSING\b")
_MODIFIER = re.compile(r"\([^)]*\)")
_SAME = {
    "int": "integer", "int4": "integer", "int8": "bigint", "int2": "smallint", "decimal": "numeric", "bool": "boolean",
    "varchar": "character varying", "char": "character", "float8": "double precision", "float4": "real",
    "timestamptz": "timestamp with time zone", "timestamp without time zone": "timestamp", "timetz": "time with time zone",
    "time without time zone": "time",
}  # fmt: skip
# A text of theirs is read otherwise than they are cast: '1.50' is no integer.
_BUILT_IN = frozenset({
    *_SAME.values(), *ANY_TEXT, "date", "interval", "uuid", "json", "jsonb", "bytea", "inet", "cidr", "money",
    "bit", "bit varying",
})  # fmt: skip


def recast(records: Sequence[StatementRecord]) -> Iterator[str]:
    """Name the tables of which a step computes new values, by USING or by one type between two others. Pure."""
    changed: dict[tuple[tuple[str, ...], str], list[str]] = defaultdict(list)
    for record in records:
        found = tuple(retyped(record.sql))
        tables = tuple(lock.object for lock in record.locks)
        told = len(_USING.findall(record.sql)) == sum(bool(one.using) for one in found)
        if _COMPUTED.search(record.sql) and not (told and all(_casts(one) for one in found)):
            yield from tables
        for one in found:
            changed[tables, one.column].append(one.type)
    for (tables, _), kinds in changed.items():
        between = {_spelled(one) for one in kinds[:-1]}
        if between and not (between <= ANY_TEXT and _base(kinds[-1]) not in _BUILT_IN):
            yield from tables


def _casts(change: Retyped) -> bool:
    """Tell whether USING is missing, or the column cast to the type that it gets, be it by way of its text."""
    types = casts(change.using, {change.column})
    if not types:
        return types is not None
    *between, last = types
    same = _spelled(last) in (_spelled(change.type), _base(change.type))
    return same and (
        not between
        or (all(_spelled(one) in ANY_TEXT for one in between) and _base(change.type) not in _BUILT_IN)
    )


def _base(kind: str) -> str:
    """Give a type without its length or precision."""
    bare = " ".join(_MODIFIER.sub(" ", kind.replace('"', "").lower()).split())
    return _SAME.get(bare, bare)


def _spelled(kind: str) -> str:
    modifier = "".join(_MODIFIER.findall(kind)).replace(" ", "")
    return f"{_base(kind)}{modifier}"
