"""The rows that an upgrade inserts of its own into tables that were there, and what tells others that hold the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.drivers import client
from airlock.drivers.spelling import literal, quoted
from airlock.operations.drill.rows.constants_of_statements import inserts_its_own
from airlock.operations.drill.rows.rows_chosen import words_of
from airlock.recorder import row_changes
from airlock.samples.digests import is_cut, key_sql

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from airlock.operations.drill.state import Ledger, State
    from airlock.operations.drill.step import StepTaken
    from airlock.samples import Table

_MOST = 20


@dataclass(frozen=True, slots=True)
class Inserted:
    """The rows of one table, by the columns that it had before; `alike` tells rows `t` that hold the same, or is empty."""

    table: Table
    rows: tuple[Mapping[str, str | None], ...]
    alike: str


def inserted(ledger: Ledger, step: StepTaken, before: State, after: State) -> Iterator[Inserted]:
    """Find the rows of each table that the upgrade spelled out; of none where there are many, or they cannot be told apart."""
    brought: dict[str, set[str]] = {}
    for one in step.data_statements:
        if one.kind == row_changes.COPY or inserts_its_own(one):
            brought.setdefault(one.relation.lower(), set()).update(words_of(one.text))
    labels = {name for name in before.tables() & after.tables() if name.rpartition(".")[2].lower() in brought}
    for table in ledger.tables(labels):
        then, now = before.digests[table.label], after.digests[table.label]
        if then.rows is None or now.rows is None or then.key != now.key or not then.key:
            continue
        new = [row for key, row in now.rows.items() if key not in then.rows]
        if not new or len(new) > _MOST or any(is_cut(value) for row in new for value in row):
            continue
        rows = [
            {name: value for name, value in zip(now.columns, row, strict=True) if name in then.columns}
            for row in new
        ]
        yield Inserted(table, tuple(rows), _alike(table, rows, brought[table.name.lower()]))


def tells_rows(table: Table, name: str) -> bool:
    """Tell whether a column only tells rows apart: it is handed out, or a number or a UUID that is the primary key."""
    column = next((one for one in table.columns if one.name == name), None)
    if column is None:
        return True
    alone = any(one.primary and one.columns == (name,) for one in table.uniques)
    return column.handed_out or (alone and (column.category == "N" or column.type == "uuid"))


def alike_among(ledger: Ledger, one: Inserted, key: Sequence[str], keys: Collection[str]) -> frozenset[str]:
    """Choose, of rows by their keys, those that hold what an inserted one does. Reads the table."""
    if not one.alike or not key or not keys:
        return frozenset()
    spelled = key_sql(tuple(key))
    listed = ", ".join(map(literal, sorted(keys)))
    query = (
        f"SELECT {spelled} FROM {one.table.sql} AS t WHERE {one.alike} AND {spelled} = ANY (ARRAY[{listed}])"
    )
    with client.transaction(ledger.reading), ledger.reading.cursor() as cursor:
        return frozenset(str(row[0]) for row in client.rows(cursor, query))


def _alike(table: Table, rows: Sequence[Mapping[str, str | None]], named: Collection[str]) -> str:
    columns = [name for name in rows[0] if name.lower() in named and not tells_rows(table, name)]
    columns = columns or [name for name in rows[0] if not tells_rows(table, name)]
    listed = {tuple(row[name] for name in columns) for row in rows}
    if not columns or any(None in one for one in listed):
        return ""
    spelled = ", ".join(f"({', '.join(literal(it or '') for it in one)})" for one in sorted(listed, key=str))
    return f"({', '.join(f't.{quoted(name)}' for name in columns)}) IN ({spelled})"
