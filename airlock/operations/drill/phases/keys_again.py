"""Keys of rows that the upgrade took away: others may give them to new rows, and the downgrade brings the old rows back.

Above, nothing stands in the way of a second row with the same natural key. One is written inside the downgrade's transaction, to
see whether the step fails on it, or leaves the old row behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airlock import samples
from airlock.catalogue.fingerprint.model import plain
from airlock.drivers.spelling import literal, quoted
from airlock.operations.drill import failures
from airlock.operations.drill.outcome import Outcome, not_examined, noted
from airlock.operations.drill.phases.trials import counted, escaped, goes, inside_the_downgrade, undone
from airlock.recorder import row_changes
from airlock.records.drill import FAILS, GOES_DOWN, LOSES, Condition, Tried
from airlock.samples.digests import is_cut, key_sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from airlock.operations.drill.phases.downgrade import Way
    from airlock.operations.drill.state import State
    from airlock.operations.drill.subject import Subject
    from airlock.samples import Table

    Row = Mapping[str, str | None]

_MOST_ROWS, _MOST_LISTED, _NUMBER = 4, 20, 987_654
_BRINGS = frozenset({row_changes.INSERT, row_changes.MERGE, row_changes.COPY})
_WHY = "rows with the key of a row that the upgrade took away: the downgrade brings that one back"


@dataclass(frozen=True, slots=True)
class _Taken:
    """Rows of one table that are gone above, one of its natural keys, and the query for rows that have it again."""

    table: Table
    unique: tuple[str, ...]
    key: tuple[str, ...]
    rows: Mapping[str, Row]
    count: str


def taken_again(
    subject: Subject, way: Way, above: State, older: Mapping[str, Table]
) -> tuple[tuple[Condition, ...], Outcome]:
    """Give the conditions under which the downgrade brings all rows back, and say where no query tells them.

    `older` are the tables as they were below. The database must stand `above` the upgrade; nothing of it is changed.
    """
    taken = list(_taken(subject, way, above, older))
    found: list[Condition] = []
    untold: list[str] = []

    def each(connection: Connection, downgrade: Callable[[], Any]) -> None:
        for one in taken if goes(connection, downgrade) else ():
            for key in list(one.rows)[:_MOST_ROWS]:
                tried = _tried(connection, downgrade, one, key)
                if tried is None:
                    continue
                told, is_counted = tried
                name = f"{one.table.label} ({', '.join(map(plain, one.unique))})"
                if told.with_one == GOES_DOWN:
                    break
                if is_counted:
                    found.append(Condition(name, _WHY, one.count, told))
                else:
                    untold.append(f"{name}: {told.row}: {told.said or 'the old row is gone'}")
                break

    broken_off = inside_the_downgrade(subject, above, each) if taken else ""
    if not untold:
        why = f"rows with the key of one that it takes away were not tried: {broken_off}"
        return tuple(found), noted([why] if broken_off else ())
    why = f"proved only while no row has the key of one that the upgrade took away: {'; '.join(untold)}"
    return tuple(found), not_examined(why)


def _taken(subject: Subject, way: Way, above: State, older: Mapping[str, Table]) -> Iterator[_Taken]:
    brought = {
        one.relation.lower()
        for one in (way.step.data_statements if way.step is not None else ())
        if one.kind in _BRINGS
    }
    before = way.up.before
    names = {name for name in before.digests.keys() & above.digests.keys() if name in older}
    names = {name for name in names if older[name].name.lower() in brought}
    for table in subject.ledger.tables(names & above.tables()):
        then, now = before.digests[table.label], above.digests[table.label]
        if then.rows is None or now.rows is None or then.key != now.key or not then.key:
            continue
        gone = {
            key: dict(zip(then.columns, row, strict=True))
            for key, row in then.rows.items()
            if key not in now.rows and not any(map(is_cut, row))
        }
        for unique in _natural(older[table.label]):
            rows = {key: row for key, row in gone.items() if None not in [row.get(name) for name in unique]}
            if rows:
                yield _Taken(
                    table, unique, then.key, rows, _counting(subject, above, before, table, unique, rows)
                )


def _natural(table: Table) -> Iterator[tuple[str, ...]]:
    """List the unique keys whose values clients choose themselves."""
    columns = {one.name: one for one in table.columns}
    for one in table.uniques:
        if one.expressions or one.partial or one.exclusion or not set(one.columns) <= columns.keys():
            continue
        chosen = [columns[name] for name in one.columns]
        # A number by itself counts rows, also where no sequence gives it out.
        numbers = one.primary and len(chosen) == 1 and chosen[0].category == "N"
        if not numbers and not any(it.identity or it.sequence or it.type == "uuid" for it in chosen):
            yield one.columns


def _counting(
    subject: Subject,
    above: State,
    before: State,
    table: Table,
    unique: Sequence[str],
    rows: Mapping[str, Row],
) -> str:
    """Spell the query for rows that have a key again: of a table that the rows were put aside in, else of those very keys."""
    wanted = {tuple(row[name] for name in unique) for row in rows.values()}
    for aside in subject.ledger.tables(above.tables() - before.catalogue.objects.keys()):
        digest = above.digests.get(aside.label)
        if digest is None or digest.rows is None or not set(unique) <= set(digest.columns):
            continue
        places = [digest.columns.index(name) for name in unique]
        if wanted <= {tuple(row[at] for at in places) for row in digest.rows.values()}:
            same = " AND ".join(f"k.{quoted(name)} = t.{quoted(name)}" for name in unique)
            return f"SELECT count(*) FROM {table.sql} AS t WHERE EXISTS (SELECT FROM {aside.sql} AS k WHERE {same})"
    if len(wanted) > _MOST_LISTED:
        return ""
    listed = ", ".join(
        f"({', '.join(literal(value or '') for value in one)})" for one in sorted(wanted, key=str)
    )
    return f"SELECT count(*) FROM {table.sql} AS t WHERE ({', '.join(map(quoted, unique))}) IN ({listed})"


def _tried(
    connection: Connection, downgrade: Callable[[], Any], taken: _Taken, key: str
) -> tuple[Tried, bool] | None:
    """Go down with one row that has a key again; say whether the query tells it. None where no such row can be written."""
    row = ", ".join(f"{plain(name)} = {literal(taken.rows[key][name] or '')}" for name in taken.unique)
    with_one, said, written, is_counted = FAILS, "", False, False
    try:
        with undone(connection):
            usual = counted(connection, taken.count)
            connection.exec_driver_sql(escaped(_again(taken, key)))
            written = True
            is_counted = usual == 0 and bool(counted(connection, taken.count))
            downgrade()
            connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
            back = f"SELECT count(*) FROM {taken.table.sql} WHERE {key_sql(taken.key)} = {literal(key)}"
            with_one = GOES_DOWN if counted(connection, back) else LOSES
    except Exception as error:  # noqa: BLE001  a revision may raise anything
        said = failures.one_line(error)
    return (Tried(row, GOES_DOWN, with_one, said), is_counted) if written else None


def _again(taken: _Taken, key: str) -> str:
    """Spell the INSERT of a row like one that is gone, new in all that must be unique but for the one key."""
    fresh = samples.fresh_values(taken.table) or {}
    names = [
        one.name
        for one in taken.table.columns
        if one.name in taken.rows[key] and not one.identity and (one.sequence is None or one.default is None)
    ]
    values = [
        fresh[name].at(f"({_NUMBER})")
        if name in fresh and name not in taken.unique
        else "NULL"
        if (value := taken.rows[key][name]) is None
        else literal(value)
        for name in names
    ]
    return f"INSERT INTO {taken.table.sql} ({', '.join(map(quoted, names))}) VALUES ({', '.join(values)})"
