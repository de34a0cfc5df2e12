"""The structure of a few schemas as PostgreSQL would spell it again: what a revision needs in order to write it.

The fingerprint says that two catalogues differ; this reading holds what the difference is written from. Names
of the schemas that were asked for are replaced by what the caller wants to see in their place, so that a schema
and its shadow can be compared and either be spelt as the other. Reads the catalogue only.
"""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Mapping

_ARRAY = re.compile(
    r"""\((?P<column>[\w."$]+)\)::text (?P<how>= ANY|<> ALL)"""
    r""" \(\(ARRAY\[(?P<items>(?:'(?:[^']|'')*'::character varying(?:, )?)+)\]\)::text\[\]\)"""
)
_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_$]*\Z")
# What PostgreSQL itself would quote of the words that models use; quoting one too many does no harm.
_RESERVED = frozenset(
    re.findall(
        r"\w+",
        """
all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation
column concurrently constraint create cross current_catalog current_date current_role current_schema current_time
current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze from
full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit localtime
localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references returning right
select session_user similar some symmetric system_user table tablesample then to trailing true union unique user using
variadic verbose when where window with
        """,
    )
)


def quoted(identifier: str) -> str:
    """Spell an identifier for SQL."""
    if _IDENTIFIER.match(identifier) and identifier not in _RESERVED:
        return identifier
    return '"' + identifier.replace('"', '""') + '"'


def listed(definition: str) -> str:
    """Spell lists of varchar constants as IN and NOT IN again.

    PostgreSQL shows `role IN ('a', 'b')` as an array with a cast around it, and given that back it moves the cast
    inside: the same condition, but not the same catalogue.
    """

    def as_list(found: re.Match[str]) -> str:
        word = "IN" if found.group("how") == "= ANY" else "NOT IN"
        return f"{found.group('column')} {word} ({found.group('items').replace('::character varying', '')})"

    return _ARRAY.sub(as_list, definition)


@dataclasses.dataclass(frozen=True)
class Sequence:
    """A sequence's parameters, and the column that owns it (`identity`: inside the column)."""

    name: str
    type: str
    start: int
    increment: int
    minimum: int
    maximum: int
    cache: int
    cycle: bool
    comment: str | None = None

    def options(self) -> str:
        """Spell every parameter."""
        cycle = "CYCLE" if self.cycle else "NO CYCLE"
        return (
            f"START WITH {self.start} INCREMENT BY {self.increment} MINVALUE {self.minimum}"
            f" MAXVALUE {self.maximum} CACHE {self.cache} {cycle}"
        )

    def usual(self) -> bool:
        """Tell whether every parameter is what PostgreSQL takes by itself."""
        largest = {"smallint": 32767, "integer": 2147483647}.get(self.type, 9223372036854775807)
        return (self.start, self.increment, self.minimum, self.maximum, self.cache, self.cycle) == (
            1, 1, 1, largest, 1, False,
        )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Column:
    """One column. `generated` is "", "s" (stored) or "v" (virtual); `identity` "", "a" or "d"."""

    name: str
    type: str
    collation: str | None
    not_null: bool
    default: str | None
    identity: str
    generated: str
    comment: str | None
    privileges: tuple[str, ...]
    sequence: Sequence | None = None
    not_null_name: str | None = None

    @property
    def spelt_type(self) -> str:
        """Spell the type, with a collation that is not the type's own."""
        return f"{self.type} COLLATE {self.collation}" if self.collation else self.type

    @property
    def serial(self) -> str | None:
        """Name the pseudo-type that makes this column and its sequence at once, if there is one."""
        if self.identity or self.sequence is None or not (self.default or "").startswith("nextval("):
            return None
        if not self.sequence.usual() or not self.not_null or self.sequence.type != self.type:
            return None
        return {"smallint": "smallserial", "integer": "serial", "bigint": "bigserial"}.get(self.type)


@dataclasses.dataclass(frozen=True)
class Constraint:
    """One constraint; `kind` is p, u, f, c or x. `index` is the definition of the index below it."""

    name: str
    kind: str
    definition: str
    columns: tuple[str, ...]
    valid: bool
    comment: str | None
    index: str | None = None
    references: str | None = None
    source: str | None = None

    @property
    def bare(self) -> str:
        """Give the definition without NOT VALID."""
        return self.definition.removesuffix(" NOT VALID")

    @property
    def text(self) -> str:
        """Spell the definition for ADD CONSTRAINT, so that PostgreSQL keeps what it keeps now."""
        return self.source or listed(self.bare)


@dataclasses.dataclass(frozen=True)
class Index:
    """One index that stands for itself."""

    name: str
    definition: str
    columns: tuple[str, ...]
    unique: bool
    valid: bool
    comment: str | None
    source: str | None = None

    @property
    def text(self) -> str:
        """Spell CREATE INDEX, so that PostgreSQL keeps what it keeps now."""
        return self.source or listed(self.definition)

    @property
    def body(self) -> str:
        """Give the definition from its table on: what makes it this index whatever its name."""
        return self.definition.partition(" ON ")[2]


@dataclasses.dataclass(frozen=True)
class Table:
    """One table. `extras` are the statements that restore what models do not know (triggers, grants, policies)."""

    schema: str
    name: str
    sql: str
    comment: str | None
    persistence: str
    options: tuple[str, ...]
    partition_key: str | None
    columns: Mapping[str, Column]
    constraints: Mapping[str, Constraint]
    indexes: Mapping[str, Index]
    extras: tuple[str, ...]
    home: str = "public"

    @property
    def label(self) -> str:
        """Name the table for people, and as findings and differences name it: with its schema."""
        return f"{self.schema or self.home}.{self.name}"

    @property
    def key(self) -> Constraint | None:
        """Return the primary key."""
        return next((one for one in self.constraints.values() if one.kind == "p"), None)


@dataclasses.dataclass(frozen=True)
class Structure:
    """Tables by (schema, name), free sequences and enums by name; names as the caller wants them spelt."""

    tables: Mapping[tuple[str, str], Table]
    sequences: Mapping[str, Sequence]
    enums: Mapping[str, tuple[str, ...]]


_NO_EXTENSION = "NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = '{0}'::regclass AND e.objid = {1} AND e.deptype = 'e')"
_TABLES = f"""
SELECT c.oid::bigint, n.nspname, c.relname, c.relpersistence::text, coalesce(c.reloptions, '{{}}'),
  CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END, obj_description(c.oid, 'pg_class'),
  c.relrowsecurity, c.relforcerowsecurity, c.relreplident::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN :schemas AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND NOT EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhrelid = c.oid)
  AND {_NO_EXTENSION.format("pg_class", "c.oid")}
ORDER BY n.nspname, c.relname"""  # noqa: S608  no value of anybody's
_COLUMNS = """
SELECT a.attrelid::bigint, a.attname, format_type(a.atttypid, a.atttypmod),
  CASE WHEN a.attcollation <> t.typcollation
    THEN (SELECT quote_ident(cn.nspname) || '.' || quote_ident(co.collname) FROM pg_collation co
          JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = a.attcollation) END,
  a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity::text, a.attgenerated::text,
  col_description(a.attrelid, a.attnum), a.attnum::int
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE n.nspname IN :schemas AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum"""
_CONSTRAINTS = """
SELECT k.conrelid::bigint, k.conname, k.contype::text, pg_get_constraintdef(k.oid),
  ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u(num, place)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num ORDER BY u.place),
  k.convalidated, obj_description(k.oid, 'pg_constraint'),
  CASE WHEN k.contype IN ('p', 'u') THEN pg_get_indexdef(k.conindid) END,
  CASE WHEN k.confrelid <> 0 THEN k.confrelid::regclass::text END
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN :schemas AND k.contype IN ('p', 'u', 'f', 'c', 'x', 'n') AND k.conparentid = 0 AND k.conislocal
ORDER BY k.conrelid, k.conname"""
_INDEXES = """
SELECT i.indrelid::bigint, x.relname, pg_get_indexdef(i.indexrelid), i.indisunique, i.indisvalid,
  obj_description(i.indexrelid, 'pg_class'),
  ARRAY(SELECT DISTINCT a.attname::text FROM pg_depend p JOIN pg_attribute a
        ON a.attrelid = p.refobjid AND a.attnum = p.refobjsubid
        WHERE p.classid = 'pg_class'::regclass AND p.objid = i.indexrelid AND p.refobjid = i.indrelid
        AND p.refobjsubid > 0 ORDER BY 1)
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN :schemas AND c.relkind IN ('r', 'p') AND NOT EXISTS (
  SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
ORDER BY i.indrelid, x.relname"""
_SEQUENCES = f"""
SELECT n.nspname, c.relname, format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax,
  s.seqcache, s.seqcycle, o.refobjid::bigint, o.refobjsubid, obj_description(c.oid, 'pg_class')
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_depend o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid AND o.deptype IN ('a', 'i')
  AND o.refclassid = 'pg_class'::regclass AND o.refobjsubid > 0
WHERE n.nspname IN :schemas AND {_NO_EXTENSION.format("pg_class", "c.oid")} ORDER BY 1, 2"""  # noqa: S608
_ENUMS = f"""
SELECT n.nspname, t.typname, ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid
                                   ORDER BY e.enumsortorder)
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname IN :schemas AND t.typtype = 'e' AND {_NO_EXTENSION.format("pg_type", "t.oid")}
ORDER BY 1, 2"""  # noqa: S608
_GRANTS = """
SELECT c.oid::bigint, NULL::text, x.privilege_type, x.is_grantable,
  CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) x
WHERE n.nspname IN :schemas AND c.relkind IN ('r', 'p') AND x.grantee <> c.relowner
UNION ALL
SELECT c.oid::bigint, a.attname::text, x.privilege_type, x.is_grantable,
  CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid,
  aclexplode(a.attacl) x
WHERE n.nspname IN :schemas AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY 1, 2, 3, 5"""
_TRIGGERS = """
SELECT t.tgrelid::bigint, pg_get_triggerdef(t.oid), t.tgname, t.tgenabled::text
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN :schemas AND NOT t.tgisinternal AND t.tgparentid = 0 ORDER BY t.tgrelid, t.tgname"""
_POLICIES = """
SELECT p.polrelid::bigint, p.polname, p.polpermissive, p.polcmd::text,
  ARRAY(SELECT CASE WHEN r = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r)) END FROM unnest(p.polroles) r),
  pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN :schemas ORDER BY p.polrelid, p.polname"""
_STATISTICS = """
SELECT s.stxrelid::bigint, pg_get_statisticsobjdef(s.oid)
FROM pg_statistic_ext s JOIN pg_class c ON c.oid = s.stxrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN :schemas ORDER BY s.stxrelid, s.stxname"""
_COMMANDS = {"r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE", "*": "ALL"}


def read(connection: sa.Connection, schemas: Mapping[str, str], home: str = "public") -> Structure:
    """Read the schemas that are keys of `schemas`; spell each as its value ("" leaves the name out: it is `home`).

    Sets search_path to pg_catalog for the reading, and back, so that every name comes out qualified.
    """
    return _Reading(connection, schemas, home).structure()


class _Reading:
    def __init__(self, connection: sa.Connection, schemas: Mapping[str, str], home: str) -> None:
        self.home = home
        self.connection = connection
        self.schemas = schemas
        names = "|".join(re.escape(quoted(name)) for name in sorted(schemas, key=len, reverse=True))
        self.prefix = re.compile(rf'(?<![\w."$])({names})\.') if names else None
        self.spellings = {quoted(name): quoted(seen) + "." if seen else "" for name, seen in schemas.items()}

    def structure(self) -> Structure:
        path = self.connection.execute(sa.text("SELECT current_setting('search_path')")).scalar_one()
        set_path = sa.text("SELECT set_config('search_path', :path, false)")
        self.connection.execute(set_path, {"path": "pg_catalog"})
        try:
            return self._structure()
        finally:
            self.connection.execute(set_path, {"path": path})

    def rows(self, query: str) -> list[Any]:
        statement = sa.text(query).bindparams(sa.bindparam("schemas", expanding=True))
        return list(self.connection.execute(statement, {"schemas": sorted(self.schemas)}))

    def spell(self, text: str | None) -> Any:
        if text is None or self.prefix is None:
            return text
        return self.prefix.sub(lambda found: self.spellings[found.group(1)], text)

    def _structure(self) -> Structure:
        owned, free = self._sequences()
        columns, not_nulls = self._columns(owned), self.rows(_CONSTRAINTS)
        names = {(row[0], row[4][0]): row[1] for row in not_nulls if row[2] == "n" and len(row[4]) == 1}
        constraints: dict[int, dict[str, Constraint]] = defaultdict(dict)
        for table, name, kind, definition, used, valid, comment, index, target in not_nulls:
            if kind != "n":
                constraints[table][name] = Constraint(
                    name,
                    kind,
                    self.spell(definition),
                    tuple(used),
                    valid,
                    comment,
                    self.spell(index),
                    self.spell(target),
                )
        indexes: dict[int, dict[str, Index]] = defaultdict(dict)
        for table, name, definition, unique, valid, comment, used in self.rows(_INDEXES):
            indexes[table][name] = Index(name, self.spell(definition), tuple(used), unique, valid, comment)
        rows = self.rows(_TABLES)
        sql = {row[0]: self.spell(f"{quoted(row[1])}.{quoted(row[2])}") for row in rows}
        extras = self._extras(sql, rows)
        tables = {}
        for oid, schema, name, persistence, options, key, comment, *_ in rows:
            shown = self.schemas[schema]
            own = {
                column.name: dataclasses.replace(column, not_null_name=names.get((oid, column.name)))
                for column in columns[oid]
            }
            tables[shown, name] = Table(
                shown, name, sql[oid], comment, persistence, tuple(options), key, own,
                constraints[oid], indexes[oid], tuple(extras[oid]),
                self.home,
            )  # fmt: skip
        enums = {self._name(schema, name): tuple(labels) for schema, name, labels in self.rows(_ENUMS)}
        return Structure(tables, free, enums)

    def _name(self, schema: str, name: str) -> str:
        return str(self.spell(f"{quoted(schema)}.{quoted(name)}"))

    def _sequences(self) -> tuple[dict[tuple[int, int], Sequence], dict[str, Sequence]]:
        owned, free = {}, {}
        for schema, name, kind, start, step, low, high, cache, cycle, table, column, comment in self.rows(
            _SEQUENCES
        ):
            sequence = Sequence(self._name(schema, name), kind, start, step, low, high, cache, cycle, comment)
            if table is None:
                free[sequence.name] = sequence
            else:
                owned[table, column] = sequence
        return owned, free

    def _columns(self, owned: Mapping[tuple[int, int], Sequence]) -> dict[int, list[Column]]:
        privileges: dict[tuple[int, str], list[str]] = defaultdict(list)
        self.grants = self.rows(_GRANTS)
        for table, column, privilege, grantable, grantee in self.grants:
            if column is not None:
                tail = " WITH GRANT OPTION" if grantable else ""
                privileges[table, column].append(
                    f"GRANT {privilege} ({quoted(column)}) ON TABLE {{table}} TO {grantee}{tail}"
                )
        found: dict[int, list[Column]] = defaultdict(list)
        for (
            table,
            name,
            kind,
            collation,
            required,
            default,
            identity,
            generated,
            comment,
            number,
        ) in self.rows(_COLUMNS):
            found[table].append(
                Column(
                    name,
                    self.spell(kind),
                    self.spell(collation),
                    required,
                    self.spell(default),
                    identity.strip(),
                    generated.strip(),
                    comment,
                    tuple(privileges[table, name]),
                    owned.get((table, number)),
                )
            )
        return found

    def _extras(self, sql: Mapping[int, str], rows: list[Any]) -> dict[int, list[str]]:
        extras: dict[int, list[str]] = defaultdict(list)
        for oid, *_, row_security, forced, identity in rows:
            if row_security:
                extras[oid].append(f"ALTER TABLE {sql[oid]} ENABLE ROW LEVEL SECURITY")
            if forced:
                extras[oid].append(f"ALTER TABLE {sql[oid]} FORCE ROW LEVEL SECURITY")
            if identity in {"f", "n"}:
                extras[oid].append(
                    f"ALTER TABLE {sql[oid]} REPLICA IDENTITY {'FULL' if identity == 'f' else 'NOTHING'}"
                )
        for oid, definition, name, enabled in self.rows(_TRIGGERS):
            if oid in sql:
                extras[oid].append(self.spell(definition))
                how = {"D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}.get(enabled)
                if how:
                    extras[oid].append(f"ALTER TABLE {sql[oid]} {how} TRIGGER {quoted(name)}")
        for oid, name, permissive, command, roles, using, check in self.rows(_POLICIES):
            if oid in sql:
                text = f"CREATE POLICY {quoted(name)} ON {sql[oid]}{'' if permissive else ' AS RESTRICTIVE'}"
                text += f" FOR {_COMMANDS[command]} TO {', '.join(roles)}"
                text += f" USING ({self.spell(using)})" if using else ""
                extras[oid].append(text + (f" WITH CHECK ({self.spell(check)})" if check else ""))
        for oid, definition in self.rows(_STATISTICS):
            extras[oid].append(self.spell(definition))
        for oid, column, privilege, grantable, grantee in self.grants:
            if column is None and oid in sql:
                tail = " WITH GRANT OPTION" if grantable else ""
                extras[oid].append(f"GRANT {privilege} ON TABLE {sql[oid]} TO {grantee}{tail}")
        return extras
