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
    # The owner's own rights are listed as grants, and its role is the scratch database's: nobody means to revoke them.
    owner = context.connection.exec_driver_sql("SELECT current_user").scalar() if context.connection else None
    return [
        one
        for one in found.ops
        if not type(one).__module__.startswith("alembic.")
        and (owner is None or getattr(getattr(one, "target", None), "role", None) != owner)
    ]


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
