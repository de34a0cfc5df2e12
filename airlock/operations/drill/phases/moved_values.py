"""Values that the upgrade has moved to another table or column: what others write there meanwhile must come down again.

A column that is gone above, whose values stand in a table that the upgrade made (or in a column of its own), row for row: the
release above writes there. A downgrade that brings the column back from somewhere else, a copy put aside or the old column under
another name, sets back what was written. One value is changed there, inside the downgrade's transaction, to see.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from airlock.catalogue.fingerprint.model import plain
from airlock.drivers.spelling import literal, quoted
from airlock.operations.drill import compare, comparisons
from airlock.operations.drill.outcome import NOTHING, Outcome, not_examined, noted
from airlock.operations.drill.phases.trials import Undone, escaped, inside_the_downgrade, undone
from airlock.records.difference import Difference
from airlock.samples.digests import is_cut, key_sql
from airlock.samples.values import values_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlalchemy import Connection

    from airlock.operations.drill.state import State
    from airlock.operations.drill.subject import Subject
    from airlock.samples import Table
    from airlock.samples.model import Column

    # Old values by the key of their row.
    Values = Mapping[str, str]
    # What columns hold below, sorted.
    _Below = Mapping[str, tuple[str, ...]]
    # A value that was changed above: its table, its column and the key of its row; and what became of it.
    _Written = tuple[str, str, str]
    _Lost = tuple[_Written, Difference]

_LEAST, _TELLING, _MANY, _MOST_PLACES, _MOST_TRIED, _NUMBER = 2, 3, 8, 8, 4, 987_654
_OF_A_CLIENT, _TIED_TO_OTHERS = 1, 2


@dataclass(frozen=True, slots=True)
class _Place:
    """A column above that holds old values: by the keys of its rows which, and of which columns below.

    `rank` tells how likely clients write there: not into a table without a key, and rather into one that refers to others.
    """

    table: Table
    column: Column
    key: tuple[str, ...]
    held: Values
    of: frozenset[str]
    rank: int


@dataclass(frozen=True, slots=True)
class _Moved:
    """A table below, its columns that are gone above, and the places where their values are."""

    table: Table
    columns: tuple[str, ...]
    places: tuple[_Place, ...]


def not_brought_back(subject: Subject, before: State, above: State, older: Mapping[str, Table]) -> Outcome:
    """Name the values that the downgrade would set back, of those that others may change where the upgrade has moved them.

    `older` are the tables as they were below. The database must stand `above` the upgrade; nothing of it is changed.
    """
    if not comparisons.ROWS:
        return NOTHING
    moved = _moved(subject, before, above, older)
    surely: list[_Lost] = []
    perhaps: list[_Lost] = []
    brought: set[_Written] = set()

    def each(connection: Connection, downgrade: Callable[[], Any]) -> None:
        for one in moved:
            usual = _below(connection, downgrade, one)
            if usual is not None:
                sure, unsure, there = _set_back(connection, downgrade, one, usual)
                surely.extend(sure)
                perhaps.extend(unsure)
                brought.update(there)

    broken_off = inside_the_downgrade(subject, above, each) if moved else ""
    # The key of a row of one table may be that of another's as well: what came down there was the other's value.
    found, doubtful = (
        [said for written, said in lost if written not in brought] for lost in (surely, perhaps)
    )
    differences, kept = compare.keep(found, subject.facts.kept)
    unsaid, more_kept = compare.keep(doubtful, subject.facts.kept)
    told = Outcome(tuple(differences), (*kept, *more_kept))
    if broken_off:
        told = told.then(noted([f"values that it moves were not changed above: {broken_off}"]))
    if not unsaid:
        return told
    names = ", ".join(sorted({one.object for one in unsaid}))
    why = f"proved only while nobody changes {names} meanwhile: the downgrade has those values from elsewhere"
    return told.then(not_examined(why))


def _moved(subject: Subject, before: State, above: State, older: Mapping[str, Table]) -> tuple[_Moved, ...]:
    made = above.tables() - before.catalogue.objects.keys()
    changed = {name: one for name, one in before.digests.items() if above.digests.get(name) is not one}
    if not changed:
        return ()
    tables = {it.label: it for it in subject.ledger.tables({*made, *changed} & above.digests.keys())}
    oids = {one.oid for one in older.values()}
    # A table that was built anew under its old name is a new one.
    new = [one for name, one in tables.items() if one.oid not in oids and (name in made or name in older)]
    found = []
    for name, then in sorted(changed.items()):
        old = older.get(name)
        if old is None or then.rows is None or len(then.rows) < _LEAST:
            continue
        now = tables.get(name)
        if now is not None and now.oid != old.oid:
            now = None
        gone = {
            column.name: values
            for column in old.columns
            if len(set((values := _gone(column, name, before, above, now)).values())) >= _LEAST
        }
        candidates = (*([now] if now is not None else []), *new) if gone else ()
        staying = {
            one: {key: row[at] for key, row in then.rows.items()}
            for at, one in enumerate(then.columns)
            if one not in gone
        }
        places = [place for table in candidates for place in _places(table, old, gone, staying, above)]
        if any(one.rank for one in places):
            found.append(_Moved(old, tuple(gone), tuple(places[:_MOST_PLACES])))
    return tuple(found)


def _gone(column: Column, name: str, before: State, above: State, now: Table | None) -> Values:
    """Give the old values of a column, by their rows' keys, that do not stand in it above any more."""
    then, here = before.digests[name], above.digests.get(name)
    place = then.columns.index(column.name) if column.name in then.columns else None
    if place is None:
        return {}
    rows = then.rows or {}
    there = now is not None and any(
        one.number == column.number and one.name == column.name for one in now.columns
    )
    if there and here is not None:
        if here.rows is None or here.key != then.key or column.name not in here.columns:
            return {}
        at, held = here.columns.index(column.name), here.rows
        rows = {key: row for key, row in rows.items() if key not in held or held[key][at] is None}
    return {
        key: value for key, row in rows.items() if (value := row[place]) is not None and not is_cut(value)
    }


def _places(
    table: Table,
    old: Table,
    gone: Mapping[str, Values],
    staying: Mapping[str, Mapping[str, str | None]],
    above: State,
) -> Iterator[_Place]:
    """Find the columns of a table above that hold old values, row for row: its rows name the keys of the old ones."""
    digest = above.digests[table.label]
    if digest.rows is None:
        return
    same = table.oid == old.oid
    numbers = {one.number for one in old.columns}
    rank = _TIED_TO_OTHERS if same or table.foreign_keys else _OF_A_CLIENT if table.key else 0
    keys = {key for values in gone.values() for key in values}
    # Nobody gives a row another key, or another partner, where the row itself is meant.
    telling = {*table.key, *(name for one in table.foreign_keys for name in one.columns)}
    for column in table.columns:
        if column.name in telling or column.name not in digest.columns:
            continue
        if (same and column.number in numbers) or column.handed_out:
            continue
        at = digest.columns.index(column.name)
        for by in (None, *range(len(digest.columns))):
            named = {
                key: (value, other)
                for key, row in digest.rows.items()
                if by != at
                and (other := key if by is None else row[by]) in keys
                and (value := row[at]) is not None
            }
            of = _of(named, gone, column)
            if not of and column.default is None:
                of = _computed(named, gone, staying)
            held = {key: value for key, (value, _) in named.items() if of.get(key)}
            if len(held) * 5 >= len(named) * 3 and len(set(held.values())) >= _LEAST:
                names = frozenset(name for key in held for name in of[key])
                yield _Place(table, column, digest.key, held, names, rank)
                break


def _of(
    named: Mapping[str, tuple[str, str | None]], gone: Mapping[str, Values], column: Column
) -> dict[str, set[str]]:
    """Tell of each row of which columns below it holds the old value, a part of it, or it among others."""
    if column.category == "B":
        return {}  # every second row holds the same
    found = {
        key: {name for name, values in gone.items() if _is_of(value, values.get(row or ""))}
        for key, (value, row) in named.items()
    }
    return {key: names for key, names in found.items() if names}


def _is_of(value: str, was: str | None) -> bool:
    if was is None:
        return False
    value, was = value.strip().casefold(), was.strip().casefold()
    return (
        value == was or (len(value) >= _TELLING and value in was) or (len(was) >= _TELLING and was in value)
    )


def _computed(
    named: Mapping[str, tuple[str, str | None]],
    gone: Mapping[str, Values],
    staying: Mapping[str, Mapping[str, str | None]],
) -> dict[str, set[str]]:
    """Tell the columns below whose values are told apart as the rows of a new column are: a code for each label, cents.

    Few values that many rows share, or numbers in the same order. Nothing where a column that stays says as much.
    """
    values = {row: value for value, row in named.values() if row is not None}
    if len(values) != len(named) or any(_goes_with(values, other) for other in staying.values()):
        return {}
    names = {name for name, old in gone.items() if _goes_with(values, old)}
    return dict.fromkeys(named, names) if names else {}


def _goes_with(values: Values, old: Mapping[str, str | None]) -> bool:
    pairs = [(was, value) for row, value in values.items() if (was := old.get(row)) is not None]
    apart = set(pairs)
    if len(apart) < _LEAST or len(pairs) * 5 < len(values) * 4:
        return False
    if len({was for was, _ in apart}) != len(apart) or len({value for _, value in apart}) != len(apart):
        return False
    if len(apart) * 2 <= len(pairs) >= _MANY:
        return True
    numbers = [(_number(was), _number(value)) for was, value in apart]
    told = sorted((was, value) for was, value in numbers if was is not None and value is not None)
    return (
        len(told) == len(apart) > _TELLING
        and [value for _, value in told] == sorted(value for _, value in told)
        # A number that counts the rows says nothing of them.
        and {value - other for (_, other), (_, value) in itertools.pairwise(told)} != {1}
    )


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _set_back(
    connection: Connection, downgrade: Callable[[], Any], moved: _Moved, usual: _Below
) -> tuple[list[_Lost], list[_Lost], set[_Written]]:
    """Change one value in each place; tell those that do not come down: where they do from no other place, and from one alike.

    What comes down from a likelier place need not from others: copies are put aside for safety. The last are those that do.
    """
    brought, lost = dict[str, int](), list[tuple[_Place, str, str]]()
    there: set[_Written] = set()
    for place in moved.places:
        key, wrote, below = _tried(connection, downgrade, moved, place)
        if below == usual:
            lost.append((place, key, wrote))
        elif below is not None:
            there.add((place.table.label, place.column.name, key))
        for name in place.of if below is None else moved.columns:
            if below is None or below[name] != usual[name]:
                brought[name] = max(brought.get(name, 0), place.rank)
    surely: list[_Lost] = []
    perhaps: list[_Lost] = []
    for place, key, wrote in lost:
        written = place.table.label, place.column.name, key
        likeliest = max(brought.get(name, 0) for name in place.of)
        one = Difference(
            f"{place.table.label}.{plain(place.column.name)}",
            "value that others changed where the upgrade had moved it",
            f"{wrote} (row {key})",
            f"not in {moved.table.label} ({', '.join(map(plain, sorted(place.of)))}), which is as before the upgrade",
        )
        if place.rank > likeliest:
            surely.append((written, one))
        elif place.rank == likeliest == _TIED_TO_OTHERS:
            perhaps.append((written, one))
    return surely, perhaps, there


def _tried(
    connection: Connection, downgrade: Callable[[], Any], moved: _Moved, place: _Place
) -> tuple[str, str, _Below | None]:
    """Write another value; give the row's key, the value, and what the columns hold below, None where none could be written.

    Nor is anything told where the downgrade takes none of them.
    """
    for key in list(place.held)[:_MOST_TRIED]:
        for value in _other_values(place, key):
            below = _below(connection, downgrade, moved, place, key, value)
            if below is not None:
                return key, value, below
    return "", "", None


def _other_values(place: _Place, key: str) -> Iterator[str]:
    """Spell other values: of another row, and of nobody."""
    yield literal(next(value for value in place.held.values() if value != place.held[key]))
    found = values_for(place.column, "airlock")
    if found is not None:
        yield from (one.at(f"({_NUMBER})") for one in found.generators[:1])


def _below(
    connection: Connection,
    downgrade: Callable[[], Any],
    moved: _Moved,
    place: _Place | None = None,
    key: str = "",
    value: str = "",
) -> _Below | None:
    """Go down, with a value changed before, and read the columns; None where either does not go. All is undone."""
    read: _Below | None = None
    try:
        with undone(connection):
            if place is not None:
                where = f"{key_sql(place.key)} = {literal(key)}"
                statement = (
                    f"UPDATE {place.table.sql} SET {quoted(place.column.name)} = {value} WHERE {where}"
                )
                if connection.exec_driver_sql(escaped(statement)).rowcount != 1:
                    raise Undone
            downgrade()
            read = {name: _values(connection, moved.table, name) for name in moved.columns}
    except Exception:  # noqa: BLE001  a revision may raise anything
        return None
    return read


def _values(connection: Connection, table: Table, name: str) -> tuple[str, ...]:
    query = f"SELECT {quoted(name)}::text FROM {table.sql} ORDER BY 1"
    return tuple(str(row[0]) for row in connection.exec_driver_sql(escaped(query)))
