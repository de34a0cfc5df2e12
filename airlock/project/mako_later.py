"""Alembic without Mako, which makes files of templates: only `revision` writes any.

Alembic imports Mako as it is itself imported, and Mako Pygments where that is installed: a twelfth of what a run takes that
has nothing to do. Meanwhile two stand-ins have the names that Alembic imports; they load Mako when it is called.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

_TEMPLATES = ("mako.template", "mako.exceptions")


class _Later(ModuleType):
    """A module each of whose names is a function that loads the real one, and calls that."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        module = self.__name__

        def later(*arguments: Any, **options: Any) -> Any:
            return getattr(importlib.import_module(module), name)(*arguments, **options)

        return later


def import_alembic() -> None:
    """Import what Alembic needs of itself to write a file from a template, without Mako; nothing where either is there."""
    if "alembic" in sys.modules or any(name in sys.modules for name in _TEMPLATES):
        return
    stand_ins = {name: _Later(name) for name in _TEMPLATES}
    sys.modules.update(stand_ins)
    try:
        importlib.import_module("alembic.util.pyfiles")
    finally:
        # Whoever else imports Mako finds Mako.
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]
