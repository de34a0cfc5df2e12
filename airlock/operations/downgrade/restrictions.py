"""What rows must satisfy, read from the catalogue: what an upgrade lifts and its downgrade lays on again.

Rows that were written in the freedom between stand in the way of the downgrade, or are changed by it.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airlock.drivers.spelling import literal, quoted
from airlock.recorder.tokens import WORD, tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airlock.database.server import type_connection

# Constraints that were never validated look at no row that is there.
_CONSTRAINTS = """
SELECT c.contype::text, c.oid::bigint, c.conrelid::bigint, c.conkey::int[], c.confrelid::bigint, c.confkey::int[],
  CASE WHEN c.contype = 'c' THEN pg_get_expr(c.conbin, c.conrelid) END, coalesce((to_jsonb(c) ->> 'conperiod')::boolean, false),
  c.contype = 'f' AND c.confmatchtype = 'f' AND cardinality(c.conkey) > 1, coalesce(f.relkind = 'p', false)
FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid JOIN pg_namespace n ON n.oid = r.relnamespace
LEFT JOIN pg_class f ON f.oid = c.confrelid
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
# A domain's CHECKs, and those of what it is made of, for each column of it.
_OF_DOMAINS = """
WITH RECURSIVE made AS (
  SELECT t.oid AS domain, t.oid AS of, t.typbasetype AS base FROM pg_type t WHERE t.typtype = 'd' AND t.oid >= 16384
  UNION ALL SELECT m.domain, b.oid, b.typbasetype FROM made m JOIN pg_type b ON b.oid = m.base AND b.typtype = 'd')
SELECT k.oid::bigint, r.oid::bigint, a.attnum::int, a.attname, pg_get_expr(k.conbin, 0), m.domain::bigint
FROM made m JOIN pg_constraint k ON k.contypid = m.of AND k.contype = 'c' AND k.convalidated
JOIN pg_attribute a ON a.atttypid = m.domain AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_class r ON r.oid = a.attrelid JOIN pg_namespace n ON n.oid = r.relnamespace
WHERE r.relkind IN ('r', 'p') AND r.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
"""
# What a partition's bounds, and those above it, ask of its rows. That of a default one is what its neighbours leave.
_OF_PARTITIONS = """
SELECT r.oid::bigint, pg_get_partition_constraintdef(r.oid), CASE WHEN pg_get_expr(r.relpartbound, r.oid) = 'DEFAULT' THEN
  ARRAY(SELECT pg_get_expr(s.relpartbound, s.oid) FROM pg_inherits o JOIN pg_class s ON s.oid = o.inhrelid
        WHERE o.inhparent = i.inhparent AND o.inhrelid <> r.oid) END,
  ARRAY(SELECT pg_get_expr(s.relpartbound, s.oid) FROM pg_partition_ancestors(r.oid) a JOIN pg_class s ON s.oid = a.relid
        WHERE s.relispartition AND s.oid <> r.oid ORDER BY s.oid), pg_get_expr(r.relpartbound, r.oid)
FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace
JOIN pg_inherits i ON i.inhrelid = r.oid AND NOT i.inhdetachpending
WHERE r.relispartition AND r.relkind = 'r' AND r.relpersistence <> 't'
  AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
"""
_HASHED = re.compile(r"(?<=satisfies_hash_partition\()'(\d+)'::oid")


@dataclass(frozen=True)
class Restriction:
    """One rule over several rows or columns of a table: `kind` is "unique", "exclusion", "foreign key" or "check".

    Two are the same where they ask the same, whatever they are called. Columns are numbers; `keys` are the spelled parts
    of a unique key or an exclusion, `operators` what no two rows' parts may answer yes to together, `text` a CHECK's
    or a partial key's condition, `target` and `target_columns` a foreign key's; of one with PERIOD, that is the last column.
    `full` is a foreign key that takes all of its columns or none (MATCH FULL), `partitioned` one whose target is: of any other
    table, rows of those that inherit from it are no partners. `domain` is the type whose rule it is, `beside` the bounds of
    the partitions that leave rows to the default one.
    `number` is the constraint's or the index's: while that stays, so does what it asks, whatever a type, a label or a function
    in its text is called meanwhile. A partition's is below zero, and stands for its bounds.
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
    full: bool = False
    partitioned: bool = field(default=False, compare=False)
    domain: int = field(default=0, compare=False)
    beside: tuple[str, ...] = ()
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
        known = (" OR " if self.full else " AND ").join(f"{name} IS NOT NULL" for name in names)
        if self.full:
            known = f"({known})"
        if target is None:
            return known
        others = [column(self.target, number) for number in self.target_columns]
        if any(name is None for name in others):
            return known
        alike = list(zip(others, names, strict=True))
        within = [alike.pop()] if self.period else []
        partner = "partner" if table != '"partner"' else "its_partner"
        there = f"{target} AS {partner}" if self.partitioned else f"ONLY {target} AS {partner}"
        same = " AND ".join(f"{partner}.{theirs} = {table}.{ours}" for theirs, ours in alike)
        for theirs, ours in within:
            whole = f"SELECT range_agg({partner}.{theirs}) FROM {there} WHERE {same}"  # noqa: S608
            return f"{known} AND ({table}.{ours} <@ ({whole})) IS NOT TRUE"
        return f"{known} AND NOT EXISTS (SELECT FROM {there} WHERE {same})"

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
        for (
            kind,
            number,
            table,
            columns,
            target,
            target_columns,
            text,
            period,
            full,
            partitioned,
        ) in cursor.fetchall():
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
                    full=full,
                    partitioned=partitioned,
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
        cursor.execute(_OF_DOMAINS)
        for number, table, column, name, text, domain in cursor.fetchall():
            asked = _asked_of(name, text)
            found.add(Restriction("check", table, (column,), asked, domain=domain, number=number))
        found.update(_of_partitions(cursor))
    return frozenset(found)


def _asked_of(column: str, text: str) -> str:
    """Put a column in a domain's CHECK."""
    parts, place = [], 0
    for token in tokens(text):
        if token.kind == WORD and token.text == "VALUE":
            parts += [text[place : token.start], quoted(column)]
            place = token.end
    return "".join([*parts, text[place:]])


def _of_partitions(cursor: Any) -> Iterator[Restriction]:
    cursor.execute(_OF_PARTITIONS)
    bounds = cursor.fetchall()
    names: dict[str, str] = {}
    if any(_HASHED.search(text or "") for _, text, *_ in bounds):
        # A number is another one on each database.
        cursor.execute(
            "SELECT c.oid::text, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relkind = 'p'"
        )
        names = {number: literal(quoted(*name)) for number, *name in cursor.fetchall()}
    for table, text, neighbours, above, own in bounds:
        if text:
            spelled = _HASHED.sub(lambda found: f"{names[found[1]]}::regclass", text)
            beside = tuple(sorted(neighbours)) if neighbours is not None else ()
            # What is left to a default one above it is not told by its bounds.
            bound = (table, beside, above, spelled if "DEFAULT" in above else own)
            yield Restriction(
                "check", table, (), spelled, beside=beside, number=-1 - zlib.crc32(repr(bound).encode())
            )
