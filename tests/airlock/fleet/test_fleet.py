"""Many databases in one run: everything once, one line each, and the same again goes on."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import psycopg2
import pytest

from tests.airlock import forked
from tests.airlock.fleet.harness import HISTORY, databases, fleet, journal, lines, query, ran, until
from tests.airlock.histories import HEADER, Revision, write_project
from tests.airlock.running import rows
from tests.airlock.topologies.standing import cluster

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Database, Server

DONE = [("f2",), ("f2",)]


@pytest.mark.server
def test_twenty_databases_are_upgraded_in_waves(tmp_path: Path, server: Server) -> None:
    """One line each, canary first; status says before and after; the second run finds nothing to do."""
    ini = write_project(tmp_path, HISTORY)
    with databases(server, 20) as names:
        before = fleet(ini, "status", query(names), url=server.admin_url)
        assert before.code == 0
        assert before.out.splitlines()[1].split() == ["base", "20", "2", "revisions:", "f1", "and", "f2"]
        first = fleet(ini, "upgrade", query(names), url=server.admin_url)
        assert first.code == 0, first.err
        lines = [line for line in first.err.splitlines() if line.startswith("+ ")]
        assert sorted(line.split()[1] for line in lines) == names
        assert lines[0].split()[1:7] == [names[0], "base", "->", "f2", "2", "revisions"]
        assert "wave 1 of 3: 1 target\n" in first.err
        assert first.out.startswith("20 of 20 targets at f2: 20 changed (40 revisions)")
        assert ran(server, names) == [DONE] * 20
        again = fleet(ini, "upgrade", query(names), "--json", url=server.admin_url)
        assert again.code == 0
        assert (again.verdict["unchanged"], again.verdict["changed"]) == (20, 0)
        assert [one["event"] for one in again.events if one["event"] == "target"] == ["target"] * 20
        after = fleet(ini, "status", query(names), url=server.admin_url)
        assert after.out.splitlines()[-1] == "20 of 20 targets at f2."


def test_a_dry_run_takes_the_steps_in_scratch_once_for_all_that_stand_alike(
    tmp_path: Path, server: Server
) -> None:
    """Two kinds of standing, two rehearsals; one that is gone is not examined, one ahead would fail; none is touched."""
    ini = write_project(tmp_path, HISTORY)
    with databases(server, 6) as names:
        listed = tmp_path / "targets"
        listed.write_text(names[0])
        assert fleet(ini, "upgrade", str(listed), "f1", url=server.admin_url).code == 0
        journals = sorted(tmp_path.glob("*.journal*"))
        done = fleet(ini, "upgrade", query(names), "--dry-run", "--json", url=server.admin_url)
        assert done.code == 0, done.err
        notes = [one["message"].split(",")[0] for one in done.events if one["event"] == "note"]
        assert notes == [
            f"{names[0]} at f1: 1 steps were taken in scratch",
            f"{names[1]} and 4 more at base: 2 steps were taken in scratch",
        ]
        assert (done.verdict["changed"], done.verdict["not_begun"], done.verdict["failed"]) == (0, 6, 0)
        said = fleet(ini, "upgrade", query(names), "--dry-run", url=server.admin_url)
        assert said.out.splitlines()[-1] == "dry run: 11 steps in 6 targets would be taken; none was touched."
        standing = fleet(ini, "status", query(names), "--json", url=server.admin_url)
        assert [len(one["behind"]) for one in json.loads(standing.out)["targets"]] == [1, 2, 2, 2, 2, 2]
        listed.write_text("\n".join([*names, "nowhere"]))
        assert fleet(ini, "upgrade", str(listed), "--dry-run", url=server.admin_url).code == 3
        with contextlib.closing(psycopg2.connect(server.url(names[0]))) as connection:
            connection.cursor().execute("UPDATE alembic_version SET version_num = 'newer'")
            connection.commit()
        ahead = fleet(ini, "upgrade", str(listed), "--dry-run", url=server.admin_url)
        assert ahead.code == 1
        assert "1 of 7 targets would fail" in ahead.err
        assert sorted(tmp_path.glob("*.journal*")) == journals


# These go on for as long as it takes: the observer's looks at the worker, the lease's signs of life.
BY_THE_CLOCK = ("a.application_name = ", "pg_blocking_pids", "SHOW transaction_isolation")


@pytest.mark.proof
def test_a_target_costs_three_connections_and_so_many_statements(tmp_path: Path) -> None:
    """Counted in the server's log: on a network each statement is a round trip. Of the worker's 23, Alembic sends 15."""
    ini = write_project(tmp_path, HISTORY)
    prefix = "%d %a|"
    with cluster(log_statement="all", log_connections="on", log_line_prefix=prefix) as one:
        for name in ("tenant_1", "tenant_2"):
            rows(one.url(), f"CREATE DATABASE {name} STRATEGY FILE_COPY")
        wanted = "SELECT datname FROM pg_database WHERE datname LIKE 'tenant%' ORDER BY 1"
        assert fleet(ini, "upgrade", wanted, "f1", url=one.url()).code == 0
        before = len((one.data / "server.log").read_text().splitlines())
        assert fleet(ini, "upgrade", wanted, "f2", url=one.url()).code == 0
        said = (one.data / "server.log").read_text().splitlines()[before:]
    for name in ("tenant_1", "tenant_2"):
        lines = [line for line in said if line.startswith(f"{name} ")]
        assert sum("connection authorized" in line for line in lines) == 3
        counted = Counter(
            re.split("[ :]", line)[1]
            for line in lines
            if "statement: " in line and not any(one in line for one in BY_THE_CLOCK)
        )
        assert counted == {"airlock-lease": 7, "airlock-observer": 11, "airlock-worker": 23}, "\n".join(lines)


@pytest.mark.server
def test_a_script_does_what_the_command_does(tmp_path: Path, server: Server) -> None:
    """Up, status, a refused loss, down with it accepted: by a process of its own, where the caller stands counting."""
    ini = write_project(tmp_path / "project", HISTORY)
    script = f"""
import airlock

events = []
request = airlock.FleetRequest(concurrency=2, emit=events.append)
up = airlock.fleet_upgrade({str(ini)!r}, "listed", url={server.admin_url!r}, request=request)
assert (up.changed, up.revisions, up.failed, events[-1]) == (3, 6, 0, up)
standing = airlock.fleet_status({str(ini)!r}, "listed", url={server.admin_url!r})
assert {{one.current for one in standing.targets}} == {{("f2",)}}
try:
    airlock.fleet_downgrade({str(ini)!r}, "listed", "base", url={server.admin_url!r})
except airlock.AirlockError as error:
    assert "Nothing changed" in str(error)
down = airlock.fleet_downgrade(
    {str(ini)!r}, "listed", "base", url={server.admin_url!r}, accept_loss=3, accept_unknown_loss=True
)
assert (down.changed, down.revisions) == (3, 6)
"""
    with databases(server, 3) as names:
        (tmp_path / "listed").write_text("\n".join(names))
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr


def test_one_that_is_gone_one_ahead_one_that_refuses_and_one_that_nobody_serves(
    tmp_path: Path, server: Server
) -> None:
    """Each has its own exit code and line; the others are done; repaired, the same again does those alone."""
    ini = write_project(tmp_path, HISTORY)
    with databases(server, 6) as names:
        url = server.url(names[2])
        rows(url, "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        rows(url, "INSERT INTO alembic_version VALUES ('f9')")
        server.run(f'ALTER DATABASE "{names[3]}" CONNECTION LIMIT 0')
        server.run("DROP ROLE IF EXISTS fleet_guest")
        server.run(f"CREATE ROLE fleet_guest LOGIN{server.password_clause}")
        server.run(f'REVOKE CONNECT ON DATABASE "{names[4]}" FROM PUBLIC')
        listed = tmp_path / "targets"
        refusing = server.url(names[4], "fleet_guest")
        listed.write_text(
            f"# the fleet\n{names[0]}\nfleet_nowhere\n{names[2]}\n\nurl={refusing} name=refusing\n"
            f"postgresql://me:pass-word-9@127.0.0.1:1/nobody\nname=last database={names[5]}\n"
        )
        first = fleet(ini, "upgrade", str(listed), "--max-failures", "9", "--json", url=server.admin_url)
        ended = {one["target"]: one["exit_code"] for one in first.events if one["event"] == "target"}
        assert ended == {
            names[0]: 0, "fleet_nowhere": 12, names[2]: 30, "refusing": 11, "nobody on 127.0.0.1:1": 10, "last": 0,
        }  # fmt: skip
        assert first.code == 1
        assert "4 failed" in first.error or "and 3 more failed" in first.error
        assert "pass-word-9" not in first.out + first.err + (tmp_path / "airlock-fleet.journal").read_text()
        standing = fleet(ini, "status", str(listed), url=server.admin_url)
        assert standing.code == 3
        assert (
            standing.out.splitlines()[-1] == "2 of 6 targets at f2: 1 do not fit the history, 3 not examined."
        )
        server.run(f'GRANT CONNECT ON DATABASE "{names[4]}" TO PUBLIC')
        server.run(f'ALTER DATABASE "{names[4]}" OWNER TO fleet_guest')
        rows(url, "DELETE FROM alembic_version")
        listed.write_text(
            f"{names[0]}\n{names[2]}\nurl={refusing} name=refusing\nname=last database={names[5]}\n"
        )
        again = fleet(ini, "upgrade", str(listed), "--json", url=server.admin_url)
        assert again.code == 0, again.err
        begun = {one["target"] for one in again.events if one["event"] == "target_begin"}
        assert begun == {names[2], "refusing"}
        assert again.verdict["done_before"] == 2
    server.run("DROP ROLE fleet_guest")


def test_the_first_failure_stops_the_fleet(tmp_path: Path, server: Server) -> None:
    """A canary that fails is the only one that was touched; the exit code is its own."""
    ini = write_project(tmp_path, HISTORY)
    with databases(server, 4) as names:
        listed = tmp_path / "targets"
        listed.write_text("\n".join(["fleet_nowhere", *names]))
        one = fleet(ini, "upgrade", str(listed), "--max-failures", "3", url=server.admin_url)
        assert one.code == 12
        assert "the first wave has failed" in one.err
        assert "0 of 5 targets are done, 1 failed, 4 not begun." in one.error
        assert [line["begun"] for line in journal(ini) if "begun" in line] == ["fleet_nowhere"]


def test_a_wave_stops_after_so_many_failures(tmp_path: Path, server: Server) -> None:
    """The second of two that are borne is the last: what was done stays done, what was not begun stays as it was."""
    ini = write_project(tmp_path, HISTORY)
    with databases(server, 3) as names:
        listed = tmp_path / "targets"
        listed.write_text("\n".join([names[0], "nowhere_1", names[1], "nowhere_2", names[2], "nowhere_3"]))
        words = ("--waves", "100%", "--concurrency", "1", "--max-failures", "2", "--json")
        ended = fleet(ini, "upgrade", str(listed), *words, url=server.admin_url)
        assert ended.code == 12
        assert (ended.verdict["changed"], ended.verdict["failed"], ended.verdict["not_begun"]) == (2, 2, 2)
        assert [line["begun"] for line in journal(ini) if "begun" in line] == [
            names[0], "nowhere_1", names[1], "nowhere_2",
        ]  # fmt: skip
        assert ran(server, names[:2]) == [DONE] * 2
        assert rows(server.url(names[2]), "SELECT to_regclass('ran')") == [(None,)]


def test_after_kill_9_the_same_again_goes_on_and_nothing_runs_twice(tmp_path: Path, server: Server) -> None:
    """Killed while four are inside a revision: they are rolled back, and done once by the second run."""
    slow = Revision("f2", "op.execute(\"INSERT INTO ran SELECT 'f2' FROM pg_sleep(0.3)\")")
    ini = write_project(tmp_path, [HISTORY[0], slow])
    with databases(server, 10) as names:
        words = ("fleet", "upgrade", "--targets", query(names), "--waves", "1")
        started = forked.start(ini, *words, url=server.admin_url)
        until(started, lambda: sum("done" in line for line in lines(ini)) >= 3)
        os.kill(started.pid, signal.SIGKILL)
        assert started.finish().code == -signal.SIGKILL
        done = {line["done"] for line in journal(ini) if "done" in line}
        with (tmp_path / "airlock-fleet.journal").open("a") as torn:
            torn.write('{"done": "half a li')
        again = fleet(ini, *words[1:2], words[3], "--json", url=server.admin_url)
        assert again.code == 0, again.err
        begun = {one["target"] for one in again.events if one["event"] == "target_begin"}
        assert begun == set(names) - done
        assert again.verdict["done_before"] == len(done) >= 3
        assert ran(server, names) == [DONE] * 10


def test_sigterm_rolls_back_what_runs_and_begins_nothing_more(tmp_path: Path, server: Server) -> None:
    """Exit 143, the statement cancelled at once; the same again does the rest."""
    slow = Revision("f2", "op.execute(\"INSERT INTO ran SELECT 'f2' FROM pg_sleep(600)\")")
    ini = write_project(tmp_path, [HISTORY[0], slow])
    with databases(server, 3) as names:
        started = forked.start(
            ini, "fleet", "upgrade", "--targets", query(names), "--waves", "3", url=server.admin_url
        )
        busy = (
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND state = 'active' "
            "AND pid <> pg_backend_pid()"
        )
        until(started, lambda: server.run(busy) == [(3,)])
        os.kill(started.pid, signal.SIGTERM)
        ended = started.finish()
        assert ended.code == 143, ended.err
        assert "0 of 3 targets are done, 3 failed." in ended.error
        assert server.run(busy) == [(0,)]
        (tmp_path / "alembic" / "versions" / "f2.py").write_text(
            (tmp_path / "alembic" / "versions" / "f2.py").read_text().replace("pg_sleep(600)", "pg_sleep(0)")
        )
        assert fleet(ini, "upgrade", query(names), url=server.admin_url).code == 0
        assert ran(server, names) == [DONE] * 3


TENANT_ENV = (
    HEADER
    + """
tenant = context.get_x_argument(as_dictionary=True)["tenant"]
engine = create_engine(URL.replace("postgresql://", "postgresql+psycopg2://"), poolclass=pool.NullPool)
with engine.connect() as connection:
    {prepare}
    connection.dialect.default_schema_name = tenant
    context.configure(connection=connection{options})
    with context.begin_transaction():
        context.run_migrations()
"""
)
SEARCH_PATH = """connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{tenant}"')
    connection.exec_driver_sql(f'SET search_path TO "{tenant}"')
    connection.commit()"""
TRANSLATED = """connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{tenant}"')
    connection.commit()
    connection = connection.execution_options(schema_translate_map={None: tenant})"""
TABLES = [
    Revision(
        "t1",
        'op.create_table("note", sa.Column("id", sa.Integer, primary_key=True))',
        'op.drop_table("note")',
    ),
]


@pytest.mark.parametrize(
    ("prepare", "options"),
    [(SEARCH_PATH, ""), (TRANSLATED, ", version_table_schema=tenant")],
    ids=["path", "map"],
)
def test_a_schema_of_each_tenant(
    prepare: str, options: str, tmp_path: Path, empty_database: Database
) -> None:
    """The columns of a query are env.py's arguments; each tenant has tables and version rows of its own."""
    env = TENANT_ENV.replace("{prepare}", prepare).replace("{options}", options)
    ini = write_project(tmp_path, TABLES, env=env)
    tenants = "SELECT 'tenant-' || n AS tenant FROM generate_series(1, 4) AS n"
    done = fleet(ini, "upgrade", tenants, url=empty_database.url)
    assert done.code == 0, done.err
    assert done.out.startswith("4 of 4 targets at t1: 4 changed (4 revisions)")
    assert "+ tenant=tenant-1  base -> t1" in done.err
    there = "SELECT table_schema FROM information_schema.tables WHERE table_name = '{}' ORDER BY 1"
    wanted = [(f"tenant-{number}",) for number in range(1, 5)]
    assert rows(empty_database.url, there.format("note")) == wanted
    assert rows(empty_database.url, there.format("alembic_version")) == wanted
    standing = fleet(ini, "status", tenants, url=empty_database.url)
    assert standing.out.splitlines()[-1] == "4 of 4 targets at t1."
    more = fleet(ini, "status", tenants.replace("4)", "5)"), url=empty_database.url)
    assert more.code == 3, "the fifth has no schema: only env.py knows"


def test_tenants_that_share_a_version_table_are_refused(tmp_path: Path, empty_database: Database) -> None:
    """The second would be called done, with nothing in its schema: exit 2, and the sentence names both."""
    shared = ', version_table_schema="public"'
    env = TENANT_ENV.replace("{prepare}", TRANSLATED).replace("{options}", shared)
    ini = write_project(tmp_path, TABLES, env=env)
    listed = tmp_path / "targets"
    listed.write_text("tenant=one\ntenant=two\n")
    ended = fleet(ini, "upgrade", str(listed), url=empty_database.url)
    assert ended.code == 2
    assert 'kept the version rows in "public"."alembic_version", as for tenant=one' in ended.error


def test_connections_that_are_used_up_are_waited_for(tmp_path: Path, server: Server) -> None:
    """A role that may have four connections, four targets at a time: each is done, after some patience."""
    ini = write_project(tmp_path, HISTORY)
    server.run("DROP ROLE IF EXISTS fleet_few")
    server.run(f"CREATE ROLE fleet_few LOGIN CONNECTION LIMIT 4{server.password_clause}")
    with databases(server, 6) as names:
        for name in names:
            server.run(f'ALTER DATABASE "{name}" OWNER TO fleet_few')
        listed = tmp_path / "targets"
        listed.write_text("\n".join(f"url={server.url(name, 'fleet_few')} name={name}" for name in names))
        done = fleet(ini, "upgrade", str(listed), "--waves", "6", "--json", url=None)
        assert done.code == 0, done.err
        assert any(one["event"] == "target_retry" for one in done.events)
        assert ran(server, names) == [DONE] * 6
    server.run("DROP ROLE fleet_few")


@pytest.mark.proof
def test_an_env_py_that_hangs_is_ended(tmp_path: Path, server: Server) -> None:
    """--target-timeout ends it with exit 22, and the others are done."""
    env = (
        "import os, signal, time\n"
        "if os.environ['DATABASE_URL'].partition('?')[0].endswith('_0001'):\n    while True: time.sleep(1)\n"
    )
    plain = write_project(tmp_path, HISTORY).parent / "alembic" / "env.py"
    ini = write_project(tmp_path, HISTORY, env=env + plain.read_text())
    with databases(server, 3) as names:
        words = ("--target-timeout", "20s", "--max-failures", "2", "--waves", "3", "--json")
        done = fleet(ini, "upgrade", query(names), *words, url=f"{server.admin_url}")
        ended = {one["target"]: one["exit_code"] for one in done.events if one["event"] == "target"}
        assert ended[names[0]] == ended[names[2]] == 0
        assert ended[names[1]] == 22
        assert ran(server, [names[0], names[2]]) == [DONE] * 2


KEPT_ENGINE = """\
import os

from sqlalchemy import create_engine

SETTING = os.environ["DATABASE_URL"]
engine = create_engine(SETTING.replace("postgresql://", "postgresql+psycopg2://"))
"""
KEEPING_ENV = """\
import sys

print("hello from env.py, postgresql://me:pass-word-9@nowhere/x")
sys.stdout.write("no line break")
from alembic import context
from kept_engine import engine

with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""


def test_a_project_that_keeps_its_engine_reaches_every_target(tmp_path: Path, server: Server) -> None:
    """A pool and a setting of the project's own, made at import, are each target's: nobody meets another's connection."""
    ini = write_project(tmp_path, HISTORY, env=KEEPING_ENV)
    (tmp_path / "kept_engine.py").write_text(KEPT_ENGINE)
    with databases(server, 3) as names:
        done = fleet(ini, "upgrade", query(names), "--concurrency", "1", url=server.admin_url)
        assert done.code == 0, done.err
        assert ran(server, names) == [DONE] * 3
        assert f"  {names[0]}: hello from env.py, postgresql://me:***@nowhere/x" in done.err
        assert done.err.count(": no line break") == 3


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
@pytest.mark.proof
def test_every_driver(driver: str, tmp_path: Path, server: Server) -> None:
    """An event loop of env.py's own in each process."""
    ini = write_project(tmp_path, HISTORY, driver=driver)
    with databases(server, 6) as names:
        assert fleet(ini, "upgrade", query(names), url=server.admin_url).code == 0
        assert ran(server, names) == [DONE] * 6
