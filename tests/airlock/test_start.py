"""A command loads what it needs: counted in modules, which a busy machine does not change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.upgrade import commands, write
from tests.servers import Database

RUN = """
import json, sys
from airlock.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
sys.stderr.write("@@" + json.dumps(sorted(sys.modules)))
"""
BARE = """
import alembic.command, json, psycopg2, sqlalchemy.dialects.postgresql.psycopg2, sys
print(json.dumps(sorted(sys.modules)))
"""
# What only commands load that look into catalogues, make rows or run in scratch.
HEAVY = (
    "airlock.catalogue.structure", "airlock.operations.drill", "airlock.operations.trace", "airlock.operations.built",
    "airlock.recorder", "airlock.samples", "airlock.scratch.embedded", "airlock.scratch.isolation", "airlock.scratch.servers",
    "asyncpg", "docker", "psycopg", "testcontainers",
)  # fmt: skip


# What runs a history in scratch loads in its children alone, beside the parent that waits for them.
CHILDREN = (
    "airlock.catalogue.structure", "airlock.operations.downgrade", "airlock.operations.drill.child",
    "airlock.operations.older_release", "airlock.operations.revision.directives", "airlock.operations.trace.child",
    "airlock.operations.upgrade", "airlock.project.environment", "airlock.recorder", "airlock.samples", "asyncpg", "psycopg",
)  # fmt: skip


def loaded(url: str, *command: str) -> set[str]:
    """Run a command line and name the modules that its process had loaded at its end."""
    environ = {**os.environ, "DATABASE_URL": url}
    done = subprocess.run(
        [sys.executable, "-P", "-c", RUN, *command], env=environ, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stderr.rpartition("@@")[2]))


def test_help_loads_neither_alembic_nor_sqlalchemy() -> None:
    """The parser and the settings, nothing else."""
    found = loaded("", "--help")
    assert not found & {"alembic", "sqlalchemy", "psycopg2", "airlock.api", "airlock.operations"}
    assert len([name for name in found if name.startswith("airlock")]) <= 12


@pytest.mark.parametrize(("command", "most"), [(("upgrade",), 75), (("status", "--no-drift"), 84)])
def test_a_command_with_nothing_to_do_loads_little_beside_alembic(
    command: tuple[str, ...], most: int, tmp_path: Path, empty_database: Database
) -> None:
    """Less than eighty modules beyond Alembic's own and the driver's, none that look into scratch or make files of templates."""
    ini = write(tmp_path, 1)
    environ = {**os.environ, "DATABASE_URL": empty_database.url}
    subprocess.run(commands(ini)["bare"], env=environ, check=True, capture_output=True)
    bare = subprocess.run([sys.executable, "-P", "-c", BARE], capture_output=True, text=True, check=True)
    found = loaded(empty_database.url, *command, "-c", str(ini))
    assert "airlock.database.server" in found
    assert {name for name in found if f"{name}.".startswith(tuple(f"{one}." for one in HEAVY))} == set()
    assert not found & {"mako.template", "mako.exceptions", "pygments", "asyncio", "ssl", "email.message"}
    assert len(found - set(json.loads(bare.stdout))) <= most


@pytest.mark.parametrize(("command", "most"), [("check", 76), ("drill", 52), ("trace", 47)])
def test_the_parent_of_children_loads_none_of_what_they_need(command: str, most: int) -> None:
    """It starts a server, sends arguments and reads records; what looks, fills and judges is loaded beside it."""
    script = f"import airlock.commands.{command}, airlock.operations.{command}, json, sys; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    found = set(json.loads(done.stdout))
    assert {name for name in found if f"{name}.".startswith(tuple(f"{one}." for one in CHILDREN))} == set()
    assert len([name for name in found if name.startswith("airlock")]) <= most


def test_what_alembic_writes_of_a_template_is_written_where_mako_came_later(tmp_path: Path) -> None:
    """The stand-ins load Mako when a revision is written, and say where a template is at fault."""
    script = (
        "from airlock.drivers import deferred_imports; deferred_imports.import_alembic(); import sys, alembic.command as c;"
        "from alembic.config import Config; assert 'mako.template' not in sys.modules;"
        "config = Config('alembic.ini'); c.revision(config, 'Add', rev_id='r001', head='head');"
        "import mako.template; assert isinstance(mako.template, type(sys)) and mako.template.Template('${1}').render() == '1'"
    )
    write(tmp_path, 1)
    template = tmp_path / "alembic" / "script.py.mako"
    template.write_text("revision = ${repr(up_revision)}\ndown_revision = ${repr(down_revision)}\n")
    command = [sys.executable, "-P", "-c", script]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    (made,) = (tmp_path / "alembic" / "versions").glob("r001_*.py")
    assert made.read_text() == "revision = 'r001'\ndown_revision = 'r000'\n"
    template.write_text("${nobody_knows()}")
    made.unlink()
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert "Template rendering failed; see " in done.stderr


def test_what_sqlalchemy_and_the_standard_library_took_of_deferred_modules_is_the_real_one() -> None:
    """SQLAlchemy tells coroutines and time-outs as ever; a distribution's metadata is read; who imports asyncio finds it."""
    script = """
from airlock.drivers import deferred_imports
deferred_imports.import_alembic()
import sys, importlib.metadata
from sqlalchemy.util import concurrency, queue
assert "email.message" not in sys.modules
assert importlib.metadata.metadata("alembic")["Name"] == "alembic"
async def one(): return queue.AsyncAdaptedQueue()._queue
coroutine = one()
assert concurrency.iscoroutine(coroutine) and not concurrency.iscoroutine(1)
import asyncio, ssl
assert concurrency.is_exit_exception(asyncio.TimeoutError())
assert isinstance(asyncio.run(coroutine), asyncio.Queue) and ssl.create_default_context()
"""
    subprocess.run([sys.executable, "-P", "-c", script], check=True)


def test_a_plugin_of_alembic_may_import_a_part_of_what_is_deferred(tmp_path: Path) -> None:
    """A stand-in is no package: then Alembic is imported again, with all that it wants."""
    (tmp_path / "plug.py").write_text("import asyncio.events\n\n\ndef setup(plugin): pass\n")
    (tmp_path / "plug-1.dist-info").mkdir()
    (tmp_path / "plug-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1\n")
    (tmp_path / "plug-1.dist-info/entry_points.txt").write_text("[alembic.plugins]\nplug = plug\n")
    script = (
        "from airlock.drivers import deferred_imports; deferred_imports.import_alembic();"
        "import asyncio, plug, alembic.command; assert plug.asyncio is asyncio"
    )
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], env=environ, check=True)
