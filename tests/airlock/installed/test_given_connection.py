"""env.py files that want their connection from the program that calls Alembic."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.airlock import forked
from tests.airlock.installed.shop import write_shop
from tests.airlock.running import rows

if TYPE_CHECKING:
    from tests.servers import Database

HEAD = """\
from alembic import context

from models import Base

config = context.config


def do_run_migrations(connection):
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()


"""
WAYS = {
    "indexed": 'do_run_migrations(config.attributes["connection"])\n',
    "nothing to fall back on": 'do_run_migrations(config.attributes.get("connection"))\n',
    "refused without": """\
connection = config.attributes.get("connection", None)
if connection is None:
    raise Exception("No connection: run this from the program.")
with connection:
    do_run_migrations(connection)
""",
    "its engine": """\
with config.attributes["connection"].engine.connect() as connection:
    do_run_migrations(connection)
""",
    "an engine under its name": """\
with config.attributes["connection"].connect() as connection:
    do_run_migrations(connection)
""",
    "an engine": """\
with config.attributes["engine"].begin() as connection:
    do_run_migrations(connection)
""",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_connection_is_given_where_env_py_cannot_do_without(
    way: str, tmp_path: Path, empty_database: Database
) -> None:
    """On a target it leads to the target; nothing is asked of the project."""
    ini = write_shop(tmp_path)
    (tmp_path / "migrations/env.py").write_text(HEAD + WAYS[way])
    url = empty_database.url.replace("%2F", "/")
    ran = forked.airlock(ini, "upgrade", url=url, timeout=170)
    assert ran.code == 0, ran.err
    assert rows(url, "SELECT to_regclass('orders')::text") == [("orders",)]


def test_a_given_connection_leads_to_scratch(tmp_path: Path) -> None:
    """A verdict for each revision, as with an env.py that connects by itself."""
    ini = write_shop(tmp_path)
    (tmp_path / "migrations/env.py").write_text(HEAD + WAYS["refused without"])
    ran = forked.airlock(ini, "drill", "b2:c3", "--rows", "5", url=None, timeout=170)
    assert ran.code == 0, ran.out + ran.err
    assert re.search(r"^= c3 +proved", ran.out, re.MULTILINE), ran.out


def test_an_env_py_with_an_engine_of_its_own_is_given_none(tmp_path: Path, empty_database: Database) -> None:
    """`attributes.get("connection")` finds nothing, as it does for the `alembic` command."""
    ini = write_shop(tmp_path)
    env = tmp_path / "migrations/env.py"
    text = env.read_text()
    call = "    engine = engine_from_config("
    assert call in text
    given = '    assert config.attributes.get("connection") is None\n    assert config.attributes.get("engine") is None\n'
    env.write_text(text.replace(call, given + call))
    ran = forked.airlock(ini, "upgrade", url=empty_database.url.replace("%2F", "/"), timeout=170)
    assert ran.code == 0, ran.err


ATTRIBUTES = {
    "in attributes": ('config.attributes["tenant"]', "config.attributes['tenant']"),
    "behind a connection": ('config.attributes.get("connection") or config.tenant', "config.tenant"),
}


@pytest.mark.parametrize("way", ATTRIBUTES)
def test_what_only_a_program_sets_is_named_or_set_by_a_function(
    way: str, tmp_path: Path, empty_database: Database
) -> None:
    """In one line that says what to write; with that it goes up."""
    ini = write_shop(tmp_path)
    env = tmp_path / "migrations/env.py"
    asked, named = ATTRIBUTES[way]
    env.write_text(
        env.read_text().replace("config = context.config\n", f"config = context.config\ntenant = {asked}\n")
    )
    url = empty_database.url.replace("%2F", "/")
    ran = forked.airlock(ini, "upgrade", url=url, timeout=170)
    assert ran.code == 2, ran.err
    assert f"env.py asks for {named}, which only the program" in ran.error
    assert 'Try: configure = "module:function" in the settings' in ran.error
    (tmp_path / "tenancy.py").write_text(
        "def set_tenant(config):\n    config.attributes['tenant'] = config.tenant = 'acme'\n"
    )
    ran = forked.airlock(ini, "upgrade", "--configure", "tenancy:set_tenant", url=url, timeout=170)
    assert ran.code == 0, ran.err
