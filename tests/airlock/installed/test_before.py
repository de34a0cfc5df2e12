"""Histories that start on tables which something else has made: SQL that every scratch database begins with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.airlock import forked
from tests.airlock.installed.shop import write_shop
from tests.airlock.running import Ran

# As pg_dump writes it, with its lines for psql, and a role that this server has not.
SCHEMA = """\
\\restrict 3Rm
SELECT pg_catalog.set_config('search_path', '', false);
CREATE SCHEMA legacy;
CREATE TABLE legacy.account (id integer PRIMARY KEY, name text NOT NULL);
CREATE FUNCTION public.halves(n integer) RETURNS integer LANGUAGE sql AS $$ SELECT n % 2 $$;
GRANT SELECT ON legacy.account TO shop_reader_of_before;
\\unrestrict 3Rm
"""
REVISION = '''\
"""Add account.note"""
from alembic import op
import sqlalchemy as sa

revision, down_revision = "d4", "c3"


def upgrade():
    op.add_column("account", sa.Column("note", sa.Text), schema="legacy")


def downgrade():
    op.drop_column("account", "note", schema="legacy")
'''


@pytest.fixture(scope="module")
def ini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ini = write_shop(tmp_path_factory.mktemp("shop"))
    (ini.parent / "migrations/versions/d4.py").write_text(REVISION)
    (ini.parent / "sql").mkdir()
    (ini.parent / "sql/schema.sql").write_text(SCHEMA)
    return ini


def run(ini: Path, *words: str, settings: str = "") -> Ran:
    file = ini.parent / "airlock.toml"
    file.write_text(settings)
    return forked.airlock(ini, *words, url=None, timeout=170)


@pytest.mark.parametrize("command", ["drill", "trace", "review"])
def test_without_it_the_option_is_named(command: str, ini: Path, tmp_path: Path) -> None:
    """What a revision does not find may be made by something else: the line says where that goes."""
    ran = run(ini, command, "c3:d4", *(("--out", str(tmp_path)) if command == "review" else ()))
    assert ran.code not in (0, 70), ran.out + ran.err
    assert 'schema "legacy" does not exist' in ran.out + ran.err
    assert "--before FILE" in ran.out + ran.err


def test_one_reason_is_told_of_a_chain(ini: Path) -> None:
    """A revision that needs one that needs another tells the last one's reason, not all of them."""
    versions = ini.parent / "migrations/versions"
    for name, below in (("e5", "d4"), ("f6", "e5"), ("g7", "f6")):
        text = REVISION.replace('"d4", "c3"', f'"{name}", "{below}"').replace('"note"', f'"note_{name}"')
        (versions / f"{name}.py").write_text(text)
    try:
        ran = run(ini, "drill", "c3:g7", "--rows", "5")
    finally:
        for name in ("e5", "f6", "g7"):
            (versions / f"{name}.py").unlink()
    assert ran.out.count("cannot be applied in scratch") == 3, ran.out
    assert "it needs f6, which cannot be applied in scratch (it needs d4: schema" in ran.out


def test_a_drill_begins_with_it(ini: Path) -> None:
    """The table is there, has rows, and stays when everything goes down."""
    ran = run(ini, "drill", "--rows", "5", settings='before = "sql/schema.sql"\n')
    assert ran.code == 0, ran.out + ran.err
    assert re.search(r"^= d4 +proved", ran.out, re.MULTILINE), ran.out
    assert "legacy.account.note" in ran.out, ran.out


def test_a_trace_begins_with_it(ini: Path) -> None:
    """Said on the command line, it counts from where the user stands."""
    ran = run(ini, "trace", "c3:d4", "--before", str(ini.parent / "sql/schema.sql"))
    assert ran.code == 0, ran.out + ran.err
    assert "legacy.account" in ran.out


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        (b"CREATE TABLE a (id int);\nCREATE TABLE a (id int);\n", 'relation "a" already exists'),
        (b"CREATE EXTENSION no_such;\n", "apt-get install postgresql"),
        (b"\xff\xfe", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_one_that_does_not_run_is_told_in_one_line(ini: Path, sql: bytes | None, said: str) -> None:
    """By its name, and with the server's own words; no verdict comes of it."""
    if sql is not None:
        (ini.parent / "bad.sql").write_bytes(sql)
    else:
        (ini.parent / "bad.sql").unlink(missing_ok=True)
    ran = run(ini, "drill", "c3:d4", settings='before = "bad.sql"\n')
    assert ran.code in (2, 3), ran.out + ran.err
    assert "bad.sql" in ran.error
    assert said in ran.error
