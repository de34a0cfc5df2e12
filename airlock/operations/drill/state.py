"""What is known of the scratch database between steps, re-read only where a step may have changed it."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airlock import samples
from airlock.catalogue import fingerprint
from airlock.drivers import client
from airlock.drivers.spelling import literal, quoted
from airlock.operations.drill.json_shapes import Shapes
from airlock.operations.drill.messages import WORTH_COMPARING
from airlock.project import environment
from airlock.records.rows import Rate, Strangers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from typing import Any

    from airlock.catalogue.fingerprint import Fingerprint
    from airlock.records.rows import Fill
    from airlock.scratch.servers import ScratchDatabase

# Without statistics prepared statements scan big tables.
_WORTH_STATISTICS = 1_000
# Compared with a hand-written INSERT are the slowest tables filled together, and no more than so many altogether.
_MOST_TOGETHER, _MOST_COMPARED = 3, 6
# Code that rows may set off, which may make anything: partitions, say. Some extensions only bring types and operators.
_CODE = frozenset(
    {"trigger", "rule", "function", "procedure", "aggregate", "event trigger", "operator", "cast"}
)
_TYPES_ALONE = frozenset(
    {"plpgsql", "btree_gin", "btree_gist", "citext", "hstore", "intarray", "ltree", "pg_trgm", "pgcrypto", "postgis"}
    | {"unaccent", "uuid-ossp", "vector"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class State:
    """One moment: the catalogue, the rows, and what sequences hand out next."""

    catalogue: Fingerprint
    digests: Mapping[str, samples.TableDigest]
    sequences: Mapping[str, samples.Next]
    # Partitions without a row.
    empty: frozenset[str] = frozenset()

    def partitions(self) -> frozenset[str]:
        """Name the partitions."""
        return self.catalogue.partitions

    def kept_here(self) -> list[str]:
        """List the partitions whose rows are this server's: a foreign table's are another one's."""
        objects = self.catalogue.objects
        return sorted(name for name in self.partitions() if objects[name].kind != "foreign table")

    def takes_no_row(self, name: str) -> bool:
        """Tell whether a table is partitioned and has no partition: nobody can have a row in it."""
        objects = self.catalogue.objects
        return objects[name].kind == "partitioned table" and not any(
            name in objects[one].attributes.get("inherits", "").split(", ") for one in self.partitions()
        )

    def tables(self) -> frozenset[str]:
        """Name the tables, without partitions."""
        return self.catalogue.tables


def _relabelled(before: Fingerprint, now: Fingerprint) -> bool:
    """Tell whether an enum's labels changed: rows then show other ones, and nobody has touched their tables."""
    return before is not now and any(
        one.kind == "enum" and now.objects.get(name, one) != one for name, one in before.objects.items()
    )


def _acts(catalogue: Fingerprint) -> bool:
    """Tell whether there is code that writing rows may run."""
    return any(
        thing.kind in _CODE
        or (thing.kind == "extension" and name.partition(" ")[2].strip('"') not in _TYPES_ALONE)
        for name, thing in catalogue.objects.items()
    )


def _connect(database: ScratchDatabase) -> client.Connection:
    """Connect as the administrator, from whom row security hides nothing; as the owner where the server is lent.

    Triggers and casts of the project run with the rights of whoever writes and reads: on somebody's server that must
    not be a superuser.
    """
    url = database.admin_url if database.throwaway else database.url
    connection = client.connect(url, autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("SET application_name = 'airlock-drill'")
    return connection


@dataclass(slots=True)
class Ledger:
    """Reads and writes one scratch database, over two connections that are idle while a step runs."""

    reading: client.Connection
    writing: client.Connection
    reader: fingerprint.Reader
    version_table: str
    wanted: int
    url: str = field(repr=False)
    search_path: str | None = None
    made: dict[str, str] = field(default_factory=dict)
    fills: dict[str, Fill] = field(default_factory=dict)
    known: dict[str, samples.Table] = field(default_factory=dict)
    # More values at the edge of a type, as SQL by its name.
    edges: dict[str, tuple[str, ...]] = field(default_factory=dict)
    # What the history takes the values of JSON columns for.
    shapes: Shapes = field(default_factory=Shapes)
    # Texts that a type reads as it reads another spelling, and spells otherwise itself.
    respelled: set[str] = field(default_factory=set)
    rows_made: int = 0
    fill_ms: float = 0.0
    rates: dict[str, Rate] = field(default_factory=dict)
    strangers: dict[str, Strangers] = field(default_factory=dict)
    # Numbers of large objects that rows written meanwhile brought: left out of what is read.
    strange_objects: set[str] = field(default_factory=set)
    # The catalogue as it was read since env.py ran last, tables as they still are; `alone` where nobody else is at work.
    last: Fingerprint | None = None
    fresh: dict[str, samples.Table] = field(default_factory=dict)
    seen: tuple[str, Fingerprint] | None = None
    listed: tuple[Fingerprint, tuple[samples.KnownSequence, ...]] | None = None
    read_at: int = -1
    alone: bool = True
    # What the step that was counted last has sent, up to where it ended or raised.
    asked: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, database: ScratchDatabase, version_table: str, wanted: int) -> Ledger:
        """Connect twice."""
        reading, writing = _connect(database), _connect(database)
        return cls(reading, writing, fingerprint.Reader(reading), version_table, wanted, database.url)

    def close(self) -> None:
        """Disconnect."""
        self.reading.close()
        self.writing.close()

    def read(
        self,
        before: State | None = None,
        touched: Collection[str] | None = None,
        compared_with: State | None = None,
    ) -> State:
        """Read the state; rows only of tables in `touched` (None: of all), the rest as it was `before`.

        Digests take the form of those in `compared_with`, else of those `before`.
        """
        strange = {f"large object {number}" for number in self.strange_objects}
        catalogue = self._catalogue().without(strange)
        names = State(catalogue, {}, {}).tables() - {self.version_table}
        kept: dict[str, samples.TableDigest] = {}
        if before is not None and touched is not None and not _relabelled(before.catalogue, catalogue):
            kept = {
                name: digest
                for name, digest in before.digests.items()
                if name in names and name not in touched
            }
        unread = names - kept.keys()
        form = compared_with or before
        digests = {**kept, **self.digest(unread, form.digests if form is not None else None)}
        digests |= samples.digest_large_objects(self.reading, self.strange_objects)
        digests |= samples.digest_extension_tables(self.reading)
        known: Mapping[str, samples.Next] = {}
        if kept and before is not None and touched is not None and self.alone:
            # A table that inherits is in sight of what looks through the one above.
            objects = catalogue.objects
            if not any("inherits" in objects[one].attributes for one in touched if one in objects):
                known = before.sequences
        sequences = samples.read_sequences(self.reading, known, kept.keys(), self._sequences())
        now = State(catalogue, digests, sequences)
        return replace(now, empty=self._empty(now.kept_here()))

    def _empty(self, partitions: list[str]) -> frozenset[str]:
        if not partitions:
            return frozenset()
        each = [f"SELECT {literal(one)} WHERE NOT EXISTS (SELECT FROM {one})" for one in partitions]
        with self.reading.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(each).replace("%", "%%"), ())
            return frozenset(str(row[0]) for row in cursor.fetchall())

    def digest(
        self, names: Collection[str], earlier: Mapping[str, samples.TableDigest] | None = None
    ) -> samples.Digests:
        """Digest some tables as they are now, in the form of an earlier digest; sums leave out the strangers."""
        if not names:
            return {}
        return samples.digests(self.reading, self.tables(names), earlier=earlier, without=self.strangers)

    def tables(self, names: Collection[str]) -> tuple[samples.Table, ...]:
        """Read what must be known of some tables to write into them, and remember it in `known`.

        What was read once is not read again, as long as nothing of it has changed in the catalogue.
        """
        follows = self.alone and self.reader.follows
        if follows:
            self._catalogue()
        elif self._moved():
            self.last, self.fresh = None, {}
        there = self.fresh if follows or self.last is not None else {}
        wanted = set(names) - {self.version_table}
        unread = sorted(wanted - there.keys())
        found = {name: there[name] for name in wanted & there.keys()}
        if unread:
            read = samples.read_tables(self.reading, names=unread, exclude=[self.version_table])
            found |= {table.label: self.shapes.alike(table) for table in read}
        self.known.update(found)
        if self.last is not None or (follows and not environment.running()):
            self.fresh.update(found)
        return tuple(sorted(found.values(), key=lambda table: (table.schema, table.name)))

    def columns(self) -> frozenset[tuple[int, str]] | None:
        """Give the columns of tables, by the table's oid; None where the last look at the catalogue does not tell them."""
        if not self.alone or not self.reader.follows:
            return None
        self._catalogue()
        return self.reader.columns()

    def without_values(self, name: str) -> list[tuple[str, str]]:
        """List the columns of a table that hold only NULLs because no value is known of their type, with that type."""
        found = []
        for table in self.tables({name}):
            for column in samples.hard_to_fill(table):
                with self.reading.cursor() as cursor:
                    name = quoted(column.name)
                    value = f"{name} IS NOT NULL"
                    if any(map(samples.is_hollow, column.parts)):
                        value = "false"
                    elif column.is_array and samples.is_hollow(column):
                        value = f"EXISTS (SELECT FROM unnest({name}) AS one WHERE one IS NOT NULL)"
                    held = f"SELECT FROM {table.rows_sql} WHERE {value} LIMIT 1"
                    cursor.execute(held.replace("%", "%%"), ())
                    if cursor.fetchone() is None:
                        found.append((column.name, f"its type, {column.full or column.type}"))
        return found

    def _catalogue(self) -> Fingerprint:
        """Read the catalogue, or remember it, where nothing can have changed it since."""
        if self._moved():
            self.last = None
        if self.last is not None:
            return self.last
        now = environment.runs()
        steady = self.alone and not environment.running()
        if not steady:
            self.fresh = {}
        found = self._read_catalogue()
        if steady and not _acts(found):
            self.last, self.read_at = found, now
        return found

    def _read_catalogue(self) -> Fingerprint:
        """Read it, or give what was read last, where no transaction has ended since: what is in sight is the same then."""
        idle = self.reading.info.transaction_status == 0
        snapshot = self._snapshot() if self.alone and idle else ""
        if snapshot and self.seen is not None and self.seen[0] == snapshot:
            return self.seen[1]
        found, changed = self.reader.read(afresh=not self.alone), self.reader.changed()
        if changed is None:
            self.fresh = {}
        elif changed:
            self.fresh = {name: table for name, table in self.fresh.items() if name not in changed}
        self.seen = snapshot, found
        return found

    def _snapshot(self) -> str:
        with self.reading.cursor() as cursor:
            cursor.execute("SELECT pg_current_snapshot()::text")
            return str((cursor.fetchone() or ("",))[0])

    def is_read(self) -> bool:
        """Tell whether what was read of the catalogue is remembered; a run of env.py that leaves no trace need not end that."""
        return self.last is not None and not self._moved()

    def _moved(self) -> bool:
        return self.read_at != environment.runs() or not self.alone

    def fill(
        self,
        names: Iterable[str],
        count: int | None = None,
        required: Mapping[str, samples.Table] | None = None,
    ) -> tuple[Fill, ...]:
        """Bring tables to the number of sample rows, and remember which could not be brought there."""
        wanted = sorted(set(names) - {self.version_table})
        if not wanted:
            return ()
        began, objects = time.perf_counter(), self.large_objects()
        done = samples.fill(
            self.writing,
            self.wanted if count is None else count,
            tables=wanted,
            exclude=[self.version_table],
            search_path=self.search_path,
            made=self.made,
            required=required,
            analyze=self.wanted >= _WORTH_STATISTICS,
            edges=self.edges,
            shaped=self.shapes.at_first,
            reading=self.reading,
        )
        self._count(done, began)
        if self.large_objects() != objects:
            self.last = None
        self.fills.update({one.table: one for one in done})
        self._compare_with_hand(done)
        return done

    def add(self, name: str, count: int, required: Mapping[str, samples.Table] | None = None) -> None:
        """Bring a table that has sample rows to more of them, where it takes more."""
        began = time.perf_counter()
        done = samples.fill(
            self.writing, count, tables=[name], exclude=[self.version_table], search_path=self.search_path,
            required=required, edges=self.edges, shaped=self.shapes.at_first, reading=self.reading,
        )  # fmt: skip
        self._count(done, began)

    def _count(self, done: Iterable[Fill], began: float) -> None:
        self.fill_ms += (time.perf_counter() - began) * 1000
        self.rows_made += sum(one.made for one in done)

    def _compare_with_hand(self, done: Iterable[Fill]) -> None:
        """Time a hand-written INSERT beside what filled big tables, each the first time."""
        big = [one for one in done if one.made >= WORTH_COMPARING and one.table not in self.rates]
        room = min(_MOST_TOGETHER, _MOST_COMPARED - len(self.rates))
        for fill in sorted(big, key=lambda it: -it.ms)[: max(room, 0)]:
            known = samples.read_tables(self.writing, names=[fill.table], targets=True)
            tables = {table.oid: table for table in known}
            table = next(table for table in known if table.label == fill.table)
            took, why = samples.time_by_hand(self.writing, table, tables, fill.made, self.search_path)
            self.rates[fill.table] = Rate(fill.table, fill.made, fill.ms, took, why)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Any]:
        """Lend a cursor of a writing transaction: committed when the block ends, undone where it raises."""
        with client.transaction(self.writing), self.writing.cursor() as cursor:
            yield cursor
            self.writing.commit()

    @contextlib.contextmanager
    def checked_at_once(self) -> Iterator[Any]:
        """Lend one in the history's search path, whose constraints are looked at behind each statement."""
        with self.transaction() as cursor:
            if self.search_path is not None:
                cursor.execute("SELECT set_config('search_path', %s, true)", (self.search_path,))
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            yield cursor

    def delete(self, keys: Mapping[str, tuple[Collection[str], Collection[str]]]) -> bool:
        """Delete rows by table, the columns that tell them, and the keys; no trigger fires. Commits.

        Returns False, with nothing deleted, where the server does not let it.
        """
        if not keys:
            return True
        found = self.tables(set(keys))
        try:
            with self.transaction():
                samples.delete_rows(self.writing, [(table, *keys[table.label]) for table in found])
        except client.Error:
            return False
        return len(found) == len(keys)

    def set_sequences(self, wanted: Mapping[str, samples.Next]) -> None:
        """Have sequences hand out next what they would have, but for what is taken. Commits."""
        samples.set_sequences(self.writing, wanted, self._sequences())

    def _sequences(self) -> tuple[samples.KnownSequence, ...]:
        """List the sequences; what was read once is not read again, as long as nothing of the catalogue has changed."""
        if not self.alone or not self.reader.follows:
            return samples.list_sequences(self.reading)
        catalogue = self._catalogue()
        if self.listed is None or self.listed[0] is not catalogue:
            self.listed = catalogue, samples.list_sequences(self.reading)
        return self.listed[1]

    def transactions(self) -> int:
        """Tell the number of the next transaction that ends on the server, for `others_wrote`."""
        with self.reading.cursor() as cursor:
            cursor.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
            return int((cursor.fetchone() or (0,))[0])

    def others_wrote(self, began: int, ended: int) -> bool:
        """Tell whether a transaction that wrote was committed from one number to another: not one that is open still.

        What a savepoint takes back has a number as well, and that ends at once.
        """
        query = "SELECT 1 FROM generate_series(%s::bigint, %s) AS x WHERE pg_xact_status(x::text::xid8) = 'committed' LIMIT 1"
        with self.reading.cursor() as cursor:
            cursor.execute(query, (began, ended - 1))
            return cursor.fetchone() is not None

    def large_objects(self) -> frozenset[str]:
        """List the numbers of the large objects that are there."""
        with self.reading.cursor() as cursor:
            return samples.large_objects(cursor)

    def stirs(self, names: Iterable[str]) -> bool:
        """Tell whether filling these tables may have written into others: by triggers, or by rules."""
        return any(table.has_triggers or table.has_rules for table in self.tables(set(names)))

    def empty(self, names: Iterable[str], *, restart: bool = False) -> None:
        """Remove all rows of some tables, and of those that refer to them; `restart` their sequences too."""
        found = self.tables(set(names))
        if found:
            with self.writing.cursor() as cursor:
                samples.empty_tables(cursor, found, restart=restart)
