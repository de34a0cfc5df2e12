"""The schema that env.py names for the version table and nobody has made: on the target a DBA has, before the first revision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alembic.util.sqla_compat import _ensure_scope_for_ddl
from sqlalchemy import text
from sqlalchemy.schema import CreateSchema

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext


def made_with_its_table(context: MigrationContext) -> None:
    """Let Alembic make the version table's schema with the table, where it is not there; for scratch databases alone.

    What env.py or a revision makes of schemas by itself comes before the table or behind the schema: nothing collides.
    """
    connection, schema = context.connection, context.version_table_schema
    if connection is None or schema is None:
        return
    ensure = context._ensure_version_table

    def ensured(*arguments: Any, **options: Any) -> None:
        name = (connection.get_execution_options().get("schema_translate_map") or {}).get(schema, schema)
        with _ensure_scope_for_ddl(connection):
            there = text("SELECT FROM pg_catalog.pg_namespace WHERE nspname = :name")
            if connection.execute(there, {"name": name}).first() is None:
                connection.execute(CreateSchema(str(name)))
        ensure(*arguments, **options)

    setattr(context, "_ensure_version_table", ensured)  # noqa: B010  mypy forbids assigning to a method
