"""airlock upgrade and downgrade, as a pipeline calls them."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.airlock import forked
from tests.airlock.histories import Revision, write_project
from tests.airlock.running import airlock, command, environment, rows

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Database

pytestmark = pytest.mark.server

REVISIONS = [
    Revision(
        "0001",
        "op.create_table('t1', sa.Column('id', sa.Integer, primary_key=True), sa.Column('v', sa.Integer))",
        "op.drop_table('t1')",
        title="Create t1",
    ),
    Revision(
        "0002",
        """
        with op.get_context().autocommit_block():
            op.create_index('ix_t1_v', 't1', ['v'], postgresql_concurrently=True)
        """,
        """
        with op.get_context().autocommit_block():
            op.drop_index('ix_t1_v', postgresql_concurrently=True)
        """,
        title="Index t1.v",
    ),
    Revision(
        "0003",
        "op.add_column('t1', sa.Column('w', sa.Integer))",
        "op.drop_column('t1', 'w')",
        title="Add t1.w",
    ),
]


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg", "asyncpg"])
def test_a_project_of_any_driver_goes_up(driver: str, tmp_path: Path, empty_database: Database) -> None:
    """Every step is an event with its milliseconds, the verdict is last, and the version rows follow."""
    ini = write_project(tmp_path, REVISIONS, driver=driver)
    up = forked.airlock(ini, "upgrade", "--json", url=empty_database.url)
    assert up.code == 0, up.err
    steps = [event for event in up.events if event["event"] == "step"]
    assert [(step["revision"], step["direction"], step["transactional"]) for step in steps] == [
        ("0001", "up", True), ("0002", "up", False), ("0003", "up", True),
    ]  # fmt: skip
    assert up.verdict["from"] == [] and up.verdict["to"] == ["0003"]
    assert rows(empty_database.url, "SELECT obj_description('alembic_version'::regclass)") == [(None,)]


@pytest.mark.proof
@pytest.mark.parametrize("driver", ["psycopg2", "psycopg", "asyncpg"])
def test_a_project_of_any_driver_goes_down(driver: str, tmp_path: Path, empty_database: Database) -> None:
    """Back to base, through the same console script that a pipeline calls; nothing is left but the version table."""
    ini = write_project(tmp_path, REVISIONS, driver=driver)
    assert airlock(ini, "upgrade", url=empty_database.url).code == 0
    down = airlock(
        ini, "downgrade", "base", "--json", "--scratch", empty_database.url, url=empty_database.url
    )
    assert down.code == 0, down.err
    assert down.verdict["from"] == ["0003"] and down.verdict["to"] == []
    left = "SELECT to_regclass('t1'), obj_description('alembic_version'::regclass)"
    assert rows(empty_database.url, left) == [(None, None)]


def test_at_head_there_is_nothing_to_do(tmp_path: Path, empty_database: Database) -> None:
    """A second run exits 0 and says so on standard output."""
    ini = write_project(tmp_path, REVISIONS[:1])
    assert forked.airlock(ini, "upgrade", url=empty_database.url).out.startswith(
        "base -> 0001: 1 revision in "
    )
    again = forked.airlock(ini, "upgrade", url=empty_database.url)
    assert (again.code, again.out) == (0, "Nothing to do: at 0001.\n")


@pytest.mark.proof
def test_garbage_of_a_long_revision_is_collected(tmp_path: Path, empty_database: Database) -> None:
    """The door loads its modules without looking for garbage; a revision that makes some is not left with it."""
    cycles = """
import gc, weakref
class Node: pass
node = Node()
node.itself, seen = node, weakref.ref(node)
del node
assert gc.isenabled()
made = [[] for _ in range(200_000)]
assert seen() is None
"""
    ran = airlock(write_project(tmp_path, [Revision("w1", cycles)]), "upgrade", url=empty_database.url)
    assert ran.code == 0, ran.err


def test_upgrading_to_an_older_revision_is_an_error(tmp_path: Path, empty_database: Database) -> None:
    """Bare Alembic exits 0 and does nothing; here the line names the command that goes back."""
    ini = write_project(tmp_path, REVISIONS)
    forked.airlock(ini, "upgrade", url=empty_database.url)
    older = forked.airlock(ini, "upgrade", "0001", url=empty_database.url)
    assert older.code == 2
    assert (
        older.error
        == "airlock: The database, at 0003, is already past 0001. Nothing changed. Try: airlock downgrade 0001"
    )


@pytest.mark.proof
def test_a_terminal_sees_the_seconds_pass(tmp_path: Path, empty_database: Database) -> None:
    """On a terminal the running revision's line counts, and is replaced by its result."""
    ini = write_project(tmp_path, [Revision("0001", 'op.execute("SELECT pg_sleep(1.3)")', title="Sleep")])
    master, slave = pty.openpty()
    process = subprocess.Popen(
        command(ini, "upgrade"),
        env=environment(empty_database.url),
        stdout=subprocess.PIPE,
        stderr=slave,
        text=True,
    )
    os.close(slave)
    out, _ = process.communicate(timeout=60)
    seen = os.read(master, 65536).decode()
    os.close(master)
    assert process.returncode == 0
    assert "\r\x1b[K  0001  Sleep ..." in seen and re.search(r"0001  Sleep  \d+(\.\d)? m?s \.\.\.", seen)
    assert re.search(r"\+ 0001  Sleep  \d+\.\d s", seen)
    assert out.startswith("base -> 0001: 1 revision in ")


@pytest.mark.proof
def test_a_reader_that_goes_away_does_not_stop_the_run(tmp_path: Path, empty_database: Database) -> None:
    """A closed standard error or a full log is no reason to stop half way."""
    ini = write_project(tmp_path, REVISIONS)
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.Popen(
        command(ini, "upgrade", "--log", "/dev/full"), env=environment(empty_database.url),
        stdout=subprocess.DEVNULL, stderr=writing,
    )  # fmt: skip
    os.close(writing)
    process.wait(timeout=60)
    assert rows(empty_database.url, "SELECT version_num FROM alembic_version") == [("0003",)]


@pytest.mark.proof
@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("upgrade >&- 2>&-", 0),
        ("upgrade >&-", 0),
        ("upgrade --json > /dev/full", 0),
        ("upgrade --log /dev/full", 0),
        ("status --scratch embedded:9 > /dev/full", 2),
        ("status --scratch embedded:9 | true", 0),
    ],
)
def test_streams_that_cannot_be_written(
    words: str, code: int, tmp_path: Path, empty_database: Database
) -> None:
    """A closed or full stream is no fault of airlock; the exit code tells of the database, and of data that is lost."""
    ini = write_project(tmp_path, REVISIONS)
    line = " ".join([*command(ini, words.split()[0]), *words.split()[1:]])
    ran = subprocess.run(
        ["bash", "-c", f"{line}; exit ${{PIPESTATUS[0]}}"], env=environment(empty_database.url),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == code, ran.stderr
    assert "Traceback" not in ran.stderr and "fault" not in ran.stderr and "ignored" not in ran.stderr
