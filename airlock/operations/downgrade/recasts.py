"""Changes of types that compute values of their own: of those no query tells beforehand which values come out.

What only casts the column (`USING c::integer`, `USING c::text::mood`) does what the types say, and is counted by them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airlock.records.trace import StatementRecord

_NAME = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
_TYPE = r"[\w\s\".,()\[\]]+?"
_END = r"(?:,\s*(?:ALTER|ADD|DROP|RENAME|OWNER|SET|VALIDATE)\b|;)"
_RETYPED = re.compile(
    rf"(?is)\bALTER\s+(?:COLUMN\s+)?({_NAME})\s+(?:SET\s+DATA\s+)?TYPE\s+((?:(?!{_END}|\bUSING\b).)+)"
    rf"(?:\bUSING\s+(.+?))?\s*(?={_END}|$)"
)
_USING = re.compile(r"(?i)\bUSING\b")
_COMPUTED = re.compile(r"(?is)\bTYPE\b.*\bUSING\b")
_CAST = re.compile(rf"(?is)CAST\s*\(\s*(.+?)\s+AS\s+({_TYPE})\)")
_CASTS = re.compile(rf"(?is)(?:{_NAME}\.)*({_NAME})((?:\s*::\s*{_TYPE})*)")
_MODIFIER = re.compile(r"\([^)]*\)")
_SAME = {
    "int": "integer", "int4": "integer", "int8": "bigint", "int2": "smallint", "decimal": "numeric", "bool": "boolean",
    "varchar": "character varying", "char": "character", "float8": "double precision", "float4": "real",
    "timestamptz": "timestamp with time zone", "timestamp without time zone": "timestamp", "timetz": "time with time zone",
    "time without time zone": "time",
}  # fmt: skip
_TEXTS = frozenset({"text", "character varying"})
# A text of theirs is read otherwise than they are cast: '1.50' is no integer.
_BUILT_IN = frozenset({
    *_SAME.values(), *_TEXTS, "date", "interval", "uuid", "json", "jsonb", "bytea", "inet", "cidr", "money", "bit", "bit varying",
})  # fmt: skip


def recast(records: Sequence[StatementRecord]) -> Iterator[str]:
    """Name the tables of which a step computes new values, by USING or by one type between two others. Pure."""
    changed: dict[tuple[tuple[str, ...], str], list[str]] = defaultdict(list)
    for record in records:
        found = _RETYPED.findall(record.sql)
        tables = tuple(lock.object for lock in record.locks)
        told = len(_USING.findall(record.sql)) == sum(bool(using) for _, _, using in found)
        if _COMPUTED.search(record.sql) and not (told and all(_casts(*one) for one in found)):
            yield from tables
        for name, kind, _ in found:
            changed[tables, _plain(name)].append(kind)
    for (tables, _), kinds in changed.items():
        between = {_spelled(one) for one in kinds[:-1]}
        if between and not (between <= _TEXTS and _base(kinds[-1]) not in _BUILT_IN):
            yield from tables


def _casts(name: str, kind: str, using: str) -> bool:
    """Tell whether USING is missing, or the column cast to the type that it gets, be it by way of its text."""
    text = using.strip()
    while text.startswith("(") and text.endswith(")"):
        text = text[1:-1].strip()
    cast = _CAST.fullmatch(text)
    if cast is not None:
        text = f"{cast[1]}::{cast[2]}"
    if not text:
        return True
    # (c::text)::mood
    found = _CASTS.fullmatch(re.sub(r"(?s)^\(([^()]+)\)(?=\s*::)", r"\1", text))
    if found is None or _plain(found[1]) != _plain(name):
        return False
    types = [one for one in found[2].split("::") if one.strip()]
    if not types:
        return True
    last = types.pop()
    same = _spelled(last) in (_spelled(kind), _base(kind))
    return same and (
        not types or (all(_spelled(one) in _TEXTS for one in types) and _base(kind) not in _BUILT_IN)
    )


def _base(kind: str) -> str:
    """Give a type without its length or precision."""
    bare = " ".join(_MODIFIER.sub(" ", kind.replace('"', "").lower()).split())
    return _SAME.get(bare, bare)


def _spelled(kind: str) -> str:
    modifier = "".join(_MODIFIER.findall(kind)).replace(" ", "")
    return f"{_base(kind)}{modifier}"


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()
