"""TLS up to verify-full, and channel binding, against a server with a certificate made for the test."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from airlock.scratch.embedded import SCRATCH_SETTINGS, Cluster, available
from app.database import make_async_engine, make_engine
from app.settings import Settings
from tests.history import History
from tests.servers import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

# The wheel's servers are built without TLS; Debian's are not.
DEBIAN = {major: path for major, path in available().items() if str(path).startswith("/usr/lib/postgresql")}
pytestmark = pytest.mark.skipif(
    not DEBIAN or shutil.which("openssl") is None,
    reason="needs Debian's PostgreSQL (apt-get install postgresql) and openssl",
)
PASSWORD = "s3cret"
QUESTION = sa.text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")


@pytest.fixture(scope="module")
def tls() -> Iterator[tuple[int, Path, Path]]:
    """Serve with TLS and passwords only; gives the port, the authority that signed it, and another one."""
    with tempfile.TemporaryDirectory(prefix="tls-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # as root, the server is another user
        yield from _served(directory)


def _served(directory: Path) -> Iterator[tuple[int, Path, Path]]:
    authority, stranger = _authority(directory, "authority"), _authority(directory, "stranger")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {**SCRATCH_SETTINGS, "listen_addresses": "127.0.0.1", "port": str(port), "ssl": "on"}
    cluster = Cluster(directory / "data", DEBIAN[max(DEBIAN)], settings)
    cluster.initialise()
    _certificate(directory, authority, cluster.data)
    (cluster.data / "pg_hba.conf").write_text(
        "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
    )
    with cluster.serving():
        engine = sa.create_engine(Database("", cluster.url()).sqlalchemy_url, poolclass=sa.NullPool)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text(f"CREATE ROLE ada LOGIN PASSWORD '{PASSWORD}'"))
            connection.execute(sa.text("CREATE DATABASE app OWNER ada"))
        yield port, authority.with_suffix(".crt"), stranger.with_suffix(".crt")


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def _authority(directory: Path, name: str) -> Path:
    path = directory / name
    _openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", f"/CN={name}", "-keyout", f"{path}.key", "-out", f"{path}.crt",
    )  # fmt: skip
    return path


def _certificate(directory: Path, authority: Path, data: Path) -> None:
    """Sign a certificate for the name `localhost` and put it where the server looks."""
    request, extension = directory / "server.csr", directory / "server.ext"
    extension.write_text("subjectAltName=DNS:localhost\n")
    _openssl(
        "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost",
        "-keyout", str(data / "server.key"), "-out", str(request),
    )  # fmt: skip
    _openssl(
        "x509", "-req", "-in", str(request), "-CA", f"{authority}.crt", "-CAkey", f"{authority}.key", "-days", "2",
        "-CAcreateserial", "-extfile", str(extension), "-out", str(data / "server.crt"),
    )  # fmt: skip
    (data / "server.key").chmod(0o600)
    if os.geteuid() == 0:
        for name in ("server.key", "server.crt"):
            shutil.chown(data / name, data.owner(), data.group())


def _settings(host: str, port: int, parameters: str) -> Settings:
    url = f"postgresql://ada:{PASSWORD}@{host}:{port}/app?{parameters}"
    return Settings.model_validate({"database_url": url, "jwt_secret": "x" * 32})


async def _both(settings: Settings) -> list[bool | None]:
    """Ask by each driver whether the session is encrypted."""
    engine, async_engine = make_engine(settings), make_async_engine(settings)
    try:
        with engine.connect() as connection:
            answers = [connection.scalar(QUESTION)]
        async with async_engine.connect() as connection_:
            answers.append(await connection_.scalar(QUESTION))
        return answers
    finally:
        engine.dispose()
        await async_engine.dispose()


@pytest.mark.parametrize(
    "parameters",
    [
        "sslmode=require",
        "sslmode=require&channel_binding=require",
        "sslmode=verify-ca&sslrootcert={authority}",
        "sslmode=verify-full&sslrootcert={authority}",
        "sslmode=verify-full&sslrootcert={authority}&channel_binding=require",
        "sslmode=prefer",
    ],
)
async def test_both_drivers_connect_encrypted(tls: tuple[int, Path, Path], parameters: str) -> None:
    """Neon's form among them, exactly."""
    port, authority, _ = tls
    assert await _both(_settings("localhost", port, parameters.format(authority=authority))) == [True, True]


@pytest.mark.parametrize(
    ("host", "parameters"),
    [
        ("localhost", "sslmode=verify-full&sslrootcert={stranger}"),
        ("localhost", "sslmode=verify-ca&sslrootcert={stranger}"),
        ("localhost", "sslmode=require&sslrootcert={stranger}"),
        ("127.0.0.1", "sslmode=verify-full&sslrootcert={authority}"),
        ("localhost", "sslmode=disable"),
    ],
)
async def test_both_drivers_refuse_what_is_not_verified(
    tls: tuple[int, Path, Path], host: str, parameters: str
) -> None:
    """Another authority, another name, no TLS at all."""
    port, authority, stranger = tls
    made = _settings(host, port, parameters.format(authority=authority, stranger=stranger))
    with pytest.raises(DBAPIError), make_engine(made).connect():
        pass
    async_engine = make_async_engine(made)
    with pytest.raises((DBAPIError, ssl.SSLError, OSError)):
        async with async_engine.connect():
            pass
    await async_engine.dispose()


async def test_verify_ca_minds_the_authority_and_not_the_name(tls: tuple[int, Path, Path]) -> None:
    port, authority, _ = tls
    assert await _both(_settings("127.0.0.1", port, f"sslmode=verify-ca&sslrootcert={authority}")) == [
        True,
        True,
    ]


def test_the_history_runs_over_verified_tls(tls: tuple[int, Path, Path]) -> None:
    port, authority, _ = tls
    url = f"postgresql://ada:{PASSWORD}@localhost:{port}/app?sslmode=verify-full&sslrootcert={authority}"
    history = History(Database("app", url))
    history.upgrade()
    history.check()
    history.downgrade()
