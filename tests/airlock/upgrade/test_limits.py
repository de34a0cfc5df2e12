"""Budgets, blockers, signals, lost leases, full disks, servers that may not be written to."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest

from airlock.database import lease as leases
from airlock.database.target import parse
from airlock.scratch import embedded
from tests.airlock import forked
from tests.airlock.histories import HEADER, SYNC, Revision, write_project
from tests.airlock.running import command, environment, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import Database, Server

FIRST = Revision("w1", 'op.execute("CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 100) AS g")')
SLEEPS = [FIRST, Revision("w2", 'op.execute("SELECT pg_sleep(30)")')]
ALTERS = [FIRST, Revision("w2", 'op.execute("ALTER TABLE t ADD COLUMN w integer")')]
WORKER = "FROM pg_stat_activity WHERE application_name LIKE 'airlock-worker:%'"


def wait_for(url: str, query: str) -> None:
    """Wait until a query has a row."""
    deadline = time.monotonic() + 30
    while not rows(url, query):
        assert time.monotonic() < deadline, query
        time.sleep(0.02)


@contextlib.contextmanager
def holding(url: str, statement: str, name: str = "reporting") -> Iterator[None]:
    """Hold whatever locks a statement takes, in an open transaction."""
    with contextlib.closing(psycopg2.connect(url, application_name=name)) as connection:
        with connection.cursor() as cursor:
            cursor.execute(statement)
        yield


def version(database: Database) -> list[tuple[str]]:
    return rows(database.url, "SELECT version_num FROM alembic_version")


@pytest.mark.proof
def test_no_lock_within_the_budget_names_the_blocker(tmp_path: Path, empty_database: Database) -> None:
    """Exit 21, who holds the table and since when, what stands, what to try; the revision left no trace."""
    forked.airlock(write_project(tmp_path, ALTERS[:1]), "upgrade", url=empty_database.url)
    ini = write_project(tmp_path, ALTERS)
    with holding(empty_database.url, "SELECT * FROM t"):
        ran = forked.airlock(
            ini, "upgrade", "--lock-timeout", "300ms", "--wait", "1500ms", "--json", url=empty_database.url
        )
    assert ran.code == 21, ran.err
    assert "w2: t is held by pid " in ran.error and "(postgres, reporting, idle in transaction" in ran.error
    assert ran.error.endswith("Nothing changed; still at w1. Try: airlock upgrade --wait 60s")
    assert {"blocked", "retry"} <= {event["event"] for event in ran.events}
    assert (version(empty_database), ran.verdict["exit_code"]) == ([("w1",)], 21)


@pytest.mark.proof
def test_a_locked_version_table_does_not_hang(tmp_path: Path, empty_database: Database) -> None:
    """Bare Alembic waits for ever; the budget covers the reading of the version table too."""
    ini = write_project(tmp_path, ALTERS)
    forked.airlock(ini, "upgrade", url=empty_database.url)
    with holding(empty_database.url, "LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE"):
        ran = forked.airlock(
            ini, "upgrade", "--lock-timeout", "200ms", "--wait", "1s", url=empty_database.url
        )
    assert ran.code == 21, ran.err


def test_the_lease_held_by_another_run(tmp_path: Path, empty_database: Database) -> None:
    """Exit 20 after --wait, naming the holder; status names it as well."""
    ini = write_project(tmp_path, SLEEPS)
    first = forked.start(ini, "upgrade", url=empty_database.url)
    wait_for(empty_database.url, f"SELECT 1 {WORKER} AND query LIKE '%pg_sleep%'")
    second = forked.airlock(ini, "upgrade", "--wait", "300ms", url=empty_database.url)
    status = forked.airlock(ini, "status", "--scratch", "embedded:9", url=empty_database.url)
    os.kill(first.pid, signal.SIGTERM)
    first.finish()
    assert second.code == 20, second.err
    assert "(up head)" in second.error and "Nothing changed." in second.error
    assert "lease      held by pid " in status.out


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, *(pytest.param(one, marks=pytest.mark.proof) for one in (signal.SIGINT, signal.SIGHUP))],
)
def test_a_signal_ends_the_statement_at_once(
    number: signal.Signals, tmp_path: Path, empty_database: Database
) -> None:
    """130, 143 or 129; the server's statement is cancelled, not left to run out; the first revision stands."""
    ini = write_project(tmp_path, SLEEPS)
    running = forked.start(ini, "upgrade", url=empty_database.url)
    wait_for(empty_database.url, f"SELECT 1 {WORKER} AND query LIKE '%pg_sleep%'")
    os.kill(running.pid, number)
    ran = running.finish(timeout=15)
    assert ran.code == 128 + number, ran.err
    assert ran.error.endswith("Now at w1 (1 done). Try: airlock upgrade")
    assert rows(empty_database.url, f"SELECT pid {WORKER} AND state = 'active'") == []
    assert version(empty_database) == [("w1",)]


@pytest.mark.parametrize("transactional", [True, False])
def test_a_statement_past_its_budget(transactional: bool, tmp_path: Path, empty_database: Database) -> None:
    """Exit 22 and undone inside a transaction; outside one the observer cancels it, and it is half applied: 41."""
    body = 'op.execute("SELECT pg_sleep(30)")'
    if not transactional:
        body = f"with op.get_context().autocommit_block():\n    {body}"
    ini = write_project(tmp_path, [FIRST, Revision("w2", body)])
    ran = forked.airlock(ini, "upgrade", "--statement-timeout", "300ms", url=empty_database.url)
    assert ran.code == (22 if transactional else 41), ran.err
    assert version(empty_database) == [("w1",)]


def test_half_a_revision_is_not_nothing(tmp_path: Path, empty_database: Database) -> None:
    """The version row stands where it stood, and a table that no version row tells of is there."""
    body = 'with op.get_context().autocommit_block():\n    op.execute("CREATE TABLE IF NOT EXISTS half ()")\n'
    ini = write_project(
        tmp_path,
        [FIRST, Revision("w2", f'{body}    op.execute("SELECT pg_sleep(30)")', extra="resumable = True")],
    )
    assert forked.airlock(ini, "upgrade", "w1", url=empty_database.url).code == 0
    ran = forked.airlock(ini, "upgrade", "--statement-timeout", "300ms", url=empty_database.url)
    assert "Still at w1. w2 is half applied; it is resumable: run the same again." in ran.error, ran.error
    assert "Nothing changed" not in ran.error
    assert rows(empty_database.url, "SELECT to_regclass('half') IS NOT NULL") == [(True,)]


def test_a_statement_budget_of_nothing_is_none(tmp_path: Path, empty_database: Database) -> None:
    """As in PostgreSQL, 0 is no limit, and not one of no time at all."""
    ini = write_project(tmp_path, [FIRST])
    assert forked.airlock(ini, "upgrade", "--statement-timeout", "0", url=empty_database.url).code == 0


@pytest.mark.proof
def test_a_lost_lease_stops_the_run(tmp_path: Path, empty_database: Database) -> None:
    """Exit 50; what runs is cancelled, what is done stays, nothing more is begun."""
    ini = write_project(tmp_path, [*SLEEPS, Revision("w3", 'op.execute("CREATE TABLE never ()")')])
    running = forked.start(ini, "upgrade", url=empty_database.url)
    wait_for(empty_database.url, f"SELECT 1 {WORKER} AND query LIKE '%pg_sleep%'")
    rows(
        empty_database.url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'airlock-lease:%'",
    )
    ran = running.finish(timeout=20)
    assert ran.code == 50, ran.err
    assert "The lease was lost" in ran.error and "Now at w1" in ran.error
    assert version(empty_database) == [("w1",)]


def test_a_lease_that_is_lost_before_env_py_connects(tmp_path: Path, empty_database: Database) -> None:
    """50 and not 12: it is not to be seen because it is gone, not because another server was reached."""
    ends = (
        "import psycopg2\n"
        "with psycopg2.connect(URL) as other, other.cursor() as cursor:\n"
        '    cursor.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity '
        "WHERE application_name LIKE 'airlock-lease%' AND datname = current_database()\")\n"
    )
    ini = write_project(tmp_path, ALTERS, env=HEADER + ends + SYNC.format(driver="psycopg2", options=""))
    ran = forked.airlock(ini, "upgrade", url=empty_database.url)
    assert ran.code == 50, ran.err
    assert "The lease was lost" in ran.error and "Nothing changed" in ran.error


@pytest.mark.proof
@pytest.mark.parametrize("driver", ["psycopg2", "asyncpg"])
def test_a_server_that_hangs_does_not_hang_the_run(
    driver: str, tmp_path: Path, empty_database: Database
) -> None:
    """Its sessions stopped in their tracks, connections open, nobody answering: exit 50, and what stands was read."""
    ini = write_project(tmp_path, SLEEPS, driver=driver)
    running = forked.start(ini, "upgrade", url=empty_database.url, TEST_SILENCE="2")
    wait_for(empty_database.url, f"SELECT 1 {WORKER} AND query LIKE '%pg_sleep%'")
    sessions = rows(
        empty_database.url, "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'airlock-%'"
    )
    assert len(sessions) == 3
    try:
        for (pid,) in sessions:
            os.kill(pid, signal.SIGSTOP)
        ran = running.finish(timeout=45)
    finally:
        for (pid,) in sessions:
            os.kill(pid, signal.SIGCONT)
    assert ran.code == 50, ran.err
    assert "the server has been silent for 2 s" in ran.error and "Now at w1" in ran.error


def test_a_read_only_database(tmp_path: Path, empty_database: Database) -> None:
    """Exit 12 before anything else."""
    rows(empty_database.url, f'ALTER DATABASE "{empty_database.name}" SET default_transaction_read_only = on')
    ran = forked.airlock(write_project(tmp_path, [FIRST]), "upgrade", url=empty_database.url)
    assert ran.code == 12 and "read-only" in ran.error, ran.err


@pytest.fixture
def restartable() -> Iterator[embedded.Cluster]:
    directory = Path(tempfile.mkdtemp(prefix="airlock-standby-"))
    directory.chmod(0o755)
    cluster = embedded.Cluster(
        directory / "data", embedded.binaries(max(embedded.available())), {"fsync": "off"}
    )
    try:
        yield cluster
    finally:
        cluster.stop("immediate")
        shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.proof
def test_a_standby(tmp_path: Path, restartable: embedded.Cluster) -> None:
    """Advisory locks succeed on a standby; exit 12 all the same, and status says what it is."""
    restartable.start()
    restartable.stop()
    (restartable.data / "standby.signal").touch()
    restartable.start()
    ini = write_project(tmp_path, [FIRST])
    ran = forked.airlock(ini, "upgrade", url=restartable.url())
    assert ran.code == 12 and "is a standby" in ran.error, ran.err
    assert "standby" in forked.airlock(ini, "status", url=restartable.url()).out


@pytest.mark.proof
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_full_disk(tmp_path: Path, server: Server) -> None:
    """Exit 40, rolled back; with room again a rerun lands."""
    disk = Path(tempfile.mkdtemp(prefix="airlock-disk-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        disk.rmdir()
        pytest.skip("tmpfs cannot be mounted here")
    try:
        (disk / "space").mkdir()
        shutil.chown(disk / "space", "nobody")
        disk.chmod(0o755)
        server.run(f"CREATE TABLESPACE small LOCATION '{disk / 'space'}'")
        fills = "op.execute(\"CREATE TABLE big TABLESPACE small AS SELECT repeat('x', 1000) FROM generate_series(1, 20000)\")"
        with server.database("template0") as database:
            ini = write_project(tmp_path, [FIRST, Revision("w2", fills)])
            ran = forked.airlock(ini, "upgrade", url=database.url)
            assert ran.code == 40 and "No space left" in ran.error and "Now at w1" in ran.error, ran.err
            subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
            assert forked.airlock(ini, "upgrade", url=database.url).code == 0
    finally:
        with contextlib.suppress(psycopg2.Error):
            server.run("DROP TABLESPACE small")
        subprocess.run(["umount", "-l", str(disk)], check=False)
        disk.rmdir()


@pytest.mark.proof
def test_readers_wait_no_longer_than_the_lock_budget(tmp_path: Path, empty_database: Database) -> None:
    """One reader holds ACCESS SHARE for 8 s while six others read: none waits past the budget, and the upgrade lands."""
    budget = 0.5
    forked.airlock(write_project(tmp_path, ALTERS[:1]), "upgrade", url=empty_database.url)
    ini = write_project(tmp_path, ALTERS)
    stop, longest = threading.Event(), [0.0] * 6

    def read(place: int) -> None:
        with (
            contextlib.closing(psycopg2.connect(empty_database.url)) as connection,
            connection.cursor() as cursor,
        ):
            connection.autocommit = True
            while not stop.is_set():
                # What the server saw of the wait: not what a busy machine adds to it.
                since = time.monotonic()
                cursor.execute("SELECT count(*) FROM t")
                longest[place] = max(longest[place], time.monotonic() - since)
                time.sleep(0.005)

    readers = [threading.Thread(target=read, args=(place,)) for place in range(6)]
    with holding(empty_database.url, "SELECT * FROM t"):
        for reader in readers:
            reader.start()
        running = forked.start(ini, "upgrade", "--lock-timeout", "500ms", "--json", url=empty_database.url)
        time.sleep(8)
    ran = running.finish()
    stop.set()
    for reader in readers:
        reader.join()
    assert ran.code == 0, ran.err
    assert [event for event in ran.events if event["event"] == "retry"]
    assert 0.1 < max(longest) < budget + 0.1, longest
    assert ran.verdict["longest_block_ms"] <= (budget + 0.1) * 1000


def test_a_signal_while_waiting_for_the_lease(tmp_path: Path, empty_database: Database) -> None:
    """143 at once, not at the end of --wait."""
    ini = write_project(tmp_path, [FIRST])
    held = leases.take(parse(empty_database.url), run=leases.new_run(), wait_s=0)
    with held:
        waiting = forked.start(ini, "upgrade", url=empty_database.url)
        wait_for(
            empty_database.url,
            "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'airlock-lease:% up head'",
        )
        os.kill(waiting.pid, signal.SIGTERM)
        ran = waiting.finish(timeout=20)
    assert ran.code == 143, ran.err
    assert ran.error == "airlock: Stopped by SIGTERM. Nothing changed."


@pytest.mark.proof
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("words", [("upgrade", "--dry-run"), ("status",), ("downgrade", "w1")], ids=" ".join)
def test_a_signal_leaves_nothing_in_scratch(
    words: tuple[str, ...], number: signal.Signals, tmp_path: Path, empty_database: Database, server: Server
) -> None:
    """130, 143 or 129, in one line, and neither a scratch database nor its owner is left on the server that was lent."""
    sleeps = 'op.execute("SELECT pg_sleep(3)")'
    second = Revision("w2", "pass", sleeps) if words[0] == "downgrade" else Revision("w2", sleeps)
    ini = write_project(tmp_path, [FIRST, second])
    if "--dry-run" not in words:
        forked.airlock(ini, "upgrade", url=empty_database.url)
    running = forked.start(ini, *words, "--scratch", empty_database.url, url=empty_database.url)
    scratch = "datname LIKE 'airlock_scratch%'"
    wait_for(
        empty_database.url, f"SELECT 1 FROM pg_stat_activity WHERE {scratch} AND query LIKE '%pg_sleep(3)'"
    )
    os.kill(running.pid, number)
    ran = running.finish(timeout=20)
    assert ran.code == 128 + number and "Stopped by SIG" in ran.error, ran.err
    assert rows(empty_database.url, f"SELECT datname FROM pg_database WHERE {scratch}") == []
    assert rows(empty_database.url, "SELECT rolname FROM pg_roles WHERE rolname LIKE 'airlock_owner%'") == []


@pytest.mark.proof
def test_a_run_in_the_background_of_a_script_obeys_sigint(tmp_path: Path, empty_database: Database) -> None:
    """A shell has SIGINT ignored in what a script starts with `&`; whoever sends it all the same wants an end."""
    ini = write_project(tmp_path, [FIRST, Revision("w2", 'op.execute("SELECT pg_sleep(3)")')])
    words = command(ini, "upgrade", "--dry-run", "--scratch", empty_database.url)
    shell = subprocess.Popen(
        ["sh", "-c", '"$@" & echo $!; wait $!', "sh", *words], env=environment(empty_database.url),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert shell.stdout is not None
    pid = int(shell.stdout.readline())
    wait_for(empty_database.url, "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(3)'")
    os.kill(pid, signal.SIGINT)
    _, said = shell.communicate(timeout=20)
    assert (shell.returncode, said.splitlines()[-1]) == (130, "airlock: Stopped by SIGINT.")


def test_a_signal_before_anything_is_known_claims_nothing(tmp_path: Path, empty_database: Database) -> None:
    """Stopped while env.py is still on its way, the run does not say that the database stands at base."""
    ini = write_project(tmp_path, [FIRST])
    forked.airlock(ini, "upgrade", url=empty_database.url)
    env = tmp_path / "alembic" / "env.py"
    env.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n" + env.read_text())
    ran = forked.airlock(ini, "upgrade", url=empty_database.url)
    assert (ran.code, ran.error) == (
        143,
        "airlock: Stopped by SIGTERM. Nothing changed. Try: airlock upgrade",
    )


@pytest.mark.proof
def test_a_run_under_nohup_outlives_its_terminal(tmp_path: Path, empty_database: Database) -> None:
    """Where SIGHUP is ignored from the start it stays so: the revision is finished."""
    ini = write_project(tmp_path, [FIRST, Revision("w2", 'op.execute("SELECT pg_sleep(1)")')])
    running = subprocess.Popen(
        ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *command(ini, "upgrade")],
        env=environment(empty_database.url), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for(empty_database.url, f"SELECT 1 {WORKER} AND query LIKE '%pg_sleep%'")
    running.send_signal(signal.SIGHUP)
    _, said = running.communicate(timeout=30)
    assert (running.returncode, version(empty_database)) == (0, [("w2",)]), said


@pytest.mark.proof
@pytest.mark.parametrize("words", [("status",), ("upgrade", "--dry-run")], ids=" ".join)
def test_a_locked_version_table_is_not_waited_for(
    words: tuple[str, ...], tmp_path: Path, empty_database: Database
) -> None:
    """An env.py may lock it for a whole run: who only asks says who has locked it (21), and does not hang."""
    ini = write_project(tmp_path, [FIRST])
    forked.airlock(ini, "upgrade", url=empty_database.url)
    with holding(empty_database.url, "LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE"):
        ran = forked.start(ini, *words, "--scratch", "embedded:9", url=empty_database.url).finish(timeout=20)
    assert ran.code == 21, ran.err
    assert "version table, has been locked for 2s by pid " in ran.error
    assert "(postgres, reporting)" in ran.error


@pytest.mark.proof
def test_a_locked_table_of_a_view_is_not_waited_for(tmp_path: Path, empty_database: Database) -> None:
    """PostgreSQL spells a view's query only when it has its tables: status says that drift was not examined."""
    ini = write_project(tmp_path, [FIRST, Revision("w2", 'op.execute("CREATE VIEW v AS SELECT id FROM t")')])
    forked.airlock(ini, "upgrade", url=empty_database.url)
    with holding(empty_database.url, "LOCK TABLE t IN ACCESS EXCLUSIVE MODE"):
        words = ("status", "--scratch", empty_database.url)
        ran = forked.start(ini, *words, url=empty_database.url).finish(timeout=30)
    assert ran.code == 0, ran.err
    assert "not examined: The catalogue could not be read in full" in ran.out


@pytest.mark.proof
def test_a_locked_table_that_would_be_lost(tmp_path: Path, empty_database: Database) -> None:
    """It cannot be counted within the budget: 21, naming the table."""
    ini = write_project(tmp_path, [FIRST, Revision("w2", "pass", 'op.execute("DROP TABLE t")')])
    forked.airlock(ini, "upgrade", url=empty_database.url)
    with holding(empty_database.url, "LOCK TABLE t IN ACCESS EXCLUSIVE MODE"):
        words = ("downgrade", "w1", "--lock-timeout", "200ms", "--scratch", empty_database.url)
        ran = forked.start(ini, *words, url=empty_database.url).finish(timeout=30)
    assert ran.code == 21, ran.err
    assert "public.t is locked by another session" in ran.error and "Nothing changed." in ran.error
