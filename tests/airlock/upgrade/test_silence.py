"""A server that says nothing more: wherever it falls silent, the run ends, with one line and the right exit code."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.engine import make_url

from airlock.database import liveness
from airlock.database import server as servers
from tests.airlock import forked
from tests.airlock.blackhole import black_hole
from tests.airlock.histories import Revision, write_project
from tests.airlock.running import rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers import Database

pytestmark = pytest.mark.proof

HISTORY = [
    Revision("s1", 'op.execute("CREATE TABLE item (id integer)")', 'op.execute("DROP TABLE item")'),
    Revision(
        "s2", 'op.execute("ALTER TABLE item ADD said text")', 'op.execute("ALTER TABLE item DROP said")'
    ),
]
# What a client has just said when the network goes: its application's name is said in the first packet.
CONNECTS = "application_name\0airlock-worker:"
MOMENTS = {
    "the lease connects": ("airlock-lease", 10),
    "the lease is asked for": ("pg_try_advisory_xact_lock", 50),
    "the observer connects": ("airlock-observer", 10),
    "the lease is proved": ("SELECT EXISTS (SELECT FROM pg_locks", 50),
    "orphans are looked for": ("FROM pg_stat_activity WHERE application_name LIKE", 50),
    "env.py connects": (CONNECTS, 50),
    "env.py's session is set up": ("standard_conforming_strings", 50),
    "the version table is read": ("pg_catalog.pg_class.relname", 50),
    "a revision is at work": ("CREATE TABLE item", 50),
    "the version row is written": ("INSERT INTO alembic_version", 50),
}


def into_black_hole(ini: Path, database: Database, trigger: str, *words: str) -> tuple[int, str]:
    """Run a command until it has said `trigger`; give its exit code and its one line."""
    with black_hole(database.url, trigger) as (url, hole):
        ran = forked.airlock(ini, *words, url=url, timeout=40, TEST_SILENCE="2")
        assert hole.silent, ran.err
    return ran.code, ran.error


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_upgrade_into_a_black_hole(moment: str, tmp_path: Path, empty_database: Database) -> None:
    """Whatever is asked of the server when the network goes: exit 10 while it was to be reached, 50 from then on."""
    trigger, expected = MOMENTS[moment]
    code, line = into_black_hole(write_project(tmp_path, HISTORY), empty_database, trigger, "upgrade")
    assert code == expected, line
    assert "silent" in line or "did not answer" in line or "connection was closed" in line


@pytest.mark.parametrize("trigger", [CONNECTS, "CREATE TABLE item"], ids=["connecting", "working"])
@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_other_drivers_into_a_black_hole(
    driver: str, trigger: str, tmp_path: Path, empty_database: Database
) -> None:
    """The same under the other drivers, that know nothing of libpq's timeouts, or wait for two minutes."""
    ini = write_project(tmp_path, HISTORY, driver=driver)
    code, line = into_black_hole(ini, empty_database, trigger, "upgrade")
    assert code == 50 and "the server has been silent for 2 s" in line


OWN = """\
with contextlib.closing(psycopg2.connect(os.environ["DATABASE_URL"])) as own:
    own.cursor().execute("SELECT 'by itself'")
"""


@pytest.mark.parametrize("trigger", ["by itself", "application_name\0raw"], ids=["working", "connecting"])
def test_a_connection_that_nobody_was_told_of(trigger: str, tmp_path: Path, empty_database: Database) -> None:
    """A revision that connects past SQLAlchemy is brought back as well."""
    own = Revision(
        "s1", OWN.replace('"])', '"], application_name="raw")'), extra="import contextlib, os, psycopg2"
    )
    code, line = into_black_hole(write_project(tmp_path, [own]), empty_database, trigger, "upgrade")
    assert code == 50 and "the server has been silent for 2 s" in line


@pytest.mark.parametrize("trigger", ["airlock-losses", "count(*) FROM ONLY", "DROP TABLE item"])
def test_a_downgrade_into_a_black_hole(trigger: str, tmp_path: Path, empty_database: Database) -> None:
    """Connecting to count losses, counting them, or undoing: it ends, and the rows are there."""
    ini = write_project(tmp_path, HISTORY)
    forked.airlock(ini, "upgrade", url=empty_database.url)
    rows(empty_database.url, "INSERT INTO item (id) VALUES (1)")
    code, line = into_black_hole(
        ini,
        empty_database,
        trigger,
        "downgrade",
        "base",
        "--accept-loss",
        "1",
        "--scratch",
        empty_database.url,
    )
    assert code == (10 if trigger == "airlock-losses" else 50), line
    assert rows(empty_database.url, "SELECT count(*) FROM item") == [(1,)]


@pytest.mark.parametrize("trigger", ["airlock-status", "attname = 'version_num'", "convalidated"])
def test_status_into_a_black_hole(trigger: str, tmp_path: Path, empty_database: Database) -> None:
    """Status has no lease whose silence it would notice: a second connection that is not answered either tells."""
    ini = write_project(tmp_path, HISTORY)
    code, line = into_black_hole(ini, empty_database, trigger, "status", "--scratch", "embedded:9")
    assert code == (10 if trigger == "airlock-status" else 50), line


def test_a_long_answer_is_waited_for(empty_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server at work is not silent: it answers somebody else meanwhile."""
    monkeypatch.setattr(liveness, "SILENCE_SECONDS", 0.5)
    with contextlib.closing(servers.connect(empty_database.url, application_name="patient")) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT pg_sleep(4)")
        assert cursor.fetchall() == [("",)]


def test_two_lost_probes_do_not_end_a_long_statement(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the third in a row counts: a name that is not resolved for a moment is no dead server."""
    asked: list[float] = []
    answers = liveness._answers

    def after_two(patience: liveness._Patience) -> bool:
        asked.append(0)
        return len(asked) > 2 and answers(patience)

    monkeypatch.setattr(liveness, "SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(liveness, "_answers", after_two)
    with contextlib.closing(servers.connect(empty_database.url, application_name="patient")) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT pg_sleep(6)")
        assert cursor.fetchall() == [("",)]
    assert len(asked) > 2


@pytest.fixture
def namespace(empty_database: Database) -> Iterator[tuple[str, list[str]]]:
    """Put the server behind a network of its own; lend its URL, and the command after which no packet comes back."""
    name, here, there = f"airlock{os.getpid()}", "10.231.77.1", "10.231.77.2"
    ends = f"al{os.getpid()}a", f"al{os.getpid()}b"
    ip = shutil.which("ip")
    if ip is None or os.geteuid() != 0:
        pytest.skip("a network namespace needs root and iproute2")

    def run(*words: str) -> None:
        subprocess.run([ip, *words], check=True, capture_output=True)

    try:
        run("netns", "add", name)
    except subprocess.CalledProcessError:
        pytest.skip("network namespaces cannot be made here")
    try:
        run("link", "add", ends[0], "type", "veth", "peer", "name", ends[1], "netns", name)
        run("addr", "add", f"{here}/30", "dev", ends[0])
        run("link", "set", ends[0], "up")
        run("-n", name, "addr", "add", f"{there}/30", "dev", ends[1])
        run("-n", name, "link", "set", ends[1], "up")
        parsed = make_url(empty_database.url)
        proxy = subprocess.Popen(
            [ip, "netns", "exec", name, sys.executable, "-m", "tests.airlock.blackhole", there]
            + [f"{parsed.query['host']}/.s.PGSQL.{parsed.query.get('port', 5432)}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert proxy.stdin is not None and proxy.stdout is not None
        port = proxy.stdout.readline().strip()
        url = f"postgresql://{parsed.username}@{there}:{port}/{empty_database.name}"
        yield url, [ip, "-n", name, "route", "add", "blackhole", f"{here}/32"]
        proxy.stdin.close()
        proxy.wait(timeout=10)
    finally:
        run("netns", "delete", name)


def test_a_network_that_loses_everything(
    tmp_path: Path, empty_database: Database, namespace: tuple[str, list[str]]
) -> None:
    """No packet comes back from there any more: TCP's own timeouts end the run (ours are out of the way here)."""
    url, cut = namespace
    ini = write_project(tmp_path, [HISTORY[0], Revision("s2", 'op.execute("SELECT pg_sleep(60)")')])
    running = forked.start(ini, "upgrade", url=url, TEST_SILENCE="1000")
    working = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND application_name LIKE 'airlock-worker:%'"
    while not rows(empty_database.url, working):
        assert running.process.is_alive(), running.finish().err
    subprocess.run(cut, check=True)
    ran = running.finish(timeout=55)
    assert ran.code == 50, ran.err
    assert "timed out" in ran.error
