"""The files below a directory of a project that are its own: not those of an environment or of packages beside them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_OTHERS = frozenset({"node_modules", "site-packages", "dist-packages", "__pycache__"})
# What marks the root of an environment (venv, conda), whatever it is called.
_MARKS = frozenset({"pyvenv.cfg", "conda-meta"})


def own_files(place: Path, *suffixes: str) -> Iterator[Path]:
    """List the files below a directory with one of these suffixes, sorted within each directory.

    Where the scripts stand in the project's own root, an environment with tens of thousands of files may stand beside them.
    A place that is asked for is read whatever it is called.
    """
    for directory, below, names in os.walk(place):
        if directory != str(place) and _MARKS & {*below, *names}:
            below.clear()
            continue
        below[:] = sorted(one for one in below if one not in _OTHERS and not one.startswith("."))
        yield from (Path(directory, name) for name in sorted(names) if name.endswith(suffixes))
