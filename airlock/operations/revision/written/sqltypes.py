"""PostgreSQL's types as SQLAlchemy's, as a revision spells them; None for what only SQL can say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airlock.operations.revision.written.calls import python

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLAIN = {
    "integer": "sa.Integer()", "bigint": "sa.BigInteger()", "smallint": "sa.SmallInteger()", "text": "sa.Text()",
    "boolean": "sa.Boolean()", "uuid": "sa.Uuid()", "date": "sa.Date()", "bytea": "sa.LargeBinary()",
    "json": "sa.JSON()", "double precision": "sa.Double()", "real": "sa.REAL()", "numeric": "sa.Numeric()",
    "character varying": "sa.String()", "timestamp with time zone": "sa.DateTime(timezone=True)",
    "timestamp without time zone": "sa.DateTime()", "time without time zone": "sa.Time()",
    "time with time zone": "sa.Time(timezone=True)", "interval": "sa.Interval()",
}  # fmt: skip
_POSTGRESQL = {
    "jsonb": "JSONB()", "inet": "INET()", "cidr": "CIDR()", "macaddr": "MACADDR()", "macaddr8": "MACADDR8()",
    "tsvector": "TSVECTOR()", "tsquery": "TSQUERY()", "int4range": "INT4RANGE()", "int8range": "INT8RANGE()",
    "numrange": "NUMRANGE()", "daterange": "DATERANGE()", "tsrange": "TSRANGE()", "tstzrange": "TSTZRANGE()",
    "int4multirange": "INT4MULTIRANGE()", "int8multirange": "INT8MULTIRANGE()", "money": "MONEY()", "oid": "OID()",
    "datemultirange": "DATEMULTIRANGE()", "citext": "CITEXT()", "hstore": "HSTORE()",
}  # fmt: skip
_SIZED = (
    (re.compile(r"character varying\((\d+)\)"), "sa.String({0})"),
    (re.compile(r"character\((\d+)\)"), "sa.CHAR({0})"),
    (re.compile(r"numeric\((\d+),(\d+)\)"), "sa.Numeric({0}, {1})"),
    (re.compile(r"bit\((\d+)\)"), "postgresql.BIT({0})"),
    (re.compile(r"bit varying\((\d+)\)"), "postgresql.BIT({0}, varying=True)"),
    (re.compile(r"timestamp\((\d)\) with time zone"), "postgresql.TIMESTAMP(timezone=True, precision={0})"),
    (re.compile(r"timestamp\((\d)\) without time zone"), "postgresql.TIMESTAMP(precision={0})"),
)
_COLLATED = re.compile(
    r'(?P<type>text|character varying(?:\(\d+\))?) COLLATE pg_catalog\.(?P<name>"[^"]+"|\w+)'
)


def sqlalchemy_type(text: str, enums: Mapping[str, tuple[str, ...]]) -> str | None:
    """Spell a type as SQLAlchemy's, in `sa.` or `postgresql.`; enums are never created by their columns."""
    if text.endswith("[]"):
        item = sqlalchemy_type(text[:-2], enums)
        return f"postgresql.ARRAY({item})" if item is not None else None
    if text in enums:
        return _enum(text, enums[text])
    if text in _PLAIN:
        return _PLAIN[text]
    if text in _POSTGRESQL:
        return f"postgresql.{_POSTGRESQL[text]}"
    for pattern, spelt in _SIZED:
        found = pattern.fullmatch(text)
        if found:
            return spelt.format(*found.groups())
    collated = _COLLATED.fullmatch(text)
    if collated:
        plain = sqlalchemy_type(collated["type"], enums) or ""
        comma = "" if plain.endswith("()") else ", "
        return f"{plain[:-1]}{comma}collation={python(collated['name'].strip(chr(34)))})"
    return None


def _enum(text: str, labels: tuple[str, ...]) -> str:
    parts = re.findall(r'"(?:[^"]|"")*"|[^.]+', text)
    names = [one[1:-1].replace('""', '"') if one.startswith('"') else one for one in parts]
    spelt = ", ".join(python(label) for label in labels)
    schema = f", schema={python(names[0])}" if len(names) > 1 else ""
    return f"postgresql.ENUM({spelt}, name={python(names[-1])}{schema}, create_type=False)"
