"""Where a project's relative paths count from, and where its configuration is looked for."""

from __future__ import annotations

import configparser
import os
from pathlib import Path

# What Flask-Migrate makes: an ini beside env.py that does not say where the scripts are; `flask db` says it.
FLASK_MIGRATE = Path("migrations/alembic.ini")
_UNSAID = ""


def configuration(directory: Path) -> Path:
    """Find the configuration of a directory as `alembic` does, or as `flask db` does where there is none for `alembic`."""
    ini, toml = directory / "alembic.ini", directory / "pyproject.toml"
    if ini.is_file():
        return ini
    if toml.is_file() and "[tool.alembic" in toml.read_text(errors="replace"):
        return toml
    flask = directory / FLASK_MIGRATE
    return flask if keeps_scripts_beside_itself(flask) else ini


def keeps_scripts_beside_itself(ini: Path) -> bool:
    """Tell whether it is Flask-Migrate's: env.py stands beside it, and it names no `script_location`."""
    return (ini.parent / "env.py").is_file() and _script_location(ini) == _UNSAID


def working_directory(config: Path) -> Path:
    """Say which directory relative paths of Alembic and of env.py count from, from wherever it is asked.

    The configuration's own; the one above for Flask-Migrate's; the one that the asker stands in where the scripts that the ini
    names are there and not beside it (`alembic -c deploy/alembic.ini`, which counts from there).
    """
    own = config.absolute().parent
    if keeps_scripts_beside_itself(config):
        return own.parent
    location = _script_location(config) or _UNSAID
    if not location or "%" in location or ":" in location or (own / location).is_dir():
        return own
    here = Path.cwd()
    return here if (here / location / "env.py").is_file() else own


def _script_location(ini: Path) -> str | None:
    """Read it as it is spelt; nothing where the ini does not say it, None where there is no ini that can be read."""
    if ini.suffix == ".toml":
        return None
    reader = configparser.RawConfigParser()
    try:
        if not reader.read(ini, encoding="utf-8"):
            return None
    except (configparser.Error, UnicodeDecodeError):
        return None
    section = os.environ.get("AIRLOCK_NAME") or "alembic"
    for one in (section, "alembic"):
        if reader.has_option(one, "script_location"):
            return reader.get(one, "script_location").strip()
    return _UNSAID if reader.has_section(section) else None
