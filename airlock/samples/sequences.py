"""What sequences would hand out next, and whether somebody has it already."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airlock.catalogue.fingerprint.model import plain
from airlock.drivers import prepared
from airlock.drivers.spelling import quoted
from airlock.records.difference import Difference

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from airlock.drivers import client

_OWNED = """
SELECT n.nspname, c.relname, q.seqincrement, rn.nspname, r.relname, a.attname,
  CASE WHEN t.typname IN ('int2', 'int4', 'int8') THEN 'whole' WHEN t.typname IN ('numeric', 'float4', 'float8') OR
       t.typtype = 'd' AND t.typcategory = 'N' THEN 'number' END,
  CASE WHEN r.relkind = 'p' THEN '{}' ELSE ARRAY(
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


def read_sequences(
    connection: client.Connection, known: Mapping[str, Next] | None = None, steady: Collection[str] = ()
) -> dict[str, Next]:
    """Read every sequence's next value, without taking one. Reads the served columns' furthest values.

    Those that are `known` and serve no column, or one of a table in `steady`, are not read again.
    """
    found: dict[str, Next] = {}
    with connection.cursor() as cursor:
        prepared.execute(connection, cursor, _OWNED)
        owned = []
        for row in cursor.fetchall():
            label, column, table = _labels(*row[:2], *row[3:6])
            now = (known or {}).get(label)
            same = now is not None and (now.step, now.column) == (row[2], column)
            if now is not None and same and (table is None or table in steady):
                found[label] = now
            else:
                owned.append(row)
        for part in range(0, len(owned), 100):
            some = owned[part : part + 100]
            cursor.execute(" UNION ALL ".join(_one(place, *row) for place, row in enumerate(some)))
            for place, last, called, furthest in cursor.fetchall():
                step = some[place][2]
                label, serves, _ = _labels(*some[place][:2], *some[place][3:6])
                found[label] = Next(last + step if called else last, step, serves, furthest)
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


def set_sequences(connection: client.Connection, wanted: Mapping[str, Next]) -> None:
    """Let sequences hand out next what `wanted` says, but for those whose column holds it already. Takes effect at once."""
    with connection.cursor() as cursor:
        for label, now in read_sequences(connection).items():
            then = wanted.get(label)
            if then is None or then.value == now.value or replace(then, furthest=now.furthest).is_used:
                continue
            cursor.execute("SELECT setval(%s::regclass, %s, false)", (label.partition(" ")[2], then.value))


def _one(
    place: int,
    schema: str,
    name: str,
    step: int,
    table_schema: str | None,
    table: str | None,
    column: str | None,
    type_: str | None,
    heirs: Sequence[str],
    partitioned: bool | None,
) -> str:
    furthest = "NULL::bigint"
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
    return f"SELECT {place}, last_value, is_called, {furthest} FROM {quoted(schema)}.{quoted(name)}"


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
