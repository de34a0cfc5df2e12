"""Rows of one table for one data statement: copies of rows that are there, other values where it names a column.

Of those that the server takes stay the first that each condition chooses and leaves, and of every branch, arm and member.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airlock import samples
from airlock.drivers import client
from airlock.drivers.spelling import quoted
from airlock.operations.drill.rows import python_conditions, rows_before_a_check, rows_before_a_trigger
from airlock.operations.drill.rows.computed_values import SAME, equal_to, next_to_the_largest
from airlock.operations.drill.rows.constants_of_statements import CERTAIN, COMPUTED, WRITTEN, of_strength
from airlock.operations.drill.rows.constants_read import constants
from airlock.operations.drill.rows.partners import free_partner
from airlock.operations.drill.rows.rows_chosen import at_places, chosen, is_called, wanted, words_of
from airlock.recorder import row_changes as reading
from airlock.samples.constants import Constants, candidates
from airlock.samples.digests import key_sql
from airlock.samples.values import document

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from airlock.operations.drill.rows.constants_of_statements import Named
    from airlock.operations.drill.rows.rows_chosen import Wanted
    from airlock.recorder.row_changes import DataStatement
    from airlock.samples import Table
    from airlock.samples.model import Column

MOST_KEPT = 24
_MOST_TRIED, _MOST_COLUMNS, _FEW = 120, 4, 5
# Keys that a sequence may give while a revision is examined; the largest constant of which a key is made.
_ROOM, _LARGEST = 4_317, 1_000_000_000
_ALONE = 3
_MOST_OF_ONE, _MOST_OF_DOCUMENTS = 20, 40
# Rows of one group, for a step that keeps the last hundred of each.
_MOST_ALIKE = 100
_FOLDING = frozenset({"lower", "upper", "ilike", "citext", "initcap"})
_COUNTING = frozenset({"having", "row_number", "rank", "dense_rank"})
# Rows of another table, counted for each row: `(SELECT count(*) FROM … ) >= 3`.
_COUNTED_FOR_EACH = re.compile(r"\(\s*SELECT\s+count\s*\(", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Row:
    """One row that was made: where it stands, its key, and how surely it may have been there."""

    place: str
    key: str
    strength: str


def tables_of(data: DataStatement, known: Collection[Table], *, beside: bool) -> Iterator[Table]:
    """Find the tables that a data statement names, the written one last: rows of the others may be what it looks for."""
    text = data.whole
    words = words_of(text)
    named = [table for table in known if any(is_called(table, word) for word in words)]
    written = data.relation.lower()
    mine = [it for it in named if beside or is_called(it, written)]
    yield from sorted(mine, key=lambda it: (is_called(it, written), it.label))


def made(cursor: Any, table: Table, *rest: Any, turning: bool = False) -> list[Row]:
    """Make rows of one table for one data statement; none where the table lets them in and not out again (a trigger, a rule).

    `turning` has rows that are there given other values as well, where no new row can be what a condition asks for: not
    once the state is known that they are to come back to.
    """
    return client.in_savepoint(cursor, lambda: _make(cursor, table, *rest, turning=turning)) or []


def _make(
    cursor: Any,
    table: Table,
    data: DataStatement,
    more: Constants,
    number: Iterator[int],
    most: int,
    sure: Named,
    others: Collection[Table] = (),
    *,
    turning: bool,
) -> list[Row]:
    text = data.whole
    table = rows_before_a_check.mended_by(table, data)
    named = constants(text)
    named = Constants(
        (*named.strings, *more.strings),
        (*named.numbers, *more.numbers),
        (*named.paths, *more.paths),
        named.words | more.words,
        named.counted | more.counted,
        under_keys=more.under_keys,
    )
    words = words_of(text)
    everything = data.kind == reading.READ or "*" in text
    columns = [
        column
        for column in table.columns
        if (column.name.lower() in words or (everything and (more.strings or more.numbers or more.paths)))
        and (not column.handed_out or column.name in {name for name, _ in data.assigned})
    ]
    computed = [
        (sure.holding(data, name), {name: value})
        for name, value in equal_to(table, data)
        if name.lower() in words
    ]
    found: list[Row] = []
    for strength, kept in ((CERTAIN, most), (WRITTEN, min(most, 8)), (COMPUTED, min(most, 6))):
        few = of_strength(named, sure, strength, more)
        equal = [one for how_sure, one in computed if how_sure == strength]
        if strength != CERTAIN and not (table.key and (few.strings or few.numbers or equal)):
            continue
        offered = {
            column.name: _beyond(few) if column.handed_out else candidates(column, few) for column in columns
        }
        if strength == CERTAIN:
            for column in columns:
                if column.handed_out:
                    continue
                offered[column.name] = (
                    *offered[column.name][:4], *_of_others(column, table, few, words, others), *offered[column.name][4:],
                )  # fmt: skip
        if strength == CERTAIN:
            plain = {name: set(values) for name, values in offered.items()}
            together = _whole_keys(table, few, words, others)
            in_python = [one for it in more.together for one in python_conditions.spelled(table, it)]
            first = list(_documents(table, columns, more, offered))
            tries: Iterable[dict[str, str]] = itertools.chain(
                first,
                rows_before_a_check.without_a_value(table),
                in_python,
                together,
                _combined(columns, offered),
            )
        else:
            first = []
            tries = (
                {name: one} for name, values in offered.items() for one in values if one not in plain[name]
            )
        # Of several rows: some hold NULL in what it is computed of.
        some = itertools.islice(itertools.chain(equal * _ALONE, tries), _MOST_TRIED + len(first))
        found += _kept_of(cursor, table, data, some, number, kept, strength, turning=turning)
    found += [
        Row(*one, CERTAIN)
        for one in rows_before_a_trigger.made(
            cursor, table, text, lambda values: insert(cursor, table, values, next(number))
        )
    ]
    if "exists" in words and any(
        one is not table and is_called(one, word) for one in others for word in words
    ):
        # As they are: nothing refers to them, until a row does that is made for another table.
        fresh = [insert(cursor, table, {}, next(number)) for _ in range(_ALONE)]
        found += [Row(*one, CERTAIN) for one in fresh if one is not None]
    if words & _COUNTING or _COUNTED_FOR_EACH.search(text):
        # So many alike, of one row: groups are counted.
        wanted = (
            max([2, *(int(one) for one in named.numbers if one.isdigit() and int(one) <= _MOST_ALIKE)]) + 1
        )
        alike = [insert(cursor, table, {}, next(number), 0) for _ in range(wanted)]
        found += [Row(*one, CERTAIN) for one in alike if one is not None]
    for values in next_to_the_largest(table, columns, text, named.numbers):
        place = insert(cursor, table, values, next(number), 0)
        found += [Row(*place, CERTAIN)] if place is not None else []
    return found


def _of_others(
    column: Column, table: Table, named: Constants, words: Collection[str], others: Collection[Table]
) -> Iterator[str]:
    """Give the values of other columns that a statement names: of partners that hold its constants, and of the row itself."""
    for one in table.columns:
        is_alike = one.type == column.type and document(one) in ("", document(column))
        if one.name != column.name and is_alike and one.name.lower() in words:
            yield f"{SAME}{quoted(one.name)}"
    for key in table.foreign_keys:
        # A row over there that none refers to yet: what it is, this row alone decides.
        target = next((one for one in others if one.oid == key.target), None)
        if key.columns == (column.name,) and target is not None and target.name.lower() in words:
            its = quoted(key.target_columns[0])
            yield (
                f"(SELECT x.{its} FROM {target.sql} AS x WHERE NOT EXISTS (SELECT FROM {table.sql} AS y "
                f"WHERE y.{quoted(column.name)} = x.{its}) ORDER BY x.ctid DESC LIMIT 1)"
            )
    for other in others:
        # Of tables that it does not name there are many in a long history, with columns of the same names.
        if other.label == table.label or not any(is_called(other, word) for word in words):
            continue
        alike = [one for one in other.columns if one.type == column.type and one.name.lower() in words]
        if document(column):
            alike = [one for one in alike if document(one) == document(column)]
        if column.category == "S" and not _FOLDING.isdisjoint(words):
            # Spelled otherwise than over there.
            yield from (
                f"(SELECT upper(x.{quoted(one.name)}) FROM {other.sql} AS x WHERE x.{quoted(one.name)} IS NOT NULL "
                "ORDER BY x.ctid DESC LIMIT 1)"
                for one in alike[:1]
            )
        for there, beside in itertools.product(alike[:2], other.columns):
            if beside.name == there.name or beside.name.lower() not in words:
                continue
            for value in candidates(beside, named)[:6]:
                holds = (
                    f"x.{quoted(beside.name)} IS NULL"
                    if value.startswith("NULL")
                    else f"x.{quoted(beside.name)} = {value}"
                )
                yield (
                    f"(SELECT x.{quoted(there.name)} FROM {other.sql} AS x WHERE {holds} "
                    f"AND x.{quoted(there.name)} IS NOT NULL ORDER BY x.ctid DESC LIMIT 1)"
                )


def _whole_keys(
    table: Table, named: Constants, words: Collection[str], others: Collection[Table]
) -> Iterator[dict[str, str]]:
    """Refer by all columns of a key together to a row over there that holds a constant."""
    known = {one.oid: one for one in others}
    for key in table.foreign_keys:
        other = known.get(key.target)
        if other is None or len(key.columns) < 2 or other.name.lower() not in words:
            continue
        for beside in other.columns:
            if beside.name.lower() not in words or beside.handed_out:
                continue
            for value in [it for it in candidates(beside, named) if not it.startswith("NULL")][:6]:
                row = f"FROM {other.sql} AS x WHERE x.{quoted(beside.name)} = {value} ORDER BY x.ctid DESC LIMIT 1"
                yield {
                    here: f"(SELECT x.{quoted(there)} {row})"
                    for here, there in zip(key.columns, key.target_columns, strict=True)
                }


def _kept_of(
    cursor: Any,
    table: Table,
    data: DataStatement,
    tries: Iterable[dict[str, str]],
    number: Iterator[int],
    most: int,
    strength: str,
    *,
    turning: bool,
) -> list[Row]:
    """Insert rows, keep those that tell something, and take the others back."""
    keys: dict[str, str] = {}
    held: dict[str, dict[str, str]] = {}
    for values in tries:
        if (one := insert(cursor, table, values, next(number))) is not None:
            keys[one[0]], held[one[0]] = one[1], values
    for want in list(wanted(cursor, table, data, held)) if held and strength == CERTAIN else ():
        one = insert(cursor, table, want.values, next(number)) if len(want.values) > 1 else None
        if one is None and turning and want.rest and data.kind in (reading.DELETE, reading.UPDATE):
            one = _turned(cursor, table, want)
        if one is not None:
            keys[one[0]] = one[1]
    mended = [place for place, values in held.items() if rows_before_a_check.broken(table, values)]
    kept = {*chosen(cursor, table, data, list(keys), most), *mended[:2]}
    gone = [place for place in keys if place not in kept]
    if gone:
        take_back(cursor, table.sql, gone)
    return [Row(place, key, strength) for place, key in keys.items() if place in kept]


def take_back(cursor: Any, table: str, gone: Sequence[str]) -> None:
    """Delete rows by where they stand; without triggers and rules where those keep one. Raises client.Error where it stays."""
    statement = f"DELETE FROM {table} AS t WHERE {at_places('t', gone)}"
    left = f"SELECT count(*) FROM {table} AS t WHERE {at_places('t', gone)}"

    def delete() -> bool:
        cursor.execute(statement)
        return bool(client.rows(cursor, left)[0][0] == 0)

    if client.in_savepoint(cursor, delete):
        return
    cursor.execute("SET LOCAL session_replication_role = replica")
    cursor.execute(statement)
    cursor.execute("SET LOCAL session_replication_role = DEFAULT")


def _beyond(named: Constants) -> tuple[str, ...]:
    """Give keys past those that are named, and past where `key + constant` leads from those that a sequence gives next."""
    whole = [int(one) for one in named.numbers if one.isdigit()]
    return tuple(str(2 * one + _ROOM) for one in whole if 1 < one < _LARGEST)[:_MOST_COLUMNS]


def _turned(cursor: Any, table: Table, want: Wanted) -> tuple[str, str] | None:
    """Give values to a row that meets the rest of a condition already: where its key is taken, no other row can."""
    if want.scope.source != want.scope.mine:
        return None
    given = ", ".join(f"{quoted(name)} = {value}" for name, value in want.values.items())
    first = f"SELECT {want.alias}.ctid FROM {want.scope.source} WHERE ({') AND ('.join(want.rest)}) LIMIT 1"
    key = key_sql(table.key) if table.key else "''"
    statement = (
        f"{want.scope.prefix} UPDATE {want.scope.source} SET {given} WHERE {want.alias}.ctid = ({first}) "
        f"RETURNING {want.alias}.tableoid::text || {want.alias}.ctid::text, {key}"
    )
    row = client.in_savepoint(cursor, lambda: client.rows(cursor, statement))
    return (str(row[0][0]), str(row[0][1])) if row else None


def _documents(
    table: Table, columns: Sequence[Column], named: Constants, offered: Mapping[str, tuple[str, ...]]
) -> Iterator[dict[str, str]]:
    """Give documents first where Python reads keys of them: in a wide table the turns end before theirs come."""
    if named.paths and len(table.columns) > _FEW:
        for column in columns:
            if document(column):
                yield from ({column.name: one} for one in offered[column.name][:_MOST_OF_ONE])


def _combined(columns: Sequence[Column], offered: Mapping[str, tuple[str, ...]]) -> Iterator[dict[str, str]]:
    """Give one value to one column, in turns, and then several to several."""
    for turn in range(max((len(one) for one in offered.values()), default=0)):
        for column in columns:
            if turn < len(offered[column.name]) and turn < (
                _MOST_OF_DOCUMENTS if document(column) else _MOST_OF_ONE
            ):
                yield {column.name: offered[column.name][turn]}
    several = [column.name for column in columns if len(offered[column.name]) > 1][:_MOST_COLUMNS]
    for size in range(2, len(several) + 1):
        for names in itertools.combinations(several, size):
            each = [offered[name][: 6 if size == 2 else 3] for name in names]
            for picked in itertools.product(*each):
                yield dict(zip(names, picked, strict=True))


def insert(
    cursor: Any, table: Table, values: dict[str, str], number: int, offset: int | None = None, like: str = ""
) -> tuple[str, str] | None:
    """Insert a copy of a row with some values; return where it stands and its key, None where it is refused.

    The row is the one that stands at `like`, else one of the first.
    """
    which = f"OFFSET {number % 5 if offset is None else offset}"
    if like:
        which = f"AS t WHERE {at_places('t', [like])}"
    key = key_sql(table.key) if table.key else "''"
    fresh = samples.fresh_values(table)
    linked = free_partner(cursor, table, values) if fresh is None else {}
    if linked is None:
        return None
    fresh = fresh or {}
    names = [column.name for column in table.columns if not (column.handed_out and column.name not in fresh)]
    same = {name: value.removeprefix(SAME) for name, value in values.items() if value.startswith(SAME)}
    spelled = {
        name: values[name]
        if name in values and name not in same
        else linked[name]
        if name in linked
        else fresh[name].at(f"({number})")
        if name in fresh
        else f"o.{quoted(name)}"
        for name in names
    }
    listed = ", ".join(f"{spelled[name]} AS {quoted(name)}" for name in names)
    checks = " AND ".join(
        f"({one.expression}) IS NOT FALSE"
        for one in table.checks
        if one.valid and set(one.columns) <= set(names)
    )
    wanting = {column.name for column in table.columns if not column.nullable}
    if not names or any(name in wanting and values[name].startswith("NULL") for name in values):
        return None
    alone = [name for name in values if name in table.alone]
    free = "".join(
        f" AND NOT EXISTS (SELECT FROM {table.sql} AS x WHERE x.{quoted(name)} = c.{quoted(name)})"
        for name in alone
    )
    statement = (
        f"INSERT INTO {table.sql} ({', '.join(quoted(name) for name in names)}) OVERRIDING SYSTEM VALUE "
        f"SELECT {', '.join(f'c.{quoted(name)}' for name in names)} FROM (SELECT {listed} FROM (SELECT * FROM {table.sql} "
        f"{which} LIMIT 1) AS o) AS c WHERE {checks or 'true'}{free} RETURNING tableoid::text || ctid::text, {key}"
    )

    broken = rows_before_a_check.broken(table, values)

    def send() -> Any:
        again = [rows_before_a_check.away(cursor, table, one.name) for one in broken]
        cursor.execute(statement)
        row = cursor.fetchone()
        for text in again:
            cursor.execute(text)
        if row and same:
            alike = ", ".join(f"{quoted(name)} = {other}" for name, other in same.items())
            where = at_places("t", [str(row[0])])
            cursor.execute(
                f"UPDATE {table.sql} AS t SET {alike} WHERE {where} RETURNING tableoid::text || ctid::text, {key}"
            )
            row = cursor.fetchone()
        return row

    row = client.in_savepoint(cursor, send)
    return (str(row[0]), str(row[1])) if row else None
