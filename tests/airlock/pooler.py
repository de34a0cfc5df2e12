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


class Pooler:
    """PgBouncer in front of the server of `url`, from `start` to `stop`; `url` leads to the same database through it.

    Skips the test where the program is not installed, or the server is not one behind a Unix socket.
    """

    def __init__(self, url: str, **settings: str) -> None:
        parsed = make_url(url)
        host = parsed.query.get("host")
        if PROGRAM is None or not isinstance(host, str):
            pytest.skip("pgbouncer is not installed, or the server has no Unix socket")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._directory = Path(tempfile.mkdtemp(prefix="airlock-pooler-"))
        self._directory.chmod(0o755)
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://{parsed.username}@127.0.0.1:{self._port}/{parsed.database}"
        (self._directory / "users.txt").write_text(f'"{parsed.username}" ""\n')
        wanted = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self._port),
            "unix_socket_dir": "",
            "auth_type": "trust",
            "auth_file": str(self._directory / "users.txt"),
            "pool_mode": "transaction",
            "default_pool_size": "40",
            "max_client_conn": "200",
            **settings,
        }
        lines = "\n".join(f"{name} = {value}" for name, value in wanted.items())
        behind = f"host={host} port={parsed.query.get('port', 5432)}"
        (self._directory / "pgbouncer.ini").write_text(f"[databases]\n* = {behind}\n[pgbouncer]\n{lines}\n")

    def start(self) -> None:
        """Start it and wait until it lets clients in."""
        # It refuses to run as root, and the server's socket belongs to the user whom the server runs as.
        as_user: dict[str, Any] = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
        with (self._directory / "log").open("a") as log:
            self._process = subprocess.Popen(
                [str(PROGRAM), str(self._directory / "pgbouncer.ini")],
                stdout=log,
                stderr=log,
                cwd="/",
                **as_user,
            )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
                return
            time.sleep(0.02)
        raise AssertionError(f"pgbouncer did not start: {(self._directory / 'log').read_text()}")

    def stop(self) -> None:
        """End it at once, and with it every connection through it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)

    def restart(self) -> None:
        """Stop it and start it again at the same address."""
        self.stop()
        self.start()

    @contextlib.contextmanager
    def running(self) -> Iterator[Pooler]:
        """Serve until the block ends."""
        try:
            self.start()
            yield self
        finally:
            self.stop()
            shutil.rmtree(self._directory, ignore_errors=True)


@contextlib.contextmanager
def pgbouncer(url: str, **settings: str) -> Iterator[str]:
    """Pool the server of `url` until the block ends; lend the URL of the same database through the pooler."""
    with Pooler(url, **settings).running() as pooler:
        yield pooler.url
