"""Ask the comparisons that other extensions of Alembic have registered; its own stay silent, ours sees more.

Views and functions of alembic_utils, say, and the enums of alembic-postgresql-enum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alembic.operations.ops import MigrateOperation
    from alembic.runtime.migration import MigrationContext

_TARGET = "schema"
_TAKES_AWAY = "Drop"
# The relations that extensions have brought, and by whose name which rights on them came along: PostgreSQL keeps those.
_BROUGHT = """
SELECT n.nspname || '.' || c.relname, NULL FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
UNION SELECT n.nspname || '.' || c.relname, CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END
FROM pg_init_privs i JOIN pg_class c ON i.classoid = 'pg_class'::regclass AND c.oid = i.objoid
JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(i.initprivs) a WHERE i.privtype = 'e'
"""


def found_by_others(context: MigrationContext) -> list[MigrateOperation]:
    """List the operations that they would have written. Reads, in savepoints of their own; raises what they raise."""
    asked = list(_registered(context.dialect.name))
    if not asked:
        return []
    autogenerate = AutogenContext(context)
    schemas: list[str | None] = [None]
    if context.opts.get("include_schemas"):
        inspector: Any = autogenerate.inspector
        schemas = [name for name in inspector.get_schema_names() if name != inspector.default_schema_name]
        schemas = [None, *(name for name in schemas if name != "information_schema")]
    found = ops.UpgradeOps([])
    for compare in asked:
        compare(autogenerate, found, schemas)
    theirs = [one for one in found.ops if not type(one).__module__.startswith("alembic.")]
    connection = context.connection
    if connection is None or not theirs:
        return theirs
    # The owner's own rights are listed as grants, and its role is the scratch database's: nobody means to revoke them.
    owner = connection.exec_driver_sql("SELECT current_user").scalar()
    brought = {(name, role) for name, role in connection.exec_driver_sql(_BROUGHT)}
    return [
        one
        for one in theirs
        if getattr(getattr(one, "target", None), "role", None) != owner
        and not _takes_from_an_extension(one, brought)
    ]


def _takes_from_an_extension(operation: MigrateOperation, brought: set[tuple[str, str | None]]) -> bool:
    """Tell whether an operation drops an extension, or what one has brought.

    alembic_utils drops all that nobody has registered: few register what a revision's CREATE EXTENSION makes, and what stands on
    it would go with it.
    """
    target: Any = getattr(operation, "target", None)
    if target is None or not type(operation).__name__.startswith(_TAKES_AWAY):
        return False
    of = getattr(target, "table", None) or target.signature
    name = getattr(target, "on_entity", None) or f"{target.schema}.{of}"
    return (
        getattr(target, "type_", None) == "extension"
        or (
            name.replace('"', ""),
            getattr(target, "role", None),
        )
        in brought
    )


def described(operation: MigrateOperation) -> str:
    """Say in a few words what an operation does: its name, and what it is about where it says that."""
    target: Any = getattr(operation, "target", None)
    about = getattr(target, "identity", None) or getattr(operation, "name", None) or ""
    name = type(operation).__name__.removesuffix("Op")
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()
    return f"{words} {about}".strip()


def _registered(dialect: str) -> Iterator[Callable[..., Any]]:
    """Give the functions that are not Alembic's, in the order in which it would call them.

    From Alembic 1.18 on the registry's keys hold a priority, its values pairs of a function and a subgroup.
    """
    registry: dict[tuple[Any, ...], Any] = comparators._registry
    for key in sorted(registry, key=lambda it: it[2].value if len(it) > 2 else 0):
        if key[0] == _TARGET and key[1] in ("default", dialect):
            for entry in registry[key]:
                function = entry[0] if isinstance(entry, tuple) else entry
                if not function.__module__.startswith("alembic."):
                    yield function
