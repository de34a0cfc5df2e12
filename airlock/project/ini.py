"""The ini's own URL, in memory only."""

from __future__ import annotations

import contextlib
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.engine import make_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.config import Config
    from alembic.script import ScriptDirectory

# What `alembic init` writes (driver://user:pass@localhost/dbname), and what a project that runs on several databases has there.
_PLACEHOLDER = re.compile(r"(driver|sqlite|mysql|mariadb|mssql|oracle)(\+\w+)?://")
_ASYNCHRONOUS = ("async_engine_from_config", "create_async_engine")


@contextlib.contextmanager
def ini_url(config: Config, script: ScriptDirectory) -> Iterator[None]:
    """Give an ini with a placeholder, or another database's URL, one of an installed driver while env.py runs.

    Every other stays as it is. Where connections really lead is the redirect's business: a URL without a host will do instead.
    """
    section = config.config_ini_section
    try:
        before = config.get_main_option("sqlalchemy.url")
    except Exception:  # noqa: BLE001  an ini whose own URL does not interpolate
        before = None
    if before is None or not _PLACEHOLDER.match(before):
        yield
        return
    config.set_section_option(section, "sqlalchemy.url", f"postgresql+{_installed_driver(script)}://")
    try:
        yield
    finally:
        # Doubled, because the ini interpolates.
        config.set_section_option(section, "sqlalchemy.url", before.replace("%", "%%"))


def _installed_driver(script: ScriptDirectory) -> str:
    """Choose among the drivers that are there one of the kind that env.py makes engines for."""
    try:
        source = Path(script.env_py_location).read_text()
    except OSError:
        source = ""
    if any(word in source for word in _ASYNCHRONOUS):
        # psycopg serves both kinds.
        return "asyncpg" if find_spec("asyncpg") else "psycopg"
    return usual_driver()


def usual_driver() -> str:
    """Name what SQLAlchemy takes for `postgresql://` (psycopg2, from 2.1 on psycopg); where it is missing, another."""
    usual = make_url("postgresql://").get_dialect().driver
    return next((name for name in (usual, "psycopg2", "psycopg", "asyncpg") if find_spec(name)), usual)
