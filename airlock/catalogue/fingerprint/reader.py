"""Run the queries and name what they find."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from airlock.catalogue.fingerprint import others, relations
from airlock.catalogue.fingerprint.model import CatalogueObject, Fingerprint, plain

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


class Reader:
    """Reads the same catalogue again and again over one connection.

    Planning these queries costs more than running them: with `prepare` the server plans them once (not behind a
    transaction pooler, where the next statement may meet another server process).
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
        self._prepared = False

    def read(self) -> Fingerprint:
        """Read once. Same promises as the function of that name."""
        opened = self.connection.info.transaction_status == 0
        with self.connection.cursor() as cursor:
            if opened and self.connection.autocommit:
                cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                restore = _neutralise(cursor, _NEUTRAL)
                objects = dict(self._objects(cursor))
                if not opened:
                    _neutralise(cursor, restore)
            finally:
                if opened and self.connection.autocommit:
                    cursor.execute("ROLLBACK")
                elif opened:
                    # Sent as text it would leave a driver believing in a transaction, and the next SET LOCAL outside one.
                    self.connection.rollback()
        return Fingerprint(_with_column_order(objects))

    def _statements(self, cursor: client.Cursor) -> tuple[str, ...]:
        if not self._prepare:
            return self._queries
        if not self._prepared:
            numbered = {name: f"${place}" for place, name in enumerate(_ARGUMENTS, 1)}
            for place, query in enumerate(self._queries):
                types = ", ".join(_ARGUMENTS.values())
                cursor.execute(f"PREPARE airlock_fingerprint_{place} ({types}) AS {query % numbered}")
            self._prepared = True
        given = ", ".join(f"%({name})s" for name in _ARGUMENTS)
        return tuple(f"EXECUTE airlock_fingerprint_{place} ({given})" for place in range(len(self._queries)))

    def _objects(self, cursor: client.Cursor) -> Iterator[tuple[str, CatalogueObject]]:
        cursor.execute(_EXTENSION_MEMBERS)
        members: dict[str, list[int]] = dict(cursor.fetchall())
        cursor.execute(_SCHEMAS, {"named": self.schemas})
        found = cursor.fetchall()
        of_extension = set(members.get("pg_namespace", ()))
        for oid, schema, owner, comment, privileges in found:
            if oid not in of_extension:
                values = {"owner": owner, "comment": comment, "privileges": privileges}
                yield (
                    f"schema {plain(schema)}",
                    CatalogueObject("schema", None, {k: v for k, v in values.items() if v}),
                )
        arguments = {
            "schemas": [row[0] for row in found],
            "extension_relations": members.get("pg_class", []),
            "extension_functions": members.get("pg_proc", []),
            "extension_types": members.get("pg_type", []),
            "everything": self.schemas is None,
        }
        for query in self._statements(cursor):
            cursor.execute(query, arguments)
            names = [sys.intern(column.name) for column in cursor.description or ()][4:]
            if names == ["jsonb_build_object"]:
                for kind, schema, _, name, attributes in cursor:
                    yield _rare(kind, schema, name, attributes)
                continue
            for row in cursor:
                attributes = {key: value for key, value in zip(names, row[4:], strict=True) if value}
                if attributes.get("comment", "").startswith(_MARK):
                    del attributes["comment"]
                yield _named(row[0], row[1], row[2], row[3], attributes)


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
