"""Types of packages and of the project itself, as Alembic would render them, with their imports.

`render_item` and `user_module_prefix` of env.py decide first. What Alembic's rendering cannot be evaluated to (a type whose
arguments are no plain values) is left to the catalogue's word for it, which always runs.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic.autogenerate import render
from alembic.autogenerate.api import AutogenContext
from sqlalchemy.dialects import postgresql

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from alembic.runtime.migration import MigrationContext

    from airlock.catalogue.structure import Structure

# SQLModel puts it in the place of `str`: nobody has written it into a model, and it is a String.
_NOBODYS = frozenset({"sqlmodel.sql.sqltypes.AutoString"})


@dataclasses.dataclass(frozen=True)
class ModelType:
    """A type as a revision spells it, the type in the database that it stands for, and the imports that it needs."""

    spelt: str
    text: str
    imports: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Words:
    """What columns are said with: the labels of enums by name, and types of models by table, as SQL spells it, and column."""

    enums: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    types: Mapping[tuple[str, str], ModelType] = dataclasses.field(default_factory=dict)

    def type_of(self, table: str, column: str, spelt: str) -> str | None:
        """Give the model's own word for a type; None where it has none, or the type is another one."""
        found = self.types.get((table, column))
        return found.text if found is not None and found.spelt == spelt else None

    def imports(self, text: str) -> list[str]:
        """List the imports that a revision's text needs for the types in it."""
        return sorted({line for one in self.types.values() if one.text in text for line in one.imports})


def model_types(
    context: MigrationContext, metadatas: Iterable[sa.MetaData], wanted: Structure, default: str
) -> dict[tuple[str, str], ModelType]:
    """Render the types of models that are not SQLAlchemy's own, or that env.py renders itself. Runs what they import."""
    autogen = AutogenContext(context, autogenerate=False)
    usual: dict[str, Any] = {
        "user_module_prefix": None,
        "sqlalchemy_module_prefix": "sa.",
        "render_item": None,
    }
    autogen.opts = {**usual, **autogen.opts}
    found = {}
    for metadata in metadatas:
        for model in metadata.tables.values():
            key = (model.schema or "", model.name)
            table = wanted.tables.get(key) or (
                wanted.tables.get(("", model.name)) if model.schema == default else None
            )
            for column in model.columns if table is not None else ():
                there = table.columns.get(column.name) if table is not None else None
                if table is None or there is None or there.type.removesuffix("[]") in wanted.enums:
                    continue
                said = _said(autogen, column.type)
                if said is not None:
                    found[table.sql, column.name] = ModelType(there.spelt_type, *said)
    return found


def _said(autogen: AutogenContext, kind: Any) -> tuple[str, tuple[str, ...]] | None:
    if getattr(kind, "spatial_index", False):
        # Its index is one of the catalogue's, and written as such: the type would make it once more.
        kind = copy.copy(kind)
        kind.spatial_index = False
        if getattr(kind, "use_N_D_index", False):
            # GeoAlchemy2 takes it only beside the other one.
            kind.use_N_D_index = False
    autogen.imports = set()
    try:
        own = render._user_defined_render("type", kind, autogen)
        if own is not False:
            return (own, tuple(sorted(autogen.imports))) if own else None
        parts = list(_parts(kind))
        if not any(map(_is_foreign, parts)) or any(isinstance(one, sa.types.SchemaType) for one in parts):
            return None
        modules = {f"import {type(one).__module__}" for one in parts if _is_foreign(one)}
        text = render._repr_type(kind, autogen)
        imports = autogen.imports | modules
        prefix = autogen.opts["user_module_prefix"]
        if prefix is not None:
            autogen.opts["user_module_prefix"] = None
            plain = render._repr_type(kind, autogen)
            if not _means(plain, imports, kind):
                return None
            autogen.opts["user_module_prefix"] = prefix
            prefixed = set(_imported(prefix))
            if prefixed and not _stands(text, prefixed, kind):
                # Of a package that the project's module does not give again.
                return plain, tuple(sorted(imports))
            return text, tuple(sorted((autogen.imports - modules) | prefixed))
        return (text, tuple(sorted(imports))) if _means(text, imports, kind) else None
    except Exception:  # noqa: BLE001  whatever a project's type or render_item raises: the catalogue knows a word
        return None


def _parts(kind: Any) -> Iterator[Any]:
    """List a type, the one that it decorates, and that of its items."""
    yield kind
    if isinstance(kind, sa.types.TypeDecorator):
        yield kind.impl_instance
    if isinstance(kind, sa.ARRAY):
        yield from _parts(kind.item_type)


def _is_foreign(kind: Any) -> bool:
    name = f"{type(kind).__module__}.{type(kind).__qualname__}"
    return not name.startswith("sqlalchemy.") and name not in _NOBODYS


def _means(text: str, imports: Iterable[str], kind: Any) -> bool:
    """Tell whether a rendered type is the type in a fresh module."""
    names: dict[str, Any] = {"sa": sa, "postgresql": postgresql}
    for line in imports:
        exec(line, names)  # noqa: S102  the import of a module that is imported already
    made = eval(text, names)  # noqa: S307  Alembic's own rendering of a type of the models
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return bool(made.compile(dialect=dialect) == kind.compile(dialect=dialect))


def _stands(text: str, imports: Iterable[str], kind: Any) -> bool:
    """Tell whether a rendered type is there, and is the type."""
    try:
        return _means(text, imports, kind)
    except Exception:  # noqa: BLE001  what a name stands for is the project's own
        return False


def _imported(prefix: str) -> list[str]:
    """Import what env.py's prefix names, where it is a module; else the template imports it."""
    name = prefix.rstrip(".")
    try:
        return [f"import {name}"] if name and importlib.util.find_spec(name) is not None else []
    except ImportError:
        return []
