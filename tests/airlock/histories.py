"""Write tiny Alembic projects for tests: an ini, an env.py of a given kind, and a chain of revisions."""

from __future__ import annotations

import dataclasses
import textwrap
from pathlib import Path

INI = """\
[alembic]
script_location = %(here)s/alembic
prepend_sys_path = .
path_separator = os
{url}
"""

HEADER = """\
import os

from alembic import context
from sqlalchemy import create_engine, pool
from sqlalchemy.ext.asyncio import create_async_engine

URL = os.environ["DATABASE_URL"]
"""

SYNC = """\

engine = create_engine(URL.replace("postgresql://", "postgresql+{driver}://"), poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection{options})
    with context.begin_transaction():
        context.run_migrations()
"""

BEGIN = """\

engine = create_engine(URL.replace("postgresql://", "postgresql+{driver}://"), poolclass=pool.NullPool)
with engine.begin() as connection:
    context.configure(connection=connection{options})
    with context.begin_transaction():
        context.run_migrations()
"""

ASYNC = """\
import asyncio


def go(connection):
    context.configure(connection=connection{options})
    with context.begin_transaction():
        context.run_migrations()


async def main():
    engine = create_async_engine(URL.replace("postgresql://", "postgresql+{driver}://"), poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(go)
    await engine.dispose()


asyncio.run(main())
"""


@dataclasses.dataclass(frozen=True)
class Revision:
    """One revision to be written: its two function bodies, and module-level lines (`extra`)."""

    revision: str
    up: str
    down: str = "pass"
    title: str = ""
    extra: str = ""
    revises: str | tuple[str, ...] | bool | None = True  # True: the one before


def write_project(
    directory: Path,
    revisions: list[Revision],
    *,
    driver: str = "psycopg2",
    env: str | None = None,
    options: str = "",
    url: str = "",
) -> Path:
    """Write the project and return the path of its ini.

    `env` is a whole env.py, or None for the plain one of `driver` (`psycopg2`, `psycopg`, `asyncpg`);
    `options` is appended to `context.configure(connection=connection`.
    """
    scripts = directory / "alembic"
    (scripts / "versions").mkdir(parents=True, exist_ok=True)
    ini = directory / "alembic.ini"
    ini.write_text(INI.format(url=f"sqlalchemy.url = {url}" if url else ""))
    if env is None:
        env = HEADER + (ASYNC if driver == "asyncpg" else SYNC).format(driver=driver, options=options)
    (scripts / "env.py").write_text(env)
    (scripts / "script.py.mako").write_text("")
    previous: str | None = None
    for one in revisions:
        revises = previous if one.revises is True else one.revises
        (scripts / "versions" / f"{one.revision}.py").write_text(
            f'"""{one.title or one.revision}"""\n'
            "import sqlalchemy as sa\n"
            "from alembic import op\n\n"
            f"revision = {one.revision!r}\ndown_revision = {revises!r}\n"
            "branch_labels = None\ndepends_on = None\n"
            f"{textwrap.dedent(one.extra)}\n\n"
            f"def upgrade():\n{textwrap.indent(textwrap.dedent(one.up).strip(), '    ')}\n\n\n"
            f"def downgrade():\n{textwrap.indent(textwrap.dedent(one.down).strip(), '    ')}\n"
        )
        previous = one.revision
    return ini
