"""Columns that a downgrade makes and fills itself: rows for which it has no value, or one that a CHECK below refuses.

`UPDATE item SET total = units * 100 + cents` and NOT NULL behind it: a row without cents, which the upgrade lets in, is in the
way; behind `CHECK (total > 0)` one of no cents. The server refuses the step then; nothing is lost.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airlock.catalogue.fingerprint.model import plain
from airlock.drivers import client
from airlock.drivers.spelling import bare
from airlock.operations.drill import failures
from airlock.operations.drill.rows.computed_back import with_value
from airlock.operations.drill.rows.rows_chosen import alias_in
from airlock.recorder.row_changes import UPDATE, data_statements
from airlock.recorder.tokens import NAME, WORD, identifier, tokens
from airlock.records.drill import FAILS, GOES_DOWN, Condition, Tried
from airlock.samples.digests import key_sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airlock.catalogue.fingerprint.model import CatalogueObject
    from airlock.operations.drill.state import Ledger
    from airlock.recorder.row_changes import DataStatement
    from airlock.samples import Table

# not_null_violation, check_violation (PostgreSQL manual, "Error Codes").
_NOT_NULL, _CHECK = "23502", "23514"
STATES = frozenset({_NOT_NULL, _CHECK})
# No alias that a revision gives a table.
ROW = "airlock_row"
_WHY = {
    _NOT_NULL: "rows for which the downgrade has no value, where there must be one below",
    _CHECK: "rows for which the downgrade has a value that a CHECK below refuses",
}
_CHECKED = re.compile(r"CHECK \((.*)\)(?: NO INHERIT| NOT VALID| NOT ENFORCED)*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Unfilled:
    """Rows that stop a downgrade, by their keys, and the condition of the proof, tried with them and then without."""

    table: Table
    keys: frozenset[str]
    condition: Condition


def unfilled(
    ledger: Ledger,
    error: BaseException,
    below: Mapping[str, CatalogueObject],
    written: Mapping[str, frozenset[str]],
    told_by: Mapping[str, Sequence[str]],
) -> Unfilled | None:
    """Find the rows written meanwhile for which the downgrade has no value that a rule `below` takes, else None.

    The database must stand above the step, which has failed with `error`; `written` are keys by table, told by `told_by` where
    not by the table's own key.
    """
    stop = stopped_by(error)
    if stop.state not in STATES:
        return None
    for table in ledger.tables({name for name, keys in written.items() if keys}):
        if (table.schema, table.name) != stop.place:
            continue
        rule = "" if stop.state == _NOT_NULL else _rule(below, table, stop.constraint)
        column = stop.column if stop.state == _NOT_NULL else _made(ledger, table, rule)
        if not column or column in table.every_column:
            continue
        return _counted(ledger, error, table, (column, rule), written, told_by)
    return None


@dataclass(frozen=True, slots=True)
class Stop:
    """What stopped a step: the SQLSTATE, the table's schema and name, its column and its rule; "" for what was not told."""

    state: str = ""
    place: tuple[str, str] = ("", "")
    column: str = ""
    constraint: str = ""


def stopped_by(error: BaseException) -> Stop:
    """Read what the server tells of a row that stopped a step."""
    cause = failures.origin(error)
    # asyncpg's own error stands behind the one that SQLAlchemy makes of it.
    for one in (cause, cause.__cause__):
        if one is not None and client.told(one, "table_name"):
            state, schema, table, column, constraint = (
                client.told(one, name) or ""
                for name in ("sqlstate", "schema_name", "table_name", "column_name", "constraint_name")
            )
            return Stop(state, (schema, table), column, constraint)
    return Stop()


def unfilled_for_its_own_rule(
    ledger: Ledger,
    error: BaseException,
    written: Mapping[str, frozenset[str]],
    told_by: Mapping[str, Sequence[str]],
) -> Unfilled | None:
    """Find such rows where the revision itself has looked for the NULLs that they come down as, and raised; else None."""
    for table in ledger.tables({name for name, keys in written.items() if keys}):
        set_ = dict.fromkeys(
            bare(name)
            for query in ledger.asked
            for one in data_statements(query)
            if one.kind == UPDATE and one.relation == table.name
            for name, _ in one.given
        )
        for column in set_:
            if column in table.every_column:
                continue
            found = _counted(ledger, error, table, (column, ""), written, told_by)
            if found is not None:
                return found
    return None


def _counted(
    ledger: Ledger,
    error: BaseException,
    table: Table,
    demand: tuple[str, str],
    written: Mapping[str, frozenset[str]],
    told_by: Mapping[str, Sequence[str]],
) -> Unfilled | None:
    """Count the rows of a table for which the downgrade has no value in a column, or none that its rule takes: `demand`."""
    column, rule = demand
    lacking = (" OR " if rule else " AND ").join(_lacking(ledger, table, column, rule))
    if not lacking:
        return None
    key = key_sql(tuple(told_by.get(table.label) or table.key))
    query = f"SELECT {key} FROM {table.rows_sql} AS {ROW} WHERE {lacking}"
    rows: list[Any] = []
    # What fills it may not be there above the step.
    with contextlib.suppress(client.Error), ledger.writing.cursor() as cursor:
        rows = client.rows(cursor, query)
    keys = frozenset(str(row[0]) for row in rows)
    if not keys or not keys <= written[table.label]:
        return None
    tried = Tried(f"key {min(keys)}", GOES_DOWN, FAILS, failures.one_line(error))
    sql = f"SELECT count(*) FROM {table.rows_sql} AS {ROW} WHERE {lacking}"
    return Unfilled(
        table, keys, Condition(f"{table.label}.{column}", _WHY[_CHECK if rule else _NOT_NULL], sql, tried)
    )


def _rule(below: Mapping[str, CatalogueObject], table: Table, name: str) -> str:
    found = below.get(f"constraint {table.label}.{plain(name)}")
    checked = _CHECKED.fullmatch(str(found.attributes.get("definition"))) if found is not None else None
    return checked[1] if checked is not None else ""


def _made(ledger: Ledger, table: Table, rule: str) -> str:
    """Name the column of a CHECK that is not there above, where that is one, and the downgrade sets it."""
    words = {identifier(token) for token in tokens(rule) if token.kind in (WORD, NAME)}
    set_ = {
        bare(name)
        for query in ledger.asked
        for one in data_statements(query)
        if one.kind == UPDATE and one.relation == table.name
        for name, _ in one.given
    }
    made = (set_ & words) - set(table.every_column)
    return made.pop() if len(made) == 1 else ""


def _lacking(ledger: Ledger, table: Table, column: str, rule: str) -> Iterator[str]:
    """Spell, for each UPDATE that fills the column, the condition of a row to which it gives no value that the rule takes.

    Nothing where one takes its values from a table that may be no more than a copy put aside: new rows are never there.
    """
    filling = [
        (one, value)
        for query in ledger.asked
        for one in data_statements(query)
        if one.kind == UPDATE and one.relation == table.name
        for name, value in one.given
        if bare(name) == column
    ]
    found = []
    for one, value in filling:
        spelled = _without_value(
            table, one, with_value(rule, (column,), f"({value})") if rule else value, bool(rule)
        )
        if spelled is None or not _only_live(ledger, table, one):
            return
        found.append(spelled)
    yield from dict.fromkeys(found)


def _without_value(table: Table, one: DataStatement, value: str, is_rule: bool) -> str | None:
    alias = alias_in(one.scope, table) if one.scope is not None else None
    if one.scope is None or alias is None or one.scope.prefix:
        return None
    asked = [f"{alias}.ctid = {ROW}.ctid", f"({value}) IS {'FALSE' if is_rule else 'NOT NULL'}"]
    if one.scope.condition:
        asked.insert(0, f"({one.scope.condition})")
    return f"{'' if is_rule else 'NOT '}EXISTS (SELECT FROM {one.scope.source} WHERE {' AND '.join(asked)})"


def _only_live(ledger: Ledger, table: Table, one: DataStatement) -> bool:
    """Tell whether a statement reads no other table but such as refer to the written one: what clients keep beside its rows."""
    if one.scope is None or one.scope.source == one.scope.mine:
        return True
    others = [it for it in ledger.tables(ledger.read().tables()) if it.label != table.label]
    named = [it for it in others if alias_in(one.scope, it) is not None]
    return bool(named) and all(any(key.target == table.oid for key in it.foreign_keys) for it in named)
