"""What `airlock status` tells."""

from __future__ import annotations

from airlock.records import dataclass


@dataclass(frozen=True)
class Pending:
    """A revision that the history holds and the database does not."""

    revision: str
    title: str


@dataclass(frozen=True)
class Drifted:
    """One attribute of the live catalogue that is not what the history produces."""

    object: str
    kind: str
    expected: str | None
    found: str | None


@dataclass(frozen=True)
class InTheWay:
    """Rows that the way down loses or that stop it: how many there are now, and the query that counts them.

    `rows` is None where they could not be counted.
    """

    revision: str
    object: str
    why: str
    sql: str
    rows: int | None


@dataclass(frozen=True)
class WayBack:
    """What a way down would meet now; `unknown` is what no query tells, `refused` why there is no way at all."""

    to: str
    conditions: tuple[InTheWay, ...] = ()
    unknown: tuple[str, ...] = ()
    refused: str = ""


@dataclass(frozen=True)
class Status:
    """Where one database stands. `drift` is None, with `drift_reason`, where it was not examined.

    `address` is where the server itself says that it was reached, None on a Unix socket. `published` are tables of
    logical replication, as `schema.table (publication)`: a subscriber must have a new column before they have it.
    """

    database: str
    server_version: str
    user: str
    pooled: bool
    read_only: bool
    standby: bool
    lease: str | None
    half_applied: str | None
    current: tuple[str, ...]
    heads: tuple[str, ...]
    pending: tuple[Pending, ...]
    invalid_indexes: tuple[str, ...]
    not_validated: tuple[str, ...]
    drift: tuple[Drifted, ...] | None
    drift_reason: str = ""
    fault: str = ""
    address: str | None = None
    notes: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    # Where it was asked for.
    way_back: WayBack | None = None
