"""Triggers that an upgrade makes or changes: rows written meanwhile must take the branches of their bodies.

No statement of the step need fire them. While other clients' rows are written, their functions have probes; rows are made
of what their bodies name; then they get their own bodies again, all in the writers' transaction.
"""

from __future__ import annotations

import contextlib
import itertools
from functools import partial
from typing import TYPE_CHECKING, Any

from airlock.drivers import client
from airlock.drivers.spelling import bare, quoted
from airlock.operations.drill.reach.asking import asked, run
from airlock.operations.drill.reach.bodies_probed import (
    bodies_of,
    definitions,
    replace_body,
    settings_of,
    told_by,
)
from airlock.operations.drill.reach.functions_called import Functions
from airlock.operations.drill.rows.constants_of_statements import all_certain
from airlock.operations.drill.rows.rows_made import made, tables_of
from airlock.recorder import row_changes
from airlock.samples.constants import Constants

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from airlock.operations.drill.reach.asking import Counted
    from airlock.operations.drill.reach.functions_called import Function, Known, Trigger
    from airlock.operations.drill.state import State
    from airlock.samples import Table

_FAR = 6_000_000
_MOST_KEPT = 6


def new_in(before: State, after: State) -> bool:
    """Tell whether an upgrade made or changed a trigger, or the function of one."""
    then = before.catalogue.objects
    return any(
        (one.kind == "trigger" and then.get(name) != one)
        or (one.kind == "function" and name in then and then[name] != one)
        for name, one in after.catalogue.objects.items()
    )  # fmt: skip


def fired(
    cursor: Any, before: State, after: State, tables: Sequence[Table], turn: int, write: Callable[[], None]
) -> list[Counted]:
    """Have `write` write, and then rows of the triggers' own; tell which ways they went in bodies that are new.

    Runs in the cursor's open transaction; bodies are as they were when it returns.
    """

    def own(query: str) -> list[Any]:
        cursor.execute(query)
        return list(cursor.fetchall()) if cursor.description else []

    known = Functions().known(lambda question: asked(own, question, outside=False))
    mine, entered = _mine(known, before, after)
    if not mine:
        write()
        return []
    labels = {one.name for one in tables}
    on = tuple(one for one in mine if one.table in labels)
    bodies = bodies_of("", entered, (), expressions=True)
    defined = definitions(own, bodies)
    for one in bodies:
        if one.function is not None:
            replace_body(own, one, defined[one.function.oid])
    try:
        write()
        names = sorted({one.table for one in on})
        for number, name in enumerate(names):
            _act_as_clients(
                cursor, [it for it in tables if it.name == name], [it for it in on if it.table == name]
            )
            plain = (row_changes.DataStatement(row_changes.INSERT, name, "", None, True),)
            counted = list(
                told_by(known, "INSERT", _sent(name, tables), plain, bodies, settings_of(own, bodies))
            )
            data_statements = [one.data for one in counted]
            sought = itertools.count(_FAR + turn * 2_000 + number * 500)
            for data in data_statements:
                for table in tables_of(data, tables, beside=False):
                    made(cursor, table, data, Constants(), sought, _MOST_KEPT, all_certain([data]), tables)
            _act_as_clients(
                cursor, [it for it in tables if it.name == name], [it for it in on if it.table == name]
            )
        settings = settings_of(own, bodies)
    finally:
        with contextlib.suppress(client.Error):
            for one in bodies:
                if one.function is not None:
                    run(own, defined[one.function.oid])
    found: list[Counted] = []
    for name in names:
        plain = (row_changes.DataStatement(row_changes.INSERT, name, "", None, True),)
        found += [
            one
            for one in told_by(known, "INSERT", _sent(name, tables), plain, bodies, settings)
            if one.data.text not in {it.data.text for it in found}
        ]
    return found


def _sent(name: str, tables: Sequence[Table]) -> str:
    """Spell the head of what clients send: it names every column."""
    columns = [quoted(it.name) for one in tables if one.name == name for it in one.columns]
    return f"INSERT INTO {quoted(name)} ({', '.join(columns)})"


def _mine(known: Known, before: State, after: State) -> tuple[tuple[Trigger, ...], tuple[Function, ...]]:
    """List the triggers that are new, or whose function is another one, and the functions behind them."""
    then, now = before.catalogue.objects, after.catalogue.objects
    triggers = {bare(name) for name, one in now.items() if one.kind == "trigger" and then.get(name) != one}
    functions = {
        bare(name.partition("(")[0])
        for name, one in now.items()
        if one.kind == "function" and name in then and then[name] != one
    }
    mine = tuple(
        one
        for one in known.triggers
        if one.name in triggers
        or (one.function in known.functions and known.functions[one.function].name in functions)
    )
    behind = {one.function: known.functions[one.function] for one in mine if one.function in known.functions}
    for one in tuple(behind.values()):
        behind |= {it.oid: it for it in known.called(f"SELECT {one.body}") if not it.is_trigger}
    return mine, tuple(behind[oid] for oid in sorted(behind))


def _act_as_clients(cursor: Any, tables: Sequence[Table], triggers: Collection[Trigger]) -> None:
    """Change rows that were written meanwhile, where a trigger waits for that: to what they are, then to what others are."""
    if not any("UPDATE" in one.events for one in triggers):
        return
    for table in tables:
        columns = [quoted(it.name) for it in table.columns if it.name not in table.tied and not it.identity][
            :4
        ]
        # Of this transaction and those inside it: nobody else writes here.
        mine = "xmin::text::bigint >= pg_current_xact_id()::xid::text::bigint"
        changes = [f"SET {name} = {name} WHERE {mine}" for name in columns[:1]]
        changes += [
            f"SET {name} = x.other FROM (SELECT a.ctid AS place, (SELECT b.{name} FROM {table.sql} AS b "
            f"WHERE b.{name}::text IS DISTINCT FROM a.{name}::text LIMIT 1) AS other FROM {table.sql} AS a "
            f"WHERE a.{mine}) AS x WHERE t.ctid = x.place"
            for name in columns
        ]
        for change in changes:
            client.in_savepoint(cursor, partial(cursor.execute, f"UPDATE {table.sql} AS t {change}"))
