"""PgBouncer in transaction mode, in front of an embedded server."""

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

import pytest
from sqlalchemy.engine import make_url

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def pgbouncer(url: str, **settings: str) -> Iterator[str]:
    """Pool the server of `url` until the block ends; lend the URL of the same database through the pooler.

    Skips the test where the program is not installed, or the server is not one behind a Unix socket.
    """
    parsed = make_url(url)
    host = parsed.query.get("host")
    if PROGRAM is None or not isinstance(host, str):
        pytest.skip("pgbouncer is not installed, or the server has no Unix socket")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    directory = Path(tempfile.mkdtemp(prefix="airlock-pooler-"))
    directory.chmod(0o755)
    (directory / "users.txt").write_text(f'"{parsed.username}" ""\n')
    wanted = {
        "listen_addr": "127.0.0.1",
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_type": "trust",
        "auth_file": str(directory / "users.txt"),
        "pool_mode": "transaction",
        "default_pool_size": "40",
        "max_client_conn": "200",
        **settings,
    }
    lines = "\n".join(f"{name} = {value}" for name, value in wanted.items())
    behind = f"host={host} port={parsed.query.get('port', 5432)}"
    (directory / "pgbouncer.ini").write_text(f"[databases]\n* = {behind}\n[pgbouncer]\n{lines}\n")
    # It refuses to run as root, and the server's socket belongs to the user whom the server runs as.
    as_user: dict[str, Any] = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
    log = (directory / "log").open("w")
    process = subprocess.Popen(
        [PROGRAM, str(directory / "pgbouncer.ini")], stdout=log, stderr=log, cwd="/", **as_user
    )
    try:
        _wait(port, process, directory / "log")
        yield f"postgresql://{parsed.username}@127.0.0.1:{port}/{parsed.database}"
    finally:
        process.terminate()
        process.wait(timeout=10)
        log.close()
        shutil.rmtree(directory, ignore_errors=True)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError(f"pgbouncer did not start: {log.read_text()}")
