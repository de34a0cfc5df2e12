"""Rows that others have put into an extension's own tables: the way up and down leaves them as they are.

The drill writes none there as it does into the history's tables: what such a row stands for, the extension alone knows. One is
written inside the upgrade's transaction, and the step goes both ways over it.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from airlock import samples
from airlock.catalogue.fingerprint.model import plain
from airlock.drivers import client
from airlock.drivers.spelling import literal, quoted
from airlock.operations.drill import compare
from airlock.operations.drill.outcome import NOTHING, Outcome, not_examined
from airlock.operations.drill.phases.trials import escaped, inside_the_upgrade, undone
from airlock.recorder import row_changes
from airlock.records.difference import Difference
from airlock.records.drill import GOES_DOWN, LOSES, Condition, Tried
from airlock.samples.digests import key_sql

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from sqlalchemy import Connection

    from airlock.operations.drill.phases.downgrade import Way
    from airlock.operations.drill.subject import Subject
    from airlock.samples import ExtensionTable, Table

_CHANGES = frozenset({row_changes.UPDATE, row_changes.DELETE, row_changes.MERGE, row_changes.TRUNCATE})
_LONGEST = 300


@dataclass
class _Watched:
    """A table of an extension, INSERTs to try, and the rows that were put there, by key; `seen` that the step went over them.

    `inserts` are tried below the upgrade, `later` above it: rows `like` those that it brings, which need not be there.
    """

    table: Table
    of: ExtensionTable
    inserts: tuple[tuple[str, ...], ...]
    later: tuple[tuple[str, ...], ...]
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    like: set[str] = field(default_factory=set)
    seen: bool = False
    differences: list[Difference] = field(default_factory=list)
    perhaps: list[str] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, ...]:
        """Columns that tell its rows."""
        return self.table.key or self.table.every_column


def left_alone(subject: Subject, way: Way) -> tuple[tuple[Condition, ...], Outcome]:
    """Say what becomes of rows of others in the extensions' tables that the way concerns: differences, or that it was not seen.

    The database must stand below the upgrade. Runs env.py, commits nothing; raises nothing that the revision does.
    """
    watched = tuple(_watched(subject, way))
    if not watched or way.below is None:
        return (), NOTHING
    why = "the step leaves its transaction"
    if all(one.touched is not None for one in way.taken()):
        why = inside_the_upgrade(
            subject, way.below, lambda connection, up, down: _go_through(connection, up, down, watched)
        )
    found, _ = compare.keep([it for one in watched for it in one.differences], subject.facts.kept)
    outcome = Outcome(tuple(found)).then(
        *(
            not_examined(
                f"what it does to rows of others in {one.of.name} was not seen: {why or 'the server takes none there'}: "
                f"{changed}"
            )
            for one in watched
            if not one.seen and (changed := _changed_by(way, one.table))
        ),
        *(
            not_examined(
                f"proved only while {one.of.name} has no row of others like the revision's own: {one.perhaps[0]}"
            )
            for one in watched
            if one.perhaps and one.of.name not in subject.facts.kept
        ),
    )
    return tuple(it for one in watched for it in one.conditions), outcome


def _watched(subject: Subject, way: Way) -> Iterator[_Watched]:
    """List the tables that are there below, and that the steps have locked or taken away."""
    ledger, over = subject.ledger, way.up.after.digests
    known = samples.extension_tables(ledger.reading)
    concerned = {
        one.label: one
        for one in known
        if one.name not in over or any(step.concerns([one.label]) for step in way.taken())
    }
    if not concerned:
        return
    connection = ledger.reading
    for table in samples.read_tables(connection, names=sorted(concerned), of_extensions=True):
        with client.transaction(connection), connection.cursor() as cursor:
            inserts, later = (samples.rows_of_others(cursor, table, turn=turn) for turn in range(2))
        yield _Watched(table, concerned[table.label], inserts, later)


def _changed_by(way: Way, table: Table) -> str:
    """Give the statement of the revision that changes rows of a table by name, or nothing."""
    for step in way.taken():
        for one in step.data_statements:
            if one.kind in _CHANGES and one.relation.lower() == table.name.lower():
                return one.shown
    return ""


def _go_through(
    connection: Connection,
    upgrade: Callable[[], Any],
    downgrade: Callable[[], Any],
    watched: Collection[_Watched],
) -> None:
    """Go up, to see what rows the step puts there; undo that, put the like there beforehand, and go both ways."""
    alike: dict[int, list[str]] = {}
    with undone(connection):
        upgrade()
        for one in watched:
            if connection.exec_driver_sql(_OID.format(literal(one.table.sql))).scalar() == one.table.oid:
                alike[one.table.oid] = [row for _, row in _put(connection, one, one.later)]
    with undone(connection):
        for one in watched:
            rows = _put(connection, one, one.inserts)
            like = [
                it
                for row in alike.get(one.table.oid, ())
                for it in _written(connection, one, _again(one, row))
            ]
            one.like = {key for key, _ in like}
            one.rows = {key: json.loads(row) for key, row in (*rows, *like)}
        upgrade()
        downgrade()
        connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
        for one in watched:
            _look(connection, one)


_OID = "SELECT to_regclass({})::oid::bigint"


def _put(
    connection: Connection, one: _Watched, inserts: tuple[tuple[str, ...], ...]
) -> list[tuple[str, str]]:
    """Put rows into a table, of each group by the first INSERT that is taken; give their keys, and them as documents."""
    found: list[tuple[str, str]] = []
    for group in inserts:
        found += next((rows for insert in group if (rows := _written(connection, one, insert))), [])
    return found


def _again(one: _Watched, row: str) -> str:
    names = ", ".join(quoted(column.name) for column in one.table.columns)
    return (
        f"INSERT INTO {one.table.sql} ({names}) OVERRIDING SYSTEM VALUE "
        f"SELECT {names} FROM jsonb_populate_record(NULL::{one.table.sql}, {literal(row)}::jsonb)"
    )


def _written(connection: Connection, one: _Watched, insert: str) -> list[tuple[str, str]]:
    returning = f"RETURNING {key_sql(one.key)}, to_jsonb({quoted(one.table.name)}.*)::text"
    with contextlib.suppress(SQLAlchemyError), connection.begin_nested():
        connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
        return [(key, row) for key, row in connection.exec_driver_sql(escaped(f"{insert} {returning}"))]
    return []


def _look(connection: Connection, one: _Watched) -> None:
    """Hold the rows against what is there now."""
    now = connection.exec_driver_sql(_OID.format(literal(one.table.sql))).scalar()
    one.seen = bool(one.rows)
    if now is None or not one.rows:
        return
    if now != one.table.oid:
        # Dropped and created again. What the history has there itself would have been missed before.
        one.conditions.append(_condition(connection, one))
        return
    keys = ", ".join(map(literal, one.rows))
    query = f"SELECT {key_sql(one.key)}, to_jsonb(t.*)::text FROM {one.table.sql} AS t WHERE {key_sql(one.key)} IN ({keys})"
    there = {key: json.loads(row) for key, row in connection.exec_driver_sql(escaped(query))}
    gone = [key for key in one.rows if key not in there]
    if lost := [key for key in gone if key not in one.like]:
        said = f"{len(lost)} of them gone, one of them {lost[0]}"
        one.differences.append(
            Difference(one.of.name, "rows of others", f"{len(one.rows) - len(one.like)} rows", said)
        )
    one.perhaps += [f"a row like {key} is gone" for key in gone if key in one.like][:1]
    for key, row in there.items():
        for column, value in row.items():
            if value == (then := one.rows[key].get(column, value)):
                continue
            if key in one.like:
                one.perhaps.append(
                    f"{plain(column)} of a row like {key} was {_shown(then)}, is {_shown(value)}"
                )
                continue
            name = f"{one.of.name}.{plain(column)}"
            one.differences.append(Difference(name, "value of a row of others", _shown(then), _shown(value)))


def _condition(connection: Connection, one: _Watched) -> Condition:
    condition = " ".join((one.of.condition or "").split())
    query = f"SELECT count(*) FROM {one.table.sql} AS t {condition}".strip()
    if len(query) > _LONGEST:
        brought = connection.exec_driver_sql(f"SELECT count(*) FROM {one.table.sql}").scalar()
        query = f"SELECT greatest(count(*) - {brought}, 0) FROM {one.table.sql}"
    why = (
        f"rows that others have put there: the extension {one.of.extension}, created again, has none of them"
    )
    return Condition(
        one.of.name, why, query, Tried(next(iter(one.rows)), GOES_DOWN, LOSES), before_upgrade=True
    )


def _shown(value: Any) -> str:
    return "NULL" if value is None else f"'{value}'"
