"""A login that works under another role from the start: what it may do is the role's, its sessions are the login's."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.airlock import forked
from tests.airlock.histories import Revision, write_project
from tests.airlock.running import rows
from tests.airlock.upgrade.test_limits import ALTERS, SLEEPS, WORKER, holding, version, wait_for
from tests.servers import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers import Server


@pytest.fixture
def deployer(server: Server, empty_database: Database) -> Iterator[Database]:
    """Lend the database to a login that becomes its owner, an owner that has no right to the login."""
    owner, login = f"owner_{os.getpid()}", f"deployer_{os.getpid()}"
    server.run(f"CREATE ROLE {owner} NOLOGIN")
    server.run(f"CREATE ROLE {login} LOGIN NOINHERIT IN ROLE {owner}{server.password_clause}")
    server.run(f"ALTER ROLE {login} SET role = {owner}")
    rows(empty_database.url, f'ALTER DATABASE "{empty_database.name}" OWNER TO {owner}')
    rows(empty_database.url, f"GRANT ALL ON SCHEMA public TO {owner}")
    try:
        yield Database(empty_database.name, server.url(empty_database.name, login))
    finally:
        rows(empty_database.url, f"REASSIGN OWNED BY {owner} TO CURRENT_USER")
        rows(empty_database.url, f"DROP OWNED BY {owner}")
        server.run(f"DROP ROLE {login}")
        server.run(f"DROP ROLE {owner}")


@pytest.mark.proof
def test_a_signal_reaches_a_session_of_the_login(
    tmp_path: Path, deployer: Database, empty_database: Database
) -> None:
    """The role may not cancel the login's statement; the login may: 143 at once, not when the statement has ended."""
    ini = write_project(tmp_path, SLEEPS)
    running = forked.start(ini, "upgrade", url=deployer.url)
    wait_for(empty_database.url, f"SELECT 1 {WORKER} AND query LIKE '%pg_sleep%'")
    os.kill(running.pid, signal.SIGTERM)
    ran = running.finish(timeout=15)
    assert ran.code == 143, ran.err
    assert version(deployer) == [("w1",)]


@pytest.mark.proof
def test_a_blocker_is_named_to_the_login(
    tmp_path: Path, deployer: Database, empty_database: Database
) -> None:
    """Who stands in the way is seen with the login's eyes; what even it may not see of another's session is said."""
    forked.airlock(write_project(tmp_path, ALTERS[:1]), "upgrade", url=deployer.url)
    ini = write_project(tmp_path, ALTERS)
    words = ("upgrade", "--lock-timeout", "300ms", "--wait", "1s")
    with holding(deployer.url, "SELECT * FROM t"):
        own = forked.airlock(ini, *words, url=deployer.url)
    with holding(empty_database.url, "SELECT * FROM t"):
        other = forked.airlock(ini, *words, url=deployer.url)
    assert own.code == other.code == 21
    assert "w2: t is held by pid " in own.error and ", reporting, idle in transaction, " in own.error
    assert "(postgres, reporting, its state is hidden from this role)" in other.error


@pytest.mark.proof
def test_a_roles_own_timeouts_end_with_the_transaction(
    tmp_path: Path, deployer: Database, empty_database: Database
) -> None:
    """A lock_timeout on the role would leave an INVALID index behind; the budget of the command line is the one kept."""
    (login,) = rows(deployer.url, "SELECT session_user")[0]
    for setting in ("lock_timeout", "statement_timeout"):
        rows(empty_database.url, f"ALTER ROLE {login} SET {setting} = '300ms'")
    builds = (
        "with op.get_context().autocommit_block():\n"
        '    op.execute("SELECT pg_sleep(0.5)")\n    op.execute("CREATE INDEX CONCURRENTLY ix ON t (id)")'
    )
    first = write_project(tmp_path, SLEEPS[:1])
    assert forked.airlock(first, "upgrade", url=deployer.url).code == 0
    ini = write_project(tmp_path, [*SLEEPS[:1], Revision("w2", builds)])
    with holding(empty_database.url, "LOCK TABLE t IN ROW EXCLUSIVE MODE"):
        running = forked.start(ini, "upgrade", "--statement-timeout", "30s", url=deployer.url)
        wait_for(
            empty_database.url, f"SELECT 1 {WORKER} AND query LIKE '%ix ON t%' AND wait_event_type = 'Lock'"
        )
        wait_for(
            empty_database.url,
            f"SELECT 1 {WORKER} AND query LIKE '%ix ON t%' AND clock_timestamp() - query_start > interval '600 ms'",
        )
    ran = running.finish(timeout=20)
    assert (ran.code, version(empty_database)) == (0, [("w2",)]), ran.err
