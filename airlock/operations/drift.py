"""Compare a live catalogue with the one that the history makes in scratch."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.catalogue import fingerprint
from airlock.database import server, server_errors
from airlock.drivers.libpq_environment import no_libpq_environment
from airlock.operations.upgrade import marks
from airlock.records.errors import NotExamined
from airlock.records.status import Drifted

if TYPE_CHECKING:
    from airlock.database.server import type_connection
    from airlock.records.difference import Difference
    from airlock.scratch.servers import ScratchDatabase

# Who owns an object and may use it is granted to roles that only one of the two servers has.
_OF_ROLES = ("owner", "privileges", "default privileges")


def drift_from(connection: type_connection, scratch: ScratchDatabase) -> tuple[Drifted, ...]:
    """List how the target's catalogue differs from the scratch database's, in the history's own schemas.

    A schema belongs to the history where the history has made an object in it. Reads both catalogues; takes no lock.
    """
    return tuple(
        Drifted(one.object, one.kind, one.before, one.after) for one in differences(connection, scratch)
    )


@dataclass(frozen=True)
class Expected:
    """What the history makes: the schemas that are its own, and everything in them."""

    schemas: tuple[str, ...]
    objects: fingerprint.Fingerprint


def differences(connection: type_connection, scratch: ScratchDatabase) -> tuple[Difference, ...]:
    """Compare scratch (before) with the target (after), roles left out.

    Raises NotExamined where a lock of somebody else's stands in the way.
    """
    return differences_from(connection, expected(scratch))


def expected(scratch: ScratchDatabase) -> Expected:
    """Read from a scratch database what the history has made in it."""
    with no_libpq_environment():
        connected = server.connect(scratch.admin_url, application_name="airlock-drift", autocommit=True)
    with contextlib.closing(connected) as made:
        schemas = _schemas(fingerprint.read(made))
        return Expected(schemas, fingerprint.read(made, schemas=schemas))


def differences_from(connection: type_connection, expected: Expected) -> tuple[Difference, ...]:
    """Compare what the history makes (before) with the target (after), roles left out.

    Raises NotExamined where a lock of somebody else's stands in the way.
    """
    try:
        found = fingerprint.read(connection, schemas=expected.schemas)
    except Exception as error:
        if server_errors.sqlstate(error) != "55P03":
            raise
        raise NotExamined(
            "The catalogue could not be read in full: another session has locked a table of a view.",
            then="again when its transaction has ended",
        ) from error
    return tuple(
        one
        for one in fingerprint.differences(expected.objects, found)
        if not (_of_roles(one) or _is_mark(one))
    )


def _schemas(whole: fingerprint.Fingerprint) -> tuple[str, ...]:
    """Name the schemas that hold an object; a schema without any is nobody's."""
    named = set(whole.of_kind("schema"))
    prefix = "schema "
    names = {name.removeprefix(prefix) for name in named}
    holding = {name for name in names if any(_lives_in(thing, name) for thing in whole)}
    return tuple(sorted(holding))


def _lives_in(thing: str, schema: str) -> bool:
    return thing.startswith(f"{schema}.") or f" {schema}." in thing


def _of_roles(one: Difference) -> bool:
    return any(one.kind.endswith(word) for word in _OF_ROLES)


def _is_mark(one: Difference) -> bool:
    """Tell the mark of a half-applied revision, which status names by itself: it is no drift."""
    return one.kind.endswith("comment") and (one.after or "").startswith(marks.PREFIX)
