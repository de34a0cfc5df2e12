"""Hundreds of databases, runs that are killed at random, a disk that is full: everything is there once at the end."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airlock.scratch import embedded
from tests.airlock import forked
from tests.airlock.blackhole import black_hole
from tests.airlock.fleet.harness import HISTORY, databases, fleet, journal, lines, ran
from tests.airlock.histories import Revision, write_project
from tests.airlock.running import rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.airlock.running import Ran
    from tests.servers import Server

pytestmark = pytest.mark.proof

TARGETS = int(os.environ.get("FLEET_TARGETS", "200"))
DONE = [("f2",), ("f2",)]


def test_kills_at_random_and_targets_that_fail(tmp_path: Path, server: Server) -> None:
    """Killed again and again, with one target silent, one gone, one ahead, one that refuses: all others once.

    Nothing that the journal calls done is begun again.
    """
    ini = write_project(tmp_path, HISTORY)
    with (
        databases(server, TARGETS) as names,
        black_hole(server.url(names[7]), "INSERT INTO ran") as (silent, _),
    ):
        rows(server.url(names[11]), "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        rows(server.url(names[11]), "INSERT INTO alembic_version VALUES ('f9')")
        server.run(f'ALTER DATABASE "{names[13]}" ALLOW_CONNECTIONS false')
        listed = tmp_path / "targets"
        odd = {7: f"name={names[7]} url={silent}"}
        listed.write_text("\n".join([*(odd.get(at, name) for at, name in enumerate(names)), "fleet_nowhere"]))
        words = ("fleet", "upgrade", "--targets", str(listed), "--waves", "100%", "--max-failures", "99")
        code = -signal.SIGKILL
        while code == -signal.SIGKILL:
            wanted = len(finished(ini)) + random.randrange(1, TARGETS // 6)
            started = forked.start(ini, *words, url=server.admin_url, TEST_SILENCE="2")
            while started.process.is_alive() and len(finished(ini)) < wanted:
                time.sleep(0.05)
            # Its last part waits for the silent one: that is not killed any more.
            if len(finished(ini)) < TARGETS - 20:
                os.kill(started.pid, signal.SIGKILL)
            code = started.finish(240).code
        assert code == 1
        said = journal(ini)
        assert len(finished(ini)) == len(set(finished(ini))) == TARGETS - 3
        for place, line in enumerate(said):
            if "begun" in line:
                assert line["id"] not in {one["id"] for one in said[:place] if "done" in one}
        odd_names = {names[at] for at in (7, 11, 13)} | {"fleet_nowhere"}
        codes = {line["failed"]: line["exit_code"] for line in said if "failed" in line}
        # Silent in the midst of a run; or from the start, to a run that came later.
        assert codes.pop(names[7]) in {10, 50}
        assert codes == {names[11]: 30, names[13]: 12, "fleet_nowhere": 12}
        server.run(f'ALTER DATABASE "{names[13]}" ALLOW_CONNECTIONS true')
        assert ran(server, [name for name in names if name not in odd_names]) == [DONE] * (TARGETS - 3)
        server.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'airlock%'"
        )
        listed.write_text("\n".join(name for at, name in enumerate(names) if at != 11))
        last = fleet(ini, "upgrade", str(listed), "--max-failures", "9", "--json", url=server.admin_url)
        assert last.code == 0, last.err
        assert {one["target"] for one in last.events if one["event"] == "target_begin"} == {
            names[7],
            names[13],
        }
        assert ran(server, [name for name in names if name != names[11]]) == [DONE] * (TARGETS - 1)


def finished(ini: Path) -> list[str]:
    """List what the journal calls done."""
    return [line["id"] for line in lines(ini) if "done" in line]


@contextlib.contextmanager
def small_disk(directory: Path, owner: int, megabytes: int) -> Iterator[Path]:
    """Mount a file system in memory until the block ends."""
    directory.mkdir()
    options = f"size={megabytes}m,uid={owner},mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system: needs root")
def test_a_full_disk(tmp_path: Path) -> None:
    """Who has no room is rolled back, with exit 40, the others are done; a journal without room begins nothing."""
    filling = """
    op.execute("CREATE TABLE filling AS SELECT repeat(md5(n::text), 40) AS x FROM generate_series(1, 20000) AS n")
    op.execute("INSERT INTO ran VALUES ('f2')")
    op.execute("DROP TABLE filling")
    """
    ini = write_project(tmp_path / "project", [HISTORY[0], Revision("f2", filling)])
    with embedded.scratch_cluster(max(embedded.available())) as cluster:
        data = Path(rows(cluster.url(), "SHOW data_directory")[0][0])
        # Beside the server's data: pytest's own directories are closed to its user.
        with small_disk(data.parent / "small", data.stat().st_uid, 24) as disk:
            rows(cluster.url(), f"CREATE TABLESPACE small LOCATION '{disk}'")
            for name, where in (("roomy_1", "pg_default"), ("tight", "small"), ("roomy_2", "pg_default")):
                rows(cluster.url(), f"CREATE DATABASE {name} TABLESPACE {where} STRATEGY FILE_COPY")
            ended = _upgrade(ini, cluster, "--max-failures", "3", "--json")
            codes = {one["target"]: one["exit_code"] for one in ended.events if one["event"] == "target"}
            assert codes == {"roomy_1": 0, "roomy_2": 0, "tight": 40}
            assert rows(cluster.url("tight"), "SELECT count(*) FROM ran") == [(0,)]
            (disk / "full").write_bytes(b"")
            with contextlib.suppress(OSError), (disk / "full").open("wb", buffering=0) as full:
                while True:
                    full.write(b"x" * 4096)
            lost = _upgrade(ini, cluster, "--journal", str(disk / "journal"))
            assert lost.code == 2
            assert "journal" in lost.error
            assert "No space left on device" in lost.error
            (disk / "full").unlink()
            subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
            again = _upgrade(ini, cluster, "--json")
            assert again.code == 0, again.err
            assert [one["target"] for one in again.events if one["event"] == "target_begin"] == ["tight"]
            assert rows(cluster.url("tight"), "SELECT revision FROM ran") == [("f2",)]
            rows(cluster.url(), "DROP DATABASE tight")
            rows(cluster.url(), "DROP TABLESPACE small")


def _upgrade(ini: Path, cluster: embedded.Cluster, *words: str) -> Ran:
    wanted = "SELECT datname FROM pg_database WHERE datname ~ '^(roomy|tight)' ORDER BY 1"
    return fleet(ini, "upgrade", wanted, "--waves", "9", *words, url=cluster.url())
