"""Rows that a revision's statements tell apart: made of the constants they name, chosen by asking the server.

A row is a copy of one that is there, with another value in a column that the statement reads or writes. The first of each
kind stay: those that a condition chooses, those it leaves, and those of every branch, arm and member.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airlock import samples
from airlock.database.server_errors import sqlstate
from airlock.drivers import client
from airlock.drivers.spelling import bare, literal, quoted
from airlock.operations.drill import failures
from airlock.operations.drill.rows import cast_demands, extremes, rows_below, rows_turned, values_met
from airlock.operations.drill.rows.constants_of_statements import CERTAIN
from airlock.operations.drill.rows.constants_read import constants
from airlock.operations.drill.rows.rows_chosen import at_places, is_called, met_by, words_of
from airlock.operations.drill.rows.rows_made import MOST_KEPT, Row, insert, made, tables_of, take_back
from airlock.operations.drill.rows.telling_calls import told_apart
from airlock.recorder import row_changes as reading
from airlock.recorder.branches import Branch
from airlock.samples.constants import Constants
from airlock.samples.digests import key_sql

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from airlock.operations.drill.rows.cast_demands import Demand
    from airlock.operations.drill.rows.constants_of_statements import Named
    from airlock.operations.drill.rows.values_replaced import Unusual
    from airlock.operations.drill.state import Ledger
    from airlock.recorder.row_changes import DataStatement
    from airlock.samples import Table

_FAR = 5_000_000
# unique_violation, and what its detail names: a column, several, an expression (PostgreSQL manual, "Error Codes").
_UNIQUE, _TAKEN = (
    "23505",
    re.compile(r"Key \((?P<key>.+?)\)=\((?P<value>.*)\) (?:already exists|is duplicated)", re.DOTALL),
)
_NUMBERS = re.compile(r"-?\d+(, -?\d+)*")
_NAME = re.compile(r'(?:[\w$]+|"[^"]+")(?:\.(?:[\w$]+|"[^"]+"))?')


def _told_later(
    data: DataStatement, data_statements: Sequence[DataStatement], known: Collection[Table]
) -> Constants:
    """Give what other data_statements look for in a table that is not there yet, where this one copies rows into it."""
    if (
        data.kind != reading.INSERT
        or data.scope is None
        or any(is_called(it, data.relation.lower()) for it in known)
    ):
        return Constants()
    return _named_in(
        one.text
        for one in data_statements
        if one is not data and one.relation.lower() == data.relation.lower()
    )


def _filled_before(
    data: DataStatement, data_statements: Sequence[DataStatement], known: Collection[Table]
) -> Constants:
    """Give what the step writes into tables of its own that this statement reads: it may look for that in the rows there are."""
    own = {
        one.relation.lower()
        for one in data_statements
        if one.kind == reading.INSERT and one.relation.lower() != data.relation.lower()
    }
    words = words_of(data.whole)
    own = {one for one in own if one in words and not any(is_called(it, one) for it in known)}
    found = _named_in(one.text for one in data_statements if one.relation.lower() in own)
    return replace(found, words=frozenset())


def _brought(data: DataStatement, brought: Mapping[str, Sequence[str]]) -> Constants:
    """Give what such tables hold, where this statement reads one: it may look for that in the rows there are."""
    words = words_of(data.whole) - {data.relation.lower()}
    values = tuple(one for name in brought if name in words for one in brought[name])
    return Constants(values, tuple(one for one in values if re.fullmatch(r"-?\d+(\.\d+)?", one)))


def _named_in(texts: Iterable[str]) -> Constants:
    found = [constants(text) for text in texts]
    return Constants(
        tuple(dict.fromkeys(it for one in found for it in one.strings)),
        tuple(dict.fromkeys(it for one in found for it in one.numbers)),
        words=frozenset(it for one in found for it in one.words),
    )


def _with_what_is_asked_later(
    data_statements: Sequence[DataStatement], known: Collection[Table]
) -> Iterator[DataStatement]:
    """Have rows that go into a table which is not there yet told apart by what other statements ask of that table."""
    later = {
        bare(one.scope.source).lower(): one.scope.condition
        for one in data_statements
        if one.scope is not None and one.scope.condition and _NAME.fullmatch(one.scope.source)
    }
    later = {name: one for name, one in later.items() if not any(is_called(it, name) for it in known)}
    for data in data_statements:
        scope = data.scope
        if scope is None or not later:
            yield data
            continue
        asked = [
            condition
            for name, condition in later.items()
            if data.kind == reading.DELETE or data.relation.lower() == name
        ]
        more = [
            Branch("", spelled, scope)
            for condition in asked
            for spelled in (f"({condition})", f"({condition}) IS NOT TRUE")
        ]
        around = "; ".join([data.whole, *asked]) if asked else data.around
        yield replace(data, branches=(*data.branches, *more), around=around)


def _is_parent_written(table: Table, data: DataStatement, known: Collection[Table]) -> bool:
    """Tell whether a data statement writes rows that rows of another table refer to."""
    return is_called(table, data.relation.lower()) and any(
        key.target == table.oid for one in known if one is not table for key in one.foreign_keys
    )


def _deleted_first(
    cursor: Any, table: Table, data: DataStatement, rows: list[Row], earlier: Sequence[Row]
) -> list[Row]:
    """Have rows that a DELETE takes get children first; of those made for other statements, where it has none of its own."""
    for some in (rows, earlier):
        deleted = set(met_by(cursor, table, data, [one.place for one in some]))
        if deleted:
            taken = [one for one in some if one.place in deleted]
            return [*taken, *(one for one in rows if one.place not in deleted)]
    return rows


@dataclass(slots=True)
class Sought:
    """Rows that were made, by table: where they stand; and the keys of those that need not have been there before."""

    rows: dict[str, list[str]] = field(default_factory=dict)
    unsure: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    keys: dict[str, tuple[tuple[str, ...], set[str]]] = field(default_factory=dict)
    # What gives rows that were there their own values again.
    turned: list[str] = field(default_factory=list)
    # Why none could be made, where the server refused something beside them.
    problem: str = ""
    # Rows were given other values since, and stand elsewhere: their keys tell them, or are lost as well.
    moved: bool = False
    lost: bool = False

    def add(self, table: Table, row: Row) -> None:
        """Note one row."""
        self.rows.setdefault(table.sql, []).append(row.place)
        self.keys.setdefault(table.label, (table.key, set()))[1].add(row.key)
        if row.strength != CERTAIN:
            self.unsure.setdefault(row.strength, {}).setdefault(table.label, set()).add(row.key)

    def take_in(self, other: Sought) -> None:
        """Note the rows of another search as well."""
        for table, places in other.rows.items():
            self.rows.setdefault(table, []).extend(places)
        for name, (key, keys) in other.keys.items():
            self.keys.setdefault(name, (key, set()))[1].update(keys)

    @property
    def count(self) -> int:
        """Count them all, and the rows that were given other values."""
        return sum(len(one) for one in self.rows.values()) + len(self.turned)

    def give_way(self, ledger: Ledger, error: BaseException, up: Iterable[DataStatement]) -> bool:
        """Delete the rows that hold what another row was to get in a unique key, or else those that were to get it. Commits.

        `up` are the statements that may give it; False where no row is deleted.
        """
        taken = _TAKEN.search(failures.message(error)) if sqlstate(error) == _UNIQUE else None
        # Numbers that are shifted pass each other by: rows that others stand in the way of tell of no value.
        if taken is None or _NUMBERS.fullmatch(taken["value"]) or self.moved:
            return False
        same = f"concat_ws(', ', {taken['key']}) = {literal(taken['value'])}"
        getting = (
            (table, f"({made})::text = {literal(taken['value'])}")
            for one in up
            for name, made in one.given
            for table in self.rows
            if name == taken["key"].strip('"') and bare(table).lower() == one.relation.lower()
        )
        return self._leave_out(ledger, ((table, same) for table in self.rows)) or self._leave_out(
            ledger, getting
        )

    def leave_out_at_hand(self, ledger: Ledger, texts: Collection[str]) -> bool:
        """Delete the rows whose keys are among some texts, each table's one; False where there are none, or more. Commits."""
        found = {name: keys.intersection(texts) for name, (_, keys) in self.keys.items()}
        found = {name: keys for name, keys in found.items() if keys}
        if self.moved or not found or any(len(keys) > 1 for keys in found.values()):
            return False
        of_tables = [
            (table.sql, f"{key_sql(table.key)} = {literal(*found[table.label])}") for table in ledger.tables(found) if table.key
        ]  # fmt: skip
        for name, keys in found.items():
            self.keys[name][1].difference_update(keys)
        return self._leave_out(ledger, of_tables)

    def leave_out(self, ledger: Ledger, unusual: Iterable[Iterable[Unusual]]) -> bool:
        """Delete the rows that hold values of the first kind of which there are any left; False where none is. Commits."""
        return not self.moved and any(
            self._leave_out(ledger, [(one.table, one.where) for one in kind]) for kind in unusual
        )

    def _leave_out(self, ledger: Ledger, of_tables: Iterable[tuple[str, str]]) -> bool:
        gone: set[str] = set()
        for table, condition in of_tables:
            places = self.rows.get(table)
            if not places:
                continue
            which = f"{at_places('t', places)} AND {condition}"
            text = f"DELETE FROM {table} AS t WHERE {which} RETURNING tableoid::text || ctid::text"
            # Of another table, which has no such columns; or a row that others refer to.
            with contextlib.suppress(client.Error), ledger.writing.cursor() as cursor:
                cursor.execute(text)
                gone |= {str(row[0]) for row in cursor.fetchall()}
        for places in self.rows.values():
            places[:] = [one for one in places if one not in gone]
        return bool(gone)

    def tame(self, ledger: Ledger, names: Collection[str]) -> bool:
        """Give ordinary values to rows at the edge of their type, in the tables `names`; False where none is. Commits."""
        tables = [one for one in ledger.tables(names) if one.key]
        undoing = [it for _, each in extremes.tamed(ledger.writing, tables, keys=False) for it in each]
        self.turned += undoing
        self.moved |= bool(undoing)
        return bool(undoing)

    def meet(self, ledger: Ledger, demand: Demand, source: str) -> tuple[str, ...]:
        """Give the rows values that fit what an upgrade demands, in which columns; none where a key was changed. Commits."""
        changed = cast_demands.meet(
            ledger, demand, self.keys, source, {name: keys for name, (_, keys) in self.keys.items()}
        )
        self.moved |= bool(changed)
        self.lost |= any(f"{name}.{one}" in changed for name, (key, _) in self.keys.items() for one in key)
        return () if self.lost else changed

    def remove(self, ledger: Ledger) -> bool:
        """Delete the rows, and give the others their own values; False where a trigger or a rule does not let it. Commits."""
        if self.lost or (
            self.moved and not (all(key for key, _ in self.keys.values()) and ledger.delete(self.keys))
        ):
            return False
        try:
            with ledger.transaction() as cursor:
                for table, places in () if self.moved else reversed(self.rows.items()):
                    take_back(cursor, table, places)
                for undo in reversed(self.turned):
                    cursor.execute(undo)
        except client.Error:
            return False
        return True


def _unmet(cursor: Any, data: DataStatement) -> DataStatement | None:
    """Give the statement with what its calls tell apart and no row meets yet; None where there is nothing of that."""
    unmet = []
    for one in told_apart(data):
        query = one.scope.counting([one.condition])
        # What cannot be asked where its rows come from is left out.
        counted = client.in_savepoint(cursor, functools.partial(client.rows, cursor, query))
        if counted and counted[0][0] is not None and not counted[0][1]:
            unmet.append(one)
    return replace(data, branches=tuple(unmet)) if unmet else None


def _all_have_partners(cursor: Any, table: Table, child: Table) -> bool:
    """Tell whether rows of `child` refer to each row of the table: to what reads both, none is new."""
    for key in child.foreign_keys:
        if child is table or key.target != table.oid:
            continue
        pairs = " AND ".join(
            f"c.{quoted(here)} = p.{quoted(there)}"
            for here, there in zip(key.columns, key.target_columns, strict=True)
        )
        query = f"SELECT EXISTS (SELECT FROM {table.sql} AS p WHERE NOT EXISTS (SELECT FROM {child.sql} AS c WHERE {pairs}))"
        if not client.rows(cursor, query)[0][0]:
            return True
    return False


def _of_calls(
    cursor: Any, data: DataStatement, number: Iterator[int], sure: Named, known: Collection[Table], *, beside: bool
) -> Iterator[tuple[Table, Row]]:  # fmt: skip
    """Make rows that the calls and queries of a data statement treat otherwise than those that are there."""
    named = list(tables_of(data, known, beside=True))
    for table in named if beside else ():
        if any(_all_have_partners(cursor, table, one) for one in named):
            alone = insert(cursor, table, {}, next(number))
            yield from ((table, Row(*it, CERTAIN)) for it in (alone,) if it is not None)
    unmet = _unmet(cursor, data)
    if unmet is None:
        return
    for table in tables_of(unmet, known, beside=beside):
        rows = made(cursor, table, unmet, Constants(), number, 0, sure, known)
        if not rows and is_called(table, bare(data.scope.mine if data.scope else "").lower()):
            # As the others are, but for the partners that those have.
            alone = insert(cursor, table, {}, next(number))
            rows = [Row(*alone, CERTAIN)] if alone is not None else []
        yield from ((table, row) for row in rows)


def seek(
    ledger: Ledger,
    data_statements: Sequence[DataStatement],
    names: Collection[str],
    more: Constants,
    turn: int,
    sure: Named,
    later: Mapping[str, Table] | None = None,
    *,
    beside: bool = True,
    childless: bool = True,
    turning: bool = True,
    parents: bool = False,
    calls: bool = True,
    varied: bool = False,
    texts: bool = False,
    brought: Mapping[str, Sequence[str]] | None = None,
    usual: bool = False,
) -> Sought:
    """Make rows for some data statements in tables among `names`; `sure` tells how surely a row may hold a constant.

    Also in tables that an act only reads, where `beside` says so: their rows may change what becomes of others; `childless`
    has rows made that no other refers to, `turning` rows changed that are there, `parents` rows that others refer to where a
    query chooses them: what the revision writes for each of those, it may write to their children. `calls` has rows made
    that expressions and joins treat otherwise than the others, `varied` rows that a condition chooses with rarer values of
    their types in other columns, `texts` among them, and where `usual` says so none near an edge of them.

    `brought` are values of tables that the upgrade made and filled by no statement that was read, by their names: from a file.
    `later`, where given, is what those tables demand after the upgrade: of the rows only those stay that fit it and that a
    condition tells apart. `more` are constants that the revision compares rows with in Python. Commits.
    """
    sought = Sought()
    known = {
        table.label: samples.with_requirements(table, (later or {}).get(table.label))
        for table in ledger.tables(names)
    }
    number = itertools.count(_FAR + turn * 2_000)
    tried: set[tuple[str, str]] = set()
    earlier: dict[str, list[Row]] = {}

    def make(cursor: Any, data: DataStatement, table: Table) -> tuple[list[str], list[tuple[Table, Row]]]:
        """Give what undoes the changes of rows that are there, and the rows that were made."""
        python = more if data.kind == reading.READ else _told_later(data, data_statements, known.values())
        if python == Constants():
            python = _filled_before(data, data_statements, known.values())
        if python == Constants():
            python = _brought(data, brought or {})
        python = replace(
            python, counted=python.counted | more.counted, under_keys=more.under_keys,
            # Where values are of one kind, it is Python's paths that tell which keys have them.
            paths=python.paths if more.under_keys is None else more.paths,
        )  # fmt: skip
        most = MOST_KEPT if later is None else 0
        turned: list[str] = []
        if turning:
            there = sought.rows.get(table.sql, ())
            turned += rows_turned.turn(cursor, table, data, python.together, there)
        rows = made(cursor, table, data, python, number, most, sure, known.values(), turning=turning)
        if not rows and childless and _is_parent_written(table, data, known.values()):
            # Of a total that is counted from children there is none where there is no child.
            alone = insert(cursor, table, {}, next(number))
            rows = [Row(*alone, CERTAIN)] if alone is not None else []
        if varied:
            places = [one.place for one in rows]
            more_rows = list(
                values_met.varied(cursor, table, data, places, ledger.edges, texts=texts, usual=usual)
            )
            copies = (insert(cursor, table, it, next(number), like=like) for like, it in more_rows)
            rows = [*rows, *(Row(*one, CERTAIN) for one in copies if one is not None)]
        if turning and later is None:
            turned += rows_turned.complete(cursor, table, data, sure)
            turned += rows_turned.hold_edges(cursor, table, data)
        found = [(table, row) for row in rows]
        before = [*earlier.get(table.label, ()), *rows]
        asked = parents and data.kind == reading.READ
        if asked or (data.kind == reading.DELETE and table.name.lower() == data.relation.lower()):
            if not asked:
                rows = _deleted_first(cursor, table, data, rows, before)
            found += rows_below.made(cursor, table, rows, known, number, staying=asked)
        earlier[table.label] = before
        return turned, found

    try:
        with ledger.checked_at_once() as cursor:
            for data in _with_what_is_asked_later(data_statements, known.values()):
                for table in tables_of(data, known.values(), beside=beside):
                    if (data.text, table.label) in tried:
                        continue
                    tried.add((data.text, table.label))
                    found = client.in_savepoint(cursor, functools.partial(make, cursor, data, table))
                    if found is None:
                        sought.problem = f"rows of {table.label} for {data.shown} could not be made"
                        continue
                    sought.turned += found[0]
                    for one, row in found[1]:
                        sought.add(one, row)
            # Last, since another statement's rows may be the partner that one was to lack.
            for data in dict.fromkeys(data_statements) if calls else ():
                for table, row in _of_calls(cursor, data, number, sure, known.values(), beside=beside):
                    sought.add(table, row)
    except client.Error as error:  # a constraint that is looked at when all is written
        return Sought(problem=failures.one_line(error))
    return sought


def children(
    ledger: Ledger, gone: Mapping[str, Collection[str]], names: Collection[str], turn: int
) -> Sought:
    """Make children of some rows, by table and key, in the tables `names`, wherever none has one that goes along. Commits."""
    sought = Sought()
    known = {table.label: table for table in ledger.tables(names)} if gone else {}
    number = itertools.count(_FAR + turn * 2_000)
    try:
        with ledger.checked_at_once() as cursor:
            for name in sorted(gone.keys() & known.keys()):
                rows = rows_below.standing(cursor, known[name], gone[name])
                for child, row in rows_below.made(cursor, known[name], rows, known, number, childless=True):
                    sought.add(child, row)
    except client.Error as error:  # a constraint that is looked at when all is written
        return Sought(problem=failures.one_line(error))
    return sought
