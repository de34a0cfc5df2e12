"""Where the tests' databases live: TEST_DATABASE=auto|container|embedded|embedded:16|URL.

`auto` takes a container where a Docker daemon answers and the image is there or can be pulled, and an embedded
server otherwise. Whoever names a provider gets that one or an error, never another.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
from sqlalchemy.engine import URL, make_url

from airlock.scratch import embedded
from airlock.scratch.redirect import spelled

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGE = os.environ.get("POSTGRES_IMAGE") or "postgres:17"


class ProviderError(Exception):
    """The named provider cannot be had here; one line says why."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """Which provider, and why this one."""

    provider: str
    why: str

    def __str__(self) -> str:
        shown = "URL" if "://" in self.provider else self.provider
        return f"{shown} ({self.why})"


@dataclasses.dataclass(frozen=True)
class Database:
    """One database. `url` is libpq's spelling, which every driver's URL can be made from."""

    name: str
    url: str

    @property
    def sqlalchemy_url(self) -> URL:
        return make_url(self.url).set(drivername="postgresql+psycopg2")


class Server:
    """One server for the whole session, with one administrator's connection that stays open."""

    def __init__(self, admin_url: str, label: str) -> None:
        self.admin_url = admin_url
        self.label = label
        self._admin = psycopg2.connect(admin_url)
        self._admin.autocommit = True
        self.version_num = self._admin.server_version
        self.major = self.version_num // 10000
        # Nothing is flushed, so copying files beats logging every page.
        self._strategy = " STRATEGY FILE_COPY" if self.major >= 15 and label != "URL" else ""

    def url(self, database: str, user: str | None = None) -> str:
        url = make_url(self.admin_url).set(database=database)
        if user is not None:
            url = url.set(username=user)
        return spelled(url)

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement as administrator, outside a transaction; return its rows."""
        with self._admin.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    @property
    def password_clause(self) -> str:
        """Give a role that a test makes the administrator's password, where there is one: `url` keeps it."""
        password = make_url(self.admin_url).password
        return f" PASSWORD '{password}'" if password else ""

    @contextlib.contextmanager
    def database(self, template: str | None = None) -> Iterator[Database]:
        """Make a database (milliseconds, where there is a template) and drop it when the block ends."""
        name = f"test_{secrets.token_hex(6)}"
        clause = f' TEMPLATE "{template}"{self._strategy}' if template else ""
        self.run(f'CREATE DATABASE "{name}"{clause}')
        try:
            yield Database(name, self.url(name))
        finally:
            self.run(f'DROP DATABASE "{name}" WITH (FORCE)')

    def close(self) -> None:
        self._admin.close()


def choose(wish: str) -> Choice:
    """Decide on a provider. Raises ProviderError where a named one cannot be had."""
    wish = wish or "auto"
    if wish == "auto":
        missing = why_no_container()
        if missing is None:
            return Choice("container", f"Docker answers and has {IMAGE}")
        return Choice("embedded", missing)
    if wish == "container":
        missing = why_no_container()
        if missing is not None:
            raise ProviderError(f"TEST_DATABASE=container: {missing}")
    elif not wish.startswith("embedded") and "://" not in wish:
        raise ProviderError("TEST_DATABASE is auto, container, embedded, embedded:16, embedded:18 or a URL.")
    return Choice(wish, "named by TEST_DATABASE")


def why_no_container() -> str | None:
    """Say why no container can be had; None where one can. Pulls the image where it is missing."""
    if not os.environ.get("DOCKER_HOST") and not Path("/var/run/docker.sock").exists():
        return "no Docker daemon here"
    import docker

    try:
        client = docker.from_env(timeout=60)
    except docker.errors.DockerException:
        return "no Docker daemon answers"
    with contextlib.closing(client):
        try:
            client.images.get(IMAGE)
        except docker.errors.ImageNotFound:
            try:
                client.images.pull(IMAGE)
            except (docker.errors.DockerException, OSError):
                return f"Docker answers, but {IMAGE} is neither there nor to be pulled"
        except (docker.errors.DockerException, OSError):
            return "no Docker daemon answers"
    return None


@contextlib.contextmanager
def serve(choice: Choice) -> Iterator[Server]:
    """Serve until the block ends."""
    with _started(choice.provider) as (url, label):
        server = Server(url, label)
        try:
            yield server
        finally:
            server.close()


@contextlib.contextmanager
def _started(provider: str) -> Iterator[tuple[str, str]]:
    if provider.startswith("embedded"):
        majors = embedded.available()
        wheel = [major for major in majors if "pixeltable" in str(majors[major])]
        major = int(provider.partition(":")[2] or max(wheel or majors))
        with embedded.scratch_cluster(major) as cluster:
            yield cluster.url(), f"embedded {major}"
    elif provider == "container":
        with _container() as url:
            yield url, f"container {IMAGE}"
    else:
        given = make_url(provider).set(drivername="postgresql")
        yield spelled(given), "URL"


@contextlib.contextmanager
def _container() -> Iterator[str]:
    # Ryuk would be another image to pull; the block below stops what it starts.
    os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
    os.environ.setdefault("TESTCONTAINERS_CONNECTION_MODE", "docker_host")
    from testcontainers.community.postgres import PostgresContainer

    password = secrets.token_hex(16)
    container = PostgresContainer(
        IMAGE, username="postgres", password=password, dbname="postgres", driver=None
    )
    # In memory and unflushed: a test database is worth nothing after its test.
    container.with_tmpfs_mount("/var/lib/postgresql", "size=4g")
    container.with_command(
        "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200"
    )
    with container:
        yield container.get_connection_url()
