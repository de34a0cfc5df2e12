"""Rows like those that the upgrade inserts: the downgrade finds its own again by what they hold, and takes others for them.

Such a row goes, or the step fails where it wants one. One is written inside the downgrade's transaction, with what the upgrade
gave to a row of its own, and new in what only tells rows apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airlock import samples
from airlock.catalogue.fingerprint.model import plain
from airlock.drivers.spelling import literal, quoted
from airlock.operations.drill import failures
from airlock.operations.drill.outcome import NOTHING, Outcome, not_examined, noted
from airlock.operations.drill.phases.trials import counted, escaped, goes, inside_the_downgrade, undone
from airlock.operations.drill.rows import rows_inserted
from airlock.operations.drill.rows.held_before import telling
from airlock.recorder import row_changes
from airlock.records.drill import FAILS, GOES_DOWN, LOSES, Condition, Tried
from airlock.samples.digests import key_sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from airlock.operations.drill.phases.downgrade import Way
    from airlock.operations.drill.rows.rows_inserted import Inserted
    from airlock.operations.drill.state import State
    from airlock.operations.drill.subject import Subject
    from airlock.recorder.row_changes import DataStatement

_MOST_ROWS, _NUMBER = 2, 876_543
_WHY = "rows like those that the upgrade inserts: the downgrade takes them for its own"


@dataclass(frozen=True, slots=True)
class _Other:
    """A row like an inserted one: its INSERT, what it shows, and whether a larger key says that such rows are ordinary."""

    sql: str
    shown: str
    ordinary: bool


def taken_with_them(subject: Subject, way: Way, above: State) -> tuple[tuple[Condition, ...], Outcome]:
    """Give the conditions under which the downgrade takes no other row for the upgrade's, and say where no query tells such.

    The database must stand `above` the upgrade; nothing of it is changed.
    """
    if way.step is None:
        return (), NOTHING
    statements = way.step.data_statements
    deleted = {one.relation.lower() for one in statements if one.kind == row_changes.DELETE}
    inserted = [
        one
        for one in rows_inserted.inserted(subject.ledger, way.up.step, way.up.before, way.up.after)
        if one.table.name.lower() in deleted and one.table.label in above.tables()
    ]
    found: list[Condition] = []
    outcomes: list[Outcome] = []

    def each(connection: Connection, downgrade: Callable[[], Any]) -> None:
        for one in inserted if goes(connection, downgrade) else ():
            tried = next(_tries(connection, downgrade, one, tuple(_counting(statements, one))), None)
            if tried is None:
                continue
            other, result, query = tried
            said = f"{one.table.label}: {result.row}: {result.said}"
            if query:
                found.append(Condition(one.table.label, _WHY, query, result))
            if other.ordinary:
                why = f"proved only while no other row holds what the upgrade inserts: {said}"
                outcomes.append(not_examined(why))
            elif not query:
                outcomes.append(noted([f"proved while no other row holds what the upgrade inserts: {said}"]))

    broken_off = inside_the_downgrade(subject, above, each) if inserted else ""
    untried = noted([f"rows like those that it inserts were not tried: {broken_off}"] if broken_off else ())
    return tuple(found), untried.then(*outcomes)


def _counting(statements: Sequence[DataStatement], one: Inserted) -> Iterator[str]:
    """Spell queries for the rows beyond the upgrade's own: by the downgrade's conditions, and by what was inserted."""
    for name, condition in filter(None, (telling(statements, one.table), ("t", one.alike))):
        if condition:
            beyond = f"greatest(count(*) - {len(one.rows)}, 0)"
            yield f"SELECT {beyond} FROM {one.table.sql} AS {name} WHERE {condition}"


def _tries(
    connection: Connection, downgrade: Callable[[], Any], one: Inserted, queries: Sequence[str]
) -> Iterator[tuple[_Other, Tried, str]]:
    for row in one.rows[:_MOST_ROWS]:
        for other in _others(one, row):
            written, result, query = _tried(connection, downgrade, one, other, queries)
            if written and result.with_one != GOES_DOWN:
                yield other, result, query
            if written:
                break


def _others(one: Inserted, row: Mapping[str, str | None]) -> Iterator[_Other]:
    """Give rows like an inserted one: the same but for what only tells rows apart, else with another part of a larger key."""
    table, fresh = one.table, samples.fresh_values(one.table) or {}
    spelled: dict[str, str] = {}
    for column in table.columns:
        name = column.name
        if name in row and not rows_inserted.tells_rows(table, name):
            spelled[name] = _spelled(row[name])
        elif column.handed_out and table.key == (name,) and column.category == "N":
            # What was there before has a smaller number.
            spelled[name] = f"(SELECT min(x.{quoted(name)}) - 1 FROM {table.sql} AS x)"
        elif name in row and name in fresh and not column.handed_out:
            spelled[name] = fresh[name].at(f"({_NUMBER})")
    yield _other(one, row, spelled, ordinary=False)
    parts = [name for key in table.uniques if len(key.columns) > 1 for name in key.columns]
    for name in dict.fromkeys(parts):
        if name in spelled:
            its = quoted(name)
            another = f"(SELECT x.{its} FROM {table.sql} AS x WHERE x.{its} IS DISTINCT FROM {spelled[name]} LIMIT 1)"
            yield _other(one, row, {**spelled, name: another}, ordinary=True)


def _spelled(value: str | None) -> str:
    return "NULL" if value is None else literal(value)


def _other(
    one: Inserted, row: Mapping[str, str | None], spelled: Mapping[str, str], *, ordinary: bool
) -> _Other:
    names, values = ", ".join(map(quoted, spelled)), ", ".join(spelled.values())
    sql = (
        f"INSERT INTO {one.table.sql} ({names}) OVERRIDING SYSTEM VALUE VALUES ({values}) "
        f"RETURNING {key_sql(one.table.key)}"
    )
    shown = [
        f"{plain(name)} = {value}" for name, value in spelled.items() if value == _spelled(row.get(name))
    ]
    return _Other(sql, ", ".join(shown[:3]) or "a row like it", ordinary)


def _behind(one: Inserted, key: str) -> str:
    """Spell the UPDATE that has the upgrade's own rows stand behind the other, as they would: a query finds that one first."""
    given = (name for name in one.rows[0] if not rows_inserted.tells_rows(one.table, name))
    name, spelled = quoted(next(given, one.table.key[0])), key_sql(one.table.key)
    where = f"{one.alike} AND {spelled} <> {literal(key)}"
    again = f"UPDATE {one.table.sql} AS t SET {name} = t.{name} WHERE {where} RETURNING 1"
    return f"WITH moved AS ({again}) SELECT count(*) FROM moved"


def _tried(
    connection: Connection, downgrade: Callable[[], Any], one: Inserted, other: _Other, queries: Sequence[str]
) -> tuple[bool, Tried, str]:
    """Go down with one more row; tell whether it could be written, what becomes of it, and the query that counts it."""
    with_one, said, written, counting = FAILS, "", False, ""
    try:
        with undone(connection):
            usual = [query for query in queries if counted(connection, query) == 0]
            key = connection.exec_driver_sql(escaped(other.sql)).scalar()
            written = True
            counting = next((query for query in usual if counted(connection, query) == 1), "")
            if one.alike:
                counted(connection, _behind(one, str(key)))
            downgrade()
            connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
            stays = (
                f"SELECT count(*) FROM {one.table.sql} WHERE {key_sql(one.table.key)} = {literal(str(key))}"
            )
            with_one = GOES_DOWN if counted(connection, stays) else LOSES
    except Exception as error:  # noqa: BLE001  a revision may raise anything
        said = failures.one_line(error)
    return written, Tried(other.shown, GOES_DOWN, with_one, said or "it is gone then"), counting
