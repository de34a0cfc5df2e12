"""Downgrades that ask for rows which they cannot bring down, and raise where there are some.

`IF EXISTS (SELECT FROM orders WHERE state = 'refunded') THEN RAISE`, or the same in Python: nothing is lost, nothing goes down.
What the revision asks is what the proof holds for, where those rows were written above the upgrade and none is left without them.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock import samples
from airlock.drivers import client
from airlock.drivers.spelling import mentions
from airlock.operations.drill import failures
from airlock.recorder import plpgsql
from airlock.recorder.tokens import STRING, span, tokens, value
from airlock.records.drill import FAILS, GOES_DOWN, Condition, Tried

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airlock.operations.drill.state import Ledger
    from airlock.samples import Table

_WHY = "rows for which the downgrade raises"
# A guard stands close to what raises; and few rows are written meanwhile.
_MOST_QUERIES, _MOST_ROWS = 6, 40


@dataclass(frozen=True, slots=True)
class Guarded:
    """The rows that a downgrade asks for before it raises, by table, and the condition of the proof."""

    keys: Mapping[str, frozenset[str]]
    condition: Condition


def guarded(
    ledger: Ledger,
    error: BaseException,
    written: Mapping[str, frozenset[str]],
    told_by: Mapping[str, Sequence[str]],
) -> Guarded | None:
    """Find the query that a downgrade has asked before it raised, and the rows written meanwhile that it counts, else None.

    The database must stand above the step, which has failed with `error`; `written` are keys by table, told by `told_by`
    where not by the table's own key. Changes nothing.
    """
    tables = {it.label: it for it in ledger.tables({name for name, keys in written.items() if keys})}
    columns = {name: tuple(told_by.get(name) or table.key) for name, table in tables.items()}
    asked = list(dict.fromkeys(it for query in reversed(ledger.asked) for it in _counting(query)))
    for query in asked[:_MOST_QUERIES]:
        named = {name: it for name, it in tables.items() if mentions(query, it.name) and columns[name]}
        if not named or not counted(ledger, query):
            continue
        everything = {name: written[name] for name in named}
        for keys in (_guilty(ledger, query, named, columns, everything), everything):
            taken = _with_what_refers(tables, keys, written)
            if taken and counted(ledger, query, tables, columns, taken) == 0:
                label = min(keys)
                tried = Tried(f"key {min(keys[label])}", GOES_DOWN, FAILS, failures.one_line(error))
                return Guarded(taken, Condition(label, _WHY, query, tried))
    return None


def _counting(query: str) -> Iterator[str]:
    """Spell what a statement asks as queries that count what it finds."""
    some = tokens(query.rstrip("; \n"))
    if not some:
        return
    if some[0].word == "DO":
        body = next((value(one) for one in some if one.kind == STRING), "")
        with contextlib.suppress(plpgsql.Unreadable):
            yield from _of_body(body, plpgsql.read(body))
    elif some[0].word in {"SELECT", "WITH"}:
        yield from _of_query(span(query, some))


def _of_query(query: str) -> Iterator[str]:
    words = [one.word for one in tokens(query)]
    if words[:2] == ["SELECT", "COUNT"] and "GROUP" not in words:
        yield query
    elif words[:2] == ["SELECT", "EXISTS"]:
        yield f"SELECT count(*) WHERE ({query})"
    else:
        yield f"SELECT count(*) FROM ({query}) AS airlock_rows"


def _of_body(text: str, body: plpgsql.Body) -> Iterator[str]:
    """Spell each condition behind which a body raises, and each query whose answer it keeps."""
    if body.condition and any(one.word == "RAISE" for one in body.simple):
        yield f"SELECT count(*) WHERE {body.condition}"
    for one in body.simple:
        into = [
            at
            for at, token in enumerate(one.some)
            if token.word == "INTO" and token.depth == one.some[0].depth
        ]
        if one.word == "SELECT" and into:
            name = into[0] + (2 if one.some[into[0] + 1].word == "STRICT" else 1)
            behind = one.some[name + 1 :]
            if behind:
                yield from _of_query(f"{span(text, one.some[: into[0]])} {span(text, behind)}")
    for inner in (*body.inner, *([body.guarded] if body.guarded is not None else [])):
        yield from _of_body(text, inner)


def counted(
    ledger: Ledger,
    query: str,
    tables: Mapping[str, Table] | None = None,
    columns: Mapping[str, tuple[str, ...]] | None = None,
    without: Mapping[str, frozenset[str]] | None = None,
) -> int | None:
    """Count what a query finds, `without` some rows; None where it cannot be asked above the step. All is undone."""
    with contextlib.suppress(client.Error), client.transaction(ledger.writing):
        if without is not None and tables is not None and columns is not None:
            samples.delete_rows(
                ledger.writing, [(tables[name], columns[name], keys) for name, keys in without.items()]
            )
        with ledger.writing.cursor() as cursor:
            # Whatever the revision's query calls; the rows were deleted under settings that show a key in one way.
            cursor.execute("SELECT set_config('transaction_read_only', 'on', true)")
            cursor.execute("SELECT set_config('search_path', %s, true)", (ledger.search_path or "public",))
            rows = client.rows(cursor, query)
            if len(rows) == 1 and len(rows[0]) == 1 and isinstance(rows[0][0], int):
                return int(rows[0][0])
    return None


def _guilty(
    ledger: Ledger,
    query: str,
    named: Mapping[str, Table],
    columns: Mapping[str, tuple[str, ...]],
    written: Mapping[str, frozenset[str]],
) -> Mapping[str, frozenset[str]]:
    """Choose the rows without each of which the query counts fewer."""
    if sum(map(len, written.values())) > _MOST_ROWS:
        return {}
    there = counted(ledger, query) or 0
    found = {
        name: frozenset(
            key
            for key in keys
            if (left := counted(ledger, query, named, columns, {name: frozenset({key})})) is not None
            and left < there
        )
        for name, keys in written.items()
    }
    return {name: keys for name, keys in found.items() if keys}


def _with_what_refers(
    tables: Mapping[str, Table], keys: Mapping[str, frozenset[str]], written: Mapping[str, frozenset[str]]
) -> Mapping[str, frozenset[str]]:
    """Add the rows written meanwhile in tables that refer to these: they may have no partner without them."""
    found = dict(keys)
    while True:
        oids = {tables[name].oid for name in found}
        more = {
            name: written[name]
            for name, table in tables.items()
            if name not in found and any(key.target in oids for key in table.foreign_keys)
        }
        if not more:
            return found
        found |= more
