"""What only Debian's PostgreSQL has packages for: pglogical, repmgr, and the pg_dump of the server's own version."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.airlock import forked
from tests.airlock.histories import Revision, write_project
from tests.airlock.running import rows
from tests.airlock.topologies.standing import as_nobody, cluster, standby_of, until
from tests.airlock.topologies.test_waits import ALTER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.scratch import embedded

BINARIES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/nowhere/0/bin"))
MAJOR = BINARIES.parent.name
pytestmark = [
    pytest.mark.proof,
    pytest.mark.skipif(
        not (BINARIES / "repmgr").exists() or not (BINARIES / "pglogical_create_subscriber").exists(),
        reason="needs postgresql-NN-repmgr and -pglogical",
    ),
]
KEYED = Revision("w1", 'op.execute("CREATE TABLE t (id int PRIMARY KEY)")')


@pytest.fixture(scope="module")
def server() -> Iterator[embedded.Cluster]:
    with cluster(
        MAJOR, wal_level="logical", shared_preload_libraries="pglogical,repmgr", max_worker_processes="20", wal_log_hints="on"
    ) as made:  # fmt: skip
        # Since the minors of 2026 a server takes only those output plugins that it trusts; older ones know no such setting.
        if rows(made.url(), "SELECT 1 FROM pg_settings WHERE name = 'output_plugin_libraries'"):
            rows(made.url(), "ALTER SYSTEM SET output_plugin_libraries = 'pgoutput', 'pglogical_output'")
            rows(made.url(), "SELECT pg_reload_conf()")
        yield made


def test_tables_of_pglogical_are_named(server: embedded.Cluster, tmp_path: Path) -> None:
    """As those of a publication: its subscriber stops at a column that it lacks, which is told as the step is applied."""
    rows(server.url(), "CREATE DATABASE provider")
    rows(server.url(), "CREATE DATABASE subscriber")
    url, there = server.url("provider"), server.url("subscriber")
    assert forked.airlock(write_project(tmp_path, [KEYED]), "upgrade", url=url).code == 0
    rows(there, "CREATE TABLE t (id int PRIMARY KEY)")
    for place, name in ((url, "provider"), (there, "subscriber")):
        dsn = f"host={server.socket_directory} user=postgres dbname={name}"
        rows(place, "CREATE EXTENSION pglogical")
        rows(place, f"SELECT pglogical.create_node(node_name := '{name}', dsn := '{dsn}')")
    rows(url, "SELECT pglogical.replication_set_add_table('default', 't')")
    dsn = f"host={server.socket_directory} user=postgres dbname=provider"
    rows(there, f"SELECT pglogical.create_subscription('feed', '{dsn}', synchronize_structure := false)")
    rows(url, "INSERT INTO t VALUES (1)")
    until(lambda: rows(there, "SELECT 1 FROM t"), "replicated")
    ran = forked.airlock(write_project(tmp_path, [KEYED, ALTER]), "upgrade", url=url)
    assert ran.code == 0, ran.err
    assert "w2: public.t: adds w: a subscriber of pglogical set default must have the column first" in ran.err
    rows(url, "INSERT INTO t VALUES (2, 2)")
    down = "SELECT 1 FROM pglogical.show_subscription_status() WHERE status = 'down'"
    until(lambda: rows(there, down), "the worker has stopped")
    rows(there, "ALTER TABLE t ADD COLUMN w integer")
    # Unlike PostgreSQL's own it is not started again for a minute or more, column or not.
    rows(there, "SELECT pglogical.alter_subscription_disable('feed', true)")
    rows(there, "SELECT pglogical.alter_subscription_enable('feed', true)")
    until(lambda: rows(there, "SELECT 1 FROM t WHERE w = 2"), "it goes on")
    loses = Revision("w3", 'op.execute("ALTER TABLE t DROP CONSTRAINT t_pkey")')
    ini = write_project(tmp_path, [KEYED, ALTER, loses])
    ran = forked.airlock(ini, "upgrade", url=url)
    mute = "no subscriber can tell which row an UPDATE or DELETE is of"
    assert ran.code == 0 and mute in ran.err, ran.err
    # A role that may not look at pglogical's tables runs all the same, and is told nothing of them.
    rows(
        url,
        "CREATE ROLE app LOGIN; GRANT pg_read_all_settings TO app; GRANT SELECT ON alembic_version TO app",
    )
    scratch = ("--scratch", "postgresql://postgres@127.0.0.1:1/x")
    assert (
        f"public.t (pglogical set default): NO REPLICA IDENTITY, {mute}"
        in forked.airlock(ini, "status", *scratch, url=url).out
    )
    ran = forked.airlock(ini, "status", *scratch, url=server.url("provider", "app"))
    assert "current    w3" in ran.out and "published" not in ran.out, ran.err
    rows(there, "SELECT pglogical.drop_subscription('feed')")


def test_a_pg_dump_in_the_way_is_named(server: embedded.Cluster, tmp_path: Path) -> None:
    """It holds ACCESS SHARE on every table until it ends: 21, by its name; then the same run goes through."""
    rows(server.url(), "CREATE DATABASE dumped")
    url = server.url("dumped")
    big = Revision(
        "w1",
        "op.execute(\"CREATE TABLE t AS SELECT g AS id, repeat('x', 99) AS x FROM generate_series(1, 20000) AS g\")",
    )
    assert forked.airlock(write_project(tmp_path, [big]), "upgrade", url=url).code == 0
    # Nobody reads what it writes: it waits in the midst of the table.
    with subprocess.Popen([BINARIES / "pg_dump", url], stdout=subprocess.PIPE) as dump:
        copying = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'pg_dump' AND query LIKE 'COPY public.t %'"
        until(lambda: rows(url, copying), "it copies")
        ini = write_project(tmp_path, [big, ALTER])
        ran = forked.airlock(ini, "upgrade", "--lock-timeout", "200ms", "--wait", "500ms", url=url)
        assert ran.code == 21, ran.err
        assert "t is held by pid" in ran.error and "(postgres, pg_dump, active" in ran.error
        dump.terminate()
    assert forked.airlock(ini, "upgrade", url=url).code == 0


def test_a_switchover_by_repmgr(tmp_path: Path) -> None:
    """The primary dies, `repmgr standby promote` makes the other one; the same run ends what the dead one undid."""
    settings = {
        "shared_preload_libraries": "repmgr",
        "wal_level": "replica",
        "wal_log_hints": "on",
        "hot_standby": "on",
    }
    with cluster(MAJOR, **settings) as primary, standby_of(primary) as standby:
        for number, name, one in ((1, "first", primary), (2, "standby", standby)):
            (tmp_path / f"{number}.conf").write_text(
                f"node_id={number}\nnode_name='{name}'\ndata_directory='{one.data}'\n"
                f"conninfo='host={one.socket_directory} user=postgres dbname=postgres'\n"
                f"pg_bindir='{BINARIES}'\n"
            )

        def repmgr(number: int, *words: str) -> None:
            conf = Path(primary.data).parent / f"{number}.conf"
            conf.write_text((tmp_path / f"{number}.conf").read_text())
            conf.chmod(0o644)
            done = subprocess.run(
                [BINARIES / "repmgr", "-f", conf, *words],
                capture_output=True,
                text=True,
                check=False,
                cwd="/",
                **as_nobody(),
            )
            assert done.returncode == 0, done.stderr

        repmgr(1, "primary", "register", "--superuser=postgres")
        until(lambda: rows(standby.url(), "SELECT 1 FROM repmgr.nodes"), "replayed")
        repmgr(2, "standby", "register", "--upstream-node-id=1")
        slow = Revision("w2", ALTER.up + '; op.execute("SELECT pg_sleep(60)")')
        ini = write_project(tmp_path, [KEYED, slow])
        assert forked.airlock(ini, "upgrade", "w1", url=primary.url()).code == 0
        until(lambda: rows(standby.url(), "SELECT 1 FROM alembic_version"), "replayed")
        started = forked.start(ini, "upgrade", "--wait", "5s", url=primary.url())
        until(
            lambda: rows(
                primary.url(), "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(60)%'"
            ),
            "asleep",
        )
        primary.stop("immediate")
        ran = started.finish(60)
        assert ran.code == 50, ran.err
        repmgr(2, "standby", "promote")
        until(lambda: rows(standby.url(), "SELECT 1 WHERE NOT pg_is_in_recovery()"), "promoted")
        ran = forked.airlock(write_project(tmp_path, [KEYED, ALTER]), "upgrade", url=standby.url())
        assert ran.code == 0, ran.err
        assert rows(standby.url(), "SELECT version_num FROM alembic_version") == [("w2",)]
