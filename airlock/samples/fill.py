"""Sample rows for whole databases, made by the server itself."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from airlock.drivers import client
from airlock.drivers.spelling import quoted
from airlock.records.rows import Fill
from airlock.samples.cycles import forced_cycle, insert_cycle
from airlock.samples.fit import fit, leave_out_refused
from airlock.samples.large_objects import make_referred
from airlock.samples.order import can_be_null, fill_order, points_back
from airlock.samples.plan import insert_sql, make_plan
from airlock.samples.requirements import with_requirements
from airlock.samples.tables import read_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from airlock.samples.model import Table
    from airlock.samples.plan import Plan


# A table that takes rows one by one only: no more than so many.
_ONE_BY_ONE = 1_000
# Rows that a revision inserts have small keys: where sample rows were in its way, theirs begin here.
_OUT_OF_THE_WAY = 8_000
# Up to so many rows a table that refers to others gets some more than they have.
_WORTH_MORE = 1_000
# unique_violation
_REPEATED = "23505"


def fill(
    connection: client.Connection,
    rows: int,
    *,
    tables: Collection[str] | None = None,
    exclude: Collection[str] = (),
    search_path: str | None = None,
    made: Mapping[str, str] | None = None,
    required: Mapping[str, Table] | None = None,
    analyze: bool = False,
    edges: Mapping[str, tuple[str, ...]] | None = None,
    shaped: Callable[[Table], Table] | None = None,
    reading: client.Connection | None = None,
) -> tuple[Fill, ...]:
    """Bring tables to at least `rows` rows each; report each table, with the reason where there are fewer.

    `tables` are labels (`phase2.task`), None for all; tables outside them are referred to, not written.
    `search_path` is the project's own, for its triggers; None leaves the session's. `made` maps a table to SQL that
    the project wrote to fill it. `required` gives tables as they will be after a revision that refused other rows:
    their CHECKs, uniques and NOT NULLs are satisfied as well, and small keys are left to the revision. `edges` gives SQL
    of more values at the edge of a type, by its name. `shaped` describes a table with what is known of its JSON columns.
    `reading` is another connection of the same role, over which the catalogue is read: one that has read it before knows it.
    Every table is one transaction, committed; a table that refuses
    its rows is reported, not raised. Triggers fire as for anybody.
    """
    if reading is None or connection.info.transaction_status != 0:
        reading = connection
    known = read_tables(reading, names=tables, exclude=exclude, targets=True)
    if shaped is not None:
        known = tuple(shaped(table) for table in known)
    return Filler(
        connection, known, search_path, dict(made or {}), dict(required or {}), dict(edges or {})
    ).fill([table for table in known if tables is None or table.label in tables], rows, analyze=analyze)


class Filler:
    """Fills tables in the order of their foreign keys, twice where they refer to themselves."""

    def __init__(
        self,
        connection: client.Connection,
        known: Sequence[Table],
        search_path: str | None,
        made: dict[str, str],
        required: dict[str, Table],
        edges: dict[str, tuple[str, ...]],
    ) -> None:
        self.connection = connection
        self.tables = {table.oid: with_requirements(table, required.get(table.label)) for table in known}
        self.search_path = search_path
        self.made = made
        self.edges = edges
        self.first_key = _OUT_OF_THE_WAY if required else 0
        self.counts: dict[int, int] = {}
        self.reasons: dict[int, str] = {}
        # Whether the last attempt met keys that were there.
        self.repeated = False
        self.microseconds: Counter[int] = Counter()

    def fill(self, wanted: Sequence[Table], rows: int, *, analyze: bool) -> tuple[Fill, ...]:
        """Fill, and report in the order of names."""
        if not wanted:
            return ()
        ordered = fill_order([self.tables[table.oid] for table in wanted])
        with client.transaction(self.connection):
            self._count(self._concerned(ordered))
            before = dict(self.counts)
            again = []
            for table in ordered:
                unready = [key for key in table.foreign_keys if not self.counts.get(key.target)]
                if any(can_be_null(table, key) or key.target == table.oid for key in unready):
                    again.append(table)
                    self._fill(table, max(rows // 3, 1))
                    if all(key.target == table.oid for key in unready) and self.counts[table.oid]:
                        # Those that refer to it may want two of its rows that go together.
                        self._fill(table, self._enough(table, rows))
                else:
                    self._fill(table, self._enough(table, rows))
            for table in again:
                if self.counts[table.oid]:
                    self._fill(table, self._enough(table, rows))
            self._count([table.oid for table in ordered])
            for table in ordered:
                if self.counts[table.oid] > before[table.oid]:
                    self._point_back(table)
            with self.connection.cursor() as cursor:
                if make_referred(cursor, [it for it in ordered if self.counts[it.oid] > before[it.oid]]):
                    self.connection.commit()
            if analyze:
                with self.connection.cursor() as cursor:
                    for table in ordered:
                        cursor.execute(f"ANALYZE {table.sql}")
                self.connection.commit()
        return tuple(sorted(self._report(table, rows, before[table.oid]) for table in ordered))

    def _report(self, table: Table, rows: int, before: int) -> Fill:
        there = self.counts[table.oid]
        reason = None
        if there < rows:
            reason = self.reasons.get(table.oid, "its triggers, rules or CHECKs let no more rows through")
        return Fill(table.label, there, rows, reason, there - before, self.microseconds[table.oid] / 1000)

    def _concerned(self, ordered: Sequence[Table]) -> list[int]:
        """List the tables themselves and those they refer to."""
        found = dict.fromkeys(table.oid for table in ordered)
        found |= dict.fromkeys(
            key.target for table in ordered for key in table.foreign_keys if key.target in self.tables
        )
        return list(found)

    def _count(self, oids: Sequence[int]) -> None:
        with self.connection.cursor() as cursor:
            self._settle(cursor)
            for part in range(0, len(oids), 200):
                some = oids[part : part + 200]
                cursor.execute(
                    "SELECT "
                    + ", ".join(f"(SELECT count(*) FROM {self.tables[oid].rows_sql})" for oid in some)
                )
                self.counts.update(zip(some, cursor.fetchone() or (), strict=True))
        self.connection.commit()

    def _settle(self, cursor: Any) -> None:
        if self.search_path is not None:
            cursor.execute("SELECT set_config('search_path', %s, true)", (self.search_path,))

    def _fill(self, table: Table, rows: int) -> None:
        """Add what is missing, and note what that took, in microseconds."""
        began = time.perf_counter()
        self._add(table, rows)
        self.microseconds[table.oid] += round((time.perf_counter() - began) * 1_000_000)

    def _add(self, table: Table, rows: int) -> None:
        """Add what is missing, in ever plainer attempts: with edges, without, without NULLs, one by one.

        Keys that are there already, of rows that the history brought, are skipped before the edges are given up.
        """
        if self._project_made(table) or self._fill_cycle(table, rows):
            return
        attempts = [(True, True, False), (True, True, True), (False, True, True), (False, False, True)]
        self.repeated = False
        for edges, nulls, skip in attempts:
            missing = rows - self.counts[table.oid]
            if missing <= 0:
                return
            if edges and skip and not self.repeated:
                continue
            self._attempt(table, missing, edges=edges, nulls=nulls, skip=skip)
        missing = rows - self.counts[table.oid]
        if missing > 0 and table.oid in self.reasons and not self.counts[table.oid]:
            self._attempt(
                table, min(missing, _ONE_BY_ONE), edges=False, nulls=False, skip=False, one_by_one=True
            )

    def _point_back(self, table: Table) -> None:
        """Have every other row refer to one that refers to it, where only such a one fits."""
        for key in table.foreign_keys:
            target = self.tables.get(key.target)
            if target is None or table.partition_check or not points_back(table, key):
                continue
            may_be_null = {one.name for one in table.columns if one.nullable}
            pairs = list(zip(key.columns, key.target_columns, strict=True))
            fixed = " AND ".join(f"t.{quoted(a)} = p.{quoted(b)}" for a, b in pairs if a not in may_be_null)
            free = {a: b for a, b in pairs if a in may_be_null}
            empty = " AND ".join(f"t.{quoted(name)} IS NULL" for name in free)
            given = ", ".join(f"{quoted(name)} = x.{quoted(there)}" for name, there in free.items())
            there = ", ".join(f"p.{quoted(name)}" for name in free.values())
            found = (
                f"SELECT DISTINCT ON (t.ctid) t.ctid AS airlock_c, {there} "
                f"FROM {table.rows_sql} AS t JOIN {target.rows_sql} AS p ON {fixed} WHERE {empty}"
            )
            try:
                with self.connection.cursor() as cursor:
                    self._settle(cursor)
                    cursor.execute(
                        f"UPDATE {table.rows_sql} AS t SET {given} FROM (SELECT *, row_number() OVER () AS airlock_n "
                        f"FROM ({found}) AS y) AS x WHERE x.airlock_c = t.ctid AND x.airlock_n % 2 = 0"
                    )
                self.connection.commit()
            except client.Error:
                self.connection.rollback()

    def _attempt(
        self, table: Table, missing: int, *, edges: bool, nulls: bool, skip: bool, one_by_one: bool = False
    ) -> None:
        plan = make_plan(table, self.counts, edges=edges, nulls=nulls, more=self.edges)
        if plan.unknown:
            self.reasons[table.oid] = f"no value can be made for {'; '.join(plan.unknown)}"
            return
        plan.first_key = self.first_key
        start = self.counts[table.oid]
        if plan.room is not None:
            missing = min(missing, plan.room - start)
            if missing <= 0:
                self.reasons[table.oid] = f"its unique key ({plan.room_of}) has room for {plan.room}"
                return
        skip = skip and not table.has_rules and not any(one.deferrable for one in table.uniques)
        inserted = self._inserted(table, plan, start, missing, skip=skip, one_by_one=one_by_one, fits=False)
        if inserted is None and self._leave_out_refused(plan):
            inserted = self._inserted(
                table, plan, start, missing, skip=skip, one_by_one=one_by_one, fits=True
            )
        if inserted is None:
            return
        self.counts[table.oid] += inserted
        if inserted >= missing and plan.room is None:
            self.reasons.pop(table.oid, None)
        elif plan.room is not None:
            self.reasons[table.oid] = f"its unique key ({plan.room_of}) has room for {plan.room}"

    def _leave_out_refused(self, plan: Plan) -> bool:
        with self.connection.cursor() as cursor:
            found = leave_out_refused(cursor, plan)
        self.connection.commit()
        return found

    def _inserted(
        self, table: Table, plan: Plan, start: int, missing: int, *, skip: bool, one_by_one: bool, fits: bool
    ) -> int | None:  # fmt: skip
        """Insert rows, counted; None where the server refuses them, which is noted. `fits`: the CHECKs were asked before."""
        try:
            with self.connection.cursor() as cursor:
                if not fits:
                    fit(cursor, plan)
                self._settle(cursor)
                if any(key.deferrable for key in table.foreign_keys):
                    cursor.execute("SET CONSTRAINTS ALL DEFERRED")
                statement = insert_sql(plan, start, missing, self.counts, self.tables, skip=skip)
                inserted = (
                    _insert_one_by_one(cursor, statement, missing)
                    if one_by_one
                    else _insert(cursor, statement)
                )
            self.connection.commit()
        except client.Error as error:
            self.connection.rollback()
            self.reasons[table.oid] = _first_line(error)
            self.repeated = client.told(error, "sqlstate") == _REPEATED
            return None
        return inserted

    def _enough(self, table: Table, rows: int) -> int:
        """Ask for more rows than there are to refer to, where several may refer to one: not every parent has one child."""
        if rows > _WORTH_MORE:
            return rows
        alone = [set(one.columns) for one in table.uniques]
        parents = [
            self.counts.get(key.target, 0)
            for key in table.foreign_keys
            if key.target != table.oid and not any(one <= set(key.columns) for one in alone)
        ]
        return max(rows, *(min(one, 2 * rows) + rows // 4 for one in parents if one >= rows), 0)

    def _fill_cycle(self, table: Table, rows: int) -> bool:
        """Fill the table with all others that must refer to it and that it must refer to; False where there are none."""
        members = () if self.counts[table.oid] else forced_cycle(table, self.tables, self.counts)
        for edges in (True, False) if members else ():
            try:
                with self.connection.cursor() as cursor:
                    self._settle(cursor)
                    if any(key.deferrable for one in members for key in one.foreign_keys):
                        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
                    why = insert_cycle(cursor, members, rows, self.tables, self.counts, edges=edges)
                if why is None:
                    self.connection.commit()
                    self._count([one.oid for one in members])
                    return True
            except client.Error as error:
                why = _first_line(error)
            self.connection.rollback()
            self.reasons.update({one.oid: why for one in members})
        return bool(members)

    def _project_made(self, table: Table) -> bool:
        statement = self.made.pop(table.label, None)
        if statement is None:
            return False
        try:
            with self.connection.cursor() as cursor:
                self._settle(cursor)
                cursor.execute(statement)
            self.connection.commit()
        except client.Error as error:
            self.connection.rollback()
            self.reasons[table.oid] = f"the project's own rows: {_first_line(error)}"
            return False
        self._count([table.oid])
        return self.counts[table.oid] > 0


def _insert(cursor: Any, statement: str) -> int:
    cursor.execute(statement)
    return max(int(cursor.rowcount), 0)


def _insert_one_by_one(cursor: Any, statement: str, rows: int) -> int:
    """Insert each row by itself and keep those that are taken. Triggers that refuse some rows end up here."""
    kept = 0
    # The one place where the number of rows stands in the statement: the series.
    head, _, tail = statement.partition("generate_series(")
    bounds, _, tail = tail.partition(") AS g(i)")
    start = int(bounds.split("::")[0])
    for number in range(start, start + min(rows, 50)):
        cursor.execute("SAVEPOINT airlock_one")
        try:
            cursor.execute(f"{head}generate_series({number}::bigint, {number}::bigint) AS g(i){tail}")
            kept += max(int(cursor.rowcount), 0)
        except client.Error:
            cursor.execute("ROLLBACK TO SAVEPOINT airlock_one")
    return kept


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
