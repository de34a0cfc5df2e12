"""What an env.py passes to `context.configure` where models and database are compared."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airlock.project import check_constraints
from airlock.project.percent_signs import undoubled

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext
    from alembic.operations.ops import MigrationScript
    from alembic.runtime.migration import MigrationContext

PLUGIN = "airlock.checks"


def options() -> dict[str, Any]:
    """Compare server defaults and CHECKs too, and write revisions that import nothing but alembic and sqlalchemy."""
    return {
        "compare_server_default": True,
        **_with_checks(),
        "render_item": render_item,
        "process_revision_directives": process_revision_directives,
    }


def _with_checks() -> dict[str, Any]:
    """Register the comparison of CHECKs: a plugin of this run alone, where Alembic (1.18) has plugins."""
    if importlib.util.find_spec("alembic.runtime.plugins") is None:
        check_constraints.register()
        return {}
    from alembic.runtime import plugins

    if PLUGIN not in plugins._all_plugins:
        plugins.Plugin.setup_plugin_from_module(check_constraints, PLUGIN)
    return {"autogenerate_plugins": ["alembic.autogenerate.*", PLUGIN]}


def render_item(kind: str, item: Any, _context: AutogenContext) -> str | bool:
    """Spell a type decorator as the SQLAlchemy type that it stores: a revision outlives the models' library."""
    if kind == "type" and isinstance(item, sa.types.TypeDecorator):
        stored = item.impl_instance
        if type(stored).__module__.startswith("sqlalchemy.sql"):
            return f"sa.{stored!r}"
    return False


def process_revision_directives(
    context: MigrationContext, _revision: object, _directives: list[MigrationScript]
) -> None:
    """Write every % of a CHECK or an index once. Comparing is over here; reflection needs them doubled."""
    context.dialect = context.impl.dialect = undoubled(context.dialect)
