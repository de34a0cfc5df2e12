"""Where a target stands before anything is done to it, and what it has in common with others."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.database import server, server_errors
from airlock.operations import versions
from airlock.operations.fleet.status import table_of

if TYPE_CHECKING:
    from airlock.operations.fleet.targets import FleetTarget

type_key = tuple[tuple[str, ...], int, tuple[str, ...]]


@dataclass(frozen=True)
class Stands:
    """Where a target stands before anything is done to it; `reason` is why that could not be read."""

    one: FleetTarget
    heads: tuple[str, ...] = ()
    major: int = 0
    version_table: str = ""
    reason: str = ""
    exit_code: int = 0

    @property
    def key(self) -> type_key:
        """Say what it has in common with those that one rehearsal serves."""
        return self.heads, self.major, self.one.x_arguments


def stands(one: FleetTarget) -> Stands:
    """Read a target's version rows and its server's major. Writes nothing; what fails is the record's reason."""
    try:
        with contextlib.closing(
            server.connect(one.target, application_name="airlock-fleet", autocommit=True)
        ) as connection:
            table = table_of(connection, one)
            rows = versions.version_rows(connection, table)
            heads = tuple(sorted(str(row) for row in rows if row is not None))
            return Stands(one, heads, server.facts(connection).major, table.name if table is not None else "")
    except Exception as error:  # noqa: BLE001  any of a thousand targets may fail in any way
        found = server_errors.classify(error)
        return Stands(one, reason=str(found), exit_code=found.exit_code)
