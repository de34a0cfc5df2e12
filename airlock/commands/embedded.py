"""`python -m airlock.commands.embedded start|stop DIRECTORY`: the developer's PostgreSQL, which outlives its starter."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path

from airlock.records.errors import AirlockError, NotExamined
from airlock.scratch.embedded import Cluster, available, binaries

DATABASE = "app"


def cluster(directory: Path) -> tuple[Cluster, int]:
    """Find the cluster of this directory; a new one gets the newest major, an old one keeps its own."""
    majors = available()
    if not majors:
        raise NotExamined("No PostgreSQL is installed here.", then="set DATABASE_URL")
    newest = Cluster(directory / "data", majors[max(majors)])
    stamp = newest.data / "PG_VERSION"
    major = int(stamp.read_text()) if stamp.exists() else max(majors)
    return Cluster(directory / "data", binaries(major)), major


def start(directory: Path) -> None:
    """Start the server where it is not running, with a database, and write in DIRECTORY/target how to reach it."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    server, major = cluster(directory)
    if server.start():
        _create_database(server)
    target = directory / "target.new"
    target.write_text(f"{server.url(DATABASE)}\n{server.data / 'postmaster.pid'}\n{major}\n")
    target.rename(directory / "target")


def _create_database(server: Cluster) -> None:
    from airlock.drivers import client

    connected = client.connect_by_url(server.url(), autocommit=True)
    with contextlib.closing(connected) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
        if cursor.fetchone() is None:
            cursor.execute(f'CREATE DATABASE "{DATABASE}"')


def main(arguments: list[str] | None = None) -> int:
    """Start or stop; one line and the error's exit code where that fails."""
    parser = argparse.ArgumentParser(prog="airlock.commands.embedded", description=__doc__)
    parser.add_argument("action", choices=("start", "stop"))
    parser.add_argument("directory", type=Path)
    given = parser.parse_args(arguments)
    try:
        if given.action == "start":
            start(given.directory)
        elif (given.directory / "target").exists():
            cluster(given.directory)[0].stop()
    except (AirlockError, OSError) as error:
        sys.stderr.write(f"airlock: {error}\n")
        return getattr(error, "exit_code", 10)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
