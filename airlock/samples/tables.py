"""What must be known of tables to write rows into them: read from the catalogue in four queries."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airlock.catalogue.fingerprint.model import plain
from airlock.drivers import client, prepared
from airlock.drivers.spelling import quoted
from airlock.samples import derived
from airlock.samples.builtin_types import BY_TYPE, RANGE_BOUNDS, Values
from airlock.samples.input_forms import forms_of
from airlock.samples.model import Check, Column, ForeignKey, Table, Unique

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


_TABLES = """
SELECT c.oid, n.nspname, c.relname,
  (SELECT count(*) > 0 FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D'),
  EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type IN ('2', '3')),
  CASE WHEN c.relkind = 'p' THEN (
    SELECT string_agg('(' || coalesce(pg_get_partition_constraintdef(t.relid), 'true') || ')', ' OR ')
    FROM pg_partition_tree(c.oid) t WHERE t.isleaf AND t.relid <> c.oid) END,
  CASE WHEN c.relkind = 'p' THEN (
    SELECT array_agg(pg_get_expr(l.relpartbound, l.oid)) FROM pg_partition_tree(c.oid) t
    JOIN pg_class l ON l.oid = t.relid WHERE t.level > 0) END,
  (SELECT array_agg(p.prosrc ORDER BY g.tgname) FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
   JOIN pg_language y ON y.oid = p.prolang AND y.lanname = 'plpgsql'
   WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgenabled IN ('O', 'A') AND g.tgtype::int & 7 = 7),
  CASE WHEN c.relkind = 'p' THEN (SELECT array_agg(l.oid::regclass::text) FROM pg_partition_tree(c.oid) t
   JOIN pg_class l ON l.oid = t.relid WHERE l.relkind = 'f') END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' AND c.oid >= 16384
  AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema'
  AND %(of_extensions)s = EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid
                                  AND e.deptype = 'e')
  AND (%(names)s::text[] IS NULL OR c.oid = ANY ({named}) OR EXISTS (
    SELECT FROM pg_constraint k WHERE k.contype = 'f' AND k.confrelid = c.oid AND k.conrelid = ANY ({named})))
ORDER BY n.nspname, c.relname
""".format(named="(SELECT %(names)s::text[]::regclass[]::oid[])::oid[]")  # read once, not for each table
_COLUMNS = """
SELECT a.attrelid, a.attname, a.attnum, format_type(coalesce(b.oid, t.oid), NULL),
  coalesce(b.typtype, t.typtype), coalesce(b.typcategory, t.typcategory),
  NOT (a.attnotnull OR coalesce(w.notnull, false)),
  CASE WHEN coalesce(nullif(w.modifier, -1), a.atttypmod) >= 0 THEN coalesce(nullif(w.modifier, -1), a.atttypmod) END,
  coalesce(pg_get_expr(d.adbin, d.adrelid), CASE WHEN a.attgenerated = '' THEN t.typdefault END),
  pg_get_serial_sequence(a.attrelid::regclass::text, a.attname), a.attidentity, a.attgenerated,
  (SELECT array_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = coalesce(x.oid, b.oid, t.oid)),
  coalesce((SELECT format_type(r.rngsubtype, NULL) FROM pg_range r WHERE coalesce(b.oid, t.oid) IN (r.rngtypid, r.rngmultitypid)),
           format_type(x.oid, NULL)),
  CASE WHEN t.typtype = 'd' THEN t.oid END,
  CASE WHEN t.typtype = 'd' THEN (SELECT array_agg(pg_get_expr(k.conbin, 0) ORDER BY k.conname) FROM pg_constraint k
   WHERE k.contypid = ANY (w.domains) AND k.contype = 'c') END,
  format_type(coalesce(b.oid, t.oid), coalesce(nullif(w.modifier, -1), a.atttypmod)), coalesce(x.oid, b.oid, t.oid) >= 16384
    OR coalesce(x.oid, b.oid, t.oid)::regtype::text = ANY (%(rare)s),
  x.typtype, coalesce(
    (SELECT format_type(r.rngsubtype, NULL) FROM pg_range r WHERE x.oid IN (r.rngtypid, r.rngmultitypid)),
    CASE WHEN x.typtype = 'd' THEN CASE WHEN NOT EXISTS (SELECT FROM pg_constraint k WHERE k.contypid = x.oid)
      THEN format_type(x.typbasetype, x.typtypmod) END END),
  coalesce(x.typrelid, b.typrelid, t.typrelid)
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN LATERAL (
  WITH RECURSIVE chain AS (
    SELECT t.oid, t.typbasetype, t.typtypmod, t.typnotnull WHERE t.typtype = 'd'
    UNION ALL SELECT y.oid, y.typbasetype, y.typtypmod, y.typnotnull FROM chain JOIN pg_type y ON y.oid = chain.typbasetype)
  SELECT array_agg(oid) FILTER (WHERE typbasetype <> 0) AS domains, max(oid::bigint) FILTER (WHERE typbasetype = 0) AS base,
    max(typtypmod) AS modifier, bool_or(typnotnull) AS notnull FROM chain) w ON true
LEFT JOIN pg_type b ON b.oid = w.base
LEFT JOIN pg_type x ON x.oid = coalesce(b.typelem, t.typelem) AND coalesce(b.typcategory, t.typcategory) = 'A'
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = ANY (%(oids)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
"""
# What `_COLUMNS` says of a column of one type: in the place of pg_class.oid, which no sequence and no default belongs to.
_OF_TYPE = _COLUMNS.replace(
    "FROM pg_attribute a JOIN",
    """FROM (SELECT 'pg_class'::regclass::oid AS attrelid, 'oid'::name AS attname, 1::int2 AS attnum,
  %(type)s::regtype::oid AS atttypid, -1 AS atttypmod, false AS attnotnull, ''::"char" AS attidentity, ''::"char" AS attgenerated,
  false AS attisdropped) a JOIN""",
)
_PG_CLASS = 1259
# Built-in types of which hardly a table has a column: their input functions are asked, as those of unknown extensions.
_RARE = (
    "regtype", "regprocedure", "regrole", "regnamespace", "regconfig", "regdictionary", "regcollation", "regoperator",
    "gtsvector",
)  # fmt: skip
# Arrays to PostgreSQL's catalogue, but neither NULLs nor other bounds or dimensions fit into them.
_VECTORS = frozenset({"int2vector", "oidvector"})
_RARE_ONE = -4  # where a row of `_COLUMNS` says that its type is one of those
_CONSTRAINTS = """
SELECT k.conrelid, k.conname, k.contype,
  (SELECT array_agg(a.attname ORDER BY u.n) FROM unnest(k.conkey) WITH ORDINALITY u (m, n)
   JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.m),
  k.confrelid,
  (SELECT array_agg(a.attname ORDER BY u.n) FROM unnest(k.confkey) WITH ORDINALITY u (m, n)
   JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.m),
  k.condeferrable, k.confmatchtype = 'f', pg_get_expr(k.conbin, k.conrelid), k.convalidated
FROM pg_constraint k
WHERE k.conrelid = ANY (%(oids)s::oid[]) AND k.contype IN ('c', 'f') AND k.conparentid = 0
ORDER BY k.conrelid, k.conname
"""
_UNIQUES = """
SELECT i.indrelid, x.relname, i.indisprimary, NOT i.indimmediate,
  0 = ANY (i.indkey::int2[]), i.indpred IS NOT NULL, i.indisexclusion,
  CASE WHEN 0 = ANY (i.indkey::int2[]) THEN (
    SELECT array_agg(DISTINCT a.attname ORDER BY a.attname) FROM pg_depend d
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refobjid = i.indrelid)
  ELSE (SELECT array_agg(a.attname ORDER BY u.n) FROM unnest(i.indkey::int2[]) WITH ORDINALITY u (m, n)
   JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.m WHERE u.n <= i.indnkeyatts) END,
  (SELECT bool_and(a.attnotnull) FROM unnest(i.indkey::int2[]) u (m)
   JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.m)
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
WHERE i.indrelid = ANY (%(oids)s::oid[]) AND (i.indisunique OR i.indisexclusion) AND i.indislive
ORDER BY i.indrelid, x.relname
"""
_OIDS = {"oids": "oid[]"}
_RANGES = frozenset({"r", "m"})
_RESTORE = "SELECT set_config('search_path', %s, true), set_config('plan_cache_mode', %s, true)"
NEUTRAL = "SELECT set_config('search_path', 'pg_catalog', true)"


def read_tables(
    connection: client.Connection,
    *,
    names: Collection[str] | None = None,
    exclude: Collection[str] = (),
    targets: bool = False,
    of_extensions: bool = False,
) -> tuple[Table, ...]:
    """Read all tables, or those of these labels (`phase2.task`), without partitions and extensions' tables.

    Without those, too, that have a foreign table for a partition which another server does not give: nobody can read them.

    `targets` adds the tables that their foreign keys refer to; `of_extensions` asks for extensions' tables, and no others.

    Reads the catalogue inside the caller's transaction, or in one of its own that it ends. Its queries are prepared: not
    for a connection behind a transaction pooler.
    """
    with connection.cursor() as cursor:
        opened = connection.info.transaction_status == 0
        begin, settings = "", None
        if opened and connection.autocommit:
            begin = "BEGIN READ ONLY; "
        else:
            cursor.execute("SELECT current_setting('search_path'), current_setting('plan_cache_mode')")
            settings = cursor.fetchone()
        cursor.execute(f"{begin}{NEUTRAL}, {prepared.GENERIC}")
        try:
            return _read(connection, cursor, names, exclude, targets=targets, of_extensions=of_extensions)
        finally:
            if opened:
                cursor.execute("ROLLBACK")
            elif connection.info.transaction_status == 2:
                cursor.execute(_RESTORE, settings)


def _existing(cursor: Any, names: Collection[str]) -> list[str]:
    """Leave out names of tables that are not there: a regclass must exist. Labels are valid spellings of names."""
    cursor.execute(
        "SELECT array_agg(name) FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NOT NULL",
        ([_spelled(name) for name in names],),
    )
    return list((cursor.fetchone() or ([],))[0] or [])


def _spelled(label: str) -> str:
    """Quote a label's parts that stand bare in it: keywords are names too."""
    parts = re.findall(r'"(?:[^"]|"")*"|[^.]+', label)
    return ".".join(part if part.startswith('"') else f'"{part}"' for part in parts)


def _read(
    connection: client.Connection,
    cursor: Any,
    names: Collection[str] | None,
    exclude: Collection[str],
    *,
    targets: bool,
    of_extensions: bool,
) -> tuple[Table, ...]:
    named = {"names": None if names is None else _existing(cursor, names), "of_extensions": of_extensions}
    prepared.execute(connection, cursor, _TABLES, {"names": "text[]", "of_extensions": "boolean"}, named)
    found = [row for row in cursor.fetchall() if not row[-1] or _are_there(cursor, row[-1])]
    labels = {row[0]: f"{plain(row[1])}.{plain(row[2])}" for row in found}
    everything = targets or names is None
    rows = [
        row
        for row in found
        if labels[row[0]] not in exclude and (everything or labels[row[0]] in (names or ()))
    ]
    oids = [row[0] for row in rows]
    columns, generated, checks = _columns(connection, cursor, oids)
    keys = _constraints(connection, cursor, oids, checks)
    uniques = _uniques(connection, cursor, oids)
    found_tables = []
    for oid, schema, name, triggers, rules, partition_check, bounds, bodies, _ in rows:
        made = list(derived.by_triggers(bodies or ()))
        here = [one.name for one in columns[oid]]
        made += [it for one, text in generated[oid].items() for it in derived.generated(one, text, here)]
        checks[oid] += derived.checks_of_sources(checks[oid], made)
        keys[oid] += derived.keys_of_sources(keys[oid], made)
        uniques[oid] += derived.uniques_of_sources(uniques[oid], made)
        found_tables.append(Table(
            oid, schema, name, tuple(columns[oid]), tuple(keys[oid]), tuple(checks[oid]), tuple(uniques[oid]),
            tuple(bounds or ()), partition_check, triggers, rules, frozenset(generated[oid]),
        ))  # fmt: skip
    return tuple(found_tables)


def _are_there(cursor: Any, far: Sequence[str]) -> bool:
    """Tell whether foreign tables can be read: that their servers are there, take the login, and have such tables."""

    def ask() -> bool:
        for one in far:
            cursor.execute(f"SELECT FROM {one} LIMIT 1".replace("%", "%%"), ())
        return True

    return client.in_savepoint(cursor, ask) is not None


def _columns(
    connection: client.Connection, cursor: Any, oids: list[int]
) -> tuple[dict[int, list[Column]], dict[int, dict[str, str]], dict[int, list[Check]]]:
    """Read by table the columns that take a value, the expressions of generated ones, and the CHECKs of their domains."""
    columns: dict[int, list[Column]] = {oid: [] for oid in oids}
    generated: dict[int, dict[str, str]] = {oid: {} for oid in oids}
    checks: dict[int, list[Check]] = {oid: [] for oid in oids}
    asked: dict[str, tuple[str, ...]] = {}
    values = {"oids": oids, "rare": list(_RARE)}
    prepared.execute(connection, cursor, _COLUMNS, {**_OIDS, "rare": "text[]"}, values)
    for row in cursor.fetchall():
        column, is_generated, conditions = _column(row)
        if row[-1]:
            column = replace(column, parts=_parts(cursor, row[-1]))
        column = _let_in(cursor, column)
        if row[_RARE_ONE] and not is_generated and column.kind == "b":
            column = replace(column, forms=forms_of(cursor, column, asked))
        if is_generated:
            generated[row[0]][column.name] = column.default or ""
            continue
        columns[row[0]].append(column)
        for number, condition in enumerate(conditions):
            checks[row[0]].append(_domain_check(column, number, condition))
    return columns, generated, checks


def _constraints(
    connection: client.Connection, cursor: Any, oids: list[int], checks: dict[int, list[Check]]
) -> dict[int, list[ForeignKey]]:
    """Read the foreign keys by table, and add the CHECKs to those that are known."""
    keys: dict[int, list[ForeignKey]] = {oid: [] for oid in oids}
    prepared.execute(connection, cursor, _CONSTRAINTS, _OIDS, {"oids": oids})
    for oid, name, kind, here, target, there, deferrable, full, expression, valid in cursor.fetchall():
        if kind == "c":
            checks[oid].append(Check(name, tuple(here or ()), expression, valid))
        else:
            keys[oid].append(ForeignKey(name, tuple(here), target, tuple(there), deferrable, full))
    return keys


def _uniques(connection: client.Connection, cursor: Any, oids: list[int]) -> dict[int, list[Unique]]:
    """Read by table what keeps rows apart: unique indexes and exclusions."""
    uniques: dict[int, list[Unique]] = {oid: [] for oid in oids}
    prepared.execute(connection, cursor, _UNIQUES, _OIDS, {"oids": oids})
    for oid, name, primary, deferrable, expressions, partial, exclusion, here, not_null in cursor.fetchall():
        one = Unique(
            name, tuple(here or ()), primary, deferrable, expressions, partial, exclusion, bool(not_null)
        )
        uniques[oid].append(one)
    return uniques


def _column(row: Any) -> tuple[Column, bool, list[str]]:
    (_, name, number, type_, kind, category, nullable, modifier, default, sequence, identity, generated,
     labels, subtype, domain, conditions, full, _, element, over, _) = row  # fmt: skip
    if type_ in _VECTORS:
        category, subtype, element, over = "U", None, "", None
    length = scale = None
    if modifier is not None:
        if type_.startswith("character") or type_.rpartition(".")[2] in {"varchar2", "nvarchar2"}:
            length = modifier - 4
        elif type_ in {"numeric", "numeric[]"}:
            length, scale = (modifier - 4) >> 16, ((modifier - 4) & 0x7FF ^ 0x400) - 0x400
        else:
            length = modifier
    if default is not None and sequence is None and default.startswith("nextval("):
        sequence = default.split("'")[1]
    if default is None and not identity:
        sequence = None  # still owned by the column, and no longer asked by it
    return (
        Column(
            name, number, type_, kind, category, category == "A", nullable, length, scale, default, sequence,
            identity, tuple(labels or ()), subtype, str(domain) if domain else None, full, element=element or "", over=over,
        ),
        bool(generated),
        list(conditions or ()),
    )  # fmt: skip


def _parts(cursor: Any, relation: int) -> tuple[Column, ...]:
    """Read the parts of a composite type, and of the composites in it; at whatever depth."""
    cursor.execute(_COLUMNS, {"oids": [relation], "rare": list(_RARE)})
    rows = cursor.fetchall()
    parts = []
    for row in rows:
        part, _, conditions = _column(row)
        part = replace(part, parts=_parts(cursor, row[-1]) if row[-1] else ())
        if row[_RARE_ONE] and part.kind == "b":
            part = replace(part, forms=forms_of(cursor, part, {}))
        parts.append(_let_in(cursor, part, conditions))
    return tuple(parts)


def _let_in(cursor: Any, column: Column, conditions: Sequence[str] = ()) -> Column:
    """Choose values where the type that something is made of has values of its own, or a domain is no column's own.

    What that takes is loaded then only.
    """
    if column.element == "d" and column.subtype is not None:
        column = replace(column, within=_of_type(cursor, column.subtype))
    elif {column.kind, column.element} & _RANGES:
        over = column.over if column.is_array else column.subtype
        if over is not None and over not in BY_TYPE and over not in RANGE_BOUNDS:
            column = replace(column, within=_of_type(cursor, over))
    if not conditions:
        return column
    from airlock.samples.domains import of_part

    return of_part(cursor, column, conditions)


def _of_type(cursor: Any, type_: str) -> Values | None:
    """Give the values of a type that another is made of."""
    from airlock.samples.values import values_for

    cursor.execute(_OF_TYPE, {"oids": [_PG_CLASS], "rare": list(_RARE), "type": type_})
    row = cursor.fetchone()
    column, _, conditions = _column(row)
    column = replace(column, parts=_parts(cursor, row[-1]) if row[-1] else ())
    column = _let_in(cursor, column, conditions)
    if row[_RARE_ONE] and column.kind == "b":
        column = replace(column, forms=forms_of(cursor, column, {}))
    found = values_for(column)
    return (
        None
        if found is None
        else Values(
            tuple(replace(one, sql=f"({one.sql})::{type_}") for one in found.generators),
            tuple(f"({edge})::{type_}" for edge in found.edges),
        )
    )


def _domain_check(column: Column, number: int, condition: str) -> Check:
    spelled = re.sub(r"\bVALUE\b", quoted(column.name).replace("\\", r"\\"), condition)
    return Check(f"domain of {column.name} {number}", (column.name,), spelled)
