"""Scratch servers lie in memory where there is plenty, and say so where it was not enough."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from airlock.records.errors import Usage
from airlock.scratch import embedded, memory
from airlock.scratch.memory import Machine
from tests.airlock.histories import Revision, write_project
from tests.airlock.running import airlock

GB = 1 << 30
TMPFS = "overlay / overlay rw 0 0\ntmpfs /dev/shm tmpfs rw,nosuid 0 0\n"


@pytest.mark.parametrize(
    ("machine", "plenty"),
    [
        (Machine(2 * GB, 4 * GB), True),
        (Machine(2 * GB - 1, 64 * GB), False),  # Docker gives a container 64 MB
        (Machine(64 * GB, 4 * GB - 1), False),
        (Machine(None, 64 * GB), False),
    ],
)
def test_both_the_room_and_the_memory_have_to_be_ample(machine: Machine, plenty: bool) -> None:
    """2 GB free in the tmpfs, 4 GB of memory available."""
    assert machine.has_plenty is plenty


@pytest.mark.parametrize(
    ("mounts", "groups", "files", "available"),
    [
        pytest.param(TMPFS, "", {}, 9 * GB, id="no control groups"),
        pytest.param(TMPFS, "0::/a/b\n", {"a/b/memory.max": "max"}, 9 * GB, id="no limit"),
        pytest.param(
            TMPFS, "0::/a/b\n",
            {"a/b/memory.max": "max", "a/memory.max": f"{6 * GB}", "a/memory.current": f"{3 * GB}",
             "a/memory.stat": f"anon 1\ninactive_file {GB}\n"},
            4 * GB, id="a limit above, caches aside",
        ),
        pytest.param(
            TMPFS, "9:cpu:/x\n4:memory:/host/name\n",
            {"memory/memory.limit_in_bytes": f"{2 * GB}", "memory/memory.usage_in_bytes": f"{GB}",
             "memory/memory.stat": "cache 0\n"},
            GB, id="version 1 in a container",
        ),
        pytest.param("overlay / overlay rw 0 0\n", "", {}, 9 * GB, id="no tmpfs"),
        pytest.param(TMPFS + "/dev/sda /dev/shm ext4 rw 0 0\n", "", {}, 9 * GB, id="a disk over it"),
    ],
)  # fmt: skip
def test_what_a_machine_has_is_read(
    mounts: str, groups: str, files: dict[str, str], available: int, tmp_path: Path
) -> None:
    """MemAvailable, or what a control group of this process or above it still gives; a tmpfs only where one is on top."""
    files = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    files |= {"proc/meminfo": f"MemTotal: 1 kB\nMemAvailable: {9 * GB // 1024} kB\n"}
    files |= {"proc/self/mounts": mounts, "proc/self/cgroup": groups}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    shared = tmp_path / "dev" / "shm"
    shared.mkdir(parents=True)
    shared.chmod(0o1777)
    found = memory.look(tmp_path)
    assert found.available == available
    assert (found.room is not None) is (mounts == TMPFS)
    shared.chmod(0o755)
    assert memory.look(tmp_path).room is None


def test_another_system_has_none(tmp_path: Path) -> None:
    """Without /proc there is nothing to go by: the disk."""
    assert not memory.look(tmp_path).has_plenty


def test_the_variable_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a user says is taken whatever there is; without it, memory only where asked for and ample."""
    monkeypatch.setenv(memory.SCRATCH_DIRECTORY, str(tmp_path))
    assert memory.directory(in_memory=True) == tmp_path
    monkeypatch.setenv(memory.SCRATCH_DIRECTORY, str(tmp_path / "none"))
    with pytest.raises(Usage, match="names no directory that can be written to"):
        memory.directory(in_memory=False)
    monkeypatch.delenv(memory.SCRATCH_DIRECTORY)
    monkeypatch.setattr(memory, "look", lambda: Machine(2 * GB, 4 * GB))
    assert memory.directory(in_memory=True) == memory.SHARED_MEMORY
    assert memory.directory(in_memory=False) is None
    monkeypatch.setattr(memory, "look", lambda: Machine(2 * GB, GB))
    assert memory.directory(in_memory=True) is None


def test_a_server_in_memory_keeps_its_sockets_and_its_log_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it can say that memory is full. Less of the write-ahead log is kept; all goes with the block."""
    monkeypatch.delenv(memory.SCRATCH_DIRECTORY)
    monkeypatch.setattr(memory, "look", lambda: Machine(2 * GB, 4 * GB))
    with embedded.scratch_cluster(max(embedded.available()), in_memory=True) as cluster:
        places = {cluster.data.parent.parent, cluster.log.parent.parent, cluster.socket_directory.parent}
        assert places == {memory.SHARED_MEMORY, Path(tempfile.gettempdir())}
        assert "ready to accept connections" in cluster.logged()
        assert cluster.settings["max_wal_size"] == "512MB"
    assert not cluster.data.parent.exists()
    assert not cluster.log.parent.exists()


@pytest.mark.proof
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_what_fills_memory_is_not_examined(tmp_path: Path) -> None:
    """Exit 3, saying what to set; the revision is not refused, and what was proved below it stands."""
    big = Revision("w1", 'op.execute("CREATE TABLE big (x text)")', 'op.execute("DROP TABLE big")')
    fills = "op.execute(\"INSERT INTO big SELECT repeat('x', 1000) FROM generate_series(1, 400000)\")"
    ini = write_project(tmp_path, [big, Revision("w2", fills), Revision("w3", "pass")])
    disk = Path(tempfile.mkdtemp(prefix="airlock-disk-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m,mode=1777", "tmpfs", str(disk)], check=True)
    try:
        ran = airlock(ini, "drill", url=None, AIRLOCK_SCRATCH_DIRECTORY=str(disk))
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)
        disk.rmdir()
    assert ran.code == 3, ran.err
    assert f"no space left in {disk}. Try: {memory.SCRATCH_DIRECTORY}=" in ran.err
    assert "= w1  proved" in ran.out and "? w2  not examined" in ran.out, ran.out
