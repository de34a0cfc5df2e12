"""What rows hold, told briefly: per table and column, tied to each row's key, in one scan, by the server."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airlock.drivers import client, prepared
from airlock.drivers.spelling import quoted
from airlock.records.rows import RowDifference

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from airlock.records.rows import Strangers
    from airlock.samples.model import Table

# Tables of up to so many rows are remembered row by row, so that a difference can be shown and not just counted.
DETAIL = 2_000
# Stands in place of a column where the whole row was taken away.
GONE = ""
_SHOWN = 120
_SETTINGS = """SELECT set_config('search_path', 'pg_catalog', true), set_config('TimeZone', 'UTC', true),
  set_config('DateStyle', 'ISO, YMD', true), set_config('IntervalStyle', 'postgres', true),
  set_config('extra_float_digits', '1', true), set_config('bytea_output', 'hex', true)"""

_LARGE_OBJECTS = """SELECT oid::text, oid::text, md5(lo_get(oid)) FROM pg_largeobject_metadata
WHERE pg_has_role(lomowner, 'USAGE') ORDER BY oid"""


@dataclass(frozen=True, slots=True)
class TableDigest:
    """One table: its row count, one sum per column, and, where it is small, every row's values by key."""

    key: tuple[str, ...]
    columns: tuple[str, ...]
    count: int
    sums: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, tuple[str | None, ...]] | None = None


Digests = dict[str, TableDigest]


def digests(
    connection: client.Connection,
    tables: Iterable[Table],
    *,
    earlier: Mapping[str, TableDigest] | None = None,
    without: Mapping[str, Strangers] | None = None,
) -> Digests:
    """Digest tables by name. Reads each once, in one read-only transaction that it ends.

    A table keeps the form of its `earlier` digest (its size, and its key as long as those columns are there), so that
    the two can be compared. `without` names rows that sums leave out: rows written meanwhile.
    """
    earlier, without = earlier or {}, without or {}
    with client.transaction(connection), connection.cursor() as cursor:
        cursor.execute(_SETTINGS)
        return {
            table.label: _readable(cursor, table, earlier.get(table.label), without.get(table.label))
            for table in tables
        }


def digest_large_objects(connection: client.Connection, without: Collection[str] = ()) -> Digests:
    """Digest the content of the large objects that the session's role owns or may read, as if they were a table's rows.

    Those whose numbers are in `without` are left out.
    """
    with connection.cursor() as cursor:
        prepared.execute(connection, cursor, _LARGE_OBJECTS)
        found = [one for one in cursor.fetchall() if one[0] not in without]
    rows = by_key(found)
    return {"large objects": TableDigest(("oid",), ("oid", "content"), len(rows), rows=rows)} if rows else {}


def key_sql(names: Collection[str]) -> str:
    """Spell a row's key as one text."""
    return _key(names)


def delete_rows(
    connection: client.Connection,
    keys: Iterable[tuple[Table, Collection[str], Collection[str]]],
) -> None:
    """Delete rows of tables, told by some columns' values as `key_sql` spells them; no trigger fires, no key is checked.

    Within the connection's open transaction. Raises client.Error where the session's role may not.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SETTINGS)
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table, columns, values in keys:
            condition = _key(columns).replace("%", "%%")
            cursor.execute(
                f"DELETE FROM {table.rows_sql.replace('%', '%%')} WHERE {condition} = ANY (%s)",
                (sorted(values),),
            )


def empty_tables(cursor: client.Cursor, tables: Iterable[Table], *, restart: bool = False) -> None:
    """Remove all rows of some tables, and of those that refer to them; `restart` their sequences too.

    A superuser's session fires none of their triggers: one that truncates another table (a history's, say) would be refused
    what this statement truncates already, and one that raises would keep the rows.
    """
    how = " RESTART IDENTITY" if restart else ""
    statement = f"TRUNCATE {', '.join(table.sql for table in tables)}{how} CASCADE"
    ((superuser,),) = client.rows(cursor, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    if not superuser:
        cursor.execute(statement)
        return
    cursor.execute("SET session_replication_role = replica")
    try:
        cursor.execute(statement)
    finally:
        # In a transaction that has failed, the rollback takes it back.
        with contextlib.suppress(client.Error):
            cursor.execute("RESET session_replication_role")


def _readable(
    cursor: Any, table: Table, earlier: TableDigest | None, without: Strangers | None
) -> TableDigest:
    """Digest a table; without its generated columns where some row makes one of them raise."""
    if not table.generated:
        return _digest(cursor, table, earlier, without)
    cursor.execute("SAVEPOINT airlock_digest")
    try:
        return _digest(cursor, table, earlier, without)
    except client.DataError:
        cursor.execute("ROLLBACK TO SAVEPOINT airlock_digest")
        return _digest(cursor, replace(table, generated=frozenset()), earlier, without)


def _digest(cursor: Any, table: Table, earlier: TableDigest | None, without: Strangers | None) -> TableDigest:
    columns = table.every_column
    key = table.key or columns
    if earlier is not None and earlier.key and set(earlier.key) <= set(columns):
        key = earlier.key
    if not columns:
        cursor.execute(f"SELECT count(*) FROM {table.rows_sql}")
        count = cursor.fetchone()[0]
        return TableDigest(
            key, columns, count, rows=by_key([("",)] * count) if count <= 10 * DETAIL else None
        )
    limit = DETAIL if earlier is None else 0 if earlier.rows is None and earlier.columns else 10 * DETAIL
    if limit:
        spelled = ", ".join(_shown(name) for name in columns)
        cursor.execute(f"SELECT {_key(key)}, {spelled} FROM {table.rows_sql} LIMIT {limit + 1}")
        found = cursor.fetchall()
        if len(found) <= limit:
            return TableDigest(key, columns, len(found), rows=by_key(found))
    sums = ", ".join(_sum(name, key) for name in columns)
    statement = f"SELECT count(*), {sums} FROM {table.rows_sql}".replace("%", "%%")
    if without is not None and set(without.columns) <= set(columns):
        others = _key(without.columns).replace("%", "%%")
        cursor.execute(f"{statement} WHERE {others} <> ALL (%s)", (list(without.keys),))
    else:
        cursor.execute(statement.replace("%%", "%"))
    count, *values = cursor.fetchone()
    return TableDigest(
        key, columns, count, sums={name: str(value) for name, value in zip(columns, values, strict=True)}
    )


def _key(names: Collection[str]) -> str:
    if not names:
        return "''"
    return f"concat_ws(', ', {', '.join(f'coalesce({quoted(name)}::text, $airlock$NULL$airlock$)' for name in names)})"


def _shown(name: str) -> str:
    text = f"{quoted(name)}::text"
    return f"CASE WHEN length({text}) <= {_SHOWN} THEN {text} ELSE left({text}, {_SHOWN}) || ' ... md5 ' || md5({text}) END"


def is_cut(value: str | None) -> bool:
    """Tell whether a value was too long to be remembered whole."""
    return value is not None and len(value) > _SHOWN


def _sum(name: str, key: Collection[str]) -> str:
    return f"sum(hashtextextended({_key(key)} || coalesce('=' || {quoted(name)}::text, '~'), 0))"


def by_key(found: list[Any]) -> dict[str, tuple[str | None, ...]]:
    """Name rows by key; rows that nothing tells apart are numbered."""
    rows: dict[str, tuple[str | None, ...]] = {}
    again: Counter[str] = Counter()
    for key, *values in found:
        name = key
        if name in rows:
            again[key] += 1
            name = f"{key} ({again[key] + 1})"
        rows[name] = tuple(values)
    return rows


def compare(
    before: TableDigest,
    after: TableDigest,
    table: str,
    *,
    changed_by_others: Collection[tuple[str, str]] = (),
) -> tuple[RowDifference, ...]:
    """Tell which of the rows that were there are gone or hold other values; rows that came are no difference.

    Columns are compared that both readings have. `changed_by_others` are (key, column) pairs whose change
    is somebody else's doing.
    """
    if before.rows is None or after.rows is None:
        return tuple(_compare_sums(before, after, table))
    common = [name for name in before.columns if name in after.columns]
    if before.key != after.key or not set(before.key) <= set(common):
        return tuple(_compare_values(before, after, table, common))
    found = []
    gone = [key for key in before.rows if key not in after.rows and (key, GONE) not in changed_by_others]
    if gone:
        # Where no key tells rows, another value makes another row of it: it is a value that is lost, if all else is there.
        lost = _lost_values(before, after, gone, common) if before.key == before.columns else {}
        found += [RowDifference(table, name, len(gone), gone[0], *values) for name, values in lost.items()]
        if not lost:
            found.append(RowDifference(table, None, len(gone), gone[0]))
    for name in common:
        here, there = before.columns.index(name), after.columns.index(name)
        differing = [
            (key, row[here], after.rows[key][there])
            for key, row in before.rows.items()
            if key in after.rows
            and row[here] != after.rows[key][there]
            and (key, name) not in changed_by_others
        ]
        if differing:
            found.append(RowDifference(table, name, len(differing), *differing[0]))
    return tuple(found)


def _lost_values(
    before: TableDigest, after: TableDigest, gone: Sequence[str], common: Sequence[str]
) -> dict[str, tuple[str | None, str | None]]:
    """Name the one or two columns without which every row that is gone is still there, as often; none where there are none.

    With each the value that the first of these rows had and has.
    """
    old = [before.rows[key] for key in gone] if before.rows is not None else []
    new = [row for key, row in (after.rows or {}).items() if key not in (before.rows or {})]
    for names in (*itertools.combinations(common, 1), *itertools.combinations(common, 2)):
        rest = [name for name in common if name not in names]
        here, there = ([one.columns.index(name) for name in rest] for one in (before, after))
        were = [tuple(row[place] for place in here) for row in old]
        are = [tuple(row[place] for place in there) for row in new]
        if rest and not Counter(were) - Counter(are):
            now = new[are.index(were[0])]
            return {
                name: (old[0][before.columns.index(name)], now[after.columns.index(name)]) for name in names
            }
    return {}


def can_be_compared(before: TableDigest, after: TableDigest) -> bool:
    """Tell whether sums say anything: not where rows came that nobody can tell from those that were there."""
    return before.rows is not None or after.count <= before.count


def _compare_sums(before: TableDigest, after: TableDigest, table: str) -> Iterable[RowDifference]:
    if after.count < before.count:
        yield RowDifference(table, None, before.count - after.count)
    elif after.count == before.count:
        for name, value in before.sums.items():
            if after.sums.get(name, value) != value:
                yield RowDifference(table, name, before.count)


def _compare_values(
    before: TableDigest, after: TableDigest, table: str, common: list[str]
) -> Iterable[RowDifference]:
    """Compare column by column, as bags of values, where no key ties the rows together."""
    old, new = before.rows or {}, after.rows or {}
    if len(new) < len(old):
        yield RowDifference(table, None, len(old) - len(new))
        return
    for name in common:
        here, there = before.columns.index(name), after.columns.index(name)
        missing = Counter(row[here] for row in old.values()) - Counter(row[there] for row in new.values())
        if missing:
            value = next(iter(missing))
            yield RowDifference(table, name, missing.total(), None, value, None)
