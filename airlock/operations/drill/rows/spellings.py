"""Other spellings of texts that a step reads as another type: '007' is 7, and 7 is no '007' when the way goes down again.

A number that loses its zeros is a fault. Where only the spelling of a date or a UUID is another one, a proof holds while no
value is spelled so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.drivers import client
from airlock.drivers.spelling import literal, quoted
from airlock.operations.drill.rows import date_formats
from airlock.samples.digests import key_sql

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from airlock.operations.drill.state import Ledger

_NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric", "real", "double precision"})
_ENCODINGS = frozenset({"hex", "base64"})
# What some type reads as it reads `v`: asked of the server, whose answer decides. A mask that is all of an address (inet),
# another mark between bytes (macaddr), the base of digits (bit, bytea), the short form of a truth value.
_ANY = (
    "' ' || v", "upper(v)", "v || ' '", "replace(v, '/32', '')", "replace(v, '/128', '')", "replace(v, ':', '-')", "'b' || v",
    "replace(upper(v), 'X', 'x')", "left(v, 1)", "replace(v, ',', ', ')", "replace(v, '.', '. ')", "v || '/32'",
)  # fmt: skip
_OF_NUMBERS = "'0' || v"
# Days and months without their zeros: to_date and strptime read them, to_char and strftime write them.
_OF_DATES = r"regexp_replace(v, '(^|[^0-9])0+([0-9])', '\1\2', 'g')"


@dataclass(frozen=True, slots=True)
class Respelled:
    """One value of a column that got another spelling."""

    table: str
    column: str
    plain: str
    spelled: str


def respell(
    ledger: Ledger,
    columns: Collection[str],
    type_: str,
    source: str,
    only: Mapping[str, Collection[str]] | None = None,
) -> tuple[Respelled, ...]:
    """Spell one value of each column (`public.item.code`) otherwise, which reads as the same. Commits.

    It is read as the type, or in the format of a date that the revision's `source` reads the column in. `only` keeps to some
    rows by their keys.
    """
    found = []
    if type_.startswith("json "):
        # A document that Python reads, of which it writes another text.
        type_ = "jsonb"
    forms = (_OF_NUMBERS, *_ANY) if type_ in _NUMBERS else _ANY
    for table in ledger.tables({name.rpartition(".")[0] for name in columns}):
        for column in table.columns:
            if f"{table.label}.{column.name}" not in columns or column.name in table.tied:
                continue
            name = quoted(column.name)
            among = ""
            if only is not None:
                listed = (
                    ", ".join(literal(one) for one in sorted(only.get(table.label, ()))) if table.key else ""
                )
                among = (
                    f" AND {key_sql(table.key)} = ANY (ARRAY[{listed}]::text[])" if listed else " AND false"
                )
            dates = date_formats.of(column.name, source) if type_ in date_formats.MOMENTS else None
            before, behind = ("", f"::{type_}::text")
            if dates:
                before, behind = "to_timestamp(", f", {literal(dates)})"
            elif type_ in _ENCODINGS:
                before, behind = "decode(", f", {literal(type_)})"
            for form in (_OF_DATES, *forms) if dates else forms:
                some = _try(ledger, table.sql, name, form, type_, (before, behind), among)
                found += some
                if some:
                    break
    return tuple(found)


def _try(
    ledger: Ledger, table: str, name: str, form: str, type_: str, read: tuple[str, str], among: str
) -> list[Respelled]:
    """Spell a value otherwise: the last one, or those `among` some rows, since a step may choose any of them."""
    before, behind = read
    values = f"SELECT {name}::text AS v FROM {table} WHERE {name}::text ~ '^[^-]'{among} LIMIT 20"
    question = (
        f"SELECT v, s FROM (SELECT v, ({form}) AS s FROM ({values}) AS x) AS y "
        f"WHERE s <> v AND {before}s{behind} = {before}v{behind} ORDER BY v DESC LIMIT {20 if among else 1}"
    )
    try:
        with ledger.writing.cursor() as cursor:
            cursor.execute(question)
            rows = cursor.fetchall()
            if type_ not in _NUMBERS:
                ledger.respelled |= {str(row[1]) for row in rows}
            for plain, spelled in rows:
                cursor.execute(f"UPDATE {table} SET {name} = %s WHERE {name}::text = %s", (spelled, plain))
    except client.Error:
        return []
    return [Respelled(table, name, str(row[0]), str(row[1])) for row in rows]


def spell_back(ledger: Ledger, respelled: Collection[Respelled]) -> None:
    """Give the values their plain spelling again. Commits."""
    with ledger.writing.cursor() as cursor:
        for one in respelled:
            cursor.execute(
                f"UPDATE {one.table} SET {one.column} = %s WHERE {one.column}::text = %s",
                (one.plain, one.spelled),
            )
