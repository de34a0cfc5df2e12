"""Values that a domain with conditions lets in where no CHECK of a column can be asked: in a composite's part, in an array."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airlock.drivers import client
from airlock.samples.builtin_types import Generator, Values
from airlock.samples.literals import literals
from airlock.samples.values import pool, values_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airlock.samples.model import Column

_ELEMENT = """
WITH RECURSIVE chain AS (
  SELECT oid, typbasetype, typtypmod FROM pg_type WHERE oid = %s::regtype
  UNION ALL SELECT y.oid, y.typbasetype, y.typtypmod FROM chain JOIN pg_type y ON y.oid = chain.typbasetype)
SELECT format_type(b.oid, NULL), b.typtype::text, b.typcategory::text, format_type(b.oid, m.modifier), m.modifier,
  (SELECT array_agg(pg_get_expr(k.conbin, 0) ORDER BY k.conname) FROM pg_constraint k
   WHERE k.contypid IN (SELECT oid FROM chain) AND k.contype = 'c')
FROM pg_type b, (SELECT max(typtypmod) AS modifier FROM chain) m
WHERE b.oid = (SELECT oid FROM chain WHERE typbasetype = 0)
"""
_OF_TEXTS = frozenset({"character varying", "character"})


def of_part(cursor: Any, part: Column, conditions: Sequence[str]) -> Column:
    """Give a composite's part the values that its domain lets in, where it has conditions."""
    if not conditions or part.domain is None:
        return part
    cursor.execute("SELECT format_type(%s::oid, NULL)", (part.domain,))
    return replace(part, chosen=_let_in(cursor, str(cursor.fetchone()[0]), part, conditions))


def of_element(cursor: Any, column: Column) -> Column:
    """Give an array the values that its elements' domain lets in, where that has conditions or stands over a domain."""
    if column.element != "d" or column.over is not None or column.subtype is None:
        return column
    cursor.execute(_ELEMENT, (column.subtype,))
    type_, kind, category, full, modifier, conditions = cursor.fetchone()
    length = modifier - 4 if type_ in _OF_TEXTS and modifier >= 0 else None
    inner = replace(
        column, type=type_, kind=kind, category=category, is_array=False, full=full, length=length, scale=None,
        element="", subtype=None,
    )  # fmt: skip
    return replace(column, chosen=_let_in(cursor, column.subtype, inner, conditions or ()))


def _let_in(cursor: Any, domain: str, base: Column, conditions: Sequence[str]) -> Values | None:
    """Choose of the base type's values and of what the conditions spell out; None where the domain takes none of them."""
    found = values_for(base)
    spelled = [one for condition in conditions for one in literals(base, condition)]
    taken = [one for one in spelled if _takes(cursor, domain, one)]
    offered = ([pool(tuple(taken), base)] if taken else []) + list(found.generators if found else ())
    usual = next(
        (one for one in offered if _takes(cursor, domain, *(one.at(f"({n})") for n in (0, 3, 40)))), None
    )
    if usual is None:
        return None
    edges = tuple(edge for edge in (found.edges if found else ()) if _takes(cursor, domain, edge))
    return Values(
        (Generator(f"({usual.sql})::{domain}", usual.cardinality),),
        tuple(f"({one})::{domain}" for one in edges),
    )


def _takes(cursor: Any, domain: str, *values: str) -> bool:
    def asked() -> bool:
        cursor.execute(f"SELECT {', '.join(f'({value})::{domain}' for value in values)}")
        return True

    return bool(client.in_savepoint(cursor, asked))
