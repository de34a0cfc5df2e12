"""What a DBA has set on the role or the database: a run goes through and says what it met, or is refused in one line."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

import psycopg2
import pytest

from tests.airlock import forked
from tests.airlock.histories import Revision, write_project
from tests.airlock.running import rows
from tests.airlock.topologies.standing import cluster, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airlock.scratch import embedded

pytestmark = pytest.mark.proof

HISTORY = [
    Revision("w1", 'op.execute("CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 100) AS g")'),
    Revision(
        "w2",
        """
        op.execute("ALTER TABLE t ADD COLUMN w text")
        with op.get_context().autocommit_block():
            op.execute("CREATE INDEX CONCURRENTLY ix ON t (id)")
            op.execute("UPDATE t SET w = 'it''s'")
        """,
        'op.execute("DROP INDEX ix"); op.execute("ALTER TABLE t DROP COLUMN w")',
    ),
]
# What stands on the login, and what a run says of it beside going through.
GOES_THROUGH: dict[str, tuple[list[str], str]] = {
    "what changes nothing": (
        [
            "lock_timeout = '1ms'", "log_statement = 'all'", "log_min_duration_statement = 0", "password_encryption = 'md5'",
            "row_security = off", "default_transaction_isolation = 'serializable'", "default_transaction_deferrable = on",
            "standard_conforming_strings = off", "quote_all_identifiers = on", "client_min_messages = 'debug1'",
            "default_tablespace = 'pg_default'", "enable_seqscan = off", "DateStyle = 'SQL, DMY'",
            "check_function_bodies = off", "synchronous_commit = off",
        ],
        "",
    ),
    "another schema": (["search_path = 'elsewhere'"], ""),
    "another role": (["role = 'owner'"], ""),
    "no triggers": (
        ["session_replication_role = replica"],
        "session_replication_role = replica stands on this role or database: no trigger and no foreign key acts on",
    ),
}  # fmt: skip
REFUSING = """
CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
  RAISE EXCEPTION 'no % before six', tg_tag; END $$;
"""


@pytest.fixture(scope="module")
def server() -> Iterator[embedded.Cluster]:
    with cluster(max_connections="100") as made:
        rows(made.url(), "CREATE ROLE owner SUPERUSER")
        yield made


@pytest.fixture
def login(server: embedded.Cluster) -> Iterator[tuple[str, str]]:
    """Make a database and a login of its own; give the superuser's URL and the login's."""
    rows(server.url(), "CREATE ROLE app SUPERUSER LOGIN")
    rows(server.url(), "CREATE DATABASE app OWNER app")
    rows(server.url("app"), "CREATE SCHEMA elsewhere AUTHORIZATION app")
    yield server.url("app"), server.url("app", "app")
    rows(server.url(), "DROP DATABASE app WITH (FORCE)")
    rows(server.url(), "DROP ROLE app")


@pytest.mark.parametrize("name", GOES_THROUGH)
def test_a_run_goes_through(name: str, login: tuple[str, str], tmp_path: Path) -> None:
    """Past a lock conflict, a kill and eight runners, status, down with losses; what changes a write's meaning is said."""
    admin, url = login
    settings, said = GOES_THROUGH[name]
    for setting in settings:
        rows(admin, f"ALTER ROLE app SET {setting}")
    ini = write_project(tmp_path, HISTORY)
    ran = forked.airlock(ini, "upgrade", "w1", url=url)
    assert ran.code == 0, ran.err
    assert said in ran.err
    assert ("stands on this role" in ran.err) == bool(said)
    schema = "elsewhere" if name == "another schema" else "public"
    standing = f"SELECT version_num FROM {schema}.alembic_version"
    with contextlib.closing(psycopg2.connect(admin, application_name="report")) as reader:
        reader.cursor().execute(f"SELECT FROM {schema}.t")
        waiting = forked.start(ini, "upgrade", "--lock-timeout", "60s", url=url)
        until(
            lambda: rows(admin, "SELECT 1 FROM pg_locks WHERE NOT granted"),
            "the revision waits for the table",
        )
        os.kill(waiting.pid, signal.SIGKILL)
        waiting.finish()
        ran = forked.airlock(ini, "upgrade", "--lock-timeout", "200ms", "--wait", "5s", url=url)
        assert ran.code == 21, ran.err
        # As the server spells it: with quote_all_identifiers in quotation marks.
        assert f"t is held by pid {reader.info.backend_pid} (" in ran.error.replace('"', "")
        assert rows(admin, standing) == [("w1",)]
    runs = [forked.start(ini, "upgrade", "--wait", "60s", url=url) for _ in range(8)]
    ended = [run.finish(90) for run in runs]
    assert [one.code for one in ended] == [0] * 8, [one.err for one in ended]
    assert sorted(one.out.startswith("Nothing to do") for one in ended) == [False] + [True] * 7
    assert rows(admin, f"{standing} UNION ALL SELECT count(w)::text FROM {schema}.t") == [("w2",), ("100",)]
    told = forked.airlock(ini, "status", "--scratch", "postgresql://postgres@127.0.0.1:1/x", url=url).out
    assert "current    w2\n" in told, told
    assert "drift      none" in forked.airlock(ini, "status", "--scratch", admin, url=url).out
    down = ("downgrade", "w1", "--scratch", admin)
    ran = forked.airlock(ini, *down, url=url)
    assert ran.code == 1, ran.err
    assert "--accept-loss 100" in ran.error
    assert rows(admin, standing) == [("w2",)]
    ran = forked.airlock(ini, *down, "--accept-loss", "100", url=url)
    assert ran.code == 0, ran.err
    assert rows(admin, standing) == [("w1",)]


def test_a_role_that_may_only_read(login: tuple[str, str], tmp_path: Path) -> None:
    """Exit 12 before anything, up and down; status works."""
    admin, url = login
    rows(admin, "ALTER ROLE app SET default_transaction_read_only = on")
    ini = write_project(tmp_path, HISTORY)
    for words in (("upgrade",), ("downgrade", "base", "--accept-loss", "1", "--scratch", admin)):
        ran = forked.airlock(ini, *words, url=url)
        assert ran.code == 12, ran.err
        assert "is read-only for app (default_transaction_read_only)" in ran.error
    assert "current    base\n" in forked.airlock(ini, "status", "--no-drift", url=url).out
    assert rows(admin, "SELECT to_regclass('alembic_version')") == [(None,)]


@pytest.mark.parametrize(
    ("trigger", "stands", "tag"),
    [
        ("ON ddl_command_start", "base", "CREATE TABLE"),
        ("ON ddl_command_end WHEN TAG IN ('ALTER TABLE')", "w1", "ALTER TABLE"),
        ("ON sql_drop", "w2", "DROP INDEX"),
    ],
)
def test_an_event_trigger_that_refuses(
    trigger: str, stands: str, tag: str, login: tuple[str, str], tmp_path: Path
) -> None:
    """Its own words in one line, exit 40, nothing half applied; without it the same run goes through."""
    admin, url = login
    ini = write_project(tmp_path, HISTORY)
    way: tuple[str, ...] = ("upgrade",)
    if stands == "w2":
        assert forked.airlock(ini, "upgrade", url=url).code == 0
        way = ("downgrade", "w1", "--accept-loss", "100", "--scratch", admin)
    rows(admin, REFUSING + f"CREATE EVENT TRIGGER closed {trigger} EXECUTE FUNCTION refuse()")
    ran = forked.airlock(ini, *way, url=url)
    # Where not even the version table can be made, it is env.py that fails.
    assert ran.code == (2 if stands == "base" else 40), ran.err
    assert f"no {tag} before six" in ran.error
    table = rows(admin, "SELECT to_regclass('alembic_version') IS NOT NULL")[0][0]
    assert (rows(admin, "SELECT version_num FROM alembic_version")[0][0] if table else "base") == stands
    rows(admin, "DROP EVENT TRIGGER closed")
    assert forked.airlock(ini, *way, url=url).code == 0
