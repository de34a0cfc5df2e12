"""Run the queries and name what they find."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airlock.catalogue.fingerprint import changes, others, relations
from airlock.catalogue.fingerprint.model import CatalogueObject, Fingerprint, plain
from airlock.drivers import prepared
from airlock.drivers.spelling import unquoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from airlock.drivers import client


# Names come out qualified, constants in one spelling, whatever the session, its role or its database set.
_NEUTRAL = {
    "search_path": "pg_catalog",
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "quote_all_identifiers": "off",
    "lc_monetary": "C",
    # A view's definition waits for whoever has locked one of its tables.
    "lock_timeout": "2s",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
}
_ARGUMENTS = {
    "schemas": "oid[]",
    "extension_relations": "oid[]",
    "extension_functions": "oid[]",
    "extension_types": "oid[]",
    "everything": "boolean",
}
# The queries for what hangs on relations: all in relations.py, and that for sequences.
_OF_RELATIONS = 6
# Where so many of the relations have changed, all of it is read: it takes no longer.
_MOST_CHANGED = 0.5
_SCHEMAS = """
SELECT n.oid, n.nspname, pg_get_userbyid(n.nspowner) AS "owner", d.description AS "comment",
  {privileges} AS "privileges"
FROM pg_namespace n {comment}
WHERE CASE WHEN %(named)s::text[] IS NULL THEN n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema'
           ELSE n.nspname = ANY (%(named)s::text[]) END
""".format(
    privileges=relations.privileges("n.nspacl", "n", "n.nspowner"),
    comment=relations.comment("n.oid", "pg_namespace"),
)
_EXTENSION_MEMBERS = """
SELECT p.classid::regclass::text, array_agg(p.objid::bigint)
FROM pg_depend p
WHERE p.refclassid = 'pg_extension'::regclass AND p.deptype = 'e'
  AND p.classid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass, 'pg_namespace'::regclass)
GROUP BY 1
"""
# A half-applied revision's mark on the version table is airlock's own; it says nothing of the schema.
_MARK = "airlock: half applied"
_TABLES = frozenset({"table", "partitioned table"})
_BARE = frozenset({"table", "partitioned table", "view", "materialized view", "foreign table", "column"})
_TYPES = frozenset({"enum", "domain", "composite type", "range type", "shell type", "base type"})


def read(connection: client.Connection, *, schemas: Collection[str] | None = None) -> Fingerprint:
    """Read the catalogue of a database, or of some of its schemas.

    Without `schemas`, all but the system's, and what belongs to no schema (casts, publications, event triggers,
    the database's own settings). Objects of extensions are left out, the extension itself is not. Reads only the
    catalogue, takes no lock beyond that; changes no setting that outlives the transaction; opens one and ends it
    where none is open.
    """
    return Reader(connection, schemas=schemas, prepare=False).read()


@dataclass(frozen=True, slots=True)
class _Standing:
    """What was read last: by the relation that it hangs on, and who had written the rows that it was read from."""

    fingerprint: Fingerprint
    marks: dict[int, tuple[int, int]]
    groups: dict[int, dict[str, CatalogueObject]]
    arguments: dict[str, Any]


class Reader:
    """Reads the same catalogue again and again over one connection.

    Planning these queries costs more than running them: with `prepare` the server plans them once (not behind a
    transaction pooler, where the next statement may meet another server process). A superuser's reader then reads again only
    what hangs on relations whose rows in the catalogue are others than at its last look (`changes.py`).
    """

    def __init__(
        self,
        connection: client.Connection,
        *,
        schemas: Collection[str] | None = None,
        prepare: bool = True,
    ) -> None:
        self.connection = connection
        self.schemas = None if schemas is None else sorted(schemas)
        version = connection.server_version
        self._queries = (*relations.queries(version), *others.queries(version, everything=schemas is None))
        self._prepare = prepare
        self._follows: bool | None = None if prepare and schemas is None else False
        self._standing: _Standing | None = None
        self._columns: tuple[_Standing, frozenset[tuple[int, str]]] | None = None
        # Those of each relation, with what it was read from.
        self._columns_of: dict[int, tuple[dict[str, CatalogueObject], frozenset[tuple[int, str]]]] = {}
        self._changed: frozenset[str] | None = None

    @property
    def follows(self) -> bool:
        """Tell whether it reads only what has changed: so it was seen at the last look."""
        return bool(self._follows)

    def read(self, *, afresh: bool = False) -> Fingerprint:
        """Read once; `afresh` all of it. Same promises as the function of that name."""
        opened = self.connection.info.transaction_status == 0
        with self.connection.cursor() as cursor:
            if opened and self.connection.autocommit:
                cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                restore = _neutralise(cursor, _NEUTRAL)
                found = self._read(cursor, afresh=afresh)
                if not opened:
                    _neutralise(cursor, restore)
            finally:
                if opened and self.connection.autocommit:
                    cursor.execute("ROLLBACK")
                elif opened:
                    # Sent as text it would leave a driver believing in a transaction, and the next SET LOCAL outside one.
                    self.connection.rollback()
        return found

    def changed(self) -> frozenset[str] | None:
        """Name the objects that were read again, or are gone, since this was asked the last time; None where all was read."""
        changed, self._changed = self._changed, frozenset()
        return changed

    def mark(self) -> Fingerprint | None:
        """Read what has changed: the same object again where nothing has. None where only all can be read."""
        if self._follows is False:
            return None
        found = self.read()
        return found if self._follows else None

    def columns(self) -> frozenset[tuple[int, str]] | None:
        """Give the columns of tables, by the table's oid, as they were at the last look; None where that cannot tell all."""
        standing = self._standing
        if standing is None or standing.arguments["extension_relations"]:
            return None
        if self._columns is None or self._columns[0] is not standing:
            known, self._columns_of = self._columns_of, {}
            for relation, group in standing.groups.items():
                then = known.get(relation)
                same = then is not None and then[0] is group
                self._columns_of[relation] = then if then and same else (group, _columns(relation, group))
            self._columns = standing, frozenset().union(*(found for _, found in self._columns_of.values()))
        return self._columns[1]

    def _read(self, cursor: client.Cursor, *, afresh: bool) -> Fingerprint:
        standing, self._standing = self._standing, None
        marks = self._marks(cursor)
        if standing is not None and marks is not None and not afresh:
            some = self._concerned(cursor, standing, marks)
            if some is not None:
                self._standing = self._with(cursor, standing, marks, some)
                return self._standing.fingerprint
        self._changed = None
        arguments = self._arguments(cursor)
        found = list(self._schemas_found)
        found += self._objects(cursor, self._queries, arguments)
        objects = _with_column_order({name: thing for _, name, thing in found})
        fingerprint = Fingerprint(objects)
        if marks is not None:
            groups: dict[int, dict[str, CatalogueObject]] = {}
            for relation, name, _ in found:
                groups.setdefault(relation, {})[name] = objects[name]
            self._standing = _Standing(fingerprint, marks, groups, arguments)
        return fingerprint

    def _marks(self, cursor: client.Cursor) -> dict[int, tuple[int, int]] | None:
        """Read who has written the rows of the catalogue; None where that cannot be told."""
        if self._follows is None:
            cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
            self._follows = bool((cursor.fetchone() or (False,))[0])
        if not self._follows:
            return None
        prepared.execute(self.connection, cursor, changes.marks(self.connection.server_version))
        return {int(relation): (count, total) for relation, count, total in cursor.fetchall()}

    def _concerned(
        self, cursor: client.Cursor, standing: _Standing, marks: dict[int, tuple[int, int]]
    ) -> list[int] | None:
        """List the relations that must be read again; None where all must be."""
        then = standing.marks
        changed = {one for one in then.keys() | marks.keys() if then.get(one) != marks.get(one)}
        if not changed:
            return []
        if changes.REST in changed or len(changed) > max(_MOST_CHANGED * len(marks), 2):
            return None
        given = {"relations": sorted(changed)}
        prepared.execute(self.connection, cursor, changes.CONCERNED, {"relations": "oid[]"}, given)
        changed |= {int(one) for (one,) in cursor.fetchall() if one is not None}
        # A composite type and its columns are told together.
        groups = (standing.groups.get(one, {}) for one in changed)
        if changes.REST in changed or any(
            (it.parent or "").startswith("type ") for one in groups for it in one.values()
        ):
            return None
        return sorted(changed)

    def _with(
        self, cursor: client.Cursor, standing: _Standing, marks: dict[int, tuple[int, int]], some: list[int]
    ) -> _Standing:
        """Read what hangs on some relations, and put it in the place of what hung there."""
        if not some:
            return standing
        read: dict[int, dict[str, CatalogueObject]] = {}
        queries = tuple(map(relations.of_some, self._queries[:_OF_RELATIONS]))
        for relation, name, thing in self._objects(cursor, queries, {**standing.arguments, "some": some}):
            read.setdefault(relation, {})[name] = thing
        read = {relation: _with_column_order(group) for relation, group in read.items()}
        gone = {name for one in some for name in standing.groups.get(one, ())}
        objects = {name: it for name, it in standing.fingerprint.objects.items() if name not in gone}
        for group in read.values():
            objects |= group
        if self._changed is not None:
            self._changed |= {*gone, *(name for group in read.values() for name in group)}
        groups = {one: group for one, group in standing.groups.items() if one not in some}
        return _Standing(Fingerprint(objects), marks, {**groups, **read}, standing.arguments)

    def _arguments(self, cursor: client.Cursor) -> dict[str, Any]:
        """Read what the queries are given, and the schemas."""
        cursor.execute(_EXTENSION_MEMBERS)
        members: dict[str, list[int]] = dict(cursor.fetchall())
        cursor.execute(_SCHEMAS, {"named": self.schemas})
        found = cursor.fetchall()
        of_extension = set(members.get("pg_namespace", ()))
        self._schemas_found = []
        for oid, schema, owner, comment, privileges in found:
            if oid not in of_extension:
                values = {"owner": owner, "comment": comment, "privileges": privileges}
                thing = CatalogueObject("schema", None, {k: v for k, v in values.items() if v})
                self._schemas_found.append((changes.REST, f"schema {plain(schema)}", thing))
        return {
            "schemas": [row[0] for row in found],
            "extension_relations": members.get("pg_class", []),
            "extension_functions": members.get("pg_proc", []),
            "extension_types": members.get("pg_type", []),
            "everything": self.schemas is None,
        }

    def _objects(
        self, cursor: client.Cursor, queries: tuple[str, ...], arguments: dict[str, Any]
    ) -> Iterator[tuple[int, str, CatalogueObject]]:
        """Run queries; give what they find with the relation that it hangs on."""
        types = {name: _ARGUMENTS.get(name, "oid[]") for name in arguments}
        for query in queries:
            if self._prepare:
                prepared.execute(self.connection, cursor, query, types, arguments)
            else:
                cursor.execute(query, arguments)
            names = [sys.intern(column.name) for column in cursor.description or ()][4:]
            if names == ["jsonb_build_object"]:
                for kind, schema, _, name, attributes in cursor:
                    yield changes.REST, *_rare(kind, schema, name, attributes)
                continue
            for row in cursor:
                attributes = {key: value for key, value in zip(names, row[4:], strict=True) if value}
                if attributes.get("comment", "").startswith(_MARK):
                    del attributes["comment"]
                relation = int(attributes.pop("=relation", changes.REST))
                yield relation, *_named(row[0], row[1], row[2], row[3], attributes)


def _columns(relation: int, group: dict[str, CatalogueObject]) -> frozenset[tuple[int, str]]:
    """List the columns of a relation that is a table."""
    if not any(one.kind in _TABLES for one in group.values()):
        return frozenset()
    return frozenset(
        (relation, unquoted(name.removeprefix(f"{thing.parent}.")))
        for name, thing in group.items()
        if thing.kind == "column"
    )


def _neutralise(cursor: client.Cursor, settings: dict[str, str]) -> dict[str, str]:
    """Set settings until the transaction ends; return what they were."""
    current = ", ".join("current_setting(%s)" for _ in settings)
    changed = ", ".join("set_config(%s, %s, true)" for _ in settings)
    cursor.execute(f"SELECT {current}", list(settings))
    before = dict(zip(settings, cursor.fetchone() or (), strict=True))
    cursor.execute(f"SELECT {changed}", [part for pair in settings.items() for part in pair])
    return before


def _rare(kind: str, schema: str | None, name: str, found: dict[str, Any]) -> tuple[str, CatalogueObject]:
    attributes = {key: value for key, value in found.items() if value}
    if kind == "operator":
        full = f"operator {name}"  # regoperator brings its own schema
    else:
        full = f"{kind} {_path(schema, name)}" if schema is not None else f"{kind} {name}"
    return full, CatalogueObject(kind, f"schema {plain(schema)}" if schema is not None else None, attributes)


def _path(*parts: str | None) -> str:
    return ".".join(plain(part) for part in parts if part is not None)


def _named(
    kind: str, schema: str, relation: str | None, name: str, attributes: dict[str, str]
) -> tuple[str, CatalogueObject]:
    """Name an object and its parent: the table without a word, everything else after its kind."""
    path = _path(schema, relation, name)
    parent = f"schema {plain(schema)}" if relation is None else _path(schema, relation)
    if kind in _BARE:
        full = path
    elif kind in _TYPES:
        full = f"type {path}"
    elif kind in {"function", "procedure", "aggregate"}:
        full = f"{kind} {path}({attributes.pop('=arguments', '')})"
    else:
        full = f"{kind} {path}"
        parent = _parent(kind, schema, parent, attributes)
    return full, CatalogueObject(kind, parent, attributes)


def _parent(kind: str, schema: str, otherwise: str, attributes: dict[str, str]) -> str:
    if kind == "index":
        table, constraint = attributes.pop("=table"), attributes.pop("=constraint", None)
        return (
            _path(schema, table) if constraint is None else f"constraint {_path(schema, table, constraint)}"
        )
    if kind == "constraint" and attributes.pop("=of", ""):
        return f"type {otherwise}"
    if kind == "sequence":
        owner = [attributes.pop(key) for key in ("=schema", "=table", "=column") if key in attributes]
        return _path(*owner) if owner else otherwise
    return otherwise


def _with_column_order(objects: dict[str, CatalogueObject]) -> dict[str, CatalogueObject]:
    """Give each relation the names of its columns, in their order (the order they were read in)."""
    columns: dict[str, list[str]] = {}
    for name, thing in objects.items():
        if thing.kind == "column" and thing.parent is not None:
            columns.setdefault(thing.parent, []).append(name[len(thing.parent) + 1 :])
    composite = {name[5:]: name for name, thing in objects.items() if thing.kind == "composite type"}
    for relation, names in columns.items():
        owner = composite.get(relation, relation)
        if owner in objects:
            thing = objects[owner]
            objects[owner] = CatalogueObject(
                thing.kind, thing.parent, {**thing.attributes, "columns": ", ".join(names)}
            )
    for name, thing in list(objects.items()):
        if thing.kind == "column" and thing.parent is not None and thing.parent in composite:
            objects[name] = CatalogueObject("column", composite[thing.parent], thing.attributes)
    return objects
