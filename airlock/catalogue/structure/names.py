"""Identifiers and definitions as SQL spells them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


def in_tablespace(definition: str, tablespace: str | None) -> str:
    """Say in an index's definition which tablespace it lies in: before its predicate. None: the database's own."""
    if tablespace is None:
        return definition
    depth, within = 0, ""
    for place, one in enumerate(definition):
        if within:
            within = "" if one == within else within
        elif one in "'\"":
            within = one
        elif one in "()":
            depth += 1 if one == "(" else -1
        elif depth == 0 and definition.startswith(" WHERE ", place):
            return f"{definition[:place]} TABLESPACE {quoted(tablespace)}{definition[place:]}"
    return f"{definition} TABLESPACE {quoted(tablespace)}"


class Spelling:
    """Spell names of schemas as the caller wants them: keys of `schemas` as their values; "" leaves one out, it is `home`."""

    def __init__(self, schemas: Mapping[str, str], home: str) -> None:
        self._spellings = {quoted(name): quoted(seen) + "." if seen else "" for name, seen in schemas.items()}
        if "" in schemas.values():
            # Where models stand under another name, an extension's types stand in the real schema all the same.
            self._spellings.setdefault(quoted(home), "")
        names = "|".join(re.escape(name) for name in sorted(self._spellings, key=len, reverse=True))
        self._prefix = re.compile(rf'(?<![\w."$])({names})\.') if names else None

    def __call__(self, text: str | None) -> Any:
        """Spell a text in which every name is qualified."""
        if text is None or self._prefix is None:
            return text
        return self._prefix.sub(lambda found: self._spellings[found.group(1)], text)


def create_policy(
    name: str,
    table: str,
    command: str,
    roles: Sequence[str],
    using: str | None,
    check: str | None,
    *,
    permissive: bool,
) -> str:
    """Spell CREATE POLICY; `command` as pg_policy keeps it."""
    commands = {"r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE", "*": "ALL"}
    text = f"CREATE POLICY {quoted(name)} ON {table}{'' if permissive else ' AS RESTRICTIVE'}"
    text += f" FOR {commands[command]} TO {', '.join(roles)}"
    text += f" USING ({using})" if using else ""
    return text + (f" WITH CHECK ({check})" if check else "")


def trigger_state(table: str, name: str, enabled: str) -> list[str]:
    """Spell what makes a new trigger fire when the old one did; `enabled` as pg_trigger keeps it."""
    how = {"D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}.get(enabled)
    return [f"ALTER TABLE {table} {how} TRIGGER {quoted(name)}"] if how else []
