"""Embedded servers start from local binaries, keep others out, and end with their process."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psycopg2
import pytest

from airlock.records.errors import Denied, NotExamined
from airlock.scratch import embedded, memory

WHEEL = [16, 18]


@pytest.mark.parametrize("major", WHEEL)
def test_a_scratch_cluster_serves_its_major_and_leaves_no_files(major: int) -> None:
    """The server answers with its version; afterwards data and sockets are gone."""
    with embedded.scratch_cluster(major) as cluster:
        connection = psycopg2.connect(cluster.url())
        assert connection.server_version // 10000 == major
        connection.close()
        data = cluster.data
        assert stat.S_IMODE(data.stat().st_mode) & 0o077 == 0
    assert not data.exists()
    assert not data.parent.exists()


@pytest.mark.proof
@pytest.mark.parametrize("place", ["/dev/shm", "/tmp"])  # noqa: S108
def test_a_killed_process_leaves_no_server_behind(place: str) -> None:
    """SIGKILL to the owner: its server stops and its data directory goes, and what lies beside one in memory."""
    script = (
        "from airlock.scratch import embedded; import time\n"
        "with embedded.scratch_cluster(18) as c:\n"
        "    print(c.data.parent, c.log.parent, (c.data / 'postmaster.pid').read_text().split()[0], flush=True)\n"
        "    time.sleep(600)\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, memory.SCRATCH_DIRECTORY: place}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert owner.stdout is not None
    data, beside, postmaster = owner.stdout.readline().split()
    assert data.startswith(f"{place}/airlock-") and Path(beside).exists()
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    deadline = time.monotonic() + 20
    left = [Path(data), Path(beside), Path(f"/proc/{postmaster}")]
    while time.monotonic() < deadline and any(one.exists() for one in left):
        time.sleep(0.05)
    assert [one for one in left if one.exists()] == []


@pytest.mark.proof
def test_a_persistent_cluster_keeps_its_rows_over_a_restart(tmp_path: Path) -> None:
    """start, write, stop, start: the row is there; a second start does nothing."""
    cluster = embedded.Cluster(tmp_path / "data", embedded.binaries(16))
    try:
        assert cluster.start() is True
        assert cluster.start() is False
        connection = psycopg2.connect(cluster.url())
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE kept AS SELECT 42 AS n")
        connection.close()
        cluster.stop()
        assert not cluster.running()
        cluster.start()
        connection = psycopg2.connect(cluster.url())
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT n FROM kept")
            assert cursor.fetchone() == (42,)
        connection.close()
    finally:
        cluster.stop("immediate")


@pytest.mark.proof
def test_a_long_path_still_gets_a_socket(tmp_path: Path) -> None:
    """A Unix socket's path is limited to 107 bytes; the data directory's is not."""
    deep = tmp_path / ("d" * 60) / ("e" * 60) / "data"
    cluster = embedded.Cluster(deep, embedded.binaries(16))
    try:
        cluster.start()
        psycopg2.connect(cluster.url()).close()
    finally:
        cluster.stop("immediate")


def test_a_major_that_is_not_installed_is_not_examined() -> None:
    """The error names what is there, and what else could be used."""
    with pytest.raises(NotExamined, match=r"PostgreSQL 9 is not installed here \(found: .*18.*--scratch"):
        embedded.binaries(9)


@pytest.mark.skipif(os.geteuid() != 0, reason="the rule is for root only")
def test_roots_data_never_lies_in_a_home() -> None:
    """PostgreSQL runs as another user, who must not be let into root's home: the temporary directory serves."""
    cluster = embedded.Cluster(Path("/root/somewhere/.postgres"), embedded.binaries(16))
    assert not cluster.data.is_relative_to("/root")


@pytest.mark.skipif(os.geteuid() != 0, reason="the rule is for root only")
def test_a_directory_that_somebody_else_put_in_the_way_is_not_used() -> None:
    """Its name can be foretold and the temporary directory is everybody's: exit 11, naming it."""
    planned = embedded.Cluster(Path("/root/in-the-way/.postgres"), embedded.binaries(16)).data.parent
    shutil.chown(planned, "nobody")
    try:
        with pytest.raises(Denied, match=str(planned)):
            embedded.Cluster(Path("/root/in-the-way/.postgres"), embedded.binaries(16))
    finally:
        planned.rmdir()
