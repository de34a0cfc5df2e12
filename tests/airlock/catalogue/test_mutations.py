"""What is done to a schema shows in its fingerprint, and what is undone shows no more."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import psycopg2
import psycopg2.extensions
import pytest

from airlock.catalogue import fingerprint
from airlock.scratch import embedded
from tests.airlock.catalogue.mutations import BASE, MUTATIONS, Mutation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


NEWEST = max(embedded.available())
OTHERS = sorted(set(embedded.available()) - {NEWEST})


class Mutated:
    """One server's database holding BASE, and both readers of it."""

    def __init__(self, url: str, bindir: Path, connection: psycopg2.extensions.connection) -> None:
        self.url, self.bindir, self.connection = url, bindir, connection
        self.reader = fingerprint.Reader(connection)
        self.standing: fingerprint.Fingerprint | None = None
        self.major = connection.server_version // 10000
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT name FROM pg_available_extensions WHERE name IN ('vector', 'pg_trgm') ORDER BY 1 DESC"
            )
            self.extension = cursor.fetchone()[0]  # type: ignore[index]

    def run(self, sql: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(sql.replace("$extension", self.extension))

    def dump(self) -> str:
        # Not every package of a server brings its pg_dump; one of a later major reads earlier servers too.
        later = [embedded.binaries(major) for major in sorted(embedded.available()) if major > self.major]
        bindir = next(one for one in (self.bindir, *later) if (one / "pg_dump").exists())
        environment = {**os.environ, "LD_LIBRARY_PATH": str(bindir.parent / "lib")}
        done = subprocess.run(
            [str(bindir / "pg_dump"), "-s", "-C", "-d", self.url],
            capture_output=True, text=True, check=True, env=environment,
        )  # fmt: skip
        return re.sub(r"(?m)^\\(un)?restrict .*$", "", done.stdout)


@pytest.fixture(scope="module")
def mutated(request: pytest.FixtureRequest) -> Iterator[Mutated]:
    """Serve BASE on one major, the parameter."""
    with embedded.scratch_cluster(request.param) as cluster:
        maintenance = psycopg2.connect(cluster.url())
        maintenance.autocommit = True
        maintenance.cursor().execute("CREATE DATABASE mutated")
        connection = psycopg2.connect(cluster.url("mutated"))
        connection.autocommit = True
        connection.cursor().execute(BASE)
        yield Mutated(cluster.url("mutated"), cluster.bindir, connection)
        connection.close()
        maintenance.close()


# The catalogue is asked otherwise from 15 and from 18 on, and in nothing between (`fingerprint`).
ASKED_ALIKE = (16, 17)
# pg_dump takes a fourth of a second each time: it judges on the oldest server and on the newest.
JUDGED = (OTHERS[0], NEWEST)

# A fourth of them runs with every change, on the newest server; `make proof` runs them all on every one that
# knows what they change; servers that are asked alike take turns.
CASES = [
    pytest.param(
        major, one, id=f"{one.name}-{major}",
        marks=() if major == NEWEST and i % 4 == 0 else pytest.mark.proof,
    )
    for major in (NEWEST, *OTHERS)
    for i, one in enumerate(MUTATIONS)
    if one.since <= major and (major not in ASKED_ALIKE or i % len(ASKED_ALIKE) == major % len(ASKED_ALIKE))
]  # fmt: skip


@pytest.mark.parametrize(("mutated", "mutation"), CASES, indirect=["mutated"], scope="module")
def test_a_mutation_shows_until_it_is_undone(mutated: Mutated, mutation: Mutation) -> None:
    """The fingerprint differs after the change and is the same again after its undoing."""
    before, mutated.standing = mutated.standing or mutated.reader.read(), None
    mutated.run(mutation.apply)
    changed = mutated.reader.read()
    mutated.run(mutation.undo)
    after = mutated.reader.read()
    assert fingerprint.differences(before, changed), "the change does not show"
    assert changed != before
    assert fingerprint.differences(before, after) == ()
    assert after == before
    assert after.digest == before.digest
    assert mutated.reader.read(afresh=True) == after
    mutated.standing = after


@pytest.mark.proof
@pytest.mark.parametrize("mutated", [*OTHERS, NEWEST], indirect=True, scope="module")
def test_what_a_minor_release_notes_on_a_column_is_nobodys_change(mutated: Mutated) -> None:
    """A column option pg_att... is the server's own; any other option shows."""
    before = mutated.reader.read()
    where = "WHERE attrelid = 'phase2.plain'::regclass AND attname = 'a'"
    for options, shows in (("{pg_attver=1}", False), ("{pg_attver=1,n_distinct=5}", True)):
        mutated.run(f"UPDATE pg_attribute SET attoptions = '{options}' {where}")
        assert (mutated.reader.read() != before) == shows
    mutated.run(f"UPDATE pg_attribute SET attoptions = NULL {where}")
    assert mutated.reader.read() == before


@pytest.mark.proof
@pytest.mark.parametrize("mutated", JUDGED, indirect=True, scope="module")
def test_pg_dump_agrees(mutated: Mutated, subtests: pytest.Subtests) -> None:
    """Where pg_dump's text changes the fingerprint does too (the test above), and each undoing satisfies both."""
    before = mutated.dump()
    for mutation in MUTATIONS:
        if mutation.since > mutated.major:
            continue
        mutated.run(mutation.apply)
        changed = mutated.dump()
        mutated.run(mutation.undo)
        with subtests.test(mutation.name):
            assert (changed != before) == mutation.dumped
            assert mutated.dump() == before
