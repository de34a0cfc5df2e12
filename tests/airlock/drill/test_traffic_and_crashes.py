"""Old code on a new schema, blocked clients, and steps cut in the middle."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psycopg2
import pytest

from airlock import samples
from airlock.operations.drill import drill
from airlock.operations.drill.child import prove
from airlock.operations.drill.messages import Options
from airlock.operations.drill.phases.traffic import Traffic
from airlock.records.drill import PROVED, REFUSED, DrillReport, RevisionProof
from airlock.records.errors import NotExamined
from airlock.scratch import embedded
from airlock.scratch.servers import ScratchServer
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


def test_clients_tell_tables_apart_whatever_their_names(
    scratch: ScratchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names as long as a name can be, and names of signs that drivers read, are no fault of the revision."""
    names = [f"{'long' * 15}_{number}" for number in (1, 2)] + ['50% \\\'""off', "{}", ":a"]
    made = "; ".join(f'CREATE TABLE "{name}" (id int PRIMARY KEY, v text)' for name in names)
    gone = "; ".join(f'DROP TABLE "{name}"' for name in names)
    ini = write_project(
        tmp_path,
        [
            Revision("first", f"op.get_bind().exec_driver_sql({made.replace('%', '%%')!r})",
                     f"op.get_bind().exec_driver_sql({gone.replace('%', '%%')!r})"),
            Revision("second", 'op.execute("CREATE TABLE b (id int)")', 'op.execute("DROP TABLE b")'),
        ],
    )  # fmt: skip
    proof = examine(scratch, ini, Options(rows=30, traffic=4), monkeypatch)
    assert (proof.verdict, proof.broken) == (PROVED, ())
    assert all(stall.statements > 20 for stall in proof.stalls)


def test_more_clients_than_the_server_takes_are_not_half_of_them(
    scratch: ScratchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drill says so, instead of measuring less traffic than it was asked for."""
    ini = two(tmp_path, 'op.execute("ALTER TABLE a ADD w text")', 'op.execute("ALTER TABLE a DROP w")')
    with pytest.raises(
        NotExamined, match=r"took \d+ of 500 clients: .*too many clients|took \d+ of 500 clients: .*slots"
    ):
        examine(scratch, ini, Options(rows=30, traffic=500), monkeypatch)


def test_what_a_downgrade_keeps_is_put_back_before_the_upgrade_under_traffic(
    scratch: ScratchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backfill has as much to do under traffic as it had at first: old code meets what only that work breaks."""
    guard = (
        "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''filled''; END'"
    )
    up = (
        f'op.execute("""{guard}""")\n'
        "filled = op.get_bind().exec_driver_sql('UPDATE a SET n = 0 WHERE n IS NULL').rowcount\n"
        "if filled: op.execute('CREATE TRIGGER t BEFORE UPDATE OR INSERT ON a FOR EACH ROW EXECUTE FUNCTION guard()')"
    )
    down = "op.execute('DROP TRIGGER IF EXISTS t ON a'); op.execute('DROP FUNCTION guard()')"
    ini = two(
        tmp_path,
        up,
        down,
        extra="kept = {'public.a.n': 'NULL meant 0', 'public.a.t': 'only where rows were filled'}",
    )
    proof = examine(scratch, ini, Options(rows=60, traffic=4), monkeypatch)
    assert {(one.direction, one.error) for one in proof.broken} == {("up", "filled")}, proof


def test_a_blocker_is_a_reader_that_idles_in_its_transaction(scratch: ScratchServer) -> None:
    """It has read every table, holds ACCESS SHARE on them, and does nothing; without it nobody does."""
    seen = """SELECT a.state, l.relation::regclass::text, l.mode FROM pg_stat_activity a JOIN pg_locks l USING (pid)
      WHERE a.application_name = 'airlock-drill-blocker' AND l.relation = ANY ('{a, b}'::regclass[]) ORDER BY 2"""
    with scratch.database() as database, contextlib.closing(psycopg2.connect(database.url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (v text)")
            samples.fill(connection, 5)
            tables = samples.read_tables(connection)
            for blocker in (True, False):
                with Traffic(database.url, 2, tables, None, blocker).flowing():
                    cursor.execute(seen)
                    found = cursor.fetchall()
                assert found == (
                    [("idle in transaction", name, "AccessShareLock") for name in "ab"] if blocker else []
                )


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


def test_a_step_that_is_too_long_to_be_cut_everywhere_says_so(
    scratch: ScratchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was left out is in the notes, of both directions; a step that is short enough has none."""
    monkeypatch.setattr("airlock.operations.drill.phases.interrupt._MOST_CUTS", 6)
    longer, shorter = (
        two(
            tmp_path / str(number),
            "\n".join(f"op.execute('ALTER TABLE a ADD c{n} int')" for n in range(number)),
            "\n".join(f"op.execute('ALTER TABLE a DROP c{n}')" for n in range(number)),
        )
        for number in (8, 1)
    )
    proof = examine(scratch, longer, Options(rows=10, crash=True), monkeypatch)
    assert [note for note in proof.notes if "were cut" in note] == [
        "going down, only its first 6 statements were cut",
        "going up, only its first 6 statements were cut",
    ]
    assert len(proof.cuts) == 12
    short = examine(scratch, shorter, Options(rows=10, crash=True), monkeypatch)
    assert not [note for note in short.notes if "were cut" in note]


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


BATCHES = """
with op.get_context().autocommit_block():
    op.execute('''
        DO $$ DECLARE at bigint; BEGIN
          FOR at IN SELECT DISTINCT (id - 1) / 50 * 50 FROM a ORDER BY 1 LOOP
            UPDATE a SET v = {value} WHERE id > at AND id <= at + 50 AND {condition};
            COMMIT;
          END LOOP;
        END $$
    ''')
"""


@pytest.mark.parametrize(
    ("value", "condition", "extra", "verdict", "outcome"),
    [
        ("'new'", "v <> 'new'", "resumable = True; ", PROVED, "the rerun arrived"),
        # Nothing to do once the last row is done, but nothing remembers how far it came.
        ("v || '!'", "(SELECT right(v, 1) FROM a WHERE id = 300) <> '!'", "resumable = True; ", REFUSED,
         "the rerun ends elsewhere: public.a.v"),
        ("'new'", "v <> 'new'", "", PROVED, "the rerun stops with exit 41"),
    ],
)  # fmt: skip
def test_a_backfill_is_cut_between_its_batches(
    scratch: ScratchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, condition: str, extra: str,
    verdict: str, outcome: str,
) -> None:  # fmt: skip
    """Batches that are committed stay; one that the rerun writes again is found out by its values."""
    ini = two(tmp_path, BATCHES.format(value=value, condition=condition), "pass",
              extra=f"{extra}kept = {{'public.a.v': 'the old values are not remembered'}}")  # fmt: skip
    proof = examine(scratch, ini, Options(rows=300, crash=True), monkeypatch)
    inside = [cut for cut in proof.cuts if "while it waits for a row" in cut.sql]
    assert (proof.verdict, bool(inside)) == (verdict, "41" not in outcome), proof
    assert {cut.outcome.startswith(outcome) for cut in inside or proof.cuts[-1:]} == {True}


@pytest.mark.parametrize(("guard", "verdict"), [("WHERE NOT EXISTS (SELECT FROM b)", PROVED), ("", REFUSED)])
def test_rows_that_a_rerun_inserts_again_are_found(
    scratch: ScratchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guard: str, verdict: str
) -> None:
    """A crash behind an INSERT that was committed: the rerun must not do it twice."""
    up = (
        "with op.get_context().autocommit_block():\n"
        "    op.execute('CREATE TABLE IF NOT EXISTS b (id int, v text)')\n"
        f"    op.execute('INSERT INTO b SELECT id, v FROM a {guard}')"
    )
    proof = examine(scratch, two(tmp_path, up, "op.execute('DROP TABLE b')", extra="resumable = True"),
                    Options(rows=20, crash=True), monkeypatch)  # fmt: skip
    assert proof.verdict == verdict, proof.cuts
    if verdict == REFUSED:
        assert proof.cuts[-1].outcome == "the rerun ends elsewhere: public.b, rows"


def test_what_waits_for_others_is_cut_there(
    scratch: ScratchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index that is cut while it is built CONCURRENTLY is left INVALID: the rerun must drop it first."""
    build = "op.execute('CREATE INDEX CONCURRENTLY IF NOT EXISTS ix ON a (n)')"
    drop = "op.execute('DROP INDEX CONCURRENTLY IF EXISTS ix')"
    block = "with op.get_context().autocommit_block():\n    "
    sound = two(tmp_path / "sound", f"{block}{drop}\n    {build}", block + drop, extra="resumable = True")
    faulty = two(tmp_path / "faulty", block + build, block + drop, extra="resumable = True")
    proof = examine(scratch, sound, Options(rows=30, crash=True), monkeypatch)
    assert proof.verdict == PROVED
    assert {cut.direction for cut in proof.cuts if "waits for another transaction on public.a" in cut.sql} == {
        "up", "down",
    }  # fmt: skip
    proof = examine(scratch, faulty, Options(rows=30, crash=True), monkeypatch)
    assert proof.verdict == REFUSED
    assert "waits for another transaction" in proof.cuts[-1].sql


@pytest.fixture(scope="module")
def own_crashes() -> DrillReport:
    """Drill this project's own history through crashes, on the newest major; its backfill takes two batches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return drill(
            ROOT / "alembic.ini", rows=2_500, crash=True, scratch=f"embedded:{max(embedded.available())}"
        )


def test_the_projects_own_backfill_is_cut_inside(own_crashes: DrillReport) -> None:
    """Its DO block and its CONCURRENTLY statements are cut in their middle too."""
    inside = {
        cut.sql.split("[")[1].rstrip("]") for proof in own_crashes.revisions for cut in proof.cuts if "[while" in cut.sql
    }  # fmt: skip
    assert inside >= {
        "while it waits for a row near the end of phase2.task",
        "while it waits for another transaction on phase2.task",
    }


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
    assert "syntax error" not in repr(report)
    assert [(proof.title, proof.reason) for proof in report.revisions if proof.verdict != PROVED] == []
    assert report.verdict == PROVED
    assert sum(len(proof.stalls) for proof in report.revisions) == 2 * (len(report.revisions) - 1)
