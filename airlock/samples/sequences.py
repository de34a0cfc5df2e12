"""What sequences would hand out next, and whether somebody has it already."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airlock.catalogue.fingerprint.model import plain
from airlock.drivers import prepared
from airlock.drivers.spelling import quoted
from airlock.records.difference import Difference

if TYPE_CHECKING:
    from collections import abc
    from collections.abc import Collection, Iterable, Mapping

    from airlock.drivers import client

_OWNED = """
SELECT c.oid::bigint, n.nspname, c.relname, q.seqincrement, rn.nspname, r.relname, a.attname,
  CASE WHEN t.typname IN ('int2', 'int4', 'int8') THEN 'whole' WHEN t.typname IN ('numeric', 'float4', 'float8') OR
       t.typtype = 'd' AND t.typcategory = 'N' THEN 'number' END,
  CASE WHEN r.relkind = 'p' OR NOT EXISTS (SELECT FROM pg_inherits) THEN '{}' ELSE ARRAY(
    SELECT DISTINCT x.adrelid::regclass::text FROM pg_depend e JOIN pg_attrdef x ON x.oid = e.objid
    JOIN pg_inherits i ON i.inhrelid = x.adrelid JOIN pg_attribute h ON h.attrelid = x.adrelid AND h.attnum = x.adnum
    WHERE e.classid = 'pg_attrdef'::regclass AND e.refclassid = 'pg_class'::regclass AND e.refobjid = c.oid
      AND x.adrelid <> r.oid AND h.attname = a.attname) END, r.relkind = 'p'
FROM pg_sequence q JOIN pg_class c ON c.oid = q.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
  AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
LEFT JOIN pg_class r ON r.oid = d.refobjid LEFT JOIN pg_namespace rn ON rn.oid = r.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = d.refobjsubid
LEFT JOIN pg_type t ON t.oid = a.atttypid
WHERE c.oid >= 16384 AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema'
  AND c.relpersistence <> 't'
ORDER BY n.nspname, c.relname
"""
# As if it had handed out the one before: `_next_values` tells no value of a sequence that has handed out none.
_SET = """
SELECT CASE WHEN %(last)s BETWEEN q.seqmin AND q.seqmax THEN setval(q.seqrelid, %(last)s)
  ELSE setval(q.seqrelid, %(value)s, false) END
FROM pg_sequence q WHERE q.seqrelid = %(name)s::regclass
"""
_LEAST, _MOST = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class Next:
    """What a sequence hands out next, and the furthest value in the column it serves."""

    value: int
    step: int
    column: str | None
    furthest: int | None

    @property
    def is_used(self) -> bool:
        """Tell whether the next value is one that its column has gone past."""
        if self.furthest is None:
            return False
        return self.value <= self.furthest if self.step > 0 else self.value >= self.furthest

    @property
    def follows_its_column(self) -> bool:
        """Tell whether the next value is the one behind the column's furthest, as `setval(…, max(id))` makes it."""
        return self.furthest is not None and self.value == self.furthest + self.step

    def behind(self, other: Next) -> bool:
        """Tell whether this hands out again what the other had already handed out."""
        return self.value < other.value if other.step > 0 else self.value > other.value


@dataclass(frozen=True, slots=True)
class KnownSequence:
    """A sequence, what it serves, and SQL for the furthest value there; `table` is None where it serves no column."""

    oid: int
    label: str
    sql: str
    step: int
    table: str | None
    column: str | None
    furthest: str | None


def list_sequences(connection: client.Connection) -> tuple[KnownSequence, ...]:
    """List every sequence. Reads the catalogue only."""
    with connection.cursor() as cursor:
        prepared.execute(connection, cursor, _OWNED)
        return tuple(_sequence(*row) for row in cursor.fetchall())


def read_sequences(
    connection: client.Connection, known: Mapping[str, Next] | None = None, steady: Collection[str] = (),
    listed: Iterable[KnownSequence] | None = None,
) -> dict[str, Next]:  # fmt: skip
    """Read every sequence's next value, without taking one. Reads the served columns' furthest values.

    Those are taken from `known` for the tables in `steady`. `listed` are the sequences, where they are known.
    """
    found: dict[str, Next] = {}
    unread = []
    listed = list_sequences(connection) if listed is None else tuple(listed)
    values = _next_values(connection, listed)
    for one in listed:
        value, then = values.get(one.oid), (known or {}).get(one.label)
        if value is not None and one.furthest is None:
            found[one.label] = Next(value, one.step, one.column, None)
        elif (
            value is not None
            and one.table in steady
            and then is not None
            and (then.step, then.column) == (one.step, one.column)
        ):
            found[one.label] = replace(then, value=value)
        else:
            unread.append(one)
    return found | _read(connection, unread)


def _next_values(connection: client.Connection, listed: Collection[KnownSequence]) -> dict[int, int]:
    """Give what those sequences hand out next that have handed out something: one query, whatever their number."""
    if not listed:
        return {}
    query = "SELECT o::bigint, pg_sequence_last_value(o) FROM unnest(%(oids)s::oid[]) AS o"
    with connection.cursor() as cursor:
        oids = {"oids": [one.oid for one in listed]}
        prepared.execute(connection, cursor, query, {"oids": "oid[]"}, oids)
        last = dict(cursor.fetchall())
    return {one.oid: last[one.oid] + one.step for one in listed if last[one.oid] is not None}


def _read(connection: client.Connection, wanted: abc.Sequence[KnownSequence]) -> dict[str, Next]:
    found = {}
    with connection.cursor() as cursor:
        for part in range(0, len(wanted), 100):
            some = wanted[part : part + 100]
            each = (
                f"SELECT {place}, last_value, is_called, {one.furthest or 'NULL::bigint'} FROM {one.sql}"
                for place, one in enumerate(some)
            )
            cursor.execute(" UNION ALL ".join(each))
            for place, last, called, furthest in cursor.fetchall():
                one = some[place]
                found[one.label] = Next(last + one.step if called else last, one.step, one.column, furthest)
    return found


def _labels(
    schema: str, name: str, table_schema: str | None, table: str | None, column: str | None
) -> tuple[str, str | None, str | None]:
    """Name a sequence, the column that it serves, and that one's table."""
    label = f"sequence {plain(schema)}.{plain(name)}"
    if table_schema is None or table is None or column is None:
        return label, None, None
    served = f"{plain(table_schema)}.{plain(table)}"
    return label, f"{served}.{plain(column)}", served


def set_sequences(
    connection: client.Connection, wanted: Mapping[str, Next], listed: Iterable[KnownSequence] | None = None
) -> None:
    """Let sequences hand out next what `wanted` says, but for those whose column holds it already. Takes effect at once.

    `listed` are the sequences, where they are known.
    """
    there = list_sequences(connection) if listed is None else listed
    listed = [one for one in there if one.label in wanted]
    values = _next_values(connection, listed)
    moved = [one for one in listed if values.get(one.oid) != wanted[one.label].value]
    with connection.cursor() as cursor:
        for label, now in _read(connection, moved).items():
            then = wanted[label]
            if then.value == now.value or replace(then, furthest=now.furthest).is_used:
                continue
            cursor.execute(
                _SET, {"name": label.partition(" ")[2], "value": then.value, "last": then.value - then.step}
            )


def _sequence(
    oid: int,
    schema: str,
    name: str,
    step: int,
    table_schema: str | None,
    table: str | None,
    column: str | None,
    type_: str | None,
    heirs: abc.Sequence[str],
    partitioned: bool | None,
) -> KnownSequence:
    label, served, owner = _labels(schema, name, table_schema, table, column)
    furthest = None
    if table and table_schema and column and type_:
        best = "max" if step > 0 else "min"
        value, whole = quoted(column), ""
        if type_ == "number":
            # What no sequence reaches (NaN, 1e40) says nothing about it.
            value = f"{value}::numeric"
            whole = f" WHERE {value} BETWEEN {_LEAST} AND {_MOST}"
        # Tables that inherit have keys of their own, and numbers of another sequence, unless they ask this one too.
        only = "" if partitioned else "ONLY "
        held = (f"{only}{one}" for one in (f"{quoted(table_schema)}.{quoted(table)}", *heirs))
        each = ", ".join(f"(SELECT {best}({value})::bigint FROM {one}{whole})" for one in held)
        furthest = f"{'greatest' if step > 0 else 'least'}({each})"
    return KnownSequence(oid, label, f"{quoted(schema)}.{quoted(name)}", step, owner, served, furthest)


def compare_sequences(before: dict[str, Next], after: dict[str, Next]) -> tuple[Difference, ...]:
    """List sequences that would hand out a used key, or hand out again what they have handed out.

    Not those that go on behind the last key that is there: of keys that nobody holds any longer, no row tells.
    """
    found = []
    for name, now in after.items():
        then = before.get(name)
        if now.is_used and not (then is not None and then.is_used):
            found.append(
                Difference(
                    name,
                    "next value",
                    str(then.value) if then else None,
                    f"{now.value}, but {now.column} holds up to {now.furthest}",
                )
            )
        elif then is not None and now.behind(then) and not now.follows_its_column:
            found.append(Difference(name, "next value", str(then.value), f"{now.value}, handed out before"))
    return tuple(found)
