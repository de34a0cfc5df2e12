"""What becomes of rows over several revisions: later columns have values, other sessions and triggers are seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from airlock.operations.drill import drill
from airlock.records.drill import NOT_EXAMINED, PROVED, REFUSED, DrillReport
from airlock.scratch.servers import ScratchServer
from tests.airlock.histories import Revision, write_project

pytestmark = pytest.mark.proof
Run = Callable[[list[Revision]], DrillReport]


@pytest.fixture
def run(scratch: ScratchServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Write a project and drill it as the command does, in children, on the session's server."""

    def ran(revisions: list[Revision]) -> DrillReport:
        ini = write_project(tmp_path, revisions)
        monkeypatch.chdir(ini.parent)
        return drill(ini, scratch=scratch.admin_url, rows=30)

    return ran


def sql(*statements: str) -> str:
    """Write the body that sends these statements."""
    return "\n".join(f"op.get_bind().exec_driver_sql({statement!r})" for statement in statements)


def verdicts(report: DrillReport) -> list[str]:
    """List the verdicts, in order."""
    return [proof.verdict for proof in report.revisions]


FIRST = Revision("first", sql("CREATE TABLE a (id int PRIMARY KEY, v text)"), sql("DROP TABLE a"))


@pytest.mark.parametrize("column", ["w text", "w int NOT NULL DEFAULT 7", "w int REFERENCES other"])
def test_values_of_a_later_column_are_missed(run: Run, column: str) -> None:
    """A column that came after its table's rows gets values too: a revision that loses them is refused."""
    other = Revision("other", sql("CREATE TABLE other (id int PRIMARY KEY)"), sql("DROP TABLE other"))
    add, drop = sql(f"ALTER TABLE a ADD {column}"), sql("ALTER TABLE a DROP w")
    report = run([FIRST, other, Revision("adds", add, drop), Revision("loses", drop, add)])
    assert verdicts(report) == [PROVED, PROVED, PROVED, REFUSED]
    assert {(one.object, one.kind[:8]) for one in report.revisions[3].differences} == {
        ("public.a.w", "value of")
    }


def test_what_another_session_of_the_revision_writes_is_seen(run: Run) -> None:
    """A revision that opens a session of its own hides its writes from the step's locks, not from the drill."""
    apart = (
        'with op.get_bind().engine.begin() as other:\n    other.exec_driver_sql("UPDATE a SET v = upper(v)")'
    )
    report = run([FIRST, Revision("apart", apart)])
    assert verdicts(report) == [PROVED, REFUSED]
    assert [one.object for one in report.revisions[1].differences] == ["public.a.v"]


def test_rows_that_sample_rows_of_another_table_changed_are_not_held_against_the_next(run: Run) -> None:
    """Filling a new table fires its triggers, which write into an old one: the next revision starts from there."""
    counting = sql(
        "CREATE TABLE b (id int PRIMARY KEY)",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE a SET v = NEW.id; RETURN NEW; END'",
        "CREATE TRIGGER t AFTER INSERT ON b FOR EACH ROW EXECUTE FUNCTION f()",
    )
    report = run([
        FIRST,
        Revision("counts", counting, sql("DROP TABLE b", "DROP FUNCTION f()")),
        Revision("next", sql("ALTER TABLE a ADD w text"), sql("ALTER TABLE a DROP w")),
    ])  # fmt: skip
    assert verdicts(report) == [PROVED, PROVED, PROVED]


def test_a_revision_that_reads_sample_rows_into_python_and_breaks_is_not_refused(run: Run) -> None:
    """Sample text is no JSON: that says nothing of the revision, and what follows is examined."""
    reading = "import json\nfor row in op.get_bind().exec_driver_sql('SELECT v FROM a').fetchall():\n    json.loads(row.v)"
    report = run([
        FIRST, Revision("reads", reading),
        Revision("next", sql("ALTER TABLE a ADD w text"), sql("ALTER TABLE a DROP w")),
    ])  # fmt: skip
    assert verdicts(report) == [PROVED, NOT_EXAMINED, PROVED]
    assert report.revisions[1].reason.startswith("the upgrade fails on sample rows: JSONDecodeError")


def test_a_computed_column_that_raises_when_it_is_read_stops_nothing(run: Run) -> None:
    """A virtual column that divides by zero is left out; the rest of the row is compared."""
    adds = sql("ALTER TABLE a ADD w int GENERATED ALWAYS AS (100 / (id - id)) VIRTUAL")
    drops = sql("ALTER TABLE a DROP w")
    report = run(
        [FIRST, Revision("divides", adds, drops), Revision("cuts", sql("UPDATE a SET v = left(v, 1)"))]
    )
    assert verdicts(report) == [PROVED, PROVED, REFUSED]


@pytest.mark.parametrize(
    ("column", "verdict", "found"), [("v", PROVED, []), ("w", REFUSED, ["publication p"])]
)
def test_columns_are_published_by_name(run: Run, column: str, verdict: str, found: list[str]) -> None:
    """A published column that comes back at another place in its table is the same column; another is not."""
    first = sql(
        "CREATE TABLE a (id int PRIMARY KEY, v text, w text)", "CREATE PUBLICATION p FOR TABLE a (id, v)"
    )
    moves = sql(
        "ALTER PUBLICATION p DROP TABLE a",
        "ALTER TABLE a ADD x text",
        "UPDATE a SET x = v",
        "ALTER TABLE a DROP v",
    )
    back = sql(
        "ALTER TABLE a ADD v text",
        "UPDATE a SET v = x",
        "ALTER TABLE a DROP x",
        f"ALTER PUBLICATION p ADD TABLE a (id, {column})",
    )
    ends = sql("DROP PUBLICATION p", "DROP TABLE a")
    report = run([Revision("first", first, ends), Revision("moves", moves, back)])
    assert verdicts(report) == [PROVED, verdict]
    assert [one.object for one in report.revisions[1].differences] == found


@pytest.mark.parametrize("error", ["RuntimeError", "ValueError"])
def test_a_message_that_cannot_be_written_is_spelt(run: Run, error: str) -> None:
    """Half a character in an exception (a file's name that is no text) does not break the reports."""
    report = run([FIRST, Revision("odd", "pass", f"raise {error}('file ' + chr(0xdcff))")])
    assert report.revisions[1].reason.endswith("file \\udcff")
    report.revisions[1].reason.encode()


@pytest.mark.parametrize("kind", ["STORED", "VIRTUAL"])
def test_a_generated_column_that_goes_is_no_loss(run: Run, kind: str) -> None:
    """Only the plain column's values are written off: the others can be computed again."""
    adds = sql(f"ALTER TABLE a ADD w int GENERATED ALWAYS AS (id * 2) {kind}", "ALTER TABLE a ADD x text")
    report = run([FIRST, Revision("adds", adds, sql("ALTER TABLE a DROP w, DROP x"))])
    assert verdicts(report) == [PROVED, PROVED]
    assert {one.object for one in report.revisions[1].losses} == {"public.a.x"}


def test_a_freedom_that_is_granted_is_said_with_the_query_that_counts_its_use(run: Run) -> None:
    """Proved for rows that make no use of it: NULLs, and rows alike in what was unique."""
    first = sql("CREATE TABLE a (id int PRIMARY KEY, v text NOT NULL, n int CONSTRAINT one UNIQUE)")
    frees = sql("ALTER TABLE a ALTER v DROP NOT NULL", "ALTER TABLE a DROP CONSTRAINT one")
    back = sql("ALTER TABLE a ALTER v SET NOT NULL", "ALTER TABLE a ADD CONSTRAINT one UNIQUE (n)")
    report = run([Revision("first", first, sql("DROP TABLE a")), Revision("frees", frees, back)])
    assert verdicts(report) == [PROVED, PROVED]
    assert report.revisions[0].conditions == ()
    null, twice = report.revisions[1].conditions
    assert null.sql == 'SELECT count(*) FROM ONLY "public"."a" WHERE "v" IS NULL'
    assert (twice.object, "unique below" in twice.why) == ("public.a.n", True)


def test_an_audit_trail_is_told_as_what_it_is(run: Run) -> None:
    """Of a trail that was kept before, the revision says that it stays; one that comes with it leaves rows behind."""
    body = "BEGIN INSERT INTO log (n) VALUES (NEW.n); RETURN NEW; END"

    def trail(name: str, *changes: str) -> tuple[str, str]:
        makes = [
            f"CREATE FUNCTION f_{name}() RETURNS trigger LANGUAGE plpgsql AS '{body.replace('log', f'log_{name}')}'",
            f"CREATE TRIGGER trail AFTER INSERT OR UPDATE ON a_{name} FOR EACH ROW EXECUTE FUNCTION f_{name}()",
        ]
        drops = [f"DROP TRIGGER trail ON a_{name}", f"DROP FUNCTION f_{name}()"]
        return sql(*makes, *changes), sql(*changes, *drops)

    tables = [
        f"CREATE TABLE {table}"
        for name in ("leaves", "says", "trail")
        for table in (
            f"a_{name} (id int PRIMARY KEY, n int NOT NULL)",
            f"log_{name} (id serial PRIMARY KEY, n int)",
        )
    ]
    flips = sql("UPDATE a_trail SET n = n # 1")
    report = run([
        Revision("first", sql(*tables), "raise NotImplementedError('the base of a test')"),
        Revision("leaves", *trail("leaves", "UPDATE a_leaves SET n = n # 1")),
        Revision("says", *trail("says", "UPDATE a_says SET n = n # 1"), extra="kept = {'public.log_says': 'the trail stays'}"),
        Revision("trail", *trail("trail")),
        Revision("grows", flips, flips),
        Revision("means", flips, flips, extra="kept = {'public.log_trail': 'the trail stays'}"),
    ])  # fmt: skip
    assert verdicts(report)[1:] == [REFUSED, PROVED, PROVED, NOT_EXAMINED, PROVED]
    (left,) = report.revisions[1].differences
    assert left.object == "public.log_leaves"
    assert "written by trigger public.a_leaves.trail, which comes with the revision" in str(left.after)
    assert "rows more, and trigger public.a_trail.trail writes there" in report.revisions[4].reason
    assert [one.object for one in report.revisions[5].kept] == ["public.log_trail"]


def test_rows_that_an_upgrade_brings_go_with_it(run: Run) -> None:
    """Seeds that stay are rows left behind; of those found again, or written by a rule that stays, the revision says."""
    first = sql(
        "CREATE TABLE a (id serial PRIMARY KEY, v text UNIQUE)",
        "CREATE TABLE bare (v text)",
        "CREATE TABLE b (id int PRIMARY KEY, v text)",
        "CREATE TABLE ruled (v text)",
        "CREATE RULE r AS ON UPDATE TO b DO ALSO INSERT INTO ruled (v) VALUES (NEW.v)",
    )
    finds = "INSERT INTO a (v) VALUES ('found again') ON CONFLICT DO NOTHING"
    report = run([
        Revision("first", first, sql("DROP TABLE a, bare, b, ruled")),
        Revision("seeds", sql("INSERT INTO bare SELECT 'seed'"), "pass"),
        Revision("finds", sql(finds), "pass"),
        Revision("means", sql(finds.replace("found", "kept")), "pass", extra="kept = {'public.a': 'whoever uses it'}"),
        Revision("rules", sql("UPDATE b SET v = v || 'x'"), sql("UPDATE b SET v = left(v, -1)")),
        Revision("splits", sql("CREATE TABLE c AS SELECT v FROM bare", "DELETE FROM bare"),
                 sql("INSERT INTO bare SELECT v FROM c", "DROP TABLE c")),
    ])  # fmt: skip
    assert verdicts(report) == [PROVED, REFUSED, NOT_EXAMINED, PROVED, NOT_EXAMINED, PROVED]
    assert report.revisions[1].differences[0].after == "1 row more, which the upgrade brought"
    assert "1 row more, which the upgrade brought and would find again" in report.revisions[2].reason
