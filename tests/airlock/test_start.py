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


@pytest.mark.parametrize("command", [("upgrade",), ("status", "--no-drift")])
def test_a_command_with_nothing_to_do_loads_little_beside_alembic(
    command: tuple[str, ...], tmp_path: Path, empty_database: Database
) -> None:
    """Some eighty modules beyond Alembic's own and the driver's, none of those that look into scratch."""
    ini = write(tmp_path, 1)
    environ = {**os.environ, "DATABASE_URL": empty_database.url}
    subprocess.run(commands(ini)["bare"], env=environ, check=True, capture_output=True)
    bare = subprocess.run([sys.executable, "-P", "-c", BARE], capture_output=True, text=True, check=True)
    found = loaded(empty_database.url, *command, "-c", str(ini))
    assert "airlock.database.server" in found
    assert {name for name in found if f"{name}.".startswith(tuple(f"{one}." for one in HEAVY))} == set()
    assert len(found - set(json.loads(bare.stdout))) <= 85


@pytest.mark.parametrize(("command", "most"), [("check", 70), ("drill", 46), ("trace", 46)])
def test_the_parent_of_children_loads_none_of_what_they_need(command: str, most: int) -> None:
    """It starts a server, sends arguments and reads records; what looks, fills and judges is loaded beside it."""
    script = f"import airlock.commands.{command}, airlock.operations.{command}, json, sys; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    found = set(json.loads(done.stdout))
    assert {name for name in found if f"{name}.".startswith(tuple(f"{one}." for one in CHILDREN))} == set()
    assert len([name for name in found if name.startswith("airlock")]) <= most
