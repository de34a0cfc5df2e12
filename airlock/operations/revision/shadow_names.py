"""What SQL texts of the models name, found among what is created beside: their types and sequences, under another schema.

A default `'{}'::stock.grade[]`, an expression of an index or a CHECK is text, which schema_translate_map leaves as it is:
it would lead to the type of the database itself, which is not that of the column.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import DOMAIN

from airlock.catalogue.structure import quoted
from airlock.drivers.spelling import unquoted
from airlock.operations.revision.probe import run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_LITERAL = re.compile(r"('(?:[^']|'')*')")


@contextlib.contextmanager
def found_in_shadows(
    connection: sa.Connection, metadatas: Sequence[sa.MetaData], shadows: Mapping[str | None, str]
) -> Iterator[None]:
    """Let what runs within find names of the models where their tables are created; `shadows` by schema.

    Names with a schema are replaced in each statement; those without are found by search_path, which is set back.
    """
    names = sorted({name for _, name in named_apart(metadatas)})
    qualified = _pattern([schema for schema in shadows if schema], names)

    def replaced(text: str, *, alone: bool) -> str:
        def shadowed(found: re.Match[str]) -> str:
            return f"{shadows[unquoted(found['schema'])]}.{found['name']}"

        return text if alone and not qualified.fullmatch(text) else qualified.sub(shadowed, text)

    def statement(_connection: Any, _cursor: Any, text: str, values: Any, *_more: Any) -> tuple[str, Any]:
        parts = _LITERAL.split(text)
        # A literal is a name where it is nothing else: nextval('stock.number').
        return "".join(
            f"'{replaced(part[1:-1], alone=True)}'" if place % 2 else replaced(part, alone=False)
            for place, part in enumerate(parts)
        ), values

    path = run(connection, "SELECT current_setting('search_path')").scalar_one()
    set_path = sa.text("SELECT set_config('search_path', :path, true)")
    if None in shadows:
        connection.execute(set_path, {"path": f"{shadows[None]}, {path}" if path else shadows[None]})
    if names:
        sa.event.listen(connection, "before_cursor_execute", statement, retval=True)
    try:
        yield
    finally:
        if names:
            sa.event.remove(connection, "before_cursor_execute", statement)
    # Where it failed, the transaction takes no statement, and its savepoint sets it back.
    connection.execute(set_path, {"path": path})


def named_apart(metadatas: Sequence[sa.MetaData]) -> Iterator[tuple[str | None, str]]:
    """Name the enums, domains and sequences of the models with their schemas, also where no table lies in those."""
    for metadata in metadatas:
        types: list[Any] = [column.type for table in metadata.tables.values() for column in table.columns]
        types = [getattr(one, "item_type", one) for one in types]
        native = [
            one for one in types if isinstance(one, (sa.Enum, DOMAIN)) and getattr(one, "native_enum", True)
        ]
        for one in (*native, *metadata._sequences.values()):
            if one.name is not None:
                yield one.schema, str(one.name)


def _pattern(schemas: Sequence[str], names: Sequence[str]) -> re.Pattern[str]:
    schema, name = (
        "|".join(re.escape(it) for one in given for it in _spelt(one)) for given in (schemas, names)
    )
    return re.compile(rf'(?<![\w".$])(?P<schema>{schema or "(?!)"})\.(?P<name>{name or "(?!)"})(?![\w"$])')


def _spelt(name: str) -> tuple[str, ...]:
    always = '"' + name.replace('"', '""') + '"'
    return (always,) if quoted(name) == always else (always, name)


__all__ = ["found_in_shadows", "named_apart"]
