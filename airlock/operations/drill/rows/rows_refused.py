"""Sample rows that a step looks for itself and refuses: they take the values of a row that it does not look for, or go.

Where the step's own query finds such a row on a target, it raises there too: nothing is to be proved of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airlock.drivers import client
from airlock.drivers.spelling import quoted
from airlock.operations.drill import failures
from airlock.operations.drill.rows.rows_chosen import alias_in
from airlock.recorder import row_changes
from airlock.recorder.selects import selects
from airlock.recorder.tokens import NAME, WORD, tokens

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from airlock.operations.drill.state import Ledger, State
    from airlock.operations.drill.step import StepTaken
    from airlock.operations.drill.subject import Subject
    from airlock.recorder.branches import Scope
    from airlock.samples import Table

_MOST = 4


def go_up(
    subject: Subject, names: Collection[str], error: Exception, form: State | None = None
) -> tuple[State, StepTaken, str]:
    """Upgrade without the rows for which the upgrade has raised `error` by itself, as often as it looks for others. Commits.

    `form`, where given, is a state in whose form the one before is read, and has no row changed that can go. Gives the state
    before, the step, and what was said. Raises what the upgrade raises where that is no help.
    """
    said = ""
    for _ in range(_MOST):
        if not failures.is_its_own(error, subject.facts.path) or not leave_out(
            subject.ledger, names, changing=form is None
        ):
            break
        said = failures.one_line(error)
        now = subject.ledger.read(None, None, form)
        try:
            return now, subject.take("up"), said
        except Exception as another:  # noqa: BLE001  a revision may raise anything
            error = another
    raise error


def leave_out(ledger: Ledger, names: Collection[str], *, changing: bool) -> str:
    """Have the last query that found rows find none; return the table that it found them in, empty where that cannot be.

    `changing` has the rows given other values where the table takes them; else they go. Commits.
    """
    tables = ledger.tables(names)
    for query in reversed(ledger.asked):
        for scope in _scopes(query):
            for table in tables:
                alias = alias_in(scope, table)
                if alias is not None and _changed(ledger, table, scope, alias, changing=changing):
                    return table.label
    return ""


def _scopes(query: str) -> Iterator[Scope]:
    for text in (query, *row_changes.bodies(query)):
        for one in selects(text, tokens(text), ""):
            if one.scope.source and one.scope.condition:
                yield one.scope


def _changed(ledger: Ledger, table: Table, scope: Scope, alias: str, *, changing: bool) -> bool:
    """Change the rows of one table that a query finds, where it does not find them all."""
    chosen = (
        f"SELECT {alias}.tableoid::text || {alias}.ctid::text FROM {scope.source} WHERE {scope.condition}"
    )
    there = f"t.tableoid::text || t.ctid::text IN ({chosen})"
    try:
        with ledger.checked_at_once() as cursor:
            rows = client.rows(
                cursor, f"SELECT count(*), count(*) FILTER (WHERE {there}) FROM {table.sql} AS t"
            )
            count, looked_for = rows[0]
            if not 0 < looked_for < count:
                return False
            if not changing or not _given_others(cursor, table, scope, there):
                cursor.execute(f"DELETE FROM {table.sql} AS t WHERE {there}")
            return True
    except client.Error:  # a condition over a body's variables; a row that others refer to
        return False


def _given_others(cursor: Any, table: Table, scope: Scope, there: str) -> bool:
    """Give the rows what another row holds in the columns that the query names; False where the table does not take that."""
    words = {token.text.strip('"').lower() for token in tokens(scope.condition) if token.kind in (WORD, NAME)}
    columns = [
        quoted(one.name)
        for one in table.columns
        if one.name.lower() in words
        and one.name not in table.key
        and not one.identity
        and one.sequence is None
    ]
    if not columns:
        return False
    listed, others = ", ".join(columns), ", ".join(f"o.{one}" for one in columns)
    other = f"SELECT t.* FROM {table.sql} AS t WHERE ({there}) IS NOT TRUE LIMIT 1"
    statement = (
        f"UPDATE {table.sql} AS t SET ({listed}) = (SELECT {others} FROM ({other}) AS o) WHERE {there}"
    )

    def send() -> bool:
        cursor.execute(statement)
        return not client.rows(cursor, f"SELECT count(*) FROM {table.sql} AS t WHERE {there}")[0][0]

    return bool(client.in_savepoint(cursor, send))
