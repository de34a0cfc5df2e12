"""Values that a domain with conditions lets in where no CHECK of a column can be asked: within another type."""

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


def of_part(cursor: Any, part: Column, conditions: Sequence[str]) -> Column:
    """Give a part of a type the values that its domain lets in, where it has conditions."""
    if not conditions or part.domain is None:
        return part
    cursor.execute("SELECT format_type(%s::oid, NULL)", (part.domain,))
    return replace(part, chosen=_let_in(cursor, str(cursor.fetchone()[0]), part, conditions))


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
