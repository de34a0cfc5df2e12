"""A trace runs revisions up and down in scratch and reports what each statement did there."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from airlock.commands import trace as command
from airlock.operations.trace import trace
from airlock.records.errors import NotExamined, RevisionFailed
from airlock.reports.trace import verdict
from tests.airlock.histories import ASYNC, BEGIN, HEADER, Revision, write_project

if TYPE_CHECKING:
    from pathlib import Path

    from airlock.records.trace import TracedRevision, TraceReport
    from tests.servers import Server

BASE = Revision(
    "0001",
    """
    op.execute("CREATE TABLE t (id int PRIMARY KEY, a int)")
    op.execute("INSERT INTO t SELECT n, n FROM generate_series(1, 3000) n")
    op.execute("ANALYZE t")
    """,
    'op.execute("DROP TABLE t")',
    title="Create t",
)
WIDEN = Revision(
    "0002",
    'op.execute("ALTER TABLE t ALTER COLUMN a TYPE bigint")',
    'op.execute("ALTER TABLE t ALTER COLUMN a TYPE int")',
    title="Widen t.a",
    extra='accepted = {"rewrite": "t is small"}',
)
INDEX = Revision(
    "0003",
    """
    with op.get_context().autocommit_block():
        op.execute("CREATE INDEX CONCURRENTLY ix ON t (a)")
    """,
    """
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY ix")
    """,
    title="Index t.a",
)
ONE_WAY = Revision(
    "0004",
    'op.execute("UPDATE t SET a = 0")',
    "raise NotImplementedError(irreversible)",
    title="Forget t.a",
    extra='irreversible = "the old values are gone"',
)
READS = Revision(
    "0005",
    """
    for (one,) in op.get_bind().execute(sa.text("SELECT id FROM t WHERE id < 3")).fetchall():
        op.execute(f"UPDATE t SET a = {one} WHERE id = {one}")
    """,
    'raise RuntimeError("no way back")',
    title="Copy some ids",
)


def _traced(
    ini: Path, monkeypatch: pytest.MonkeyPatch, server: Server, from_to: str | None = None
) -> TraceReport:
    monkeypatch.chdir(ini.parent)
    told: list[TracedRevision] = []
    report = trace(ini, rows=0, from_to=from_to, scratch=server.admin_url, progress=told.append)
    assert tuple(told) == report.revisions
    return report


def _steps(report: TraceReport) -> list[tuple[str, str]]:
    return [(one.revision, one.direction) for one in report.revisions]


def _step(report: TraceReport, revision: str, direction: str) -> TracedRevision:
    return next(one for one in report.revisions if (one.revision, one.direction) == (revision, direction))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, server: Server) -> TraceReport:
    """One trace of five revisions, each of a kind."""
    ini = write_project(tmp_path_factory.mktemp("history"), [BASE, WIDEN, INDEX, ONE_WAY, READS])
    with pytest.MonkeyPatch.context() as monkeypatch:
        return _traced(ini, monkeypatch, server)


@pytest.mark.parametrize("below", [True, False], ids=["in a revision below", "in the same one"])
def test_a_scan_behind_a_delete_is_a_scan(
    below: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """Fewer rows are there to be read than the table was counted to hold: it is read through all the same."""
    dedupe = 'op.execute("DELETE FROM t WHERE a % 20 = 0")'
    unique = 'op.execute("ALTER TABLE t ADD CONSTRAINT u UNIQUE (a)")'
    drop = 'op.execute("ALTER TABLE t DROP CONSTRAINT u")'
    steps = (
        [Revision("0002", dedupe), Revision("0003", unique, drop)]
        if below
        else [Revision("0003", f"\n    {dedupe}\n    {unique}\n    ", drop)]
    )
    ini = write_project(tmp_path, [BASE, *steps])
    seen = _traced(ini, monkeypatch, server)
    (step,) = (one for one in seen.revisions if one.revision == "0003" and one.direction == "up")
    assert step.statements[-1].scans == ("public.t",)
    assert step.statements[-1].dangerous


def test_every_revision_is_traced_up_and_down_in_order(report: TraceReport) -> None:
    """Five revisions make ten entries; a downgrade that refuses is one of them, with its sentence."""
    assert _steps(report) == [(f"000{n}", way) for n in range(1, 6) for way in ("up", "down")]
    assert _step(report, "0004", "down").irreversible == "the old values are gone"
    assert _step(report, "0005", "down").irreversible == "no way back"


def test_a_rewrite_is_dangerous_both_ways_and_names_its_line(report: TraceReport) -> None:
    """Widening and narrowing a column rewrite the table under ACCESS EXCLUSIVE, at lines of the revision."""
    for direction in ("up", "down"):
        (statement,) = _step(report, "0002", direction).statements
        assert (statement.rewrites, statement.blocks, statement.dangerous) == (
            ("public.t",),
            "reads and writes",
            True,
        )
        assert statement.file == "alembic/versions/0002.py"
    assert _step(report, "0002", "up").accepted == {"rewrite": "t is small"}


def test_a_revision_outside_a_transaction_says_so(report: TraceReport) -> None:
    """CREATE INDEX CONCURRENTLY: not transactional, SHARE UPDATE EXCLUSIVE, not dangerous."""
    step = _step(report, "0003", "up")
    assert not step.transactional
    assert [str(lock.mode) for lock in step.statements[0].locks] == ["SHARE UPDATE EXCLUSIVE"]
    assert not step.statements[0].dangerous


def test_a_revision_that_reads_rows_is_marked(report: TraceReport) -> None:
    """Only the revision that loops over rows depends on them."""
    assert [one.revision for one in report.revisions if one.depends_on_rows] == ["0005"]


def test_the_version_table_is_nobodys_finding(report: TraceReport) -> None:
    """No record names Alembic's own table, though every step reads and writes it."""
    assert "alembic_version" not in str(report)


@pytest.mark.proof
def test_a_range_traces_only_its_revisions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """0001:0002 leaves out 0001, which is applied unseen."""
    ini = write_project(tmp_path, [BASE, WIDEN, INDEX])
    assert _steps(_traced(ini, monkeypatch, server, from_to="0001:0002")) == [
        ("0002", "up"),
        ("0002", "down"),
    ]


@pytest.mark.proof
def test_what_an_unrecorded_step_read_is_not_put_down_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """A backfill outside a transaction reads the whole table; the harmless revision after it stays harmless."""
    backfill = Revision(
        "0002",
        """
        with op.get_context().autocommit_block():
            op.execute("DO $$ BEGIN UPDATE t SET a = 1; COMMIT; END $$")
        """,
    )
    check = Revision(
        "0003",
        'op.execute("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID")',
        'op.execute("ALTER TABLE t DROP CONSTRAINT c")',
    )
    report = _traced(write_project(tmp_path, [BASE, backfill, check]), monkeypatch, server)
    assert _step(report, "0002", "up").statements[0].scans == ("public.t",)
    assert _step(report, "0003", "up").statements[0].scans == ()
    assert not report.dangerous


@pytest.mark.proof
@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_other_drivers_tell_the_same(
    driver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server, report: TraceReport
) -> None:
    """What is observed does not depend on what sends the statements."""
    ini = write_project(tmp_path, [BASE, WIDEN, INDEX, ONE_WAY, READS], driver=driver)
    seen = _traced(ini, monkeypatch, server)
    assert _steps(seen) == _steps(report)
    for one, other in zip(seen.revisions, report.revisions, strict=True):
        assert [
            (s.sql, s.line, s.locks, s.rewrites, s.scans, s.blocks, s.dangerous) for s in one.statements
        ] == [
            (s.sql, s.line, s.locks, s.rewrites, s.scans, s.blocks, s.dangerous) for s in other.statements
        ], one.revision


@pytest.mark.proof
def test_a_revision_that_cannot_be_applied_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """The trace ends with the revision's id and the server's message."""
    ini = write_project(
        tmp_path, [BASE, Revision("0002", 'op.execute("ALTER TABLE nowhere ADD COLUMN a int")')]
    )
    with pytest.raises(RevisionFailed, match=r"upgrade of 0002 failed in scratch: .*nowhere"):
        _traced(ini, monkeypatch, server)


@pytest.mark.proof
def test_the_command_prints_json_on_standard_output_and_exits_0(tmp_path: Path, server: Server) -> None:
    """One JSON document, also where a statement is dangerous, also from another directory."""
    ini = write_project(tmp_path, [BASE, WIDEN])
    log = tmp_path / "log"
    done = subprocess.run(
        [sys.executable, "-m", "airlock", "trace", "-c", str(ini), "--rows", "0", "--json",
         "--scratch", server.admin_url, "--log", str(log)],
        capture_output=True, text=True, check=False, env={**os.environ, "DATABASE_URL": ""}, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [one["revision"] for one in document["revisions"]] == ["0001", "0001", "0002", "0002"]
    statement = document["revisions"][2]["statements"][0]
    assert statement["locks"] == [{"object": "public.t", "mode": "ACCESS EXCLUSIVE"}]
    assert statement["dangerous"] is True
    logged = json.loads(log.read_text())
    assert (logged["event"], logged["revisions"]) == ("trace", document["revisions"])


def test_progress_is_one_line_on_a_terminal(report: TraceReport, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step overwrites the line before it; elsewhere a line is written when the last one is long ago."""
    steps = report.revisions
    for on_terminal, every, lines in ((True, 0, 0), (False, 0, len(steps)), (False, 3600, 0)):
        monkeypatch.setattr(sys, "stderr", written := io.StringIO())
        monkeypatch.setattr(written, "isatty", lambda there=on_terminal: there)
        monkeypatch.setattr("airlock.commands.progress_line.LINE_SECONDS", every)
        show = command.Progress()
        for one in steps:
            show.count(one)
            show(f"{one.revision} {one.direction}")
        show.end()
        text = written.getvalue()
        assert text.count("\n") == lines
        assert text.count("\r\033[K") == (len(steps) + 1 if on_terminal else 0)
        assert ("10 steps" in text) is (on_terminal or lines > 0)


@pytest.mark.proof
def test_a_role_that_scratch_lacks_is_made_there_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """A GRANT to an unknown role does not end the trace; the report names the role."""
    role = "airlock_test_reader"
    grant = Revision(
        "0002", f'op.execute("GRANT SELECT ON t TO {role}")', f'op.execute("REVOKE SELECT ON t FROM {role}")'
    )
    try:
        report = _traced(write_project(tmp_path, [BASE, grant]), monkeypatch, server)
    finally:
        server.run(f"DROP ROLE IF EXISTS {role}")
    assert (report.roles_made, _steps(report)[-1]) == ((role,), ("0002", "down"))


@pytest.mark.proof
def test_a_revision_that_inserts_rows_of_its_own_meets_no_sample_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """Small keys, as seeds have them, are free: the table still has rows enough for the next revision's scan to show."""
    empty = Revision(
        "0001", 'op.execute("CREATE TABLE t (id int PRIMARY KEY)")', 'op.execute("DROP TABLE t")'
    )
    seeds = Revision(
        "0002", 'op.execute("INSERT INTO t VALUES (1), (2)")', 'op.execute("DELETE FROM t WHERE id < 3")'
    )
    check = Revision(
        "0003",
        'op.execute("ALTER TABLE t ADD CONSTRAINT ck CHECK (id > 0)")',
        'op.execute("ALTER TABLE t DROP CONSTRAINT ck")',
    )
    ini = write_project(tmp_path, [empty, seeds, check])
    monkeypatch.chdir(ini.parent)
    report = trace(ini, rows=1_000, scratch=server.admin_url)
    assert [statement.scans for statement in _step(report, "0003", "up").statements] == [("public.t",)]
    assert not report.unfilled


@pytest.mark.proof
def test_a_missing_extension_is_not_examined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """What the scratch server lacks is no fault of the revision; another server is named as the way."""
    ini = write_project(tmp_path, [Revision("0001", 'op.execute("CREATE EXTENSION nowhere")')])
    with pytest.raises(NotExamined, match=r"does not have the extension nowhere.*--scratch container"):
        _traced(ini, monkeypatch, server)


@pytest.mark.proof
def test_an_env_py_that_fails_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """Not a fault of airlock, and no traceback."""
    ini = write_project(tmp_path, [BASE], env="raise LookupError('no such thing')\n")
    with pytest.raises(NotExamined, match=r"env\.py failed in scratch: LookupError: no such thing"):
        _traced(ini, monkeypatch, server)


OWN_URL = """
from sqlalchemy import engine_from_config
from sqlalchemy.ext.asyncio import AsyncEngine

section = context.config.get_section(context.config.config_ini_section) or {}
section.setdefault("sqlalchemy.url", URL.replace("postgresql://", "postgresql+asyncpg://"))


def create_async_engine(_url, **options):
    return AsyncEngine(engine_from_config(section, prefix="sqlalchemy.", **options))
"""


@pytest.mark.proof
def test_an_env_py_that_has_its_url_from_elsewhere_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """An ini without a URL stays without one: given one, env.py would make its asynchronous engine for another driver."""
    env = HEADER + OWN_URL + ASYNC.format(driver="asyncpg", options="")
    seen = _traced(write_project(tmp_path, [BASE], env=env), monkeypatch, server)
    assert _steps(seen) == [("0001", "up"), ("0001", "down")]
    assert [one.unexamined for one in seen.revisions] == ["", ""]


@pytest.mark.proof
def test_an_env_py_with_a_transaction_of_its_own_tells_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """`engine.begin()` gets one run for each step; locks, rewrites and refusals are what they are elsewhere."""
    history = [BASE, WIDEN, ONE_WAY, READS]
    plain = _traced(write_project(tmp_path / "plain", history), monkeypatch, server)
    env = HEADER + BEGIN.format(driver="psycopg2", options="")
    begun = _traced(write_project(tmp_path / "begun", history, env=env), monkeypatch, server)
    assert _steps(begun) == _steps(plain)
    for one, other in zip(begun.revisions, plain.revisions, strict=True):
        assert one.refused == other.refused
        assert [(s.sql, s.locks, s.held, s.rewrites, s.dangerous) for s in one.statements] == [
            (s.sql, s.locks, s.held, s.rewrites, s.dangerous) for s in other.statements
        ]


@pytest.mark.proof
def test_branches_and_their_merge_are_traced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """Two branches from one base and a merge: every revision up and down, each statement's lock its own."""
    left = Revision(
        "00aa", 'op.execute("ALTER TABLE t ADD l int")', 'op.execute("ALTER TABLE t DROP l")', revises="0001"
    )
    right = Revision(
        "00bb", 'op.execute("ALTER TABLE t ADD r int")', 'op.execute("ALTER TABLE t DROP r")', revises="0001"
    )
    merge = Revision("00cc", "pass", "pass", revises=("00aa", "00bb"))
    report = _traced(write_project(tmp_path, [BASE, left, right, merge]), monkeypatch, server)
    assert sorted(_steps(report)) == [
        (one, way) for one in ("0001", "00aa", "00bb", "00cc") for way in ("down", "up")
    ]
    assert [lock.object for lock in _step(report, "00bb", "down").statements[0].locks] == ["public.t"]


@pytest.mark.proof
def test_savepoints_leave_no_record_and_their_locks_end_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """What is rolled back to a savepoint is no longer held by the statements after it."""
    nested = Revision(
        "0002",
        """
        nested = op.get_bind().begin_nested()
        op.execute("LOCK TABLE t")
        nested.rollback()
        op.execute("CREATE TABLE u (id int)")
        """,
        'op.execute("DROP TABLE u")',
    )
    report = _traced(write_project(tmp_path, [BASE, nested]), monkeypatch, server)
    lock, create = _step(report, "0002", "up").statements
    assert (lock.blocks, create.blocks, create.held) == ("reads and writes", "nothing", ())


TASK = Revision(
    "0001",
    'op.execute("CREATE TABLE task (id int PRIMARY KEY, note text)")',
    'op.execute("DROP TABLE task")',
)
DEMANDS = 'op.execute("ALTER TABLE task ALTER note SET NOT NULL")'


@pytest.mark.proof
@pytest.mark.parametrize("down", ['op.execute("ALTER TABLE task ALTER note DROP NOT NULL")', "pass"])
def test_set_not_null_meets_rows_that_it_lets_through_and_is_dangerous(
    down: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """The sample rows hold NULLs at first; others are made without any, whatever the downgrade does."""
    ini = write_project(tmp_path, [TASK, Revision("0002", DEMANDS, down)])
    monkeypatch.chdir(ini.parent)
    report = trace(ini, rows=2_000, scratch=server.admin_url)
    (statement,) = _step(report, "0002", "up").statements
    assert (statement.dangerous, statement.scans, statement.few) == (True, ("public.task",), ())
    assert not report.unexamined


READ = """
import json

said = op.get_bind().execute(sa.text("SELECT id, note FROM task")).all()
for row in said:
    {reads}
op.execute("ALTER TABLE task ALTER id TYPE bigint")
"""


@pytest.mark.proof
@pytest.mark.parametrize("reads", ["json.loads(row.note).get('name')", "row.note.strip()", "int(row.note)"])
def test_rows_are_made_that_a_revisions_own_code_can_read(
    reads: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """It breaks on a NULL and on a text of any kind; others take their place, and what it does to them is seen."""
    ini = write_project(tmp_path, [TASK, Revision("0002", READ.format(reads=reads))])
    monkeypatch.chdir(ini.parent)
    step = _step(trace(ini, rows=1_000, scratch=server.admin_url), "0002", "up")
    assert step.unexamined == ""
    assert step.statements[-1].dangerous


@pytest.mark.proof
def test_what_no_rows_fit_is_not_examined_and_the_rest_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """A revision that wants an empty table is not examined, by its error; the next meets full tables again."""
    wants_none = Revision(
        "0002",
        """
        op.execute("DO $$ BEGIN IF EXISTS (SELECT FROM task) THEN"
                   " RAISE EXCEPTION 'too many'; END IF; END $$")
        """,
    )
    widen = Revision("0003", 'op.execute("ALTER TABLE task ALTER id TYPE bigint")')
    ini = write_project(tmp_path, [TASK, wants_none, widen])
    monkeypatch.chdir(ini.parent)
    report = trace(ini, rows=1_000, scratch=server.admin_url)
    assert "too many" in _step(report, "0002", "up").unexamined
    assert [one.dangerous for one in _step(report, "0003", "up").statements] == [True]
    assert len(report.unexamined) == 1


@pytest.mark.proof
def test_a_statement_on_a_table_without_rows_is_never_called_harmless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """No rows were asked for: SET NOT NULL on the empty table is not examined, with the rows that it met."""
    ini = write_project(tmp_path, [TASK, Revision("0002", DEMANDS)])
    report = _traced(ini, monkeypatch, server)
    (statement,) = _step(report, "0002", "up").statements
    assert [(met.object, met.rows) for met in statement.few] == [("public.task", 0)]
    assert verdict(report).startswith("Not examined: 0002 (up)")


ENUM = """
    op.create_table("{0}", sa.Column("id", sa.Integer, primary_key=True),
                    sa.Column("s", sa.Enum("a", "b", name="state")))
"""


@pytest.mark.proof
def test_no_downgrade_decides_whether_an_upgrade_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """Downgrades that do nothing, forget half or break half-way: the last revision's record is what it is alone."""
    middle = [
        Revision("0002", 'op.execute("CREATE TABLE u (id int)")', "pass"),
        Revision("0003", ENUM.format("v"), 'op.drop_table("v"); op.execute("DROP TYPE state")'),
        Revision(
            "0004",
            'op.execute("ALTER TABLE t ADD x int"); op.execute("CREATE INDEX IF NOT EXISTS ix ON t (a)")',
            'op.execute("ALTER TABLE t DROP x")',
        ),
        Revision(
            "0005",
            'op.execute("CREATE TABLE w (id int)")',
            """
            with op.get_context().autocommit_block():
                op.execute("DROP TABLE w")
            op.execute("DROP TABLE nowhere")
            """,
        ),
    ]
    widen = Revision("0009", 'op.execute("ALTER TABLE t ALTER a TYPE bigint")', "pass")
    alone = _traced(write_project(tmp_path / "alone", [BASE, widen]), monkeypatch, server)
    report = _traced(write_project(tmp_path / "all", [BASE, *middle, widen]), monkeypatch, server)
    assert [one for one in _steps(report) if one[1] == "up"] == [
        (name, "up") for name in ("0001", "0002", "0003", "0004", "0005", "0009")
    ]
    (seen,), (expected,) = (_step(one, "0009", "up").statements for one in (report, alone))
    assert seen.rewrites[0] == expected.rewrites[0] == "public.t"
    assert (seen.locks[0], seen.dangerous) == (expected.locks[0], expected.dangerous)
    assert "half of it is committed" in _step(report, "0005", "down").refused


@pytest.mark.proof
def test_what_was_seen_before_a_failure_is_printed(tmp_path: Path, server: Server) -> None:
    """Exit code 40 for the upgrade that fails, and the statements of the one below it on standard output."""
    ini = write_project(tmp_path, [BASE, Revision("0002", 'op.execute("ALTER TABLE nowhere ADD a int")')])
    done = subprocess.run(
        [sys.executable, "-m", "airlock", "trace", "-c", str(ini), "--rows", "0", "--scratch", server.admin_url],
        capture_output=True, text=True, check=False, env={**os.environ, "DATABASE_URL": ""}, timeout=60,
    )  # fmt: skip
    assert done.returncode == 40, done.stderr
    assert "CREATE TABLE t" in done.stdout


@pytest.mark.proof
def test_the_command_exits_3_where_something_was_not_examined(tmp_path: Path, server: Server) -> None:
    """The last line says what, and that nothing dangerous was in the rest."""
    ini = write_project(tmp_path, [TASK, Revision("0002", DEMANDS)])
    done = subprocess.run(
        [sys.executable, "-m", "airlock", "trace", "-c", str(ini), "--rows", "0", "--scratch", server.admin_url],
        capture_output=True, text=True, check=False, env={**os.environ, "DATABASE_URL": ""}, timeout=60,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert done.stdout.splitlines()[-1].startswith("Not examined: ")
