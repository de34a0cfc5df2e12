"""Old code on a new schema, blocked clients, and steps cut in the middle."""

from __future__ import annotations

from pathlib import Path

import pytest

from airlock.acts.drill import drill
from airlock.acts.drill.proving import prove
from airlock.acts.drill.revision import Options
from airlock.instruments.scratch import ScratchServer
from airlock.words.drill import PROVED, REFUSED, DrillReport, RevisionProof
from tests.airlock.histories import Revision, write_project

pytestmark = pytest.mark.proof

TABLE = 'op.execute("CREATE TABLE a (id int PRIMARY KEY, v text NOT NULL, n int)")'
HALVES = """
with op.get_context().autocommit_block():
    op.execute('CREATE TABLE b (id int)')
    op.execute('CREATE TABLE c (id int)')
"""
ROOT = Path(__file__).parents[3]


def examine(
    scratch: ScratchServer, ini: Path, options: Options, monkeypatch: pytest.MonkeyPatch
) -> RevisionProof:
    """Drill the last revision of a project in this process."""
    monkeypatch.chdir(ini.parent)
    with scratch.database() as database:
        monkeypatch.setenv("DATABASE_URL", database.url)
        records = list(prove(str(ini), (), None, 1, None, 0, database, options, {}))
    return [record for record in records if isinstance(record, RevisionProof)][-1]


def two(tmp_path: Path, up: str, down: str, extra: str = "") -> Path:
    """Write a project of a table and one revision more."""
    return write_project(
        tmp_path,
        [Revision("first", TABLE, 'op.execute("DROP TABLE a")'), Revision("second", up, down, extra=extra)],
    )


def test_code_of_the_old_release_that_breaks_is_named(
    scratch: ScratchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renamed column breaks the statements of the release that is still running, by name."""
    ini = two(
        tmp_path, 'op.execute("ALTER TABLE a RENAME v TO w")', 'op.execute("ALTER TABLE a RENAME w TO v")'
    )
    proof = examine(scratch, ini, Options(rows=30, traffic=3), monkeypatch)
    assert proof.verdict == REFUSED
    assert {(one.statement, one.error) for one in proof.broken} >= {
        ("select public.a", 'column "v" does not exist')
    }


def test_an_expanding_revision_breaks_nobody(
    scratch: ScratchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new column lets the old statements through, and every statement's time was taken."""
    ini = two(tmp_path, 'op.execute("ALTER TABLE a ADD w text")', 'op.execute("ALTER TABLE a DROP w")')
    proof = examine(scratch, ini, Options(rows=30, traffic=3), monkeypatch)
    assert (proof.verdict, proof.broken) == (PROVED, ())
    assert [stall.direction for stall in proof.stalls] == ["down", "up"]
    assert all(stall.statements > 20 and stall.p50 <= stall.p99 <= stall.longest for stall in proof.stalls)


def test_a_column_without_default_breaks_inserts(
    scratch: ScratchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NOT NULL without a default is fine for rows that are there, and for no insert of the old release."""
    ini = two(
        tmp_path,
        "op.execute(\"ALTER TABLE a ADD w int NOT NULL DEFAULT 1\"); op.execute('ALTER TABLE a ALTER w DROP DEFAULT')",
        'op.execute("ALTER TABLE a DROP w")',
    )
    proof = examine(scratch, ini, Options(rows=30, traffic=4), monkeypatch)
    assert {one.statement for one in proof.broken} == {"insert public.a"}


@pytest.mark.parametrize(
    ("up", "down", "fails"),
    [
        ("ALTER TABLE bare RENAME v TO w", "ALTER TABLE bare RENAME w TO v", {"select", "insert", "update"}),
        ("ALTER TABLE bare ADD w int", "ALTER TABLE bare DROP w", set()),
        ("ALTER TABLE bare RENAME TO naked", "ALTER TABLE naked RENAME TO bare",
         {"select", "insert", "update", "delete"}),
    ],
)  # fmt: skip
def test_tables_without_a_key_have_clients_too(
    scratch: ScratchServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    up: str,
    down: str,
    fails: set[str],
) -> None:
    """What breaks for them is named as well, and what does not is proved."""
    ini = write_project(
        tmp_path,
        [
            Revision(
                "first", 'op.execute("CREATE TABLE bare (v text, n int)")', 'op.execute("DROP TABLE bare")'
            ),
            Revision("second", f"op.execute({up!r})", f"op.execute({down!r})"),
        ],
    )
    proof = examine(scratch, ini, Options(rows=30, traffic=4), monkeypatch)
    assert {one.statement for one in proof.broken if one.direction == "up"} == {
        f"{word} public.bare" for word in fails
    }
    assert all(stall.statements > 20 for stall in proof.stalls)


def test_a_blocker_does_not_stop_a_step_for_good(
    scratch: ScratchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a reader that idles in its transaction the step gets through, and clients wait no longer than its budget."""
    ini = two(tmp_path, 'op.execute("ALTER TABLE a ADD w text")', 'op.execute("ALTER TABLE a DROP w")')
    proof = examine(scratch, ini, Options(rows=30, traffic=3, blocker=True), monkeypatch)
    assert (proof.verdict, proof.broken) == (PROVED, ())
    # Without a budget clients would stand behind the step for as long as the reader idles, 1.5 s.
    assert max(stall.longest for stall in proof.stalls) < 1_200


def test_a_transactional_revision_survives_every_cut(
    scratch: ScratchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut before each statement, the rerun arrives."""
    ini = two(
        tmp_path,
        "op.execute('ALTER TABLE a ADD w text'); op.execute('CREATE INDEX ix ON a (w)')",
        "op.execute('DROP INDEX ix'); op.execute('ALTER TABLE a DROP w')",
    )
    proof = examine(scratch, ini, Options(rows=10, crash=True), monkeypatch)
    assert proof.verdict == PROVED
    assert {"up", "down"} == {cut.direction for cut in proof.cuts}
    assert sum(cut.sql.startswith("CREATE INDEX") for cut in proof.cuts) == 1
    assert all(cut.converged for cut in proof.cuts)


def test_a_revision_that_cannot_be_rerun_is_found_out(
    scratch: ScratchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that says it is resumable and is not ends in a failing rerun, and is refused."""
    ini = two(
        tmp_path,
        HALVES,
        "op.execute('DROP TABLE b'); op.execute('DROP TABLE c')",
        extra="resumable = True",
    )
    proof = examine(scratch, ini, Options(rows=10, crash=True), monkeypatch)
    assert proof.verdict == REFUSED
    assert any(not cut.converged and cut.direction == "up" for cut in proof.cuts)


def test_one_that_does_not_claim_it_stops_with_exit_41(
    scratch: ScratchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half applied and not resumable: the rerun refuses to guess, which is what was promised."""
    ini = two(
        tmp_path,
        HALVES,
        "op.execute('DROP TABLE b'); op.execute('DROP TABLE c')",
    )
    proof = examine(scratch, ini, Options(rows=10, crash=True), monkeypatch)
    assert proof.verdict == PROVED
    assert any("41" in cut.outcome for cut in proof.cuts)


def test_many_rows_are_timed_beside_a_hand_written_insert(
    scratch: ScratchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report of a drill on many rows gives both rates of the table, and the rows that each step touched."""
    ini = two(tmp_path, 'op.execute("ALTER TABLE a ADD w text")', 'op.execute("ALTER TABLE a DROP w")')
    monkeypatch.chdir(tmp_path)
    report = drill(ini, scratch=scratch.admin_url, rows=10_000)
    (rate,) = report.rates
    assert (rate.table, rate.rows, rate.reason) == ("public.a", 10_000, None)
    assert rate.ms > 0
    assert (rate.ratio or 0) > 0
    assert [(one.table, one.rows) for one in report.revisions[1].touched] == [("public.a", 10_000)]
    assert drill(ini, scratch=scratch.admin_url, rows=50).rates == ()


@pytest.fixture(scope="module")
def own_crashes() -> DrillReport:
    """Drill this project's own history through crashes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return drill(ROOT / "alembic.ini", rows=20, crash=True)


def test_the_projects_own_history_converges_everywhere(own_crashes: DrillReport) -> None:
    """Every cut of every revision, up and down, ends where it should."""
    assert [cut for proof in own_crashes.revisions for cut in proof.cuts if not cut.converged] == []
    assert all(len(proof.cuts) > 5 for proof in own_crashes.revisions)
    assert own_crashes.verdict == PROVED


def test_the_projects_own_history_under_traffic(monkeypatch: pytest.MonkeyPatch) -> None:
    """No statement of the older release fails in either direction."""
    monkeypatch.chdir(ROOT)
    report = drill(ROOT / "alembic.ini", rows=500, traffic=6)
    assert [(proof.title, proof.broken) for proof in report.revisions if proof.broken] == []
    assert report.verdict == PROVED
    assert sum(len(proof.stalls) for proof in report.revisions) == 2 * (len(report.revisions) - 1)
