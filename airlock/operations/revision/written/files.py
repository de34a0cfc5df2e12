"""The files of the versions directories: what one call added to them is removed again where it fails."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airlock.project.project import Project


def version_files(project: Project) -> frozenset[Path]:
    """List the Python files of every versions directory. Reads directories only."""
    return frozenset(
        path.resolve()
        for place in project.script._version_locations
        if place is not None
        for path in Path(place).rglob("*.py")
    )


def remove(files: frozenset[Path]) -> None:
    """Remove revisions that were written, with what Python has compiled of them."""
    for path in files:
        path.unlink(missing_ok=True)
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink(missing_ok=True)
