"""What others import and a run with nothing to do never calls, left out until it is asked for: a tenth of its time.

Alembic and SQLAlchemy come without these:

- Mako makes files of templates, which only `revision` writes, and brings Pygments where that is installed.
- asyncio serves asynchronous drivers.
- The reader of a distribution's metadata brings the parser of e-mail.
- Of PostgreSQL's dialects SQLAlchemy imports those of drivers, too, that nobody has asked for.

Meanwhile stand-ins have those names. They stay where Alembic, SQLAlchemy and the standard library have taken them, and
load the real module at the first use; whoever imports one of these modules later finds the real one.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# The modules that Alembic's import brings, each with what is taken from it meanwhile: classes and functions, to be called.
_OF_ALEMBIC: dict[str, frozenset[str]] = {
    "asyncio": frozenset({"iscoroutine"}),
    "importlib.metadata._adapters": frozenset(),
    "mako.exceptions": frozenset(),
    "mako.template": frozenset({"Template"}),
    **{
        f"sqlalchemy.dialects.postgresql.{driver}": frozenset()
        for driver in ("asyncpg", "pg8000", "psycopg2cffi")
    },
}


class _StandIn(ModuleType):
    """A module that loads the real one when something is asked of it, or when what was taken from it is called."""

    def __init__(self, name: str, taken: frozenset[str]) -> None:
        super().__init__(name)
        self.__taken = taken

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        module = self.__name__

        def real() -> Any:
            if sys.modules.get(module) is self:
                del sys.modules[module]
            return getattr(importlib.import_module(module), name)

        return (
            (lambda *arguments, **options: real()(*arguments, **options)) if name in self.__taken else real()
        )


@contextlib.contextmanager
def standing_in(modules: dict[str, frozenset[str]]) -> Iterator[None]:
    """Have stand-ins for those of the modules, each with what is taken from it, that nobody has imported yet."""
    stand_ins = {name: _StandIn(name, taken) for name, taken in modules.items() if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]


def import_alembic() -> None:
    """Import Alembic, and SQLAlchemy with it, without what is deferred; nothing where it is there."""
    if "alembic" in sys.modules:
        return
    # A plugin of Alembic's is imported with it, and may want a part of one of these: `import asyncio.events`.
    with contextlib.suppress(ImportError), standing_in(_OF_ALEMBIC):
        importlib.import_module("alembic.util.pyfiles")
    importlib.import_module("alembic.util.pyfiles")
