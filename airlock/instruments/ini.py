"""The ini's own URL, in memory only."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from airlock.instruments.redirect import driver_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.instruments.project import Project


@contextlib.contextmanager
def ini_url(project: Project, url: str | None) -> Iterator[None]:
    """Give the ini a URL of the right driver while env.py runs. `%` is doubled: the ini interpolates."""
    if url is None:
        yield
        return
    config = project.config
    section = config.config_ini_section
    try:
        before = config.get_main_option("sqlalchemy.url")
    except Exception:  # noqa: BLE001  an ini whose own URL does not interpolate
        before = None
    spelled = url.replace("postgresql://", f"postgresql+{driver_of(before)}://", 1)
    config.set_section_option(section, "sqlalchemy.url", spelled.replace("%", "%%"))
    try:
        yield
    finally:
        if before is None:
            config.file_config.remove_option(section, "sqlalchemy.url")
        else:
            config.set_section_option(section, "sqlalchemy.url", before.replace("%", "%%"))
