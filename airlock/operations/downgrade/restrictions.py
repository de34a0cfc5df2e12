"""What rows must satisfy, read from the catalogue: what an upgrade lifts and its downgrade lays on again.

Rows that were written in the freedom between stand in the way of the downgrade, or are changed by it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airlock.database.server import type_connection

# Constraints that were never validated look at no row that is there.
_CONSTRAINTS = """
SELECT c.contype::text, c.oid::bigint, c.conrelid::bigint, c.conkey::int[], c.confrelid::bigint, c.confkey::int[],
  CASE WHEN c.contype = 'c' THEN pg_get_expr(c.conbin, c.conrelid) END, coalesce((to_jsonb(c) ->> 'conperiod')::boolean, false)
FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid JOIN pg_namespace n ON n.oid = r.relnamespace
WHERE c.contype IN ('c', 'f') AND c.convalidated AND r.relkind IN ('r', 'p') AND r.relpersistence <> 't'
  AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
"""
_UNIQUE = """
SELECT x.oid::bigint, i.indrelid::bigint, (i.indkey::int2[]::int[])[0 : i.indnkeyatts - 1],
  pg_get_expr(i.indpred, i.indrelid),
  ARRAY(SELECT pg_get_indexdef(i.indexrelid, k, true) FROM generate_series(1, i.indnkeyatts) AS k),
  coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false)
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class r ON r.oid = i.indrelid
JOIN pg_namespace n ON n.oid = r.relnamespace
WHERE i.indisunique AND i.indisvalid AND NOT i.indisexclusion AND r.relkind IN ('r', 'p') AND r.relpersistence <> 't'
  AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
"""
# Keys WITHOUT OVERLAPS are such constraints too (PostgreSQL 18).
_EXCLUDING = """
SELECT i.indexrelid::bigint, i.indrelid::bigint, (i.indkey::int2[]::int[])[0 : i.indnkeyatts - 1],
  pg_get_expr(i.indpred, i.indrelid),
  ARRAY(SELECT pg_get_indexdef(i.indexrelid, k, true) FROM generate_series(1, i.indnkeyatts) AS k),
  ARRAY(SELECT format('OPERATOR(%I.%s)', s.nspname, o.oprname)
        FROM unnest(c.conexclop) WITH ORDINALITY AS u(operator, place)
        JOIN pg_operator o ON o.oid = u.operator JOIN pg_namespace s ON s.oid = o.oprnamespace ORDER BY u.place)
FROM pg_constraint c JOIN pg_index i ON i.indexrelid = c.conindid JOIN pg_class r ON r.oid = c.conrelid
JOIN pg_namespace n ON n.oid = r.relnamespace
WHERE i.indisexclusion AND i.indisvalid AND r.relkind IN ('r', 'p') AND r.relpersistence <> 't'
  AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
"""


@dataclass(frozen=True)
class Restriction:
    """One rule over several rows or columns of a table: `kind` is "unique", "exclusion", "foreign key" or "check".

    Two are the same where they ask the same, whatever they are called. Columns are numbers; `keys` are the spelled parts
    of a unique key or an exclusion, `operators` what no two rows' parts may answer yes to together, `text` a CHECK's
    or a partial key's condition, `target` and `target_columns` a foreign key's; of one with PERIOD, that is the last column.
    `number` is the constraint's or the index's: while that stays, so does what it asks, whatever a type, a label or a function
    in its text is called meanwhile.
    """

    kind: str
    table: int
    columns: tuple[int, ...]
    text: str = ""
    keys: tuple[str, ...] = ()
    target: int = 0
    target_columns: tuple[int, ...] = ()
    nulls_too: bool = False
    operators: tuple[str, ...] = ()
    period: bool = False
    number: int = field(default=0, compare=False)

    def breaking(
        self, table: str, column: Callable[[int, int], str | None], target: str | None
    ) -> str | None:
        """Spell the condition of a row that breaks it; None where a column that it names is not there.

        `table` is the quoted name of the table without its schema, `column` quotes the name of a table's column,
        `target` is the quoted name of the table referred to: None where there is no row to refer to.
        """
        names = [column(self.table, number) for number in self.columns if number]
        if any(name is None for name in names):
            return None
        if self.kind == "check":
            return f"({self.text}) IS FALSE"
        if self.kind == "unique":
            return self._repeated([str(name) for name in self._parts(column)])
        if self.kind == "exclusion":
            return self._beside([str(name) for name in self._parts(column)])
        known = " AND ".join(f"{name} IS NOT NULL" for name in names)
        if target is None:
            return known
        others = [column(self.target, number) for number in self.target_columns]
        if any(name is None for name in others):
            return known
        alike = list(zip(others, names, strict=True))
        within = [alike.pop()] if self.period else []
        same = " AND ".join(f"partner.{theirs} = {table}.{ours}" for theirs, ours in alike)
        for theirs, ours in within:
            whole = f"SELECT range_agg(partner.{theirs}) FROM {target} AS partner WHERE {same}"  # noqa: S608
            return f"{known} AND ({table}.{ours} <@ ({whole})) IS NOT TRUE"
        return f"{known} AND NOT EXISTS (SELECT FROM {target} AS partner WHERE {same})"

    def _parts(self, column: Callable[[int, int], str | None]) -> Iterator[str | None]:
        for number, spelled in zip(self.columns, self.keys, strict=True):
            yield column(self.table, number) if number else f"({spelled})"

    def _repeated(self, parts: list[str]) -> str:
        """Every row but the first of those that are alike."""
        asked = [f"({self.text})"] if self.text else []
        if not self.nulls_too:
            asked += [f"{part} IS NOT NULL" for part in parts]
        where = f" WHERE {' AND '.join(asked)}" if asked else ""
        among = f"row_number() OVER (PARTITION BY {', '.join(parts)} ORDER BY ctid) AS place_among"
        alike = f"SELECT ctid AS place, {among} FROM ONLY {{table}}{where}"  # noqa: S608
        return f"ctid IN (SELECT place FROM ({alike}) AS alike WHERE place_among > 1)"  # noqa: S608

    def _beside(self, parts: list[str]) -> str:
        """Every row that an earlier one excludes."""
        where = f" WHERE ({self.text})" if self.text else ""
        listed = ", ".join(f"{part} AS part_{number}" for number, part in enumerate(parts))
        some = f"(SELECT ctid AS place_beside, {listed} FROM ONLY {{table}}{where})"  # noqa: S608
        excluded = " AND ".join(
            f"one.part_{number} {operator} other.part_{number}"
            for number, operator in enumerate(self.operators)
        )
        joined = f"{some} AS one JOIN {some} AS other ON one.place_beside > other.place_beside AND {excluded}"
        return f"ctid IN (SELECT one.place_beside FROM {joined})"  # noqa: S608


def read(connection: type_connection) -> frozenset[Restriction]:
    """Read the unique keys, exclusions, foreign keys and CHECKs of every table. Queries of the catalogue, no lock."""
    found: set[Restriction] = set()
    with connection.cursor() as cursor:
        cursor.execute(_CONSTRAINTS)
        for kind, number, table, columns, target, target_columns, text, period in cursor.fetchall():
            word = "check" if kind == "c" else "foreign key"
            pair = tuple(columns or ()), tuple(target_columns or ())
            found.add(
                Restriction(
                    word,
                    table,
                    pair[0],
                    text or "",
                    target=target or 0,
                    target_columns=pair[1],
                    period=period,
                    number=number,
                )
            )
        cursor.execute(_UNIQUE)
        for number, table, columns, predicate, keys, nulls_too in cursor.fetchall():
            found.add(
                Restriction(
                    "unique",
                    table,
                    tuple(columns),
                    predicate or "",
                    tuple(keys),
                    nulls_too=nulls_too,
                    number=number,
                )
            )
        cursor.execute(_EXCLUDING)
        for number, table, columns, predicate, keys, operators in cursor.fetchall():
            found.add(
                Restriction(
                    "exclusion",
                    table,
                    tuple(columns),
                    predicate or "",
                    tuple(keys),
                    operators=tuple(operators),
                    number=number,
                )
            )
    return frozenset(found)
