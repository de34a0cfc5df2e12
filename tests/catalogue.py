"""The catalogue of a test's database, and a psql to run scripts with."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

import psycopg2

from airlock.catalogue import fingerprint
from airlock.scratch import embedded

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.servers import Database


def catalogue(database: Database, schemas: Collection[str] | None = None) -> fingerprint.Fingerprint:
    """Read the fingerprint of a database, or of some of its schemas."""
    with contextlib.closing(psycopg2.connect(database.url)) as connection:
        return fingerprint.read(connection, schemas=schemas)


def differences(before: fingerprint.Fingerprint, after: fingerprint.Fingerprint) -> list[str]:
    """Spell what differs, for an assertion to print."""
    return [f"{d.object} {d.kind}: {d.before} -> {d.after}" for d in fingerprint.differences(before, after)]


def psql(database: Database, script: str) -> subprocess.CompletedProcess[str]:
    """Pipe a script through psql, which stops at the first error."""
    majors = embedded.available()
    program = majors[max(majors)] / "psql"
    return subprocess.run(
        [str(program), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database.url],
        input=script, text=True, capture_output=True, check=False, timeout=120,
    )  # fmt: skip
