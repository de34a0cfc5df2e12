"""The history: up, down and up again, whole and revision by revision, with rows in every table."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from app.database import create_all
from app.models import metadata
from tests.catalogue import catalogue, differences
from tests.history import ROOT, History, configuration, revisions
from tests.rows import read_rows, write_rows
from tests.servers import Database, Server

FILES = sorted((ROOT / "alembic" / "versions").glob("*.py"))
BACKFILL = "1fbaac01e8bc"


@pytest.mark.server
def test_the_history_goes_up_to_head_down_to_base_and_up_again(empty_database: Database) -> None:
    """Going down leaves the schema and its empty version table; the second way up ends where the first did."""
    history = History(empty_database)
    history.upgrade("head")
    write_rows(empty_database, "first")
    at_head = catalogue(empty_database)
    history.downgrade("base")
    assert [name for name in catalogue(empty_database, ["phase2"]) if "alembic_version" not in name] == [
        "schema phase2"
    ]
    with psycopg2.connect(empty_database.url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM phase2.alembic_version")
        assert cursor.fetchall() == []
    history.upgrade("head")
    assert differences(at_head, catalogue(empty_database)) == []


@pytest.mark.server
@pytest.mark.parametrize("revision", revisions())
def test_a_revision_goes_up_down_and_up_again_with_rows(empty_database: Database, revision: str) -> None:
    """After down, catalogue and rows are what they were; after the second up, what they were after the first."""
    history, below = History(empty_database), "base"
    history.upgrade(revisions()[0])
    history.downgrade("base")
    for earlier in revisions()[: revisions().index(revision)]:
        history.upgrade(earlier)
        write_rows(empty_database, earlier)  # rows of every age: before a column, after it, after its default
        below = earlier
    catalogue_before, rows_before = catalogue(empty_database), read_rows(empty_database)
    history.upgrade(revision)
    catalogue_up = catalogue(empty_database)
    assert differences(catalogue_before, catalogue_up) or kept(revision)  # a backfill changes rows only
    write_rows(empty_database, "after")
    history.downgrade(below)
    assert differences(catalogue_before, catalogue(empty_database)) == []
    rows_down = read_rows(empty_database)
    changed = {
        f"phase2.{table}.{column}"
        for table, rows in rows_before.items()
        for key, row in rows.items()
        for column in row
        if row[column] != rows_down[table][key][column]
    }
    assert changed == set(kept(revision))
    history.upgrade(revision)
    assert differences(catalogue_up, catalogue(empty_database)) == []


@pytest.mark.server
def test_a_migrated_database_is_the_one_that_create_all_makes(history: History, server: Server) -> None:
    """Tables, columns, defaults, constraints, indexes, comments: all one, but for the version table."""
    with server.database("template0") as made:
        engine = sa.create_engine(made.sqlalchemy_url, poolclass=sa.NullPool)
        assert create_all(engine) == [table.name for table in metadata.sorted_tables]
        migrated, created = catalogue(history.database, ["phase2"]), catalogue(made, ["phase2"])
    assert [line for line in differences(created, migrated) if "alembic_version" not in line] == []
    assert "phase2.task.priority" in migrated
    history.check()


@pytest.mark.server
def test_other_schemas_are_never_touched(empty_database: Database) -> None:
    """Public, with a table called user, and neon_auth: same catalogue, same rows, and no word from autogenerate."""
    with psycopg2.connect(empty_database.url) as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            CREATE SCHEMA neon_auth;
            CREATE TABLE neon_auth.users_sync (id text PRIMARY KEY, raw_json jsonb NOT NULL DEFAULT '{}');
            INSERT INTO neon_auth.users_sync VALUES ('a');
            CREATE TABLE public."user" (id int PRIMARY KEY, email text CHECK (email LIKE '%@%'));
            CREATE TABLE public.task (id int REFERENCES public."user", title text);
            CREATE TYPE public.role AS ENUM ('x');
            CREATE INDEX ix_task_user_id_open ON public.task (title);
            INSERT INTO public."user" VALUES (1, 'a@b');
            """
        )
    others = ["public", "neon_auth"]
    before, history = catalogue(empty_database, others), History(empty_database)
    history.upgrade("head")
    assert differences(before, catalogue(empty_database, others)) == []
    history.check()
    history.downgrade("base")
    assert differences(before, catalogue(empty_database, others)) == []
    with psycopg2.connect(empty_database.url) as connection, connection.cursor() as cursor:
        cursor.execute('SELECT u.id, s.id FROM public."user" u, neon_auth.users_sync s')
        assert cursor.fetchall() == [(1, "a")]


@pytest.mark.server
def test_a_backfill_killed_halfway_goes_on_where_it_stopped(empty_database: Database) -> None:
    """100,000 tasks; the run is killed when half is committed; the next one fills the rest and nothing else."""
    history = History(empty_database)
    history.upgrade("0d1d61926a55")
    with contextlib.closing(psycopg2.connect(empty_database.url)) as connection:
        cursor = connection.cursor()
        cursor.execute(
            """
            INSERT INTO phase2."user" (email) VALUES ('a@b');
            INSERT INTO phase2.task (id, user_id, title)
            SELECT (lpad(to_hex(n), 8, '0') || '-0000-0000-0000-000000000000')::uuid, u.id, 'task ' || n
            FROM generate_series(0, 99999) n, phase2."user" u;
            """
        )
        connection.commit()
        history.upgrade("2962789fd751")
        cursor.execute("UPDATE phase2.task SET priority = 3 WHERE title LIKE '%7'")
        connection.commit()
        # Somebody is writing a task of the middle: the backfill waits there, its first half committed.
        cursor.execute("SELECT id FROM phase2.task WHERE title = 'task 50001' FOR UPDATE")
        run = subprocess.Popen(
            [sys.executable, "-m", "alembic", "upgrade", BACKFILL], cwd=ROOT,
            env={**os.environ, "DATABASE_URL": empty_database.url}, stderr=subprocess.PIPE,
        )  # fmt: skip
        waiting = (
            "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%backfill%'"
        )
        with contextlib.closing(psycopg2.connect(empty_database.url)) as watcher:
            watcher.autocommit = True
            look = watcher.cursor()
            deadline = time.monotonic() + 60
            while not look.rowcount > 0:
                assert time.monotonic() < deadline
                time.sleep(0.02)
                look.execute(waiting)
            run.kill()
            run.communicate()
            look.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%backfill%'"
                         " AND pid <> pg_backend_pid()")  # fmt: skip
        connection.rollback()
        cursor.execute("SELECT count(*) FROM phase2.task WHERE priority IS NULL")
        (left,) = cursor.fetchone() or (None,)
        assert left == 44_999
        connection.rollback()
        history.upgrade("head")
        cursor.execute("SELECT priority, count(*) FROM phase2.task GROUP BY 1 ORDER BY 1")
        assert cursor.fetchall() == [(1, 90_000), (3, 10_000)]


@pytest.mark.server
def test_an_invalid_index_left_by_a_killed_build_is_replaced(empty_database: Database) -> None:
    """Run again, the revision ends with a valid index that says what the model says."""
    history = History(empty_database)
    history.upgrade("75ae1dcf0ddc")
    write_rows(empty_database, "row")
    with contextlib.closing(psycopg2.connect(empty_database.url)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        with pytest.raises(psycopg2.errors.UniqueViolation):
            cursor.execute("CREATE UNIQUE INDEX CONCURRENTLY ix_task_user_id_open ON phase2.task (user_id)")
        history.upgrade("head")
        cursor.execute(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = 'phase2.ix_task_user_id_open'::regclass"
        )
        assert cursor.fetchall() == [(True,)]
    history.check()


@pytest.mark.server
def test_one_failing_revision_leaves_the_ones_before_it(empty_database: Database) -> None:
    """One transaction per revision: what came before is committed, what failed is undone whole."""
    history = History(empty_database)
    history.upgrade("2962789fd751")
    write_rows(empty_database, "row")
    with psycopg2.connect(empty_database.url) as connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE phase2.task ADD CONSTRAINT ck_task_priority_present CHECK (true)")
    with pytest.raises(sa.exc.ProgrammingError):
        history.upgrade("head")
    with psycopg2.connect(empty_database.url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT version_num FROM phase2.alembic_version")
        assert cursor.fetchall() == [(BACKFILL,)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_revision_answers_why_locks_and_undo_and_imports_nothing_of_ours(path: Path) -> None:
    """Revisions outlive the models: alembic and sqlalchemy are all they import."""
    source = path.read_text()
    tree = ast.parse(source)
    docstring = ast.get_docstring(tree) or ""
    assert re.search(r"^Why: .+^Locks: .+^Undo: .+", docstring, re.DOTALL | re.MULTILINE)
    assert "TODO" not in docstring
    imported = {
        node.module.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
    }
    imported |= {
        alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    assert imported <= {"__future__", "alembic", "sqlalchemy"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_named_for_its_date_and_its_whole_title(path: Path) -> None:
    """`ls` tells the order; no slug is cut."""
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    created = re.search(r"^Create Date: (\d+)-(\d+)-(\d+) (\d+):(\d+):(\d+)", docstring, re.MULTILINE)
    assert created is not None
    slug = "_".join(re.findall(r"\w+", docstring.splitlines()[0])).lower()
    assert path.stem == f"{'_'.join(created.groups()[:3])}_{''.join(created.groups()[3:])}_{slug}"


def test_the_history_is_one_line_in_the_order_of_its_file_names() -> None:
    """One base, one head, no branch."""
    script = ScriptDirectory.from_config(configuration())
    assert (len(script.get_bases()), len(script.get_heads())) == (1, 1)
    assert [Path(script.get_revision(revision).path) for revision in revisions()] == FILES
    assert not (ROOT / "alembic" / "__init__.py").exists(), "it would shadow the library"


def kept(revision: str) -> dict[str, str]:
    """Read what a revision says that it keeps on the way down."""
    script = ScriptDirectory.from_config(configuration()).get_revision(revision)
    return dict(getattr(script.module, "kept", {}))
