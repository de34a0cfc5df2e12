"""A real PgBouncer in transaction mode in front of a test's database."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.engine import make_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import Database

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
WHY_NOT = "no pgbouncer here (apt-get install pgbouncer)"


@contextlib.contextmanager
def pooled(database: Database, pool_size: int = 3) -> Iterator[str]:
    """Serve until the block ends; gives the URL by which clients share `pool_size` server connections."""
    assert PROGRAM is not None, WHY_NOT
    behind = make_url(database.url)
    host = behind.query.get("host") or behind.host
    target = f"host={host} port={behind.port or behind.query.get('port') or 5432} dbname={database.name}"
    target += f" user={behind.username}" + (f" password='{behind.password}'" if behind.password else "")
    with tempfile.TemporaryDirectory(prefix="bouncer-") as name, socket.socket() as probe:
        directory = Path(name)
        directory.chmod(0o755)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        ini = directory / "pgbouncer.ini"
        ini.write_text(
            f"[databases]\n{database.name} = {target}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = any\npool_mode = transaction\ndefault_pool_size = {pool_size}\nmax_client_conn = 500\n"
            "server_tls_sslmode = disable\n"
        )
        ini.chmod(0o644)
        command = [PROGRAM, *(["-u", "nobody"] if os.geteuid() == 0 else []), str(ini)]
        with (
            (directory / "log").open("w") as log,
            subprocess.Popen(command, stdout=log, stderr=log) as bouncer,
        ):
            try:
                _wait(port, bouncer)
                yield f"postgresql://{behind.username}@127.0.0.1:{port}/{database.name}"
            finally:
                bouncer.terminate()


def _wait(port: int, bouncer: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and bouncer.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError("pgbouncer did not start")
