"""Read from the server what a statement just did: inside its transaction, and beside it.

Two views are needed. The statement's own backend sees its locks, its uncommitted file nodes and its own row
counters (statistics reach others only when the transaction ends). A second connection, the observer, sees the
catalogue as it was committed: an object it cannot see was created by this transaction, and nobody else can be
waiting for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airlock.drivers.spelling import command
from airlock.recorder.counters import FIRST_USER_OBJECT, OLDER
from airlock.recorder.relations import LIVE, relations_of
from airlock.recorder.rows_held import RowsHeld
from airlock.records.locks import LockMode, covers, strongest
from airlock.records.trace import Lock, Observation, Read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from airlock.drivers.statements import Query, Row
    from airlock.recorder.relations import Relation

# SIReadLock blocks nobody: it is how SERIALIZABLE remembers what was read.
# `pg_lock_status()` is what the view pg_locks selects from. The virtual transaction's own lock is always
# there, so a row always tells which transaction this is. The forced flush empties the row counters when the
# transaction ends, so that every transaction starts counting at nought.
_OWN_STATE = f"""
SELECT l.virtualtransaction, l.relation::bigint, l.mode, pg_relation_filenode(l.relation)::bigint,
       pg_stat_get_xact_tuples_returned(l.relation), pg_stat_get_xact_tuples_fetched(l.relation),
       pg_stat_get_xact_tuples_inserted(l.relation) - pg_stat_get_xact_tuples_deleted(l.relation)
FROM {{}}pg_lock_status() AS l
WHERE l.pid = pg_backend_pid() AND l.granted AND l.mode <> 'SIReadLock'
  AND (l.locktype = 'relation' AND l.relation >= {FIRST_USER_OBJECT} OR l.locktype = 'virtualxid')
"""  # noqa: S608 - a constant of this module
_FLUSHING = _OWN_STATE.format("pg_stat_force_next_flush() AS flush, ")
_PLAIN = _OWN_STATE.format("")


@dataclass(slots=True)
class Seen:
    """One backend's transaction, as of the last observation in it."""

    transaction: str = ""
    locks: frozenset[tuple[int, LockMode]] = frozenset()
    nodes: dict[int, int | None] = field(default_factory=dict)
    counts: dict[int, tuple[int, int]] = field(default_factory=dict)
    written: dict[int, int] = field(default_factory=dict)


class Transaction:
    """Follows one backend through its transactions and tells what each statement added."""

    def __init__(
        self,
        committed: Query,
        ignored: frozenset[str] = frozenset(),
        held: RowsHeld | None = None,
        *,
        flushes: bool = True,
    ) -> None:
        self._committed = committed
        self._held = held or RowsHeld()
        # False on PostgreSQL 14, which cannot be told to empty its counters between transactions.
        self._flushes = flushes
        # Tables that are somebody else's business: Alembic's own version table.
        self._ignored = ignored
        self._seen = Seen()
        self._relations: dict[int, Relation | None] = {}

    def forget(self, held: RowsHeld) -> None:
        """Forget the catalogue's facts: tables were filled or analysed in between, and are followed in `held` from now on."""
        self._relations.clear()
        self._held = held

    def observe(self, own: Query, sql: str = "") -> Observation:
        """Compare the backend's state with the last one; reads only system catalogues and counters.

        A TRUNCATE (`sql`) too gives a table a new file, without writing a row. To be called inside the statement's transaction.
        """
        rows = list(own(_FLUSHING if self._flushes else _PLAIN))
        self._enter(own, str(rows[0][0]))
        state = {row[1]: row for row in rows if row[1] is not None}
        known = self._known(state)
        locks = frozenset(
            (row[1], LockMode.observed(row[2])) for row in rows if row[1] is not None and row[1] in known
        )
        before, self._seen.locks = self._seen.locks, locks
        few = self._held.few(known)
        changed = self._rewritten(state, known)
        rewritten = [] if command(sql) == "TRUNCATE" else without_emptied(own, changed) if changed else []
        self._held.change(
            self._writes(state, known),
            {one.oid for one in changed} - {one.oid for one in rewritten},
            known,
            sql,
        )
        return Observation(
            locks=named(_added(locks, before), known, among=locks),
            held=named(before & locks, known),
            rewrites=rebuilt(rewritten),
            reads=self._reads(state, known),
            few=few,
        )

    def start(self, own: Query) -> None:
        """Enter the transaction before its first statement, where the counters may hold older reads."""
        if not self._flushes:
            self._enter(own, str(next(iter(own(_PLAIN)))[0]))

    def _enter(self, own: Query, transaction: str) -> None:
        if transaction == self._seen.transaction:
            return
        self._seen = Seen(transaction)
        self._relations.clear()
        if not self._flushes:
            older = list(own(OLDER))
            self._seen.counts = {row[0]: (int(row[1]), int(row[2])) for row in older}
            self._seen.written = {row[0]: int(row[3]) for row in older}

    def drops(self, own: Query) -> tuple[str, ...]:
        """Name the tables and columns that this transaction has dropped so far, sorted.

        Only what it holds in ACCESS EXCLUSIVE can have gone.
        """
        held = sorted(
            oid
            for oid, mode in self._seen.locks
            if mode is LockMode.ACCESS_EXCLUSIVE
            and (known := self._relations.get(oid))
            and known.kind in "rp"
        )
        if not held:
            return ()
        listed = f"'{{{','.join(map(str, held))}}}'"
        before = list(self._committed(f"EXECUTE airlock_columns ({listed})"))
        after = list(own(LIVE.format(f"{listed}::oid[]")))
        tables = {row[0] for row in after}
        gone = {row[0]: self._relations[row[0]] for row in before if row[0] not in tables}
        kept = {(row[0], row[2]) for row in after}
        columns = [(row[0], row[1]) for row in before if (row[0], row[2]) not in kept]
        names = {relation.shown for relation in gone.values() if relation is not None}
        for oid, column in columns:
            relation = self._relations[oid]
            if oid not in gone and relation is not None:
                names.add(f"{relation.shown}.{column}")
        return tuple(sorted(names))

    def _known(self, state: Mapping[int, Row]) -> dict[int, Relation]:
        unknown = [oid for oid in state if oid not in self._relations]
        if unknown:
            found = relations_of(self._committed, unknown)
            self._relations.update({oid: found.get(oid) for oid in unknown})
        known = {
            oid: relation
            for oid in state
            if (relation := self._relations[oid]) is not None and relation.others_see_it
        }
        ignored = {oid for oid, relation in known.items() if relation.shown in self._ignored}
        return {
            oid: relation
            for oid, relation in known.items()
            if oid not in ignored and relation.table not in ignored
        }

    def _rewritten(self, state: Mapping[int, Row], known: Mapping[int, Relation]) -> list[Relation]:
        changed = []
        for oid, relation in known.items():
            node = state[oid][3]
            # No node: dropped in this transaction, or a view.
            if node is not None and node != self._seen.nodes.get(oid, relation.filenode):
                changed.append(relation)
            self._seen.nodes[oid] = node
        return changed

    def _reads(self, state: Mapping[int, Row], known: Mapping[int, Relation]) -> tuple[Read, ...]:
        counts = {}
        for oid in known:
            now = (int(state[oid][4] or 0), int(state[oid][5] or 0))
            last = self._seen.counts.get(oid, (0, 0))
            self._seen.counts[oid] = now
            counts[oid] = (now[0] - last[0], now[1] - last[1])
        return rows_read(counts, known)

    def _writes(self, state: Mapping[int, Row], known: Mapping[int, Relation]) -> dict[int, int]:
        now = {oid: int(state[oid][6] or 0) for oid in known}
        changes = {oid: rows - self._seen.written.get(oid, 0) for oid, rows in now.items()}
        self._seen.written.update(now)
        return changes


def _added(
    now: frozenset[tuple[int, LockMode]], before: frozenset[tuple[int, LockMode]]
) -> frozenset[tuple[int, LockMode]]:
    """Keep the new locks that keep out somebody whom no older lock on the same object did."""
    return frozenset(
        (oid, mode)
        for oid, mode in now - before
        if not any(covers(old, mode) for other, old in before if other == oid)
    )


def named(
    locks: Iterable[tuple[int, LockMode]],
    known: Mapping[int, Relation],
    among: Iterable[tuple[int, LockMode]] = (),
) -> tuple[Lock, ...]:
    """Make lock records, strongest first, without those that say nothing more.

    Of one object only modes that no other one covers; of an index only what its table's lock (here or
    `among` the others) does not cover: the planner locks every index of a table it looks at, and DROP TABLE
    locks them all.
    """
    by_object: dict[int, set[LockMode]] = {}
    for oid, mode in locks:
        if oid in known:
            by_object.setdefault(oid, set()).add(mode)
    of_tables: dict[int, set[LockMode]] = {oid: set(modes) for oid, modes in by_object.items()}
    for oid, mode in among:
        of_tables.setdefault(oid, set()).add(mode)

    def each() -> Iterator[Lock]:
        for oid, modes in by_object.items():
            over = of_tables.get(known[oid].table or 0, set())
            yield from (
                Lock(known[oid].shown, mode)
                for mode in strongest(modes)
                if not any(covers(other, mode) for other in over)
            )

    return tuple(sorted(each(), key=lambda lock: (-lock.mode.strength, lock.object)))


def rebuilt(changed: Sequence[Relation]) -> tuple[str, ...]:
    """Name rewritten tables, and rebuilt indexes only where their table was not.

    ALTER SEQUENCE writes the sequence's one row to a new file; that is no work that grows.
    """
    changed = [relation for relation in changed if relation.kind != "S"]
    tables = {relation.oid for relation in changed if relation.table is None}
    return tuple(sorted(relation.shown for relation in changed if relation.table not in tables))


def without_emptied(query: Query, changed: Sequence[Relation]) -> list[Relation]:
    """Leave out the tables that had rows and now have not a single page: TRUNCATE in a function, say."""
    tables = [relation.oid for relation in changed if relation.table is None and relation.rows > 0]
    if not tables:
        return list(changed)
    listed = ", ".join(map(str, tables))
    emptied = {
        row[0]
        for row in query(
            f"SELECT oid::bigint FROM pg_class WHERE oid IN ({listed}) AND pg_relation_size(oid) = 0"  # noqa: S608 - oids
        )
    }
    return [relation for relation in changed if (relation.table or relation.oid) not in emptied]


def rows_read(counts: Mapping[int, tuple[int, int]], known: Mapping[int, Relation]) -> tuple[Read, ...]:
    """Add up what was read of each table: `counts` are rows returned and fetched, by table or index."""
    sequential: dict[int, int] = {}
    fetched: dict[int, int] = {}
    returned: dict[int, int] = {}
    for oid, (came, got) in counts.items():
        table = known[oid].table or oid
        fetched[table] = fetched.get(table, 0) + got
        # Of an index, "returned" counts entries: what an index-only scan read without fetching rows.
        kind = sequential if known[oid].table is None else returned
        kind[table] = kind.get(table, 0) + came
    reads = (
        Read(known[table].shown, rows, known[table].rows)
        for table in fetched
        if table in known
        and (rows := sequential.get(table, 0) + max(fetched[table], returned.get(table, 0))) > 0
    )
    return tuple(sorted(reads, key=lambda read: read.object))
