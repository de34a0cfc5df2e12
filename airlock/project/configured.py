"""What only the project's own program sets in Alembic's configuration, set by a function of the project for airlock.

Such a program calls Alembic itself: it makes a Config, hands it its URL, its options, its places of revisions, and its env.py
stops without them.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.records.errors import AirlockError, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alembic.config import Config

# What Alembic parts the places of `prepend_sys_path` by, unless told otherwise.
_BETWEEN_PLACES = re.compile(r"[, :;\n]+")


def configure(config: Config, said: str, directories: Sequence[Path]) -> None:
    """Call the function `module:function` with the configuration.

    It is imported from `directories`, from the ini's `prepend_sys_path`, else as any module is. Raises Usage where it is not
    found, or raises something itself.
    """
    module, _, name = said.partition(":")
    if not module or not name:
        raise Usage(f"configure = {said!r} is no MODULE:FUNCTION.")
    with _importable([*_places(config), *map(str, directories)]):
        try:
            function: Any = getattr(importlib.import_module(module), name, None)
            if not callable(function):
                raise Usage(f"configure = {said!r}: the module {module} has no function {name}.")
            function(config)
        except AirlockError:
            raise
        except SystemExit as stopped:
            # Command line tools end like that where something is amiss; their words stand above.
            raise Usage(f"configure = {said!r} ended the program (exit {stopped.code}).") from stopped
        except Exception as error:
            raise Usage(f"configure = {said!r}: {type(error).__name__}: {error}") from error


def _places(config: Config) -> list[str]:
    said = config.get_main_option("prepend_sys_path") or ""
    return [str(Path(place).absolute()) for place in _BETWEEN_PLACES.split(said.strip()) if place]


@contextlib.contextmanager
def _importable(places: Sequence[str]) -> Iterator[None]:
    """Have modules sought in these places first until the block ends, those that are there no place twice."""
    before = list(sys.path)
    sys.path[:0] = [place for place in places if place not in before]
    try:
        yield
    finally:
        sys.path[:] = before
