"""The ini's own URL, in memory only."""

from __future__ import annotations

import contextlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.engine import make_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.project.project import Project

# What `alembic init` writes (driver://user:pass@localhost/dbname). No dialect is called so.
_PLACEHOLDER = "driver://"
_ASYNCHRONOUS = ("async_engine_from_config", "create_async_engine")


@contextlib.contextmanager
def ini_url(project: Project, url: str | None) -> Iterator[None]:
    """Give the ini a URL of the right driver while env.py runs; without a `url` only where it has a placeholder.

    Where connections really lead is the redirect's business: a URL without a host will do in the placeholder's stead.
    """
    config = project.config
    section = config.config_ini_section
    try:
        before = config.get_main_option("sqlalchemy.url")
    except Exception:  # noqa: BLE001  an ini whose own URL does not interpolate
        before = None
    empty = (before or "").startswith(_PLACEHOLDER)
    if url is None and not empty:
        yield
        return
    driver = _installed_driver(project) if empty else _driver_of(before)
    spelled = (url or "postgresql://").replace("postgresql://", f"postgresql+{driver}://", 1)
    # Doubled, because the ini interpolates.
    config.set_section_option(section, "sqlalchemy.url", spelled.replace("%", "%%"))
    try:
        yield
    finally:
        if before is None:
            config.file_config.remove_option(section, "sqlalchemy.url")
        else:
            config.set_section_option(section, "sqlalchemy.url", before.replace("%", "%%"))


def _installed_driver(project: Project) -> str:
    """Choose among the drivers that are there one of the kind that env.py makes engines for."""
    try:
        source = Path(project.script.env_py_location).read_text()
    except OSError:
        source = ""
    if any(word in source for word in _ASYNCHRONOUS):
        # psycopg serves both kinds.
        return "asyncpg" if find_spec("asyncpg") else "psycopg"
    return _usual_driver()


def _driver_of(url: str | None) -> str:
    """Name the driver an existing SQLAlchemy URL asks for; the usual one where it names none or cannot be read."""
    with contextlib.suppress(Exception):
        name = make_url(url or "").drivername
        if name.startswith("postgresql+"):
            return name.partition("+")[2]
    return _usual_driver()


def _usual_driver() -> str:
    """Name what SQLAlchemy takes for `postgresql://` (psycopg2, from 2.1 on psycopg); where it is missing, another."""
    usual = make_url("postgresql://").get_dialect().driver
    return next((name for name in (usual, "psycopg2", "psycopg", "asyncpg") if find_spec(name)), usual)
