"""Histories of every shape, and every reason for which a revision is not examined."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import op

from airlock.operations.drill import drill
from airlock.records.drill import IRREVERSIBLE, NOT_EXAMINED, PROVED, REFUSED, DrillReport
from airlock.scratch import embedded
from airlock.scratch.servers import ScratchServer
from tests.airlock.histories import BEGIN, HEADER, SYNC, Revision, write_project

pytestmark = pytest.mark.proof
Run = Callable[..., DrillReport]


def make(name: str, table: str, revises: object = True) -> Revision:
    """Write a revision that makes one table and takes it away."""
    return Revision(
        name,
        f'op.execute("CREATE TABLE {table} (id int PRIMARY KEY, v text)")',
        f'op.execute("DROP TABLE {table}")',
        revises=revises,  # type: ignore[arg-type]
    )


@pytest.fixture
def run(scratch: ScratchServer, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Drill a project as the command does, in children, on the session's server."""

    def ran(ini: Path, **options: object) -> DrillReport:
        monkeypatch.chdir(ini.parent)
        return drill(ini, scratch=scratch.admin_url, rows=20, **options)  # type: ignore[arg-type]

    return ran


def verdicts(report: DrillReport) -> dict[str, str]:
    """Map each revision to its verdict."""
    return {proof.revision: proof.verdict for proof in report.revisions}


def test_branches_and_their_merge_are_proved(run: Run, tmp_path: Path) -> None:
    """Two branches from one revision, merged again: every one of them goes down by itself."""
    ini = write_project(
        tmp_path,
        [
            make("trunk", "a"), make("left", "b", "trunk"), make("right", "c", "trunk"),
            Revision("merged", "pass", "pass", revises=("left", "right")), make("after", "d", "merged"),
        ],
    )  # fmt: skip
    assert verdicts(run(ini)) == dict.fromkeys(["trunk", "left", "right", "merged", "after"], PROVED)


def test_several_bases_and_dependencies_are_proved(run: Run, tmp_path: Path) -> None:
    """A second base that depends on a revision of the first comes after it."""
    ini = write_project(tmp_path, [make("one", "a"), make("two", "b", None), make("three", "c", "one")])
    file = tmp_path / "alembic" / "versions" / "two.py"
    file.write_text(file.read_text().replace("depends_on = None", "depends_on = 'one'"))
    assert verdicts(run(ini)) == dict.fromkeys(["one", "two", "three"], PROVED)


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_any_driver_is_drilled(run: Run, tmp_path: Path, driver: str) -> None:
    """env.py may use the other drivers, synchronous or not.

    Also what an error says in its detail alone is read: of the rows made, which hold what the upgrade gives to others.
    """
    each = (
        "bind = op.get_bind()\nfor (key,) in bind.exec_driver_sql(\"SELECT key FROM named WHERE key {0} 'app.%%'\").all():\n"
        "    bind.execute(sa.text('UPDATE named SET key = :new WHERE key = :key'), {{'new': {1}, 'key': key}})"
    )
    revisions = [
        make("one", "a"),
        Revision("two", 'op.execute("ALTER TABLE a ADD w text")', "pass"),
        Revision("three", 'op.execute("CREATE TABLE named (key text PRIMARY KEY)")', 'op.execute("DROP TABLE named")'),
        Revision("four", each.format("NOT LIKE", "'app.' + key"), each.format("LIKE", "key[4:]")),
    ]  # fmt: skip
    ini = write_project(tmp_path, revisions, driver=driver)
    report = run(ini)
    assert verdicts(report) == {"one": PROVED, "two": REFUSED, "three": PROVED, "four": REFUSED}
    assert [it.object for it in report.revisions[1].differences] == ["public.a.w"]


def test_a_project_whose_package_is_also_called_app_is_drilled(run: Run, tmp_path: Path) -> None:
    """The child imports the project's own `app`, from its own directory."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("WHOSE = 'theirs'\n")
    env = (
        "from app import WHOSE\nassert WHOSE == 'theirs'\n"
        + HEADER
        + SYNC.format(driver="psycopg2", options="")
    )
    assert verdicts(run(write_project(tmp_path, [make("one", "a")], env=env))) == {"one": PROVED}


@pytest.mark.parametrize("options", ["", ', version_table_schema="of 100% theirs"'])
def test_an_env_that_holds_the_transaction_itself_is_drilled(run: Run, tmp_path: Path, options: str) -> None:
    """`engine.begin()` around everything: one transaction per run, which is one step; so with a version table's own schema.

    That one a DBA has made on the target.
    """
    revisions = [make("one", "a"), Revision("two", 'op.execute("ALTER TABLE a ADD w text")', "pass")]
    ini = write_project(tmp_path, revisions, env=HEADER + BEGIN.format(driver="psycopg2", options=options))
    assert verdicts(run(ini)) == {"one": PROVED, "two": REFUSED}


def test_an_irreversible_revision_says_why(run: Run, tmp_path: Path) -> None:
    """Its own sentence is the reason, and the revisions after it are still examined."""
    ini = write_project(
        tmp_path,
        [
            make("one", "a"),
            Revision("two", 'op.execute("ALTER TABLE a ADD w text")', "raise NotImplementedError(irreversible)",
                     extra="irreversible = '0 and NULL are indistinguishable afterwards'"),
            Revision("three", 'op.execute("ALTER TABLE a ADD x text")', "raise RuntimeError('forward only')"),
            Revision("four", 'op.execute("ALTER TABLE a ALTER v SET NOT NULL")', "raise RuntimeError('never back')"),
            Revision("five", 'op.execute("ALTER TABLE a ADD y int")', 'op.execute("ALTER TABLE a DROP y")'),
        ],
    )  # fmt: skip
    report = run(ini)
    assert verdicts(report) == {"one": PROVED, "two": IRREVERSIBLE, "three": IRREVERSIBLE,
                                "four": IRREVERSIBLE, "five": PROVED}  # fmt: skip
    assert report.revisions[3].reason == "irreversible: never back"
    assert report.revisions[1].reason == "irreversible: 0 and NULL are indistinguishable afterwards"
    assert report.revisions[2].reason == "irreversible: forward only"
    assert report.verdict == IRREVERSIBLE


def test_whatever_a_downgrade_raises_and_does_nothing_else_is_its_refusal(run: Run, tmp_path: Path) -> None:
    """A single `raise` is meant, of any class; the same exception behind other work is a fault."""
    ini = write_project(
        tmp_path,
        [
            Revision("one", 'op.execute("CREATE TABLE a (id int)")', "raise KeyError('no way')"),
            Revision("two", 'op.execute("ALTER TABLE a ADD x text")', "raise Exception('never')"),
            Revision("three", 'op.execute("ALTER TABLE a ADD y text")', "op.drop_column('a', 'y')\nraise KeyError('y')"),
        ],
    )  # fmt: skip
    assert verdicts(run(ini)) == {"one": IRREVERSIBLE, "two": IRREVERSIBLE, "three": REFUSED}


def test_a_file_without_a_downgrade_has_no_way_back(run: Run, tmp_path: Path) -> None:
    """As histories have it that only ever go up: no AttributeError is shown; what an inspector asks holds nothing back."""
    looks = "if not sa.inspect(op.get_bind()).get_indexes('a'):\n    op.create_index('ix', 'a', ['v'])"
    ini = write_project(
        tmp_path,
        [
            make("one", "a"),
            Revision("two", 'op.execute("ALTER TABLE a ADD w text")'),
            Revision("three", looks, "op.drop_index('ix')"),
        ],
    )
    file = tmp_path / "alembic" / "versions" / "two.py"
    file.write_text(file.read_text().partition("def downgrade")[0])
    report = run(ini)
    assert verdicts(report) == {"one": PROVED, "two": IRREVERSIBLE, "three": PROVED}
    assert report.revisions[1].reason == "irreversible: the file has no downgrade()"


def test_a_revision_that_leaves_a_mess_does_not_spoil_the_next(run: Run, tmp_path: Path) -> None:
    """After a downgrade whose upgrade then fails, a fresh database is built and the drill goes on."""
    ini = write_project(
        tmp_path,
        [
            make("one", "a"),
            Revision("two", "op.execute(\"CREATE TYPE m AS ENUM ('x')\")", "pass"),
            make("three", "b"),
        ],
    )
    assert verdicts(run(ini)) == {"one": PROVED, "two": REFUSED, "three": PROVED}


def test_an_env_that_takes_one_row_alone_leaves_no_revision_without_a_verdict(
    run: Run, tmp_path: Path
) -> None:
    """An application that it loads reads its settings there: what comes after rows are there says why, and what helps."""
    env = HEADER + SYNC.format(driver="psycopg2", options="").replace(
        "    context.configure",
        "    from sqlalchemy import inspect, text\n"
        '    if inspect(connection).has_table("a"):\n'
        '        connection.execute(text("SELECT id FROM a")).one_or_none()\n'
        "    connection.rollback()\n"
        "    context.configure",
    )
    revisions = [
        make("one", "a"),
        Revision("two", 'op.execute("CREATE TABLE b ()")', "pass"),
        make("three", "c"),
    ]
    ini = write_project(tmp_path, revisions, env=env)
    report = run(ini)
    assert verdicts(report).keys() == {"one", "two", "three"}
    three = report.revisions[2]
    assert three.verdict == NOT_EXAMINED
    assert "Multiple rows were found" in three.reason
    (tmp_path / "tests/rows").mkdir(parents=True)
    (tmp_path / "tests/rows/public.a.sql").write_text("INSERT INTO a (id) VALUES (1)")
    assert verdicts(run(ini)) == {"one": PROVED, "two": REFUSED, "three": PROVED}


def test_what_a_file_does_while_it_is_loaded_belongs_to_its_step(run: Run, tmp_path: Path) -> None:
    """Alembic loads the history where `op` leads to the database already: a type that a file's own lines create is there."""
    # As every earlier run in the process leaves it.
    vars(op)["_proxy"] = None
    mood = """
    mood = sa.dialects.postgresql.ENUM("low", "high", name="mood")
    try:
        mood.create(op.get_bind(), checkfirst=True)
    except NameError:  # alembic history
        pass
    """
    revisions = [
        make("one", "a"),
        Revision(
            "two",
            'op.add_column("a", sa.Column("mood", sa.dialects.postgresql.ENUM(name="mood", create_type=False)))',
            'op.drop_column("a", "mood")\nmood.drop(op.get_bind())',
            extra=textwrap.dedent(mood),
        ),
    ]
    assert verdicts(run(write_project(tmp_path, revisions))) == {"one": PROVED, "two": PROVED}


def test_values_that_each_upgrade_computes_anew_are_no_difference_of_the_next(tmp_path: Path) -> None:
    """A column came with `gen_random_uuid()`, by a second upgrade the last time: the next revision starts with those values."""
    steps = {
        "adds": ("ADD u uuid DEFAULT gen_random_uuid()", "DROP u"),
        "leaves": ("ALTER u DROP DEFAULT", "ALTER u SET DEFAULT gen_random_uuid()"),
    }
    ini = write_project(tmp_path, [
        Revision("makes", "op.execute('CREATE TABLE thing (id serial PRIMARY KEY, t text)')", "op.drop_table('thing')"),
        *(
            Revision(name, *(f"op.execute('ALTER TABLE thing {one}')" for one in both))
            for name, both in steps.items()
        ),
    ])  # fmt: skip
    report = drill(ini)
    assert [one.verdict for one in report.revisions] == [PROVED] * 3, report.revisions


ENDLESS = """
op.execute("DO $$DECLARE day timestamp := '2026-01-01'; BEGIN WHILE day < (SELECT max(at) FROM seen) LOOP "
           "day := day + interval '1 day'; END LOOP; END$$")
op.execute("CREATE TABLE days (id int PRIMARY KEY)")
"""


@pytest.mark.proof
def test_a_statement_that_goes_on_up_to_the_last_day_of_a_row_is_ended(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows at the edge of their type make it endless: ordinary ones take their place, and the note says so."""
    monkeypatch.setattr("airlock.operations.drill.parent.LONGEST_STATEMENT", 3)
    makes = Revision(
        "makes", "op.execute('CREATE TABLE seen (id int PRIMARY KEY, at timestamp)')", "op.drop_table('seen')"
    )
    report = run(write_project(tmp_path, [makes, Revision("fills", ENDLESS, "op.drop_table('days')")]))
    fills = report.revisions[1]
    assert fills.verdict == PROVED, fills
    assert "canceling statement due to statement timeout): ordinary ones took their place" in str(fills.notes)


@pytest.mark.proof
def test_a_statement_that_would_fill_memory_is_ended(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not examined, with what to set; what it has written is given back, and the next revision is examined."""
    monkeypatch.setattr("airlock.scratch.room.LEAST_LEFT", 1 << 60)
    monkeypatch.setattr("airlock.scratch.room.MOST_TAKEN", 300 << 20)
    floods = "op.execute('INSERT INTO a SELECT generate_series(1000, 2000000000)')"
    flooded, behind = run(
        write_project(tmp_path, [make("one", "a"), Revision("two", floods), make("three", "b")])
    ).revisions[1:]
    assert (flooded.verdict, behind.verdict) == (NOT_EXAMINED, PROVED), flooded
    assert "left no room where the scratch server lies (AIRLOCK_SCRATCH_DIRECTORY=" in flooded.reason


def test_what_cannot_be_applied_hides_nothing(run: Run, tmp_path: Path) -> None:
    """Behind an upgrade that fails the rest is examined; what needs it is not, and says so."""
    ini = write_project(
        tmp_path,
        [
            make("one", "a"),
            Revision(
                "two",
                'op.execute("CREATE TABLE l (id int REFERENCES nowhere)")\n'
                'op.execute("CREATE TABLE kept (id int PRIMARY KEY)")',
            ),
            make("three", "b"),
            Revision("four", 'op.execute("ALTER TABLE l ADD x int")', 'op.execute("ALTER TABLE l DROP x")'),
            Revision("five", 'op.execute("ALTER TABLE kept ADD x int")', 'op.execute("ALTER TABLE kept DROP x")'),
            Revision("six", 'op.execute("CREATE INDEX ix ON l (x)")', 'op.execute("DROP INDEX ix")'),
            Revision("seven", 'op.execute("ALTER TABLE never ADD x int")', "pass"),
        ],
    )  # fmt: skip
    report = run(ini)
    assert verdicts(report) == {
        "one": PROVED, "two": REFUSED, "three": PROVED, "four": NOT_EXAMINED, "five": PROVED, "six": NOT_EXAMINED,
        "seven": REFUSED,
    }, report.revisions  # fmt: skip
    four, six = report.revisions[3], report.revisions[5]
    assert "it needs two, which cannot be applied in scratch" in four.reason
    assert 'relation "nowhere" does not exist' in four.reason
    assert "it needs two" in six.reason or "it needs four" in six.reason


def test_a_missing_role_is_made_and_listed(run: Run, tmp_path: Path) -> None:
    """A history that grants to a role of production finds one on the scratch server, also where it would make it itself."""
    role = f"role_of_production_{os.getpid()}"
    ini = write_project(
        tmp_path,
        [
            make("one", "a"),
            Revision(
                "two",
                f"op.execute(\"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') "
                f'THEN CREATE ROLE {role}; END IF; END $$")\n'
                f'op.execute("GRANT SELECT ON a TO {role}")',
                f'op.execute("REVOKE SELECT ON a FROM {role}")',
            ),
        ],
    )
    report = run(ini)
    assert (verdicts(report)["two"], report.roles) == (PROVED, (role,))


def test_a_missing_tablespace_is_named(run: Run, tmp_path: Path) -> None:
    """On a server that was there before, none is made: what needs it is not examined, and what helps is said."""
    up = 'op.create_index("ix", "a", ["id"], postgresql_tablespace="Fast disk")'
    ini = write_project(tmp_path, [make("one", "a"), Revision("two", up, 'op.drop_index("ix", "a")')])
    report = run(ini)
    assert verdicts(report) == {"one": PROVED, "two": NOT_EXAMINED}
    assert "CREATE TABLESPACE there, or --scratch embedded" in str(report.revisions[1].reason)


def test_an_extension_that_is_not_there_is_not_examined(run: Run, tmp_path: Path) -> None:
    """The reason names the extension and the way out."""
    ini = write_project(tmp_path, [Revision("one", 'op.execute("CREATE EXTENSION postgis")')])
    report = run(ini)
    assert verdicts(report) == {"one": NOT_EXAMINED}
    assert "postgis" in report.revisions[0].reason
    assert "--scratch" in report.revisions[0].reason


def test_a_table_without_rows_proves_nothing(run: Run, tmp_path: Path) -> None:
    """A table that refuses every row is named, and the revision that touches it is not proved."""
    trigger = (
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''never here''; END';"
        "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION no()"
    )
    ini = write_project(
        tmp_path,
        [
            Revision(
                "one",
                f'op.execute("CREATE TABLE a (id int)"); op.execute("""{trigger}""")',
                'op.execute("DROP TABLE a; DROP FUNCTION no()")',
            ),
            Revision("two", 'op.execute("ALTER TABLE a ADD w text")', 'op.execute("ALTER TABLE a DROP w")'),
        ],
    )  # fmt: skip
    report = run(ini)
    assert verdicts(report) == {"one": PROVED, "two": NOT_EXAMINED}
    assert report.revisions[1].reason == "public.a could not be filled: never here"


def test_the_projects_own_rows_are_used(run: Run, tmp_path: Path) -> None:
    """`tests/rows/<schema>.<table>.sql` fills what samples cannot, and its values are what is compared."""
    ini = write_project(
        tmp_path,
        [
            make("one", "a"),
            Revision(
                "two",
                "op.execute(\"UPDATE a SET v = 'gone' WHERE md5(v) = '23f9d50ecd20ccc464f4ad45a3328948'\")",
                "pass",
            ),
        ],
    )
    # No row can be made that is precious: nothing is known of the statement.
    assert verdicts(run(ini))["two"] == NOT_EXAMINED
    (tmp_path / "tests" / "rows").mkdir(parents=True)
    (tmp_path / "tests" / "rows" / "public.a.sql").write_text(
        "INSERT INTO a SELECT i, 'precious' FROM generate_series(1, 5) i"
    )
    report = run(ini)
    assert verdicts(report)["two"] == REFUSED
    assert report.revisions[1].differences[0].before == "'precious' (row 1)"


def test_the_range_is_what_is_asked_for(run: Run, tmp_path: Path) -> None:
    """FROM:TO leaves out FROM; `last` keeps the end; `start` leaves out what the target has."""
    ini = write_project(tmp_path, [make(name, f"t_{name}") for name in ("one", "two", "three", "four")])
    assert list(verdicts(run(ini, from_to="one:three"))) == ["two", "three"]
    assert list(verdicts(run(ini, last=1))) == ["four"]
    assert list(verdicts(run(ini, start=("two",)))) == ["three", "four"]


def test_pending_asks_the_target_and_leaves_it_alone(scratch: ScratchServer, tmp_path: Path) -> None:
    """`--pending` reads where the target stands; what it lacks is drilled elsewhere; nothing there changes."""
    ini = write_project(tmp_path, [make("one", "a"), make("two", "b")])
    with scratch.database() as target:
        environment = {**os.environ, "DATABASE_URL": target.url}
        command = [sys.executable, "-m", "airlock"]
        subprocess.run(
            [sys.executable, "-m", "alembic", "-c", str(ini), "upgrade", "one"], env=environment, cwd=tmp_path,
            check=True, capture_output=True,
        )  # fmt: skip

        done = subprocess.run(
            [*command, "drill", "-c", str(ini), "--pending", "--rows", "5", "--scratch", f"embedded:{max(embedded.available())}"],
            env=environment, cwd=tmp_path, check=False, capture_output=True, text=True,
        )  # fmt: skip
        stands = subprocess.run(
            [sys.executable, "-m", "alembic", "-c", str(ini), "current"], env=environment, cwd=tmp_path,
            check=True, capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "= two" in done.stdout
    assert "= one" not in done.stdout
    assert stands.stdout.split() == ["one"]


def test_nothing_to_examine_is_proved(run: Run, tmp_path: Path) -> None:
    """An empty range has no fault."""
    ini = write_project(tmp_path, [make("one", "a")])
    report = run(ini, start=("one",))
    assert (report.verdict, report.revisions) == (PROVED, ())


@pytest.mark.parametrize(
    ("up", "verdict"),
    [
        ('op.execute("ALTER TABLE a ADD w text")', PROVED),
        (
            'op.execute("ALTER TABLE a ADD w text"); op.execute("UPDATE a SET v = \'lost\' WHERE id = 1234")',
            REFUSED,
        ),
        ('op.execute("ALTER TABLE a ADD w text"); op.execute("DELETE FROM a WHERE id = 1234")', REFUSED),
    ],
)
def test_one_row_among_thousands_is_missed(
    scratch: ScratchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, up: str, verdict: str
) -> None:
    """Big tables are compared by sums, and the rows written meanwhile do not blur them."""
    ini = write_project(
        tmp_path, [make("one", "a"), Revision("two", up, 'op.execute("ALTER TABLE a DROP w")')]
    )
    monkeypatch.chdir(tmp_path)
    report = drill(ini, scratch=scratch.admin_url, rows=5_000)
    assert verdicts(report) == {"one": PROVED, "two": verdict}
    assert [loss.object for loss in report.revisions[1].losses] == ["public.a.w"]


@pytest.mark.parametrize(
    ("up", "down", "verdict"),
    [
        ("CREATE INDEX ix ON a (n)", "DROP INDEX ix", PROVED),
        ("ALTER TABLE a ADD w int", "ALTER TABLE a DROP w", PROVED),
        ("ALTER TABLE a RENAME n TO w", "ALTER TABLE a RENAME w TO n", PROVED),
        ("ALTER TABLE a ADD id serial PRIMARY KEY", "ALTER TABLE a DROP id", PROVED),
        ("CREATE INDEX ix ON a (n)", "DROP INDEX ix; UPDATE a SET n = 7 WHERE v = 'sample 2100'", REFUSED),
        ("ALTER TABLE a ADD w int", "ALTER TABLE a DROP w; DELETE FROM a WHERE v = 'sample 2100'", REFUSED),
    ],
)
def test_big_tables_without_a_key_are_compared_too(
    scratch: ScratchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, up: str, down: str, verdict: str
) -> None:
    """Rows written meanwhile are told from their originals by a value of their own, so that sums can leave them out."""
    ini = write_project(
        tmp_path,
        [
            Revision(
                "one", 'op.execute("CREATE TABLE a (v text, n int)")', "raise NotImplementedError('base')"
            ),
            Revision("two", f"op.execute({up!r})", f"op.execute({down!r})"),
        ],
    )
    monkeypatch.chdir(tmp_path)
    report = drill(ini, scratch=scratch.admin_url, rows=3_000, last=1)
    assert verdicts(report) == {"two": verdict}, report.revisions


@pytest.mark.parametrize(
    ("down", "code", "last"),
    [
        ("op.drop_table('a')", 0, "proved"),
        ("pass", 1, "refused"),
        ("raise NotImplementedError('one way')", 3, "irreversible"),
    ],
)
def test_the_exit_code_is_the_verdict(
    scratch: ScratchServer, tmp_path: Path, down: str, code: int, last: str
) -> None:
    """0 proved, 1 refused, 3 not examined or irreversible; the last line on standard output says it too."""
    ini = write_project(
        tmp_path, [Revision("one", "op.create_table('a', sa.Column('id', sa.Integer))", down)]
    )
    command = [
        sys.executable,
        "-m",
        "airlock",
        "drill",
        "-c",
        str(ini),
        "--rows",
        "5",
        "--scratch",
        scratch.admin_url,
    ]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "DATABASE_URL": ""},
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith(f"{last}: 1 revision (PostgreSQL ")
