"""Rows that hold already what the upgrade writes: the downgrade takes them for its own, and turns or deletes them.

Whether a target has such rows, only the target knows, and nobody asks it when it upgrades: nothing is proved. Which rows
they are, the downgrade's own conditions say: asked before the upgrade, they choose them and no others.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airlock.catalogue.fingerprint.model import plain
from airlock.drivers import client
from airlock.drivers.spelling import literal, quoted
from airlock.operations.drill.rows.rows_chosen import alias_in, is_called
from airlock.recorder import row_changes as reading
from airlock.recorder.tokens import tokens
from airlock.records.drill import GOES_DOWN, LOSES, Condition, Tried
from airlock.samples.digests import GONE, is_cut

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from airlock.operations.drill.state import Ledger, State
    from airlock.recorder.row_changes import DataStatement
    from airlock.samples import Table
    from airlock.samples.digests import TableDigest

    # What rows have lost, by column and key: the value that was there and what is there now. Of a row that is gone the
    # column is `GONE`.
    Lost = dict[str, dict[str, tuple[str | None, str | None]]]

_MOST_STATEMENTS = 60
_WHY = "rows that hold already what the upgrade writes: the downgrade takes them for rows that it wrote"
_TYPES = """SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = {} AND attnum > 0 AND NOT attisdropped"""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One statement of the downgrade: what tells the rows that it changes, and the keys of those among the rows of before."""

    alias: str
    condition: str
    keys: frozenset[str]


def conditions(
    ledger: Ledger,
    data_statements: Sequence[DataStatement],
    states: tuple[State, State],
    unsure: Collection[Mapping[str, Collection[str]]],
    others: Collection[tuple[str, str, str]],
) -> tuple[Condition, ...]:
    """Give the conditions that count the rows among `unsure` that were lost; nothing where they do not count each of them.

    `data_statements` are the downgrade's, `states` those below before the upgrade and after the downgrade, `others` values
    that other clients have changed. A condition that counts a row which came back is left out: of such rows there are
    some on any target. Asks the server about values; reads no table.
    """
    before, below = states
    found: list[Condition] = []
    for table in ledger.tables(before.tables() & below.tables()):
        keys = {key for one in unsure for key in one.get(table.label, ())}
        then, now = before.digests.get(table.label), below.digests.get(table.label)
        if not keys or then is None or now is None:
            continue
        if then.rows is None or now.rows is None or then.key != now.key or not then.key:
            return ()
        lost = _lost(then, now, keys, {(key, column) for name, key, column in others if name == table.label})
        for column, rows in sorted(lost.items()):
            one = _condition(ledger, table, then, column, rows, keys, data_statements)
            if one is None:
                return ()
            found.append(one)
    return tuple(found)


def _lost(
    then: TableDigest, now: TableDigest, keys: Collection[str], others: Collection[tuple[str, str]]
) -> Lost:
    rows, there = then.rows or {}, now.rows or {}
    found: Lost = {}
    for key in sorted(keys & rows.keys()):
        if key not in there:
            if (key, GONE) not in others:
                found.setdefault(GONE, {})[key] = (None, None)
            continue
        for place, name in enumerate(then.columns):
            if name in now.columns and (key, name) not in others:
                value = there[key][now.columns.index(name)]
                if rows[key][place] != value:
                    found.setdefault(name, {})[key] = (rows[key][place], value)
    return found


def _condition(
    ledger: Ledger,
    table: Table,
    then: TableDigest,
    column: str,
    lost: Mapping[str, tuple[str | None, str | None]],
    unsure: Collection[str],
    data_statements: Sequence[DataStatement],
) -> Condition | None:
    """Put together what tells the rows that lose one column's value, or are gone; None where it does not tell them all."""
    asked: list[_Asked] = []
    mine = [one for one in data_statements if is_called(table, one.relation.lower())]
    with client.transaction(ledger.reading), ledger.reading.cursor() as cursor:
        types = dict(client.rows(cursor, _TYPES.format(table.oid)))
        if len(mine) > _MOST_STATEMENTS or not set(then.columns) <= types.keys():
            return None
        for data in mine:
            if not _may_lose(data, column):
                continue
            told = _tells(data, table, column)
            chosen = None if told is None else _chosen(cursor, then, types, *told)
            if told is None or chosen is None:
                return None
            asked.append(_Asked(*told, chosen))
    telling = [one for one in asked if one.keys <= set(unsure)]
    aliases = {one.alias for one in telling}
    if len(aliases) != 1 or not lost.keys() <= {key for one in telling for key in one.keys}:
        return None
    parts = list(dict.fromkeys(one.condition for one in telling))
    where = parts[0] if len(parts) == 1 else " OR ".join(f"({one})" for one in parts)
    name = table.label if column == GONE else f"{table.label}.{plain(column)}"
    row, became = _example(then, column, min(lost), lost)
    sql = f"SELECT count(*) FROM {table.sql} AS {aliases.pop()} WHERE {where}"
    return Condition(name, _WHY, sql, Tried(row, GOES_DOWN, LOSES, became), before_upgrade=True)


def _example(
    then: TableDigest, column: str, key: str, lost: Mapping[str, tuple[str | None, str | None]]
) -> tuple[str, str]:
    if column == GONE:
        return f"{', '.join(then.key)} = {literal(key)}", "it is gone then"
    was, became = ("NULL" if one is None else literal(one) for one in lost[key])
    return f"{plain(column)} = {was}", f"it is {became} then"


def _may_lose(data: DataStatement, column: str) -> bool:
    """Tell whether a statement may write the column, or delete rows; of what cannot be read it is said that it may."""
    if data.kind == reading.DELETE:
        return column == GONE
    if data.kind == reading.READ or column == GONE:
        return data.kind not in (reading.READ, reading.UPDATE, reading.INSERT, reading.COPY)
    if data.kind == reading.UPDATE:
        return column.lower() in {token.text.strip('"').lower() for token in tokens(data.text)}
    return "CONFLICT" in data.text.upper() or data.kind != reading.INSERT


def _tells(data: DataStatement, table: Table, column: str) -> tuple[str, str] | None:
    """Give a name for the table and what tells the rows that a statement changes, by that table's columns alone."""
    scope = data.scope
    if scope is None or data.around or scope.prefix or scope.source != scope.mine:
        return None
    parts = [f"({scope.condition})"] if scope.condition else []
    if data.kind == reading.UPDATE:
        renewed = [how for name, how in data.assigned if name == column]
        if not renewed:
            return None
        parts += [f"({how})" for how in renewed]
    alias = alias_in(scope, table)
    if alias is None or not parts or any(token.word == "SELECT" for part in parts for token in tokens(part)):
        return None
    if data.kind == reading.UPDATE and scope.condition and _is_one_value(data, column):
        # Whatever the condition chooses has another value then, or none.
        parts = parts[:1]
    whole = " AND ".join(parts) if len(parts) > 1 else parts[0][1:-1]
    bare = alias.rpartition(".")[2]
    return bare, whole.replace(f"{alias}.", f"{bare}.") if bare != alias else whole


def telling(data_statements: Sequence[DataStatement], table: Table) -> tuple[str, str] | None:
    """Give a name for the table and what tells the rows that the DELETEs among the statements take; None where that is unsaid."""
    mine = [
        one
        for one in data_statements
        if one.kind == reading.DELETE and is_called(table, one.relation.lower())
    ]
    told = [_tells(one, table, GONE) for one in dict.fromkeys(mine)]
    found = [one for one in told if one is not None]
    if (
        not found
        or len(found) < len(told)
        or len({alias for alias, _ in found}) > 1
        or len(found) > _MOST_STATEMENTS
    ):
        return None
    parts = list(dict.fromkeys(condition for _, condition in found))
    return found[0][0], parts[0] if len(parts) == 1 else " OR ".join(f"({one})" for one in parts)


def _is_one_value(data: DataStatement, column: str) -> bool:
    """Tell whether an UPDATE sets a column to one literal."""
    how = next(how for name, how in data.assigned if name == column)
    behind = how.rpartition(" IS DISTINCT FROM (")[2].removesuffix(")::text")
    return len(tokens(behind)) == 1


def _chosen(
    cursor: Any, then: TableDigest, types: Mapping[str, str], alias: str, condition: str
) -> frozenset[str] | None:
    """Ask which of a table's rows of before a condition tells; None where the server has no answer."""
    rows = list((then.rows or {}).items())
    listed = ", ".join(
        f"u.c{place}::{types[name]} AS {quoted(name)}" for place, name in enumerate(then.columns)
    )
    names = ", ".join(f"c{place}" for place in range(len(then.columns)))
    arrays = ", ".join(["%s::text[]"] * (len(then.columns) + 1))
    query = (
        f"SELECT airlock_key FROM (SELECT u.airlock_key, {listed} FROM unnest({arrays}) AS u (airlock_key, {names})) AS {alias} "
        f"WHERE {condition}"
    )
    query = query.replace("%", "%%").replace("%%s::text[]", "%s::text[]")
    # A value that is too long to have been read whole tells nothing.
    values = [
        [None if is_cut(row[place]) else row[place] for _, row in rows] for place in range(len(then.columns))
    ]
    answer = client.in_savepoint(
        cursor, functools.partial(_sent, cursor, query, ([key for key, _ in rows], *values))
    )
    return None if answer is None else frozenset(answer)


def _sent(cursor: Any, query: str, values: tuple[Any, ...]) -> list[str]:
    cursor.execute(query, values)
    return [str(row[0]) for row in cursor.fetchall()]
