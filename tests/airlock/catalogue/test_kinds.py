"""Each kind of DDL that the trace knows shows in the fingerprint exactly where pg_dump shows it, until it is undone."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest

from airlock.catalogue import fingerprint
from airlock.scratch import embedded
from tests.airlock.catalogue.test_mutations import Mutated
from tests.airlock.trace.kinds import KINDS, SETUP, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

# kind -> how it is undone: SQL, `anew` (all made again), or `none: why it leaves nothing in the catalogue`.
UNDOINGS = {
    name: undo
    for name, _, undo in (
        line.partition(" | ") for line in Path(__file__).with_name("kinds.txt").read_text().splitlines()
    )
}
MAJORS = sorted(embedded.available())
# pg_dump takes a second for ten kinds: it judges on the newest server. On the oldest it judges the mutations.
JUDGED = {MAJORS[-1]}


def test_no_kind_is_left_out() -> None:
    """Every kind of the trace has its undoing or its reason, and nothing else has."""
    assert UNDOINGS.keys() == {kind.name for kind in KINDS}
    assert all(undo for undo in UNDOINGS.values())
    assert sum(undo.startswith("none: ") for undo in UNDOINGS.values()) <= 30


@pytest.fixture(scope="module", params=MAJORS)
def standing(request: pytest.FixtureRequest) -> Iterator[Mutated]:
    """Serve the trace's schema on one major."""
    with embedded.scratch_cluster(request.param) as cluster:
        connection = psycopg2.connect(cluster.url())
        connection.autocommit = True
        connection.cursor().execute(SETUP)
        yield Mutated(cluster.url(), cluster.bindir, connection)
        connection.close()


def make_anew(standing: Mutated) -> None:
    """Drop everything and make it again."""
    standing.run("DROP SCHEMA s CASCADE")
    standing.run(SETUP)


def apply(standing: Mutated, kind: Kind) -> None:
    """Run the kind's statement."""
    with standing.connection.cursor() as cursor:
        if kind.sql.startswith("COPY"):
            cursor.copy_expert(kind.sql, io.StringIO("1\t1\n" if "FROM" in kind.sql else ""))
        else:
            # LOCK TABLE wants a transaction.
            cursor.execute(f"BEGIN; {kind.sql}; COMMIT" if kind.sql.startswith("LOCK") else kind.sql)


@pytest.mark.proof
def test_every_kind_shows_until_it_is_undone(standing: Mutated, subtests: pytest.Subtests) -> None:
    """Applying changes the fingerprint, undoing restores it, and pg_dump's text says the same of both."""
    judged = standing.major in JUDGED
    dump = standing.dump if judged else str
    as_made = (standing.reader.read(), dump())
    for kind in KINDS:
        if kind.since > standing.major:
            continue
        undo = UNDOINGS[kind.name]
        if kind.before:
            standing.run(kind.before)
        before = (standing.reader.read(), dump()) if kind.before else as_made
        apply(standing, kind)
        changed = (standing.reader.read(), dump())
        if undo == "anew":
            make_anew(standing)
        elif not undo.startswith("none: "):
            for statement in undo.split("; "):
                standing.run(statement)
        after = (standing.reader.read(), dump())
        with subtests.test(kind.name):
            shows = not undo.startswith("none: ")
            assert bool(fingerprint.differences(before[0], changed[0])) == shows
            assert (changed[0] != before[0]) == shows
            assert (changed[1] != before[1]) == (shows and judged)
            assert fingerprint.differences(before[0], after[0]) == ()
            assert (after[0], after[1]) == before
        if kind.before or after != before:
            make_anew(standing)
