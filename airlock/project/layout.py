"""What can be read of a project without running any of it: its env.py's kind, its driver, where its revisions are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from airlock.project.project import locations

if TYPE_CHECKING:
    from airlock.project.project import Project

_DRIVER = re.compile(r"postgresql\+(\w+)")
_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)
_ENGINE_AT_IMPORT = re.compile(r"^(?:\w+\s*=\s*)?(?:create_engine|create_async_engine)\(", re.MULTILINE)


def version_directories(project: Project) -> list[Path]:
    """List the directories of the revisions, and of env.py."""
    return [Path(project.script.dir), *map(Path, locations(project.script))]


def directories(config: Path) -> list[Path]:
    """List them of a project that has not been opened yet; none where its configuration cannot be read."""
    from airlock.project.project import Project

    try:
        return version_directories(Project.unloaded(config))
    except Exception:  # noqa: BLE001  whatever is wrong is told where the project is opened
        return []


def env_kind(project: Project) -> str:
    """Say in a few words what kind of env.py it is."""
    text = _env(project)
    words = ["asynchronous" if "async" in text else "synchronous"]
    if "run_migrations_online" not in text and "is_offline_mode" not in text:
        words.append("online only")
    if _ENGINE_AT_IMPORT.search(text):
        words.append("makes its engine at import")
    if "set_main_option" in text:
        words.append("hands its URL to the ini")
    if "fileConfig" in text:
        words.append("sets up logging")
    if "current_app" in text:
        words.append("inside the Flask application")
    if "dotenv" in text:
        words.append("reads a dotenv")
    if len(re.findall(r"\bcontext\.configure\(", text)) > 2 or re.search("[\"']databases[\"']", text):
        words.append("perhaps several databases")
    return ", ".join(words)


def drivers(project: Project) -> tuple[str, ...]:
    """Name the drivers that the ini and env.py spell, sorted."""
    found = set(_DRIVER.findall(_env(project)))
    try:
        found |= set(_DRIVER.findall(project.config.get_main_option("sqlalchemy.url") or ""))
    except Exception:  # noqa: BLE001  an ini whose own URL does not interpolate
        found = set(found)
    return tuple(sorted(found))


def variables(project: Project) -> tuple[str, ...]:
    """Name the variables without which env.py stops: those that it reads by `os.environ[...]`."""
    return tuple(sorted(set(re.findall(r"environ\[[\"'](\w+)[\"']\]", _env(project)))))


def _env(project: Project) -> str:
    try:
        text = Path(project.script.env_py_location).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # What stands in a comment is not done.
    return _COMMENT.sub("", text)
