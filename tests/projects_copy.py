"""A copy of this project in a directory of its own, to change models and write revisions in, run by plain Alembic."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.history import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@dataclasses.dataclass(frozen=True)
class ProjectCopy:
    """Models, history and ini, copied; `airlock` is the one of this checkout."""

    directory: Path

    @classmethod
    def make(cls, directory: Path) -> ProjectCopy:
        for name in ("app", "alembic"):
            shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "alembic.ini", directory)
        return cls(directory)

    def alembic(
        self, *arguments: str, url: str | None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line `alembic` there; without a URL the variable is missing."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DATABASE_")}
        if url is not None:
            inherited["DATABASE_URL"] = url
        return subprocess.run(
            [sys.executable, "-m", "alembic", *arguments], cwd=self.directory, env={**inherited, **environment},
            text=True, capture_output=True, check=False, timeout=120, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace one piece of a file, which has to be there once."""
        file = self.directory / path
        text = file.read_text()
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {path}"
        file.write_text(text.replace(old, new))

    def newest_revision(self) -> Path:
        return max(
            (self.directory / "alembic" / "versions").glob("*.py"), key=lambda path: path.stat().st_mtime
        )
