"""Identifiers and definitions as SQL spells them."""

from __future__ import annotations

import re

_ARRAY = re.compile(
    r"""\((?P<column>[\w."$]+)\)::text (?P<how>= ANY|<> ALL)"""
    r""" \(\(ARRAY\[(?P<items>(?:'(?:[^']|'')*'::character varying(?:, )?)+)\]\)::text\[\]\)"""
)


_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_$]*\Z")


# What PostgreSQL itself would quote of the words that models use; quoting one too many does no harm.
_RESERVED = frozenset(
    re.findall(
        r"\w+",
        """
all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation
column concurrently constraint create cross current_catalog current_date current_role current_schema current_time
current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze from
full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit localtime
localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references returning right
select session_user similar some symmetric system_user table tablesample then to trailing true union unique user using
variadic verbose when where window with
between bigint bit boolean char character coalesce dec decimal exists extract float greatest grouping inout int integer
interval json json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_serialize
json_table json_value least merge_action national nchar none normalize nullif numeric out overlay position precision real
row setof smallint substring time timestamp treat trim values varchar xmlattributes xmlconcat xmlelement xmlexists
xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable
        """,
    )
)


def quoted(identifier: str) -> str:
    """Spell an identifier for SQL."""
    if _IDENTIFIER.match(identifier) and identifier not in _RESERVED:
        return identifier
    return '"' + identifier.replace('"', '""') + '"'


def listed(definition: str) -> str:
    """Spell lists of varchar constants as IN and NOT IN again.

    PostgreSQL shows `role IN ('a', 'b')` as an array with a cast around it, and given that back it moves the cast
    inside: the same condition, but not the same catalogue.
    """

    def as_list(found: re.Match[str]) -> str:
        word = "IN" if found.group("how") == "= ANY" else "NOT IN"
        return f"{found.group('column')} {word} ({found.group('items').replace('::character varying', '')})"

    return _ARRAY.sub(as_list, definition)
