"""Where a target stands: read, and nothing else."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from airlock.database import server
from airlock.operations import versions

if TYPE_CHECKING:
    from airlock.database.target import Target


def heads_of(target: Target) -> tuple[tuple[str, ...], int]:
    """Read the target's version rows and major version, in one read-only session."""
    with contextlib.closing(server.connect(target.url, application_name="airlock-drill")) as connection:
        connection.set_session(readonly=True)
        table, _ = versions.version_table(connection)
        heads = tuple(sorted(str(row) for row in versions.version_rows(connection, table) if row is not None))
        return heads, server.facts(connection).major
