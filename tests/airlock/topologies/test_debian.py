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
        yield made


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
