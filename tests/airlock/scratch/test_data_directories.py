"""A data directory is made by initdb once, copied afterwards, and each copy is a cluster of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest

from airlock.scratch import data_directories, embedded, memory

if TYPE_CHECKING:
    from collections.abc import Iterator

MAJORS = sorted(embedded.available())


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Keep data directories apart from those of this machine, where the server's user may enter."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o711)
        monkeypatch.setattr(tempfile, "tempdir", directory)
        monkeypatch.delenv(memory.SCRATCH_DIRECTORY, raising=False)
        yield Path(directory)


@pytest.fixture
def initdb_runs(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """List the directories that initdb was run for."""
    ran: list[Path] = []
    initialise = embedded.Cluster.initialise

    def counted(self: embedded.Cluster) -> None:
        if not (self.data / "PG_VERSION").exists():
            ran.append(self.data)
        initialise(self)

    monkeypatch.setattr(embedded.Cluster, "initialise", counted)
    return ran


def identifier(major: int) -> str:
    """Start a scratch cluster, make a database there, and ask who it is."""
    with (
        embedded.scratch_cluster(major) as cluster,
        contextlib.closing(psycopg2.connect(cluster.url())) as session,
    ):
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute("CREATE DATABASE more TEMPLATE template0")
            cursor.execute("SELECT system_identifier::text FROM pg_control_system()")
            return str((cursor.fetchone() or ("",))[0])


@pytest.mark.parametrize("major", MAJORS)
def test_copies_of_one_initdb_start_and_are_told_apart(
    major: int, elsewhere: Path, initdb_runs: list[Path]
) -> None:
    """Three servers, one run of initdb, three system identifiers; nothing else is left but what is kept."""
    found = {identifier(major) for _ in range(3)}
    assert len(found) == 3
    assert len(initdb_runs) == 1
    (kept,) = elsewhere.iterdir()
    assert kept.name.startswith(f"airlock-{os.geteuid()}-initdb-")
    assert kept.stat().st_mode & 0o077 == 0


def _lose_a_file(kept: Path) -> None:
    next((kept / "data" / "base" / "1").glob("1*")).unlink()


def _cut_a_file(kept: Path) -> None:
    (kept / "data" / "base" / "1" / "1255").write_bytes(b"")


def _lose_the_seal(kept: Path) -> None:
    (kept / "whole").unlink()


def _open_to_others(kept: Path) -> None:
    kept.chmod(0o770)


def _point_elsewhere(kept: Path) -> None:
    kept.rename(kept.with_name("other"))
    kept.symlink_to(kept.with_name("other"))


@pytest.mark.parametrize(
    "harm", [_lose_a_file, _cut_a_file, _lose_the_seal, _open_to_others, _point_elsewhere]
)
def test_a_directory_that_is_not_whole_or_not_ours_is_not_used(
    harm: object, elsewhere: Path, initdb_runs: list[Path]
) -> None:
    """Cleaned in part by age, cut, open to others, a link: initdb runs again, and the server is whole."""
    assert callable(harm)
    identifier(MAJORS[-1])
    (kept,) = elsewhere.iterdir()
    harm(kept)
    identifier(MAJORS[-1])
    assert len(initdb_runs) >= 2


def test_without_room_to_keep_one_initdb_runs_for_each(
    elsewhere: Path, initdb_runs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing can be kept, servers start as before."""

    def full(*_: object) -> tuple[int, int]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(data_directories, "_copy", full)
    assert identifier(MAJORS[-1]) != identifier(MAJORS[-1])
    assert len([data for data in initdb_runs if data.name == "data"]) >= 2
    assert not list(elsewhere.iterdir())


def test_another_time_zone_or_binary_gets_a_directory_of_its_own(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What initdb reads from the machine is in the name."""
    bindir = embedded.binaries(MAJORS[-1])
    names = {data_directories._digest(bindir)}
    monkeypatch.setenv("TZ", "Pacific/Chatham")
    names.add(data_directories._digest(bindir))
    copy = elsewhere / "bin"
    copy.mkdir()
    for name in ("initdb", "postgres"):
        shutil.copyfile(bindir / name, copy / name)
    names.add(data_directories._digest(copy))
    assert len(names) == 3


def test_a_control_file_of_another_form_is_not_written(tmp_path: Path) -> None:
    """Without a checksum where one is expected nothing is changed."""
    (tmp_path / "global").mkdir()
    control = tmp_path / "global" / "pg_control"
    control.write_bytes(bytes(range(256)) * 4)
    with pytest.raises(LookupError, match="no checksum"):
        data_directories._set_system_identifier(tmp_path)
    assert control.read_bytes() == bytes(range(256)) * 4
