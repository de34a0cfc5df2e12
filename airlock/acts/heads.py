"""Where a target stands: read, and nothing else."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from airlock.acts import standing
from airlock.instruments import server

if TYPE_CHECKING:
    from airlock.instruments.target import Target


def heads_of(target: Target) -> tuple[tuple[str, ...], int]:
    """Read the target's version rows and major version, in one read-only session."""
    with contextlib.closing(server.connect(target.url, application_name="airlock-drill")) as connection:
        connection.set_session(readonly=True)
        table, _ = standing.version_table(connection)
        heads = tuple(sorted(str(row) for row in standing.version_rows(connection, table) if row is not None))
        return heads, server.facts(connection).major
