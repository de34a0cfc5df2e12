"""Projects laid out in every way that public ones are: each goes up, is traced, is drilled, and goes down again."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.airlock import forked
from tests.airlock.installed.shop import env_py, write_shop
from tests.airlock.running import AIRLOCK, Ran, environment, rows

if TYPE_CHECKING:
    from tests.servers import Database

pytestmark = pytest.mark.proof

ENV = "migrations/env.py"
VERSIONS = "migrations/versions"


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text, (file, old)
    file.write_text(text.replace(old, new))


def package_called_app(root: Path) -> None:
    """Models in a package called `app`, as this repository's own."""
    (root / "app").mkdir()
    (root / "app/__init__.py").touch()
    (root / "models.py").rename(root / "app/models.py")
    edit(root / ENV, "from models import", "from app.models import")


def folder_called_alembic(root: Path) -> None:
    """The scripts in a folder named like the library, with an __init__.py."""
    (root / "migrations").rename(root / "alembic")
    edit(root / "alembic.ini", "script_location = migrations", "script_location = alembic")


def source_layout(root: Path) -> None:
    """The package under src/, the scripts inside it, found by prepend_sys_path."""
    package = root / "src/shop"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (root / "models.py").rename(package / "models.py")
    (root / "migrations").rename(package / "migrations")
    edit(root / "alembic.ini", "script_location = migrations", "script_location = src/shop/migrations")
    edit(root / "alembic.ini", "prepend_sys_path = .", "prepend_sys_path = src")
    edit(package / "migrations/env.py", "from models import", "from shop.models import")


def package_location(root: Path) -> None:
    """`script_location = package:folder`."""
    (root / "pkg").mkdir()
    (root / "pkg/__init__.py").touch()
    (root / "migrations").rename(root / "pkg/migrations")
    edit(root / "alembic.ini", "script_location = migrations", "script_location = pkg:migrations")


def several_locations(root: Path) -> None:
    """Two directories of revisions."""
    (root / "more").mkdir()
    (root / VERSIONS / "c3.py").rename(root / "more/c3.py")
    edit(
        root / "alembic.ini", "prepend_sys_path = .",
        "prepend_sys_path = .\nversion_path_separator = os\nversion_locations = more:migrations/versions",
    )  # fmt: skip


def branches(root: Path) -> None:
    """Two labelled branches of which one depends on the other, merged at the end."""
    (root / VERSIONS / "x1.py").write_text(
        '"""Add note"""\nfrom alembic import op\nimport sqlalchemy as sa\n'
        'revision, down_revision, branch_labels, depends_on = "x1", None, ("notes",), "a1"\n'
        'def upgrade():\n    op.create_table("note", sa.Column("id", sa.Integer, primary_key=True))\n'
        'def downgrade():\n    op.drop_table("note")\n'
    )
    (root / VERSIONS / "m4.py").write_text(
        '"""Merge"""\nrevision, down_revision = "m4", ("c3", "x1")\n'
        "def upgrade():\n    pass\ndef downgrade():\n    pass\n"
    )


def version_table_elsewhere(root: Path) -> None:
    """A version table of another name in another schema, which a listener makes."""
    edit(
        root / ENV, "    context.configure(connection=connection,",
        '    connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS meta")\n    connection.commit()\n'
        '    context.configure(connection=connection, version_table="versions", version_table_schema="meta",',
    )  # fmt: skip


def include_object(root: Path) -> None:
    """Hooks of autogenerate's, a naming of schemas."""
    edit(
        root / ENV, "    context.configure(connection=connection,",
        "    def include_object(thing, name, type_, reflected, compare_to):\n        return name != 'spatial_ref_sys'\n\n"
        "    context.configure(connection=connection, include_schemas=True, include_object=include_object, compare_type=True,",
    )  # fmt: skip


def pydantic_settings(root: Path) -> None:
    """A URL that pydantic's PostgresDsn has to take."""
    (root / "settings.py").write_text(
        "from pydantic import PostgresDsn\nfrom pydantic_settings import BaseSettings\n\n\n"
        "class Settings(BaseSettings):\n    database_url: PostgresDsn\n"
    )
    edit(root / ENV, "from models import Base", "from models import Base\nfrom settings import Settings")
    edit(root / ENV, 'os.environ["DATABASE_URL"].replace(', "str(Settings().database_url).replace(")


def parts_of_a_url(root: Path) -> None:
    """Host, port, user and password in variables of their own, put together by hand, as tutorials do."""
    edit(
        root / ENV, 'os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg2:")',
        '"postgresql+psycopg2://{}:{}@{}:{}/{}".format(*(os.environ.get("DB_" + name, default) for name, default in '
        'dict(USER="u", PASSWORD="p", HOST="localhost", PORT="5432", NAME="d").items()))',
    )  # fmt: skip


def engine_at_import(root: Path) -> None:
    """env.py takes the application's engine, which is made when its module is imported."""
    (root / "db.py").write_text(
        "import os\nimport sqlalchemy as sa\n"
        'engine = sa.create_engine(os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg2:"))\n'
    )
    text = (root / ENV).read_text()
    text = text.replace("from models import Base", "from db import engine\nfrom models import Base")
    (root / ENV).write_text(re.sub(r"    engine = engine_from_config\(.*\n", "", text))


def dotenv(root: Path) -> None:
    """env.py reads a .env, which overrides the environment."""
    (root / ".env").write_text(
        "DATABASE_URL=postgresql://nobody:secret@db.invalid/production\nSECRET_KEY=x\n"
    )
    edit(
        root / ENV, "config = context.config",
        "from dotenv import load_dotenv\n\nload_dotenv(override=True)\nconfig = context.config",
    )  # fmt: skip


def required_variables(root: Path) -> None:
    """Variables without which env.py stops; they come by --env."""
    edit(
        root / ENV,
        "config = context.config",
        'assert os.environ["SECRET_KEY"] == "a=b"\nconfig = context.config',
    )


def handlers_closed(root: Path) -> None:
    """env.py disables every logger there is, and closes every handler."""
    edit(
        root / ENV, "config = context.config",
        "import logging\nlogging.shutdown()\nlogging.disable(logging.CRITICAL)\nconfig = context.config",
    )  # fmt: skip


def asynchronous(root: Path) -> None:
    """Alembic's async template: asyncio.run around an async engine."""
    (root / ENV).write_text(env_py("asyncpg"))
    edit(root / "alembic.ini", "+psycopg2:", "+asyncpg:")


def asyncio_at_import(root: Path) -> None:
    """A module of the project that runs a loop of its own."""
    asynchronous(root)
    edit(
        root / "models.py",
        "import sqlalchemy as sa",
        "import asyncio\n\nimport sqlalchemy as sa\n\nasyncio.run(asyncio.sleep(0))",
    )


def other_section(root: Path) -> None:
    """Everything in a section of another name, as for several databases in one ini."""
    edit(root / "alembic.ini", "[alembic]", "[alembic]\n\n[shop]")


def x_and_tag(root: Path) -> None:
    """env.py reads -x and --tag."""
    edit(
        root / ENV, "def do_run_migrations(connection):",
        "def do_run_migrations(connection):\n    assert context.get_x_argument(as_dictionary=True)['tenant'] == 'one'\n"
        "    assert context.get_tag_argument() == 'blue'",
    )  # fmt: skip


def multidb(root: Path) -> None:
    """Alembic's multidb template: one engine, upgrade_<name>() functions, and `upgrade(engine_name)` that calls them."""
    text = (root / ENV).read_text()
    place = text.rindex("        context.run_migrations()")
    (root / ENV).write_text(
        text[:place] + text[place:].replace("run_migrations()\n", 'run_migrations(engine_name="main")\n', 1)
    )
    for file in (root / VERSIONS).glob("*.py"):
        text = file.read_text()
        for word in ("upgrade", "downgrade"):
            called = (
                f"def {word}(engine_name):\n    globals()['{word}_' + engine_name]()\n\n\ndef {word}_main():"
            )
            text = text.replace(f"def {word}():", called)
        file.write_text(text)


def never_closed(root: Path) -> None:
    """env.py that connects, and leaves its connection to the end of the process, kept by a module of the project."""
    (root / "kept.py").write_text("connections = []\n")
    edit(
        root / ENV, "    with engine.connect() as connection:\n        do_run_migrations(connection)",
        "    import kept\n\n    kept.connections.append(engine.connect())\n    do_run_migrations(kept.connections[-1])",
    )  # fmt: skip


Layout = Callable[[Path], None]
LAYOUTS: tuple[Layout, ...] = (
    package_called_app, folder_called_alembic, source_layout, package_location, several_locations, branches,
    version_table_elsewhere, include_object, pydantic_settings, parts_of_a_url, engine_at_import, dotenv,
    required_variables, handlers_closed, asynchronous, asyncio_at_import, other_section, x_and_tag, multidb,
    never_closed,
)  # fmt: skip
WORDS: dict[Layout, tuple[str, ...]] = {
    required_variables: ("--env", "SECRET_KEY=a=b"),
    other_section: ("-n", "shop"),
    x_and_tag: ("-x", "tenant=one", "--tag", "blue"),
}
# PostgresDsn takes no URL of a socket, which is what the tests' server has; in scratch it gets another.
SCRATCH_ONLY = {pydantic_settings}


def run(layout: Layout, ini: Path, *words: str, url: str | None) -> Ran:
    return forked.airlock(ini, words[0], *WORDS.get(layout, ()), *words[1:], url=url, timeout=170)


@pytest.mark.parametrize(
    "layout", [one for one in LAYOUTS if one not in SCRATCH_ONLY], ids=lambda layout: layout.__name__
)
def test_a_layout_goes_up_and_down(layout: Layout, tmp_path: Path, empty_database: Database) -> None:
    """On a target, through env.py as it is; nothing of this repository's own `app` or `alembic` is in the way."""
    ini = write_shop(tmp_path)
    layout(tmp_path)
    url = empty_database.url.replace("%2F", "/")
    ran = run(layout, ini, "upgrade", "heads", url=url)
    assert ran.code == 0, ran.err
    assert rows(url, "SELECT to_regclass('orders')::text") == [("orders",)]
    assert (
        "up to date" in run(layout, ini, "status", url=url).out
        or not run(layout, ini, "status", url=url).code
    )
    ran = run(layout, ini, "downgrade", "base", url=url)
    assert ran.code == 0, ran.err
    assert rows(url, "SELECT to_regclass('orders')::text") == [(None,)]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_a_layout_is_examined_in_scratch(layout: Layout, tmp_path: Path) -> None:
    """A verdict for every revision, and no database but scratch heard of it."""
    ini = write_shop(tmp_path)
    layout(tmp_path)
    ran = run(layout, ini, "drill", "--rows", "10", url=None)
    assert ran.code == 0, ran.out + ran.err
    for revision in ("a1", "b2", "c3"):
        assert re.search(rf"^= {revision} +proved", ran.out, re.MULTILINE), ran.out


def test_a_connection_that_is_never_closed_stops_no_trace(tmp_path: Path) -> None:
    """Each step is a run of env.py: the one before must not hold the version table's lock."""
    ini = write_shop(tmp_path)
    never_closed(tmp_path)
    ran = run(never_closed, ini, "trace", "--rows", "0", url=None)
    assert "+ c3" in ran.out, ran.out + ran.err


def test_a_pyproject_is_enough(
    tmp_path: Path, empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alembic configured there alone: found without -c, as Alembic finds it."""
    ini = write_shop(tmp_path)
    ini.unlink()
    edit(tmp_path / ENV, "    fileConfig(config.config_file_name)", "    pass")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.alembic]\nscript_location = "%(here)s/migrations"\nprepend_sys_path = ["."]\n'
        '[tool.airlock]\nlock-timeout = "3s"\n'
    )
    url = empty_database.url.replace("%2F", "/")
    monkeypatch.chdir(tmp_path)
    environ = environment(url)
    for words, code in ((("status",), 0), (("upgrade",), 0), (("drill", "b2:c3"), 0)):
        ran = subprocess.run([*AIRLOCK, *words], env=environ, capture_output=True, text=True, check=False)
        assert ran.returncode == code, ran.stderr


@pytest.mark.parametrize(
    ("words", "stands"),
    [
        (("upgrade", "+2"), "b2"),
        (("upgrade", "a1+1"), "b2"),
        (("upgrade", "heads"), "c3"),
        (("upgrade", "shop@head"), "c3"),
    ],
)
def test_targets_are_spelt_as_alembic_has_them(
    words: tuple[str, ...], stands: str, tmp_path: Path, empty_database: Database
) -> None:
    """Relative, partial, by label."""
    ini = write_shop(tmp_path)
    edit(
        tmp_path / VERSIONS / "a1.py",
        'revision, down_revision = "a1", None',
        'revision, down_revision, branch_labels = "a1", None, ("shop",)',
    )
    url = empty_database.url.replace("%2F", "/")
    ran = forked.airlock(ini, *words, url=url)
    assert ran.code == 0, ran.err
    assert rows(url, "SELECT version_num FROM alembic_version") == [(stands,)]
    ran = forked.airlock(ini, "downgrade", "-1", url=url)
    assert ran.code == 0, ran.err
    ran = forked.airlock(ini, "upgrade", "base:head", "--sql", url=url)
    assert "CREATE TABLE customer" in ran.out, ran.err
