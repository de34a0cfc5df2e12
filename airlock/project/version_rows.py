"""Alembic's statements of version rows, which SQLAlchemy would compile anew for each revision.

Alembic spells each id into its statement, which is then another one to SQLAlchemy's cache: a third of what the client does for
a small revision. The server gets the same text as from Alembic.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from alembic.ddl.impl import DefaultImpl
from alembic.runtime import migration
from alembic.util.exc import CommandError
from sqlalchemy import String, bindparam

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.runtime.migration import MigrationContext

# Spelled otherwise by a driver, or by SQLAlchemy.
_SPELLED = frozenset("'\\%:")
_UPDATE = "_update_version"


@contextlib.contextmanager
def spelled_once(context: MigrationContext) -> Iterator[None]:
    """Let the statements of version rows be spelled once a run, until the block ends; those that cannot be are Alembic's own."""
    spelled, moved = (
        getattr(migration, "literal_column", None),
        getattr(migration.HeadMaintainer, _UPDATE, None),
    )
    connection = context.connection
    if spelled is None or moved is None or connection is None:
        yield
        return
    update = _update_of(context, moved)
    if update is not None:
        setattr(migration.HeadMaintainer, _UPDATE, update)
    if connection.dialect.driver == "psycopg2":
        # It spells a bound value itself; other drivers would prepare the statement, which a transaction pooler does not bear.
        setattr(migration, "literal_column", _bound(spelled))  # noqa: B010  no name of it in its stubs
    try:
        yield
    finally:
        setattr(migration, "literal_column", spelled)  # noqa: B010
        setattr(migration.HeadMaintainer, _UPDATE, moved)


def _bound(spelled: Any) -> Any:
    def bound(text: str, *_: Any) -> Any:
        value = text[1:-1]
        plain = text == f"'{value}'" and not set(value) & _SPELLED
        return bindparam(None, value, String, unique=True) if plain else spelled(text)

    return bound


def _update_of(context: MigrationContext, alembics: Any) -> Any:
    """Make the method that moves a version row by a text; None where somebody else may have a say in the statement."""
    connection: Any = context.connection
    table: Any = context._version
    if (
        connection.dialect.name != "postgresql"
        or type(context.impl)._exec is not DefaultImpl._exec
        or connection.get_execution_options().get("schema_translate_map")
        or list(connection.dispatch.before_execute)
        or list(connection.dispatch.after_execute)
        or table.c.version_num.onupdate is not None
        or any(one.onupdate is not None for one in table.c)
    ):
        return None
    name = connection.dialect.identifier_preparer.format_table(table)
    if set(name) & _SPELLED:
        return None

    def update(self: migration.HeadMaintainer, from_: str, to_: str) -> None:
        if self.context is not context or set(from_ + to_) & _SPELLED:
            alembics(self, from_, to_)
            return
        self.heads.remove(from_)
        self.heads.add(to_)
        found = connection.exec_driver_sql(
            f"UPDATE {name} SET version_num='{to_}' WHERE {name}.version_num = '{from_}'"  # noqa: S608
        )
        if found.rowcount != 1:
            raise CommandError(
                f"Online migration expected to match one row when updating {from_!r} to {to_!r} in "
                f"{context.version_table!r}; {found.rowcount} found"
            )

    return update
