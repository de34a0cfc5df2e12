"""What other clients write between the upgrade and the downgrade, and what becomes of it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from airlock import samples
from airlock.catalogue.fingerprint.model import plain
from airlock.drivers.spelling import bare
from airlock.operations.drill import compare
from airlock.operations.drill.phases import triggers_made
from airlock.operations.drill.reach.modules_called import files
from airlock.operations.drill.reach.unreached_writes import conditional_writes
from airlock.recorder.row_changes import INSERT
from airlock.records.drill import Loss
from airlock.samples.renames import named_as, renamed_columns

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from airlock.operations.drill.reach.asking import Counted
    from airlock.operations.drill.state import Ledger, State
    from airlock.operations.drill.step import StepTaken
    from airlock.operations.drill.subject import Subject

# Why a loss is one, beside columns and tables that go.
GONE, CHANGED = "the rows go", "the values change"
_ROWS = 3
_COPIES = re.compile(r"\s*CREATE\b", re.IGNORECASE)
_INTO = re.compile(r"\bINSERT\s+INTO\s+([\w.]+)", re.IGNORECASE)
_CHANGED = """SELECT format('%I.%I', schemaname, relname), n_tup_upd + n_tup_del + n_tup_hot_upd > 0
FROM pg_stat_xact_user_tables WHERE n_tup_ins + n_tup_upd + n_tup_del + n_tup_hot_upd > 0"""


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """The rows written, by table and key, and the old rows that those writes changed through triggers."""

    state: State
    written: Mapping[str, frozenset[str]] = field(default_factory=dict)
    changed: Collection[tuple[str, str, str]] = frozenset()
    notes: tuple[str, ...] = ()
    # Tables too big to be remembered row by row, which triggers changed: that cannot be told from what the step changes.
    blurred: Collection[str] = frozenset()
    # By which columns the keys tell rows, where not by the key that the table's digest has.
    told_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # What the writes did in the bodies of triggers that the upgrade made.
    fired: tuple[Counted, ...] = ()
    # By table, the names that columns have below.
    below: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def write(
    subject: Subject,
    before: State,
    after: State,
    touched: Collection[str],
    turn: int,
    older: Mapping[str, samples.Table],
    step: StepTaken | None = None,
) -> Meanwhile:
    """Write into the tables that the step made or touched: copies of rows, sample rows where there are none.

    What the `older` form of a table demands is respected as well: a client that writes duplicates because a unique
    key is gone makes the key's return impossible, and that is no fault of the downgrade. Commits. Returns the state
    afterwards, with the digests of what was written.
    """
    ledger = subject.ledger
    objects = ledger.large_objects()
    # A partition that the step detaches is neither: nobody writes what its bounds would not let in again.
    new = after.tables() - before.catalogue.objects.keys() - {ledger.version_table}
    old = sorted((set(touched) & after.tables() & before.tables()) - {ledger.version_table})
    # Beside rows that the upgrade put there others would be children of its own parents, or have no like.
    filled = {name for name in new if (digest := after.digests.get(name)) is not None and digest.count}
    copies = _copied_into(step, subject.facts.path) if step is not None else set()
    filled |= {name for name in new if bare(name) in copies}
    ledger.fill(new - filled, min(ledger.wanted, 5))
    # Their triggers may have written anywhere.
    stirred = ledger.stirs(new)
    forms = {
        table.label: named_as(older[table.label], table)
        for table in ledger.tables(old)
        if table.label in older
    }
    tables = [samples.with_requirements(table, forms.get(table.label)) for table in ledger.tables(old)]
    fresh = {name for name in after.catalogue.objects if name not in before.catalogue.objects}
    # A column of another name is none that only newer clients know.
    fresh -= {f"{name}.{plain(column.name)}" for name, table in forms.items() for column in table.columns}
    connection = ledger.writing
    connection.autocommit = False
    done: tuple[samples.Written, ...] = ()
    counted: list[Counted] = []

    def clones() -> None:
        nonlocal done
        done = samples.write_clones(
            connection, tables, rows=_ROWS, turn=turn, search_path=ledger.search_path, new=fresh
        )
        with connection.cursor() as cursor:
            samples.make_referred(cursor, tables)

    try:
        if triggers_made.new_in(before, after):
            written_to = [*tables, *ledger.tables(new)]
            with connection.cursor() as cursor:
                counted = triggers_made.fired(cursor, before, after, written_to, turn, clones)
        else:
            clones()
        with connection.cursor() as cursor:
            cursor.execute(_CHANGED)
            # What was only inserted into a table that was written into are the copies themselves.
            written_into = {table.sql.replace('"', "") for table in tables}
            others = {
                name
                for name, old_rows in cursor.fetchall()
                if old_rows or name.replace('"', "") not in written_into
            }
        by_sql = (
            {table.sql.replace('"', ""): table.label for table in ledger.tables(after.tables())}
            if others
            else {}
        )
        moved = [by_sql[name.replace('"', "")] for name in others if name.replace('"', "") in by_sql]
        # The reading connection does not see the writes yet: this is how the rows were before.
        undisturbed = ledger.digest(moved, after.digests)
        if stirred:
            moved = sorted({*moved, *after.digests.keys() & after.tables()})
            undisturbed = dict(after.digests)
        connection.commit()
    finally:
        connection.rollback()
        connection.autocommit = True
    ledger.strange_objects |= ledger.large_objects() - objects
    wrote = {one.table for one in done if one.rows}
    ledger.strangers = {one.table: one.strangers for one in done if one.strangers is not None}
    state = ledger.read(after, {*new, *old, *moved})
    keys: dict[str, frozenset[str]] = {}
    told_by: dict[str, tuple[str, ...]] = {}
    for table in {*wrote, *new}:
        now, then = state.digests.get(table), after.digests.get(table)
        if now is not None and now.rows is not None:
            known = then.rows if then is not None and then.rows is not None else {}
            keys[table] = frozenset(set(now.rows) - set(known))
        elif now is not None:
            strangers = ledger.strangers.get(table)
            keys[table] = frozenset(strangers.keys if strangers is not None else ())
            if strangers is not None:
                told_by[table] = strangers.columns
    return Meanwhile(
        state,
        keys,
        {it for table in moved for it in _changed(table, undisturbed.get(table), state.digests.get(table))},
        tuple(
            f"no row could be written into {one.table} after the upgrade: {one.reason}"
            for one in done
            if not one.rows
        ),
        {
            table
            for table in moved
            if table in undisturbed
            and undisturbed[table].rows is None
            and undisturbed[table].columns
            and undisturbed[table] != state.digests.get(table)
        },
        told_by,
        tuple(counted),
        {
            table.label: renamed
            for table in ledger.tables(old)
            if table.label in older and (renamed := renamed_columns(table, older[table.label]))
        },
    )


def _copied_into(step: StepTaken, path: Path) -> set[str]:
    """Name what a step copies rows into, also where no row led to it: the step alone writes there.

    Its columns take anything, its downgrade does not.
    """
    copies = {
        one.relation
        for one in step.data_statements
        if one.kind == INSERT and (_COPIES.match(one.text) or one.scope is not None)
    }
    passed_by = {one.place for one in step.met if one.passed_by}
    texts = [
        one.text
        for file in files(str(path))
        for one in conditional_writes(file, str(path))
        if f"{Path(file).name}:{one.start}" in passed_by
    ]
    return copies | {bare(name) for text in texts for name in _INTO.findall(text)}


def withdrawn(
    ledger: Ledger, written: Meanwhile, before: State, after: State, now: State, *, exactly: bool
) -> State | None:
    """Delete what was written meanwhile; give the state, where it is then as the first upgrade left it (`after`), else None.

    What an upgrade computes anew each time may differ (a default of gen_random_uuid()), where not `exactly` the same is
    asked for. Commits. Where the answer is None, the database may be left half way.
    """
    ledger.strangers = {}
    if now.catalogue != after.catalogue or now.digests.keys() != after.digests.keys():
        return None
    keys = keys_written(written)
    if not ledger.delete(keys):
        return None
    doubtful = keys.keys() | {name for name, it in now.digests.items() if it != after.digests[name]}
    known = dict(now.digests) | ledger.digest(doubtful - {"large objects"}, after.digests)
    if not compare.alike(before, after, known, exactly=exactly):
        return None
    ledger.set_sequences(after.sequences)
    return replace(after, digests={name: known[name] for name in after.digests})


def keys_written(written: Meanwhile) -> dict[str, tuple[tuple[str, ...], frozenset[str]]]:
    """Give the keys of what was written, by table, with the columns that tell the rows there."""
    return {
        name: (written.told_by.get(name) or written.state.digests[name].key, found)
        for name, found in written.written.items()
        if found
    }


def _changed(
    table: str, before: samples.TableDigest | None, after: samples.TableDigest | None
) -> set[tuple[str, str, str]]:
    if before is None or after is None or before.rows is None or after.rows is None:
        return set()
    gone: set[tuple[str, str, str]] = {
        (table, key, samples.GONE) for key in before.rows if key not in after.rows
    }
    return gone | {
        (table, key, name)
        for key, row in before.rows.items()
        if key in after.rows
        for name, old, new in zip(before.columns, row, after.rows[key], strict=False)
        if old != new
    }


def left(before: State, after: State, meanwhile: Meanwhile, below: State) -> dict[str, int]:
    """Count by table the rows that the upgrade brought and the downgrade left there."""
    found = {}
    for table, then in before.digests.items():
        if table in below.digests and table in after.digests and table in meanwhile.state.digests:
            written = meanwhile.state.digests[table].count - after.digests[table].count
            keys, now = meanwhile.written.get(table), below.digests[table]
            if keys is not None and now.rows is not None and now.key == meanwhile.state.digests[table].key:
                written = len(keys & now.rows.keys())  # some of them may have gone
            if now.count - then.count - written > 0 and table not in meanwhile.blurred:
                found[table] = now.count - then.count - written
    return found


def losses(meanwhile: Meanwhile, after_down: State) -> tuple[Loss, ...]:
    """List what of the writes is not there after the downgrade; generated values can be computed again, and are none."""
    found: list[Loss] = []
    catalogue = meanwhile.state.catalogue.objects
    computed = {name for name, one in catalogue.items() if "generated" in one.attributes}
    remaining = after_down.tables()
    for table, keys in sorted(meanwhile.written.items()):
        written = meanwhile.state.digests[table]
        if not keys:
            continue
        now = after_down.digests.get(table)
        if table not in remaining or now is None:
            found.append(Loss(table, len(keys), "the table goes"))
            continue
        if now.rows is None or written.rows is None:
            gone_columns = [
                name
                for name in written.columns
                if meanwhile.below.get(table, {}).get(name, name) not in now.columns
                and f"{table}.{plain(name)}" not in computed
            ]
            found += [Loss(f"{table}.{name}", len(keys), "the column goes") for name in gone_columns]
            continue
        names = meanwhile.below.get(table, {})
        key = tuple(names.get(name, name) for name in written.key)
        comparable = key == tuple(now.key) and set(key) <= set(now.columns)
        gone = [key for key in keys if key not in now.rows] if comparable else []
        if gone:
            found.append(Loss(table, len(gone), GONE))
        for place, name in enumerate(written.columns):
            if f"{table}.{plain(name)}" in computed:
                continue
            then = names.get(name, name)
            if then not in now.columns:
                valued = sum(written.rows[key][place] is not None for key in keys)
                if valued:
                    found.append(Loss(f"{table}.{name}", valued, "the column goes"))
            elif comparable:
                there = now.columns.index(then)
                differing = Counter(
                    written.rows[key][place] != now.rows[key][there] for key in keys if key in now.rows
                )[True]
                if differing:
                    found.append(Loss(f"{table}.{name}", differing, CHANGED))
    return tuple(sorted(found))
