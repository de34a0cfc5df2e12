"""A column's definition as a `sa.Column`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airlock.operations.revision.written.calls import Call, call, python
from airlock.operations.revision.written.clauses import NAME, bound, plain, within
from airlock.operations.revision.written.sqltypes import sqlalchemy_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airlock.operations.revision.model_types import Words

_SERIAL = {"serial": "sa.Integer()", "bigserial": "sa.BigInteger()", "smallserial": "sa.SmallInteger()"}
_IDENTITY = re.compile(r" GENERATED (?P<how>ALWAYS|BY DEFAULT) AS IDENTITY(?: \((?P<options>[^()]*)\))?\Z")
_GENERATED = re.compile(r" GENERATED ALWAYS AS (?P<expression>\(.*\)) (?P<kept>STORED|VIRTUAL)\Z", re.DOTALL)
_OPTION = re.compile(r"(START WITH|INCREMENT BY|MINVALUE|MAXVALUE|CACHE) (-?\d+)")
_WORDS = {
    "START WITH": "start",
    "INCREMENT BY": "increment",
    "MINVALUE": "minvalue",
    "MAXVALUE": "maxvalue",
    "CACHE": "cache",
}


def column_call(text: str, words: Words, *, keys: Sequence[str], table: str) -> Call | None:
    """Say a definition as SQLAlchemy's column; None where it has no such form. `keys` is the table's primary key."""
    found = re.match(rf"(?P<name>{NAME}) ", text)
    if found is None:
        return None
    name, rest = plain(found["name"]), text[found.end() :]
    required = rest.endswith(" NOT NULL")
    rest = rest.removesuffix(" NOT NULL")
    more: list[str | Call] = []
    named: dict[str, str | Call | None] = {}
    identity, generated = _IDENTITY.search(rest), _GENERATED.search(rest)
    if identity:
        more.append(_identity(identity))
        rest = rest[: identity.start()]
        required = True
    elif generated:
        inner = within(generated["expression"]) or generated["expression"]
        more.append(call("sa.Computed", python(bound(inner)), persisted=str(generated["kept"] == "STORED")))
        rest = rest[: generated.start()]
    elif " DEFAULT " in rest:
        rest, _, default = rest.partition(" DEFAULT ")
        named["server_default"] = call("sa.text", python(bound(default)))
    if rest in _SERIAL:
        if keys[:1] != [name]:
            return None
        kind: str | None = _SERIAL[rest]
        named["autoincrement"] = "True"
    else:
        kind = words.type_of(table, name, rest) or sqlalchemy_type(rest, words.enums)
        if name in keys and not identity and rest in {"integer", "bigint", "smallint"}:
            named["autoincrement"] = "False"
    if kind is None:
        return None
    return call("sa.Column", python(name), kind, *more, **named, nullable=str(not required))


def _identity(found: re.Match[str]) -> Call:
    named = {_WORDS[word]: value for word, value in _OPTION.findall(found["options"] or "")}
    if found["options"] and " CYCLE" in found["options"] and "NO CYCLE" not in found["options"]:
        named["cycle"] = "True"
    return call("sa.Identity", always=str(found["how"] == "ALWAYS"), **named)
