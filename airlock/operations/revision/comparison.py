"""Hold the catalogue that a history makes against the one that the models alone make, each in a database of its own."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

from airlock.catalogue import fingerprint
from airlock.database import missing
from airlock.drivers import client
from airlock.drivers.spelling import literal, quoted
from airlock.operations.revision import borrowed_types
from airlock.records.errors import AirlockError
from airlock.scratch.isolation import ChildFailed, isolated

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from airlock.catalogue.fingerprint.model import CatalogueObject
    from airlock.operations.built import Built
    from airlock.records.difference import Difference
    from airlock.scratch.servers import ScratchDatabase, ScratchServer

_CHILD = "airlock.operations.revision.child"
# What models have words for: only of such does it say something that the history alone has it.
_SAYABLE = frozenset({"column", "index", "constraint"})
# What no model says of anything, whatever the history does.
_UNSAID = frozenset(
    {"privileges", "row security", "replica identity", "options", "statistics target", "storage", "compression", "clustered on",
     "tablespace"}
)  # fmt: skip


def compared(
    config: Path, x_arguments: Sequence[str], server: ScratchServer, database: ScratchDatabase, history: Built,
    left_out: Collection[str] = (),
) -> tuple[Difference, ...]:  # fmt: skip
    """Compare the catalogue that the history made with what the models alone make.

    Left out are the version table, what `left_out` names (env.py's filters do not want it), and what only the history has
    and models have no words for: views, functions, triggers, policies, publications, grants, partitions. Tables that they
    lack are the plan's to name.
    """
    arguments = {"config": str(config), "x_arguments": tuple(x_arguments)}
    types: list[str] = []
    while True:
        # What stands before the first revision may be the same tables in an older shape.
        with server.database(empty=True) as models:
            _bring_extensions(database, models)
            _run(models.url, types)
            try:
                (schemas,) = isolated(f"{_CHILD}:create_all", arguments, scratch=models)
            except (AirlockError, ChildFailed) as error:
                more = _type_of(database, str(error))
                if more is None or more in types or len(types) >= borrowed_types.MOST:
                    raise
                types.append(more)
                continue
            migrated, made = (_fingerprint(one, schemas) for one in (database, models))
            break
    # The version table belongs to the history alone.
    versions = {f"{schema}.{history.version_table}" for schema in schemas}
    return tuple(
        one for one in fingerprint.differences(made, sayable(migrated, made))
        if not _is_or_in(one.object, versions) and not _is_or_in(one.object, left_out)
    )  # fmt: skip


def _is_or_in(name: str, of: Collection[str]) -> bool:
    """Tell whether an object is one of these, or in one of them."""
    kind, _, rest = name.partition(" ")
    path = rest if kind in _SAYABLE else name
    return path in of or path.startswith(tuple(f"{one}." for one in of))


def sayable(migrated: fingerprint.Fingerprint, made: fingerprint.Fingerprint) -> fingerprint.Fingerprint:
    """Leave out of what a history made what it alone has and no model could say."""
    return fingerprint.Fingerprint(
        {
            name: dataclasses.replace(one, attributes=_said(one, made.objects.get(name)))
            for name, one in migrated.objects.items()
            if name in made.objects or (one.kind in _SAYABLE and one.parent in made.objects)
        }
    )


def _said(one: CatalogueObject, model: CatalogueObject | None) -> Mapping[str, str]:
    if model is None:
        return one.attributes
    if one.kind == "schema":
        return model.attributes
    # Storage parameters of a table are among its words, options of a column are not.
    unsaid = _UNSAID - {"options"} if one.kind.endswith("table") else _UNSAID
    unsaid |= {"comment"} if one.kind == "sequence" else frozenset()
    said = {name: it for name, it in one.attributes.items() if name in model.attributes or name not in unsaid}
    if "inherited" in said and "inherited" in model.attributes:
        # What was there before its table inherited is its own as well, and cannot be less.
        said["inherited"] = model.attributes["inherited"]
    return said


def _bring_extensions(database: ScratchDatabase, models: ScratchDatabase) -> None:
    """Create in the models' database the extensions of the history's: models use types that they never create."""
    wanted = _asked(
        database.url,
        "SELECT quote_ident(e.extname), quote_ident(n.nspname) FROM pg_extension e "
        "JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname <> 'plpgsql' ORDER BY e.oid",
    )
    # Where the server was not started for this, its administrator creates what the owner may not.
    _run(
        models.url if models.throwaway else models.admin_url,
        [
            statement
            for name, schema in wanted
            for statement in (
                f"CREATE SCHEMA IF NOT EXISTS {schema}",
                f"CREATE EXTENSION IF NOT EXISTS {name} SCHEMA {schema} CASCADE",
            )
        ],
    )


def _type_of(database: ScratchDatabase, text: str) -> str | None:
    """Spell the CREATE of what models could not be created without: a type, its schema, a function; None where none is known."""
    schema = missing.schema(text)
    if schema is not None:
        return f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}"
    if (function := missing.function_name(text)) is not None:
        return _function(database, function)
    found = missing.type_name(text)
    if found is None:
        return None
    schema, name = found
    target = f"{quoted(schema)}.{quoted(name)}" if schema else quoted(name)
    made = borrowed_types.statement(lambda query: _asked(database.url, query), schema, name, target)
    # Its schema may be one that only the models' own creation makes, which comes behind it.
    return f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}; {made}" if schema and made else made


def _function(database: ScratchDatabase, name: str) -> str | None:
    """Spell the CREATE of the functions of a name in the history's database; what their bodies read may come later."""
    made = _asked(
        database.url,
        "SELECT quote_ident(n.nspname), pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
        " WHERE p.prokind IN ('f', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
        f" AND {literal(name)} IN (quote_ident(p.proname), quote_ident(n.nspname) || '.' || quote_ident(p.proname))"
        " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e') ORDER BY p.oid",
    )
    texts = [f"CREATE SCHEMA IF NOT EXISTS {schema};\n{text};" for schema, text in made]
    return "\n".join(("SET check_function_bodies = off;", *texts)) if texts else None


def _asked(url: str, query: str) -> list[Any]:
    with contextlib.closing(client.connect_by_url(url)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def _run(url: str, statements: Sequence[str]) -> None:
    """Run statements in one transaction, and commit it; connect for none where there are none."""
    if statements:
        with contextlib.closing(client.connect_by_url(url)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            connection.commit()


def _fingerprint(database: ScratchDatabase, schemas: Sequence[str]) -> fingerprint.Fingerprint:
    with contextlib.closing(client.connect_by_url(database.url)) as connection:
        return fingerprint.read(connection, schemas=schemas)
