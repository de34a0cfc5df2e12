"""Rows that the release below writes above an upgrade: it names no new column, and knows of no new table.

Where it still can, the downgrade must leave them as they were written, or turn them back as it does the old rows that they
are copies of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airlock import samples
from airlock.catalogue.fingerprint.model import plain
from airlock.drivers import client
from airlock.drivers.spelling import quoted
from airlock.operations.drill import comparisons
from airlock.operations.drill.phases.interim_writes import CHANGED, GONE
from airlock.records.difference import Difference
from airlock.samples.digests import key_sql

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from airlock.operations.drill.state import Ledger, State
    from airlock.records.drill import Loss
    from airlock.samples import Table, TableDigest

_FIRST, _MORE = 4, 12
_FAR = 5_000_000


@dataclass(frozen=True, slots=True)
class Older:
    """One row: its table, its key, and the key of the old row that it is a copy of."""

    table: str
    key: str
    copied: str


def may_be_lost(losses: Iterable[Loss]) -> bool:
    """Tell whether some of what was written between upgrade and downgrade went, or came out as something else."""
    return any(one.why in (GONE, CHANGED) for one in losses)


def write(
    ledger: Ledger, before: State, above: State, names: Collection[str], known: Mapping[str, Table], turn: int
) -> tuple[Older, ...]:
    """Copy old rows of some tables, new columns left to their defaults; commit.

    Only where every column of the table as it was `before` is still there under its name: else the release below writes
    nothing. `known` is what the tables demanded then. Left out are tables with triggers and rules.
    """
    written: list[Older] = []
    objects = ledger.large_objects()
    try:
        with ledger.checked_at_once() as cursor:
            for table in ledger.tables(names):
                then, now = before.digests.get(table.label), above.digests.get(table.label)
                if then is None or now is None or table.has_triggers or table.has_rules or not then.key:
                    continue
                if then.rows is None or now.rows is None or then.key != now.key:
                    continue
                if set(then.columns) <= set(now.columns):
                    old = [key for key in then.rows if key in now.rows]
                    demanded = samples.with_requirements(table, known.get(table.label))
                    written += _copies(
                        cursor, demanded, _some(then, old), set(then.columns), _FAR + turn * 100
                    )
            samples.make_referred(cursor, ledger.tables({one.table for one in written}))
    except client.Error:
        return ()
    ledger.strange_objects |= ledger.large_objects() - objects
    return tuple(written)


def _some(digest: TableDigest, keys: Sequence[str]) -> list[str]:
    """Choose the first rows, one of each value that several rows share (a statement names it, mostly), and some others."""
    rows, chosen = digest.rows or {}, dict.fromkeys(keys[:_FIRST])
    for place in range(len(digest.columns)):
        first: dict[str | None, str] = {}
        shared: dict[str | None, str] = {}
        for key in keys:
            value = rows[key][place]
            if first.setdefault(value, key) != key:
                shared.setdefault(value, first[value])
        chosen |= dict.fromkeys(list(shared.values())[:_MORE])
    rest = [key for key in keys if key not in chosen]
    return [*list(chosen)[: 3 * _MORE], *rest[:: max(len(rest) // _MORE, 1)]]


def _copies(
    cursor: Any, table: Table, keys: Sequence[str], columns: Collection[str], number: int
) -> Iterator[Older]:
    fresh = samples.fresh_values(table)
    if fresh is None:
        return
    names = [
        one.name
        for one in table.columns
        if one.name in columns and not one.identity and (one.sequence is None or one.default is None)
    ]
    for turn, key in enumerate(keys):
        values = [
            fresh[name].at(f"({number + turn})") if name in fresh else f"o.{quoted(name)}" for name in names
        ]
        listed = f"({', '.join(quoted(name) for name in names)})" if names else ""
        statement = (
            f"INSERT INTO {table.sql} {listed} SELECT {', '.join(values).replace('%', '%%')} FROM {table.rows_sql} AS o "
            f"WHERE {key_sql(table.key).replace('%', '%%')} = %s RETURNING {key_sql(table.key).replace('%', '%%')}"
        )

        def send(statement: str = statement, key: str = key) -> Any:
            cursor.execute(statement, (key,))
            return cursor.fetchone()

        row = client.in_savepoint(cursor, send)
        if row:
            yield Older(table.label, str(row[0]), key)


def lost(written: Sequence[Older], over: State, below: State) -> tuple[Difference, ...]:
    """Name what the downgrade lost of them: rows, and values that it did not turn back as those of the old rows."""
    found: dict[str, list[tuple[str | None, str | None, str]]] = {}
    copies = {(one.table, one.key) for one in written}
    for one in written:
        then, now = over.digests.get(one.table), below.digests.get(one.table)
        if then is None or now is None or then.rows is None or now.rows is None or then.key != now.key:
            continue
        if one.copied not in now.rows or one.copied not in then.rows or one.key not in then.rows:
            continue
        if one.key not in now.rows:
            found.setdefault(one.table, []).append((None, None, one.key))
            continue
        for place, name in enumerate(then.columns):
            if name not in now.columns:
                continue
            there = now.columns.index(name)
            wrote, got = then.rows[one.key][place], now.rows[one.key][there]
            model, turned = then.rows[one.copied][place], now.rows[one.copied][there]
            alike = wrote == model
            if got != wrote and ((alike and got != turned) or (not alike and model == turned)):
                if _is_retyped(over, below, f"{one.table}.{plain(name)}") and any(
                    row[place] == wrote and now.rows[key][there] == got
                    for key, row in then.rows.items()
                    if key in now.rows and (one.table, key) not in copies
                ):
                    continue  # what the type below has for it: old rows that held the same above came out so
                found.setdefault(f"{one.table}.{name}", []).append((wrote, got, one.key))
    return tuple(_in_words(name, rows) for name, rows in sorted(found.items()) if comparisons.ROWS)


def _is_retyped(over: State, below: State, column: str) -> bool:
    """Tell whether a column has another type below: its values are spelled otherwise there."""
    there = [one.catalogue.objects.get(column) for one in (over, below)]
    return len({one.attributes.get("type") for one in there if one is not None}) > 1


def _in_words(name: str, rows: Sequence[tuple[str | None, str | None, str]]) -> Difference:
    wrote, got, key = rows[0]
    many = f"{len(rows)} row" + ("s" if len(rows) != 1 else "")
    whose = "written above by the release below"
    if wrote is None and got is None:
        return Difference(name, f"rows {whose}", many, f"gone, one of them {key}")
    shown = [("NULL" if one is None else f"'{one}'") + f" (row {key})" for one in (wrote, got)]
    return Difference(name, f"value of {many} {whose}", shown[0], shown[1])
