"""Statements of the release below a step: prepared before it, run after it, and always undone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airlock.catalogue.fingerprint.model import plain
from airlock.drivers import client
from airlock.drivers.spelling import quoted
from airlock.operations.older_release.others import Other, read_others
from airlock.operations.older_release.rights import Rights, read_rights, refusals
from airlock.operations.older_release.statements import FIRST_NUMBER, first_line, fresh_row
from airlock.operations.older_release.tighter import asked, edges, literal, tried
from airlock.operations.older_release.views import View, read_views, view_statements
from airlock.records.findings import Finding
from airlock.samples import Table, read_tables
from airlock.samples.values import values_for

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from airlock.catalogue import fingerprint

_UNSUPPORTED = "0A000"
_STALE = "cached plan must not change result type"
# A lock or a slow view of the project's own: no refusal.
_NO_ANSWER = frozenset({"57014", "55P03", "40P01"})
_LONGEST = 200
_BEGIN = (
    "BEGIN; SET LOCAL statement_timeout = '10s'; SET LOCAL lock_timeout = '2s'; SET CONSTRAINTS ALL IMMEDIATE"
)


@dataclass(frozen=True)
class Statement:
    """One statement as it is sent (`sql`) and as it is shown; `analysed` alone, where running it would do something."""

    shown: str
    sql: str
    analysed: bool = False

    def run(self, prepared: str) -> str:
        """Spell what is sent to try it."""
        if self.analysed:
            return f"PREPARE airlock_analysed AS {self.sql}; DEALLOCATE airlock_analysed"
        return f"EXECUTE {prepared}"


@dataclass
class _Known:
    """What was prepared for one table or view, and what was refused while the older schema stood (SQLSTATE)."""

    source: Table | View | Other
    statements: dict[str, Statement]
    refused: dict[str, str] = field(default_factory=dict)
    # What an insert gives, by column.
    given: dict[str, str] = field(default_factory=dict)


@dataclass
class Release:
    """The release that uses everything the schema has: every column read, every one it must write, written.

    Prepares and runs through `connection`, in autocommit mode; every run is rolled back. Reads, writes and locks
    tables of a scratch database for moments.
    """

    connection: Any
    # Follows the catalogue; nobody else asks it what has changed.
    reader: fingerprint.Reader
    _tables: dict[str, Table] | None = None
    _known: dict[str, _Known] = field(default_factory=dict)
    _rights: dict[int, Rights] = field(default_factory=dict)
    _numbers: int = 0

    def look(self, *, except_for: str) -> None:
        """Prepare the statements of every table and view that is new or another since the last look."""
        found: dict[str, Table | View | Other] = {**self._now(except_for)[0]}
        with self.connection.cursor() as cursor:
            found |= {one.label: one for one in read_views(cursor)}
            found |= {one.label: one for one in read_others(cursor)}
            self._rights = read_rights(cursor)
            for name in [name for name, known in self._known.items() if found.get(name) != known.source]:
                self._forget(cursor, name)
            for name, source in found.items():
                if name not in self._known:
                    self._known[name] = self._prepared(cursor, source)
        self._hand_in()

    def broken(self, *, except_for: str, locked: Collection[str] | None = None) -> tuple[Finding, ...]:
        """Run them on what stands now, and tell which fail that did not fail before, sorted.

        Those about tables that are as they were at the last look, and that are not among the `locked` of the step, cannot.
        None, or a catalogue of which not only some tables have changed: all are run.
        """
        now, changed = self._now(except_for)
        concerned = None if changed is None or locked is None else {*changed, *locked}
        found: list[Finding] = []
        with self.connection.cursor() as cursor:
            cursor.execute(_BEGIN)
            rights = read_rights(cursor)
            for name, known in self._known.items():
                if concerned is None or name in concerned or not isinstance(known.source, Table):
                    found += self._fails(cursor, name, known)
                found += self._denied(cursor, name, known, rights)
                new = now.get(name)
                if new is not None and isinstance(known.source, Table) and new != known.source:
                    found += self._refused(cursor, known.source, new, known.given)
            cursor.execute("ROLLBACK")
            for name in {one.object for one in found}:
                self._forget(cursor, name)
        self._hand_in()
        return tuple(sorted(dict.fromkeys(found), key=lambda one: (one.id, one.object, one.sql)))

    def _now(self, except_for: str) -> tuple[dict[str, Table], frozenset[str] | None]:
        """Read the tables, of those that are known what has changed; give also what has, None where that may be anything."""
        there = self.reader.read().objects
        changed, names, kept = self.reader.changed(), None, {}
        if self._tables is not None and changed is not None:
            names = {name for name in changed if name in there and there[name].kind.endswith("table")}
            kept = {name: one for name, one in self._tables.items() if name not in changed}
        read = read_tables(self.connection, names=names, exclude=(except_for,)) if names != set() else ()
        self._tables = {**kept, **{one.label: one for one in read}}
        return self._tables, changed

    def _prepared(self, cursor: Any, source: Table | View | Other) -> _Known:
        known = _Known(source, {})
        cursor.execute(_BEGIN)
        if isinstance(source, Other):
            made = [Statement(source.shown, source.sql, analysed=True)]
        elif isinstance(source, View):
            made = [Statement(shown, sql) for shown, sql in view_statements(cursor, source)]
        else:
            known.given = _row(cursor, source)
            made = [Statement(*one) for one in _table_statements(source, known.given)]
            made += [Statement(*one) for one in _upserts(source, known.given)]
        for statement in made:
            self._numbers += 1
            name = f"airlock_{self._numbers}"
            known.statements[name] = statement
            prepare = None if statement.analysed else tried(cursor, f"PREPARE {name} AS {statement.sql}")
            # Not through what was prepared: a plan of each would be kept, of tables that no step is about too.
            error = prepare or tried(cursor, statement.run(name) if statement.analysed else statement.sql)
            if error is not None:
                known.refused[name] = str(client.told(error, "sqlstate"))
        cursor.execute("ROLLBACK")
        return known

    def _forget(self, cursor: Any, name: str) -> None:
        known = self._known.pop(name, None)
        if known is not None and known.statements:
            cursor.execute("SELECT name FROM pg_prepared_statements")
            there = {row[0] for row in cursor.fetchall()} & known.statements.keys()
            for one in sorted(there):
                cursor.execute(f"DEALLOCATE {one}")

    def _fails(self, cursor: Any, name: str, known: _Known) -> Iterator[Finding]:
        told: set[str] = set()
        for prepared, statement in known.statements.items():
            error = tried(cursor, statement.run(prepared))
            if error is None or client.told(error, "sqlstate") in _NO_ANSWER:
                continue
            stale = ""
            # asyncpg has words of its own for it.
            if _STALE in str(error) or client.told(error, "sqlstate") == _UNSUPPORTED:
                stale = _STALE
                error = tried(cursor, statement.sql)
            if error is None:
                yield _finding(name, statement.shown, stale, stale=True)
            elif str(client.told(error, "sqlstate")) != known.refused.get(prepared):
                # What the plain INSERT is refused for, the others are as well.
                if _UPSERT not in statement.shown or _words(error) not in told:
                    yield _finding(name, statement.shown, _words(error))
                told.add(_words(error))

    def _denied(self, cursor: Any, name: str, known: _Known, now: dict[int, Rights]) -> Iterator[Finding]:
        """Tell what other roles than the owner may do no more, where the step has changed their rights."""
        source = known.source
        before = self._rights.get(source.oid) if not isinstance(source, Other) else None
        if isinstance(source, Other) or before is None or now.get(source.oid) == before:
            return
        sent = {one.shown: one.sql for one in known.statements.values() if _UPSERT not in one.shown}
        count = f"SELECT EXISTS (SELECT FROM {source.sql})"
        for role, shown, error in refusals(cursor, before, sent, count):
            words = _words(error) if error is not None else "row-level security shows it no row"
            yield Finding(
                "breaks", name, f"the release below fails as {role}: {shown}: {words}", shown, words
            )

    def _refused(self, cursor: Any, before: Table, after: Table, given: dict[str, str]) -> Iterator[Finding]:
        """Insert what the older schema let in and a new rule may not: of each rule the first that it refuses."""
        met: set[str] = set()
        for edge in edges(cursor, before, after):
            error = None if edge.rule in met else tried(cursor, _insert(before, {**given, **edge.given}))
            if error is not None and edge.answers(error):
                met.add(edge.rule)
                shown = {**dict.fromkeys(given, "…"), **edge.shown}
                yield _finding(before.label, _shown_insert(before, shown), _words(error))

    def _hand_in(self) -> None:
        """Have what this session read counted now, not while a statement of the step is watched."""
        if self.connection.server_version >= 150000:
            with self.connection.cursor() as cursor:
                cursor.execute("SELECT pg_stat_force_next_flush()")


def client_statements(cursor: Any, table: Table) -> tuple[Statement, ...]:
    """Make what the release sends to a table; reads it, inside a transaction."""
    return tuple(Statement(shown, sql) for shown, sql in _table_statements(table, _row(cursor, table)))


def _table_statements(table: Table, given: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what the release sends to a table, shown and as sent: about one row of it, whichever that is."""
    if table.every_column:
        listed = ", ".join(quoted(name) for name in table.every_column)
        yield (
            f"SELECT {_names(table.every_column)} FROM {table.label}",
            f"SELECT {listed} FROM {table.sql} LIMIT 1",
        )
    yield _shown_insert(table, dict.fromkeys(given, "…")), _insert(table, given)
    key = ", ".join(quoted(name) for name in table.key)
    # The same row before the step and after it, also where the step's UPDATE has put another one first in the file: one
    # that others refer to cannot be deleted, and that is not the step's doing.
    where = f"({key}) IN (SELECT {key} FROM {table.sql} ORDER BY {key} LIMIT 1)" if key else "false"
    referring = {name for one in table.foreign_keys for name in one.columns}
    calm = [
        one.name
        for one in table.columns
        if one.name not in table.key and one.name not in referring and not one.identity
    ]
    if calm:
        same = ", ".join(f"{quoted(name)} = {quoted(name)}" for name in calm)
        yield f"UPDATE {table.label} SET {_names(calm)}", f"UPDATE {table.sql} SET {same} WHERE {where}"
    yield f"DELETE FROM {table.label}", f"DELETE FROM {table.sql} WHERE {where}"


def _row(cursor: Any, table: Table) -> dict[str, str]:
    """Spell what an insert has to give, as literals that name no type: as drivers send it.

    A copy of some row, else values of the columns' types; unique ones are fresh where that can be had.
    """
    values, _ = fresh_row(table, str(FIRST_NUMBER))
    if not values:
        return {}
    columns = {one.name: one for one in table.columns}
    referring = {name for one in table.foreign_keys for name in one.columns}
    parts = []
    for name, spelled in values.items():
        made = None if name in referring else values_for(columns[name], table.label)
        choices = [f"({spelled})::text"] if spelled else [f"o.{quoted(name)}::text"]
        if not spelled and made is not None and made.generators:
            choices.append(f"({made.generators[0].at(str(FIRST_NUMBER))})::text")
        parts.append(f"coalesce({', '.join(choices)})")
    found = asked(
        cursor,
        f"SELECT {', '.join(parts)} FROM (SELECT 1) AS one LEFT JOIN (SELECT * FROM {table.sql} LIMIT 1) AS o ON true",
    )
    return {name: literal(value) for name, value in zip(values, found[0], strict=True)} if found else {}


def _insert(table: Table, given: dict[str, str]) -> str:
    if not given:
        return f"INSERT INTO {table.sql} DEFAULT VALUES"
    names = ", ".join(quoted(name) for name in given)
    return f"INSERT INTO {table.sql} ({names}) VALUES ({', '.join(given.values())})"


def _shown_insert(table: Table, given: dict[str, str]) -> str:
    if not given:
        return f"INSERT INTO {table.label} DEFAULT VALUES"
    return f"INSERT INTO {table.label} ({_names(given)}) VALUES ({', '.join(given.values())})"


_UPSERT = " ON CONFLICT "


def _upserts(table: Table, given: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield an INSERT that leans on each unique key: without the key's index it is refused."""
    for one in table.uniques if given else ():
        if not (one.exclusion or one.expressions or one.partial or one.deferrable):
            listed = ", ".join(quoted(name) for name in one.columns)
            yield (
                f"{_shown_insert(table, dict.fromkeys(given, '…'))}{_UPSERT}({_names(one.columns)}) DO NOTHING",
                f"{_insert(table, given)}{_UPSERT}({listed}) DO NOTHING",
            )


def _names(names: Iterable[str]) -> str:
    return ", ".join(plain(name) for name in names)


def _finding(name: str, sql: str, words: str, *, stale: bool = False) -> Finding:
    if stale:
        told = f"a session that prepared it before the step fails: {sql}: {words}"
        return Finding("stale-plan", name, told, sql, words)
    return Finding("breaks", name, f"the release below fails: {sql}: {words}", sql, words)


def _words(error: Exception) -> str:
    """Give what the server said in one line that can be read: a value in it may be long."""
    words = first_line(error)
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"
