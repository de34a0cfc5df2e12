"""A trace tells which statements of the release below a step breaks, in PostgreSQL's words."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from airlock import samples
from airlock.catalogue.fingerprint import Reader
from airlock.operations.older_release.release import Release
from airlock.operations.trace import trace
from airlock.reports.trace import lines
from tests.airlock.histories import BEGIN, HEADER, Revision, write_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airlock.scratch.servers import ScratchDatabase, ScratchServer
    from tests.servers import Server

BASE = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE SCHEMA s;
CREATE TABLE s.task (id serial PRIMARY KEY, title text NOT NULL, note text, size int, code text,
    mood mood, price numeric(10, 2), made timestamptz NOT NULL DEFAULT now());
CREATE TABLE bare (a int, b text);
CREATE TABLE kept (id int PRIMARY KEY, a int);
CREATE TABLE log (line text);
CREATE TABLE checked (id int PRIMARY KEY, a int CONSTRAINT present CHECK (a IS NOT NULL));
CREATE TABLE ranged (id int PRIMARY KEY, span int4range);
CREATE TABLE coded (id int PRIMARY KEY, code text UNIQUE);
CREATE TABLE shared (id int PRIMARY KEY, a int);
CREATE TABLE public_ (id int PRIMARY KEY);
DROP ROLE IF EXISTS airlock_breaks;
CREATE ROLE airlock_breaks;
GRANT SELECT, INSERT, UPDATE ON shared TO airlock_breaks;
GRANT SELECT ON public_ TO PUBLIC;
CREATE SEQUENCE numbers;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT 2 * $1';
CREATE PROCEDURE work(text) LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'append only'; END$$;
CREATE TRIGGER never BEFORE UPDATE OR DELETE ON log FOR EACH STATEMENT EXECUTE FUNCTION never();
CREATE VIEW s.titles AS SELECT id, title FROM s.task;
CREATE VIEW notes AS SELECT note FROM s.task;
"""
QUICK = {
    "add a column",
    "require what a check requires already",
    "rename a column",
    "narrow a text",
    "check every row",
    "unique",
}
# The upgrade; for each broken object the words that must be told, and for stale plans the objects.
CASES: dict[str, tuple[str, dict[str, str], set[str]]] = {
    "add a column": ("ALTER TABLE s.task ADD x int", {}, set()),
    "add a column, NOT NULL with a default": ("ALTER TABLE s.task ADD x int NOT NULL DEFAULT 0", {}, set()),
    "add a column, NOT NULL": (
        "TRUNCATE s.task; ALTER TABLE s.task ADD x int NOT NULL",
        {"s.task": 'null value in column "x"', "s.titles": 'null value in column "x"'},
        set(),
    ),
    "rename a column": (
        "ALTER TABLE s.task RENAME code TO tag",
        {"s.task": 'column "code" does not exist'},
        set(),
    ),
    "rename a column of a view": (
        "ALTER VIEW s.titles RENAME title TO heading",
        {"s.titles": 'column "title" does not exist'},
        set(),
    ),
    "rename a table": ("ALTER TABLE bare RENAME TO naked", {"public.bare": 'relation "public.bare" does not exist'}, set()),
    "rename a table, a view in its place": (
        "ALTER TABLE kept RENAME TO held; CREATE VIEW kept AS SELECT * FROM held", {}, set(),
    ),
    "move a table": ("ALTER TABLE bare SET SCHEMA s", {"public.bare": 'relation "public.bare" does not exist'}, set()),
    "drop a column": ("ALTER TABLE s.task DROP size", {"s.task": 'column "size" does not exist'}, set()),
    "drop a column under a view": (
        "ALTER TABLE s.task DROP note CASCADE",
        {"s.task": 'column "note" does not exist', "public.notes": 'relation "public.notes" does not exist'},
        set(),
    ),
    "drop a table": ("DROP TABLE bare", {"public.bare": 'relation "public.bare" does not exist'}, set()),
    "drop a view": ("DROP VIEW notes", {"public.notes": 'relation "public.notes" does not exist'}, set()),
    "widen a type": ("ALTER TABLE s.task ALTER size TYPE bigint", {}, {"s.task"}),
    "narrow a text": (
        "ALTER TABLE s.task ALTER code TYPE varchar(20) USING left(code, 20)",
        {"s.task": "value too long for type character varying(20)"},
        {"s.task"},
    ),
    "narrow a number": ("ALTER TABLE kept ALTER a TYPE smallint USING 1", {"public.kept": "out of range"}, {"public.kept"}),
    "text to a number": (
        "ALTER TABLE s.task ALTER code TYPE int USING 1",
        {"s.task": "invalid input syntax for type integer"},
        {"s.task"},
    ),
    "require a column": (
        "UPDATE s.task SET code = '' WHERE code IS NULL; ALTER TABLE s.task ALTER code SET NOT NULL",
        {"s.task": 'null value in column "code"', "s.titles": 'null value in column "code"'},
        set(),
    ),
    "require what a check requires already": ("ALTER TABLE checked ALTER a SET NOT NULL", {}, set()),
    "check new rows": (
        "ALTER TABLE s.task ADD CONSTRAINT large CHECK (size > 10) NOT VALID",
        {"s.task": 'violates check constraint "large"'},
        set(),
    ),
    "check every row": (
        "UPDATE s.task SET code = 'x' WHERE code = ''; ALTER TABLE s.task ADD CONSTRAINT coded CHECK (code <> '')",
        {"s.task": 'violates check constraint "coded"'},
        set(),
    ),
    "a check that was there, valid": ("ALTER TABLE s.task ADD CONSTRAINT anything CHECK (true)", {}, set()),
    "unique": (
        "UPDATE s.task SET code = id; ALTER TABLE s.task ADD UNIQUE (code)",
        {"s.task": "duplicate key value violates unique constraint"},
        set(),
    ),
    "drop a default": (
        "ALTER TABLE s.task ALTER made DROP DEFAULT",
        {"s.task": 'null value in column "made"', "s.titles": 'null value in column "made"'},
        set(),
    ),
    "a label less": (
        (
            "UPDATE s.task SET mood = 'ok'; ALTER TYPE mood RENAME TO old_mood; CREATE TYPE mood AS ENUM ('ok');"
            " ALTER TABLE s.task ALTER mood TYPE mood USING mood::text::mood"
        ),
        {"s.task": "invalid input value for enum mood"},
        {"s.task"},
    ),
    "a label more": ("ALTER TYPE mood ADD VALUE 'great'", {}, set()),
    "generated": (
        "ALTER TABLE bare DROP b; ALTER TABLE bare ADD b text GENERATED ALWAYS AS ('x') STORED",
        {"public.bare": "cannot insert a non-DEFAULT value"},
        set(),
    ),
    "a trigger that refuses": (
        "CREATE TRIGGER never BEFORE UPDATE ON kept FOR EACH ROW EXECUTE FUNCTION never()",
        {"public.kept": "append only"},
        set(),
    ),
    "a foreign key": (
        "ALTER TABLE s.task ADD CONSTRAINT fk FOREIGN KEY (size) REFERENCES kept NOT VALID",
        {"s.task": 'violates foreign key constraint "fk"', "public.kept": 'violates foreign key constraint "fk"'},
        set(),
    ),
    "an exclusion": (
        "DELETE FROM ranged WHERE id > 1; ALTER TABLE ranged ADD CONSTRAINT apart EXCLUDE USING gist (span WITH &&)",
        {"public.ranged": 'violates exclusion constraint "apart"'},
        set(),
    ),
    "a unique less": (
        "ALTER TABLE coded DROP CONSTRAINT coded_code_key",
        {"public.coded": "there is no unique or exclusion constraint matching the ON CONFLICT specification"},
        set(),
    ),
    "a sequence less": ("DROP SEQUENCE numbers", {"public.numbers": 'relation "public.numbers" does not exist'}, set()),
    "a function's arguments": (
        "DROP FUNCTION twice(int); CREATE FUNCTION twice(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 2 * $1'", {}, set(),
    ),
    "a function's argument more": (
        "DROP FUNCTION twice(int); CREATE FUNCTION twice(int, int) RETURNS int LANGUAGE sql AS 'SELECT $1'",
        {"public.twice(integer)": "function public.twice(integer) does not exist"},
        set(),
    ),
    "a function beside": (
        "CREATE FUNCTION twice(int, int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT $1'",
        {"public.twice(integer)": "function public.twice(integer) is not unique"},
        set(),
    ),
    "a procedure less": ("DROP PROCEDURE work(text)", {"public.work(text)": "does not exist"}, set()),
    "a right less": (
        "REVOKE UPDATE ON shared FROM airlock_breaks", {"public.shared": "permission denied for table shared"}, set(),
    ),
    "row-level security": (
        "ALTER TABLE shared ENABLE ROW LEVEL SECURITY",
        {"public.shared": "new row violates row-level security policy"},
        set(),
    ),
    "row-level security that hides": (
        "CREATE POLICY p ON shared USING (false) WITH CHECK (true); ALTER TABLE shared ENABLE ROW LEVEL SECURITY",
        {"public.shared": "row-level security shows it no row"},
        set(),
    ),
    "a right of everybody less": (
        "REVOKE SELECT ON public_ FROM PUBLIC", {"public.public_": "permission denied for table public_"}, set(),
    ),
    "a right more": ("GRANT SELECT ON kept TO airlock_breaks", {}, set()),
    "an index": ("CREATE INDEX ON s.task (code)", {}, set()),
    "a table more": ("CREATE TABLE more (id int PRIMARY KEY, kept_id int NOT NULL REFERENCES kept)", {}, set()),
}  # fmt: skip


@pytest.fixture(scope="module")
def older(scratch: ScratchServer) -> Iterator[ScratchDatabase]:
    """A database with rows in every table, for each case to be copied from."""
    with scratch.database() as made:
        with contextlib.closing(_connect(made)) as connection:
            connection.cursor().execute(BASE)
            samples.fill(connection, 50)
        yield made


def _connect(database: ScratchDatabase) -> Any:
    connection = psycopg2.connect(database.admin_url)
    connection.autocommit = True
    return connection


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.proof) for name in CASES],
)
def test_what_breaks_is_told_in_postgresqls_words(
    name: str, scratch: ScratchServer, older: ScratchDatabase
) -> None:
    """Exactly the tables and views that break, and the sessions that must prepare again."""
    up, words, stale = CASES[name]
    with scratch.database(older) as made, contextlib.closing(_connect(made)) as connection:
        release = Release(connection, Reader(connection))
        release.look(except_for="public.nothing")
        with contextlib.closing(_connect(made)) as step:
            step.cursor().execute(up)
        # No lock is told: what has changed of the catalogue is enough to find them.
        broken = release.broken(except_for="public.nothing", locked=())
        release.look(except_for="public.nothing")
        assert release.broken(except_for="public.nothing") == (), "what it breaks stands; nothing new does"
    assert {one.object for one in broken if one.id == "stale-plan"} == stale
    assert {one.object for one in broken if one.id == "breaks"} == words.keys()
    for one, said in words.items():
        assert any(said in it.words for it in broken if it.object == one)


def test_a_row_that_others_refer_to_is_no_break(scratch: ScratchServer) -> None:
    """An UPDATE puts a row that nobody refers to behind one that cannot be deleted, before the step as after it."""
    tables = (
        "CREATE TABLE a (id int PRIMARY KEY, n int); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a)"
    )
    with scratch.database() as made, contextlib.closing(_connect(made)) as connection:
        cursor = connection.cursor()
        cursor.execute(f"{tables}; INSERT INTO a VALUES (1, 1), (2, 2); INSERT INTO b VALUES (1, 2)")
        release = Release(connection, Reader(connection))
        release.look(except_for="public.nothing")
        cursor.execute("UPDATE a SET n = 3 WHERE id = 1; ALTER TABLE a RENAME n TO m")
        assert not [one for one in release.broken(except_for="public.nothing") if "DELETE" in one.sql]


@pytest.mark.parametrize("env", [None, HEADER + BEGIN.format(driver="psycopg2", options="")])
def test_a_trace_tells_whom_each_upgrade_breaks(
    env: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """The statement stands in the record and on the terminal; also where env.py holds the transaction."""
    table = Revision("0001", 'op.execute("CREATE TABLE task (id int PRIMARY KEY, note text)")')
    rename = Revision("0002", 'op.execute("ALTER TABLE task RENAME note TO remark")')
    ini = write_project(tmp_path, [table, rename], env=env)
    monkeypatch.chdir(ini.parent)
    report = trace(ini, rows=0, scratch=server.admin_url)
    found = {(one.revision, one.direction): one.findings for one in report.revisions}
    assert [key for key, these in found.items() if any(one.id == "breaks" for one in these)] == [
        ("0002", "up")
    ]
    assert {(one.file, one.line) for one in found["0002", "up"]} == {("alembic/versions/0002.py", 12)}
    said = 'the release below fails: SELECT id, note FROM public.task: column "note" does not exist'
    assert any(said in line for line in lines(report))
    assert "0002 breaks the release below" in list(lines(report))[-1]
