"""The real things that stand before, behind and beside a server: standbys, Pgpool-II, HAProxy."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
from sqlalchemy.engine import make_url

from airlock.scratch import embedded
from tests.airlock.running import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
HAPROXY = shutil.which("haproxy", path=_PATH)
PGPOOL = shutil.which("pgpool", path=_PATH)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def as_nobody() -> dict[str, Any]:
    """Name the user whom servers run as: they refuse to be root."""
    return {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}


def until(true: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Wait for a condition; a connection refused meanwhile is a no."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(psycopg2.Error, OSError):
            if true():
                return
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@contextlib.contextmanager
def cluster(major: str = "", **settings: str) -> Iterator[embedded.Cluster]:
    """Serve a server, of the newest major where none is named, with settings of its own."""
    directory = Path(tempfile.mkdtemp(prefix="airlock-stands-"))
    directory.chmod(0o755)
    bindir = embedded.binaries(int(major or max(embedded.available())))
    made = embedded.Cluster(directory / "data", bindir, {"fsync": "off", **settings})
    made.start()
    try:
        yield made
    finally:
        made.stop("immediate")
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def haproxy(socket_path: str, idle: str) -> Iterator[int]:
    """Put HAProxy before a server's socket, with an idle timeout; lend its port."""
    assert HAPROXY is not None
    directory, port = Path(tempfile.mkdtemp(prefix="airlock-haproxy-")), free_port()
    (directory / "haproxy.cfg").write_text(
        "global\n  maxconn 100\ndefaults\n  mode tcp\n  timeout connect 2s\n"
        f"  timeout client {idle}\n  timeout server {idle}\n"
        f"listen db\n  bind 127.0.0.1:{port}\n  server one unix@{socket_path}\n"
    )
    process = subprocess.Popen(
        [HAPROXY, "-db", "-f", str(directory / "haproxy.cfg")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=10)
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def standby_of(primary: embedded.Cluster, **settings: str) -> Iterator[embedded.Cluster]:
    """Copy a running server, in whichever of its directories it stands, and have the copy follow it."""
    directory = Path(tempfile.mkdtemp(prefix="airlock-standby-"))
    directory.chmod(0o777)
    made = embedded.Cluster(directory / "data", primary.bindir, {**primary.settings, **settings})
    parsed = make_url(primary.url())
    # The wheel has no pg_basebackup: a copy of the files between two backup calls is one (manual, "Low-Level API").
    with contextlib.closing(psycopg2.connect(primary.url())) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("SELECT pg_backup_start('copy', true)")
        shutil.copytree(
            primary.data,
            made.data,
            ignore=shutil.ignore_patterns("postmaster.*", "*.lock", "server.log", ".s.PGSQL*"),
        )
        cursor.execute("SELECT labelfile FROM pg_backup_stop(false)")
        ((label,),) = cursor.fetchall()
        (made.data / "backup_label").write_text(label)
    (made.data / "standby.signal").touch()
    with (made.data / "postgresql.auto.conf").open("a") as written:
        written.write(
            f"primary_conninfo = 'host={parsed.query['host']} user=postgres application_name=standby'\n"
        )
    owner = primary.data.stat()
    for path in (made.data, *made.data.rglob("*")):
        if os.geteuid() == 0:
            os.chown(path, owner.st_uid, owner.st_gid)
    shutil.copystat(primary.data, made.data)
    made.start()
    try:
        yield made
    finally:
        made.stop("immediate")
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def pgpool(primary: embedded.Cluster, standby: embedded.Cluster, **settings: str) -> Iterator[str]:
    """Put Pgpool-II before a primary and its standby, every read of a session balanced onto the standby; lend its URL."""
    assert PGPOOL is not None
    directory, port, control = Path(tempfile.mkdtemp(prefix="airlock-pgpool-")), free_port(), free_port()
    directory.chmod(0o777)
    wanted = {
        "backend_clustering_mode": "'streaming_replication'",
        "listen_addresses": "'127.0.0.1'",
        "port": str(port),
        "pcp_port": str(control),
        "socket_dir": f"'{directory}'",
        "pcp_socket_dir": f"'{directory}'",
        "pid_file_name": f"'{directory}/pgpool.pid'",
        "logdir": f"'{directory}'",
        "work_dir": f"'{directory}'",
        "num_init_children": "32",
        "load_balance_mode": "on",
        "sr_check_user": "'postgres'",
        "sr_check_period": "1",
        "health_check_period": "1",
        "health_check_user": "'postgres'",
        "memory_cache_enabled": "off",
        "backend_hostname0": f"'{primary.socket_directory}'",
        "backend_port0": str(primary.port),
        "backend_weight0": "0",
        "backend_data_directory0": f"'{primary.data}'",
        "backend_hostname1": f"'{standby.socket_directory}'",
        "backend_port1": str(standby.port),
        "backend_weight1": "1",
        "backend_data_directory1": f"'{standby.data}'",
        **settings,
    }
    (directory / "pgpool.conf").write_text("".join(f"{name} = {value}\n" for name, value in wanted.items()))
    for name in ("pool_hba.conf", "pcp.conf"):
        (directory / name).write_text("")
    log = (directory / "log").open("w")
    process = subprocess.Popen(
        [PGPOOL, "-n", "-f", f"{directory}/pgpool.conf", "-F", f"{directory}/pcp.conf", "-a", f"{directory}/pool_hba.conf"],
        stdout=log, stderr=log, cwd="/", env={**os.environ, "PGPOOLKEYFILE": str(directory / "key")}, **as_nobody(),
    )  # fmt: skip
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    try:
        until(lambda: rows(url, "SELECT 1"), "pgpool did not start")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)
        log.close()
        shutil.rmtree(directory, ignore_errors=True)
