"""What a trace records of a revision does not depend on how the others go down, or whether they can be applied."""

from __future__ import annotations

import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airlock.cli import main
from airlock.operations.review import review
from airlock.operations.trace import trace
from airlock.project.project import Project
from airlock.records.errors import RevisionFailed
from tests.airlock.histories import HEADER, SYNC, Revision, write_project
from tests.airlock.running import command, environment, rows

if TYPE_CHECKING:
    from airlock.records.trace import TracedRevision, TraceReport
    from tests.servers import Database, Server

FIRST = Revision(
    "first",
    "op.create_table('a', sa.Column('id', sa.Integer(), primary_key=True), sa.Column('name', sa.String(40)),"
    " sa.Column('kind', sa.Enum('x', 'y', name='kind')))",
    "pass",
)
SECOND = Revision("second", "op.create_index('ix_a_name', 'a', ['name'])", "pass")
LAST = Revision(
    "last",
    "op.alter_column('a', 'name', type_=sa.Text(), existing_type=sa.String(40))\n"
    "op.alter_column('a', 'id', type_=sa.BigInteger())",
    "pass",
)


def between(count: int, down: str) -> list[Revision]:
    """Make so many revisions of two kinds, all going down the same way."""
    return [
        Revision(
            f"b{number:03d}",
            f"op.create_table('t{number}', sa.Column('id', sa.Integer(), primary_key=True),"
            f" sa.Column('mood', sa.Enum('p', 'q', name='mood{number}')))"
            if number % 2 == 0
            else f"op.add_column('t{number - 1}', sa.Column('w', sa.Text(), server_default='x'))",
            down or (f"op.drop_table('t{number}')\nop.execute('DROP TYPE mood{number}')" if number % 2 == 0
                     else f"op.drop_column('t{number - 1}', 'w')"),
        )
        for number in range(count)
    ]  # fmt: skip


def timeless(step: TracedRevision) -> TracedRevision:
    """Leave out what each run measures anew."""
    return replace(step, ms=0.0, statements=tuple(replace(one, ms=0.0) for one in step.statements))


def recorded(report: TraceReport, name: str) -> list[TracedRevision]:
    """Give the steps of one revision."""
    return [timeless(one) for one in report.revisions if one.revision == name]


@pytest.mark.proof
def test_what_stands_between_does_not_change_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty downgrades that do nothing, forty that do all, some that fail, none at all: the same three records."""
    kinds = {
        "none": [], "nothing": between(40, "pass"), "all": between(40, ""),
        "mixed": [*between(6, "pass"), Revision("bad", "op.execute('SELECT nonsense')"),
                  Revision("half", "op.create_table('h', sa.Column('id', sa.Integer()))", "op.drop_table('g')"),
                  Revision("rows", "op.execute('ALTER TABLE t0 ADD CHECK (id > 900 AND id < 0)')", "pass"),
                  Revision("way", "op.execute('ALTER TABLE t0 ADD z int')", "raise NotImplementedError")],
    }  # fmt: skip
    found: dict[str, list[list[TracedRevision]]] = {}
    for kind, middle in kinds.items():
        project = tmp_path / kind
        ini = write_project(project, [FIRST, SECOND, *middle, LAST])
        monkeypatch.chdir(project)
        try:
            report = trace(ini, rows=1_200)
        except RevisionFailed as error:
            assert error.seen is not None
            report = error.seen
        assert {one.revision for one in report.revisions} == {
            "first", "second", "last", *(one.revision for one in middle)
        }  # fmt: skip
        assert len(report.revisions) >= 2 * (len(middle) + 3) - 1
        found[kind] = [recorded(report, name) for name in ("first", "second", "last")]
    assert [one.dangerous for one in found["none"][2][0].statements] == [False, True]
    for kind in kinds:
        assert found[kind] == found["none"], kind


# How revisions make a role that may be there already; where it is, they make none.
BLOCK = (
    "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'airlock_trace_block') "
    "THEN CREATE ROLE airlock_trace_block; END IF; END $$"
)


@pytest.mark.proof
def test_what_scratch_lacks_is_not_examined_and_the_rest_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An extension that is not there, and what needs it; a role that an ordinary owner may not make."""
    ini = write_project(
        tmp_path,
        [
            FIRST,
            Revision(
                "ext",
                "op.execute('CREATE EXTENSION airlock_no_such')\n"
                "op.get_bind().execute(sa.text('SELECT a_function_of_it() AS one')).all()",
                "pass",
            ),
            Revision("needs", "op.execute('CREATE TABLE p (at no_such_type)')", "op.execute('DROP TABLE p')"),
            Revision("role", "op.execute('CREATE ROLE airlock_trace_made')", "pass"),
            Revision("grants", "op.execute('GRANT SELECT ON a TO airlock_trace_other')", "pass"),
            Revision(
                "block",
                f'op.execute("{BLOCK}")\nop.execute("GRANT SELECT ON a TO airlock_trace_block")',
                "pass",
            ),
            LAST,
        ],
    )
    monkeypatch.chdir(tmp_path)
    for part in (None, "ext:last"):
        report = trace(ini, rows=0, from_to=part)
        ups = {one.revision: one.unexamined for one in report.revisions if one.direction == "up"}
        assert "airlock_no_such" in ups.pop("ext", "airlock_no_such")
        assert "it needs ext" in ups["needs"]
        # Of the rows that a statement left out would have given, not a word.
        assert "ResourceClosedError" not in ups["needs"]
        assert "permission denied to create role" in ups["role"]
        assert (ups["grants"], ups["block"], ups["last"]) == ("", "", "")
        assert report.roles_made == ("airlock_trace_block", "airlock_trace_other")
        assert len(report.revisions) == len({(one.revision, one.direction) for one in report.revisions})


# A project whose modules are slow to import pays for them in every process; each one leaves a line here.
COUNTS = (
    'import os, pathlib\nwith pathlib.Path("runs").open("a") as runs:\n    runs.write(f"{os.getpid()}\\n")\n'
)


@pytest.mark.parametrize(
    ("ends", "says"),
    [
        ("from alembic.util import CommandError; raise CommandError('not so')", "not so"),
        ("raise SystemExit('not so')", r"no_way stopped the program \(SystemExit\)"),
        # Of what fails without any row too, the sample's rows are not the reason.
        (
            "op.execute('ALTER TABLE a ADD n int NOT NULL'); op.execute('ALTER TABLE a DROP CONSTRAINT nn')",
            'constraint "nn"',
        ),
    ],
    ids=["CommandError", "SystemExit", "behind what its rows broke"],
)
def test_what_a_revision_raises_is_its_own_whatever_class_it_has(
    ends: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """Exceptions that end a run of env.py or of airlock end nothing but the revision whose code raises them."""
    no_way = Revision("no_way", ends, "pass")
    ini = write_project(tmp_path, [FIRST, no_way, Revision("stays", SECOND.up, ends), LAST], env=HEADER + SYNC.format(
        driver="psycopg2", options=""))  # fmt: skip
    monkeypatch.chdir(tmp_path)
    told_as = rf"upgrade of no_way failed in scratch: {says}.* \(no_way\.py:\d+\)"
    with pytest.raises(RevisionFailed, match=told_as) as raised:
        trace(ini, scratch=server.admin_url, rows=20)
    report = raised.value.seen
    assert report is not None
    told = {(one.revision, one.direction): one for one in report.revisions}
    assert told["no_way", "up"].unexamined.startswith("the upgrade fails: ")
    assert told["stays", "down"].stays
    assert [told[name, "up"].unexamined for name in ("first", "stays", "last")] == ["", "", ""]


@pytest.mark.proof
def test_revisions_that_fail_take_no_process_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """A history that begins on tables which were made elsewhere: each is told, in one process, and what can be seen is."""
    lost = [
        Revision(f"l{number}", f"op.execute('ALTER TABLE elsewhere ADD c{number} int')")
        for number in range(6)
    ]
    needs = Revision("needs", "op.execute('INSERT INTO elsewhere VALUES (1)')")
    half = Revision(
        "half", "op.execute('CREATE TABLE half (id int)')\nop.execute('ALTER TABLE elsewhere ADD z int')"
    )
    after = Revision(
        "after", "op.execute('ALTER TABLE half ADD w int')", "op.execute('ALTER TABLE half DROP w')"
    )
    ini = write_project(tmp_path, [*lost, needs, half, FIRST, after, SECOND], env=COUNTS + HEADER + SYNC.format(
        driver="psycopg2", options=""))  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RevisionFailed, match="upgrade of l0 failed in scratch") as raised:
        trace(ini, scratch=server.admin_url, rows=0)
    report = raised.value.seen
    assert report is not None
    ups = {one.revision: one.unexamined for one in report.revisions if one.direction == "up"}
    assert all("elsewhere" in ups[one.revision] for one in (*lost, needs, half))
    # What half brought before it failed is there for the next.
    assert (ups["first"], ups["after"], ups["second"]) == ("", "", "")
    assert len(set((tmp_path / "runs").read_text().split())) == 1


@pytest.mark.proof
@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        (
            ("trace", "--rows", "0"),
            ("+ first", "+ second", "\nStopped: SIGTERM; 1 of 3 revisions not seen (sleeps).\n"),
        ),
        (
            ("review",),
            (
                "4 files in review\nrefused: stopped: SIGTERM; 1 of 3 revisions not seen (sleeps). 1 statement of 2 revisions",
            ),
        ),
        (("check",), ()),
    ],
)
def test_what_is_stopped_ends_and_prints_what_it_saw(
    tmp_path: Path, server: Server, asked: tuple[str, ...], seen: tuple[str, ...]
) -> None:
    """SIGTERM while a revision sleeps, twice as `timeout` sends it: the ones before are printed, and why it ended is said."""
    sleeps = Revision("sleeps", "op.execute('SELECT pg_sleep(200)')")
    ini = write_project(tmp_path, [FIRST, SECOND, sleeps])
    with subprocess.Popen(
        command(ini, *asked, "--scratch", server.admin_url), env=environment(None), cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        asleep = (
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(200)'"
        )
        deadline = time.monotonic() + 60
        while rows(server.admin_url, asleep) == [(0,)] and time.monotonic() < deadline:
            time.sleep(0.1)
        for _ in range(2):
            running.terminate()
            time.sleep(0.02)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 143, err
    assert [one for one in seen if one not in out] == [], out + err
    assert "Stopped by SIGTERM" in err
    assert "Traceback" not in err


def test_a_long_way_to_what_was_asked_for_is_not_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], empty_database: Database,
    server: Server,
) -> None:  # fmt: skip
    """A line for each step that only leads there, and for each table that is counted; on a pipeline one a minute."""
    ini = write_project(tmp_path, [replace(FIRST, down="op.drop_table('a')"), SECOND])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", empty_database.url)
    monkeypatch.setattr("airlock.commands.progress_line.LINE_SECONDS", 0.0)

    def said(*asked: str) -> list[str]:
        main([*asked, "-c", str(ini), "--scratch", server.admin_url])
        return [line.partition(": ")[2] for line in capsys.readouterr().err.splitlines()]

    assert "no steps seen, now first up" in said("trace", "first:second", "--rows", "0")
    assert "first up" not in said("upgrade")
    assert {"first up", "second up"} <= set(said("status"))
    assert {"first up", "second up"} <= set(said("revision", "-m", "Nothing"))
    assert {"second up", "first down", "counting public.a"} <= set(said("downgrade", "base"))


def test_a_review_behind_a_failing_upgrade_holds_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """The failure is raised at the end, and everything else was reviewed."""
    bad = Revision("bad", "op.execute('SELECT nonsense')")
    ini = write_project(tmp_path, [FIRST, bad, SECOND])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RevisionFailed, match="upgrade of bad failed in scratch") as raised:
        review(Project.open(ini), ini, scratch=server.admin_url, rows=0)
    made = raised.value.reviewed
    assert made is not None
    assert [one.revision for one in made.revisions] == ["first", "bad", "second"]
    assert any("the upgrade fails" in str(one) for one in made.unexamined)
