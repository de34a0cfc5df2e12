"""--dry-run rehearses in scratch and --sql writes: the target keeps what it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airlock import forked
from tests.airlock.histories import Revision, write_project
from tests.airlock.running import rows

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Database

pytestmark = pytest.mark.proof
HISTORY = [
    Revision(
        "y1", 'op.execute("CREATE TABLE item (id int)")', 'op.execute("DROP TABLE item")', title="Create item"
    ),
    Revision(
        "y2",
        'op.execute("ALTER TABLE item ADD size int")',
        'op.execute("ALTER TABLE item DROP size")',
        title="Add size",
    ),
]


def test_a_dry_run_shows_sql_and_touches_nothing(tmp_path: Path, empty_database: Database) -> None:
    """Only what is pending is shown, each statement with its time; exit 0, and the target stands where it stood."""
    ini = write_project(tmp_path, HISTORY)
    forked.airlock(ini, "upgrade", "y1", url=empty_database.url)
    ran = forked.airlock(ini, "upgrade", "--dry-run", "--scratch", empty_database.url, url=empty_database.url)
    assert ran.code == 0, ran.err
    assert "ALTER TABLE item ADD size int;\n" in ran.out and "CREATE TABLE" not in ran.out
    assert ran.out.endswith("-- 1 revision in scratch; the target, at y1, was not touched.\n")
    assert rows(empty_database.url, "SELECT version_num FROM alembic_version") == [("y1",)]


def test_a_dry_run_of_the_way_down(tmp_path: Path, empty_database: Database) -> None:
    """As JSON lines: plan, one rehearsal a revision, the verdict."""
    ini = write_project(tmp_path, HISTORY)
    forked.airlock(ini, "upgrade", url=empty_database.url)
    words = ("downgrade", "base", "--dry-run", "--json", "--scratch", empty_database.url)
    ran = forked.airlock(ini, *words, url=empty_database.url)
    assert [event["event"] for event in ran.events] == ["plan", "rehearsal", "rehearsal", "verdict"]
    assert [event["revision"] for event in ran.events[1:3]] == ["y2", "y1"]
    assert ran.events[1]["statements"][0][0] == "ALTER TABLE item DROP size"
    assert rows(empty_database.url, "SELECT version_num FROM alembic_version") == [("y2",)]


def test_a_dry_run_of_a_broken_revision(tmp_path: Path, empty_database: Database) -> None:
    """Exit 40 with the server's words; the target was not touched."""
    ini = write_project(tmp_path, [HISTORY[0], Revision("y2", 'op.execute("SELECT broken")')])
    ran = forked.airlock(ini, "upgrade", "--dry-run", "--scratch", empty_database.url, url=empty_database.url)
    assert ran.code == 40 and "The target was not touched." in ran.error, ran.err
    assert rows(empty_database.url, "SELECT to_regclass('item')") == [(None,)]


def test_sql_is_alembics_own(tmp_path: Path) -> None:
    """No database is named or asked; what env.py prints is no SQL."""
    env = (
        "from alembic import context\nprint('env.py says')\n"
        "context.configure(dialect_name='postgresql', literal_binds=True)\n"
        "with context.begin_transaction():\n    context.run_migrations()\n"
    )
    ini = write_project(tmp_path, HISTORY, env=env)
    one = next((tmp_path / "alembic/versions").glob("*.py"))
    one.write_text(
        f"import sys\nprint('y says')\nHELD = sys.stdout\n{one.read_text()}    HELD.write('y goes')\n"
    )
    ran = forked.airlock(ini, "upgrade", "--sql", url=None)
    assert ran.code == 0, ran.err
    assert ("y says" in ran.out + ran.err, "y goes" in ran.out, "y says" in ran.out) == (True, False, False)
    assert (
        "CREATE TABLE item (id int);" in ran.out and "UPDATE alembic_version SET version_num='y2'" in ran.out
    )
    assert ("env.py says" in ran.out, "env.py says" in ran.err) == (False, True)
    asks = Revision(
        "y3", "import sqlalchemy as sa\nop.get_bind().execute(sa.text('SELECT 1')).fetchall()", revises="y2"
    )
    write_project(tmp_path, [*HISTORY, asks], env=env)
    ran = forked.airlock(ini, "upgrade", "--sql", url=None)
    assert (ran.code, "y3 cannot be written as SQL, it asks the database" in ran.error) == (40, True), ran.err
    down = forked.airlock(ini, "downgrade", "--sql", "y2:y1", url=None)
    assert "ALTER TABLE item DROP size;" in down.out
