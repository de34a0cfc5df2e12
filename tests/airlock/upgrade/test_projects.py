"""Projects as they are found: their own app package, several heads, merges, version tables elsewhere, odd env.py files."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest
from sqlalchemy.engine import make_url

import airlock
from tests.airlock import forked
from tests.airlock.histories import ASYNC, BEGIN, HEADER, SYNC, Revision, write_project
from tests.airlock.running import command, environment, rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers import Database, Server

TWO = [
    Revision("p1", 'op.execute("CREATE TABLE first ()")', 'op.execute("DROP TABLE first")'),
    Revision("p2", 'op.execute("CREATE TABLE second ()")', 'op.execute("DROP TABLE second")'),
]


@pytest.fixture
def other(server: Server) -> Iterator[Database]:
    """Lend a second database, that nobody may touch."""
    with server.database("template0") as made:
        yield made


def tables(database: Database) -> list[str]:
    found = rows(
        database.url,
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
    )
    return sorted(str(row[0]) for row in found)


def test_a_project_whose_package_is_also_called_app(tmp_path: Path, empty_database: Database) -> None:
    """Its `app` is the one that is imported: ours is not airlock's, and airlock's not its."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("WHOSE = 'theirs'\n")
    env = (
        "from app import WHOSE\nassert WHOSE == 'theirs'\n"
        + HEADER
        + SYNC.format(driver="psycopg2", options="")
    )
    ini = write_project(tmp_path, TWO, env=env)
    assert forked.airlock(ini, "upgrade", url=empty_database.url).code == 0
    assert tables(empty_database) == ["alembic_version", "first", "second"]


def test_two_heads(tmp_path: Path, empty_database: Database) -> None:
    """`head` is ambiguous (30), `heads` is not; `downgrade -1` from two heads does not pick one (2)."""
    branches = [
        *TWO,
        Revision("p3", 'op.execute("CREATE TABLE third ()")', 'op.execute("DROP TABLE third")', revises="p1"),
    ]
    ini = write_project(tmp_path, branches)
    refused = forked.airlock(ini, "upgrade", url=empty_database.url)
    assert refused.code == 30
    assert "The history has 2 heads: p2, p3." in refused.error
    assert forked.airlock(ini, "upgrade", "heads", url=empty_database.url).code == 0
    assert tables(empty_database) == ["alembic_version", "first", "second", "third"]
    back = forked.airlock(ini, "downgrade", "-1", url=empty_database.url)
    assert back.code == 2
    assert "does not say which to leave" in back.error
    assert tables(empty_database) == ["alembic_version", "first", "second", "third"]


@pytest.mark.proof
def test_merged_branches(tmp_path: Path, empty_database: Database) -> None:
    """Up through a merge and down to base again; the version rows are one, then none."""
    merged = [
        *TWO,
        Revision("p3", 'op.execute("CREATE TABLE third ()")', 'op.execute("DROP TABLE third")', revises="p1"),
        Revision("p4", "pass", revises=("p2", "p3")),
    ]
    ini = write_project(tmp_path, merged)
    assert forked.airlock(ini, "upgrade", url=empty_database.url).code == 0
    assert rows(empty_database.url, "SELECT version_num FROM alembic_version") == [("p4",)]
    down = forked.airlock(ini, "downgrade", "base", "--scratch", empty_database.url, url=empty_database.url)
    assert down.code == 0, down.err
    assert tables(empty_database) == ["alembic_version"]


def test_the_version_table_elsewhere(tmp_path: Path, empty_database: Database) -> None:
    """Another name in another schema, learnt from env.py; marks and status find it."""
    create = 'connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS meta")\n    connection.commit()\n    context.configure('
    env = (
        (HEADER + SYNC)
        .replace("context.configure(", create)
        .format(driver="psycopg2", options=', version_table="steps", version_table_schema="meta"')
    )
    outside = Revision(
        "p3", 'with op.get_context().autocommit_block():\n    op.execute("SELECT broken")', revises="p2"
    )
    ini = write_project(tmp_path, [*TWO, outside], env=env)
    failed = forked.airlock(ini, "upgrade", url=empty_database.url)
    assert failed.code == 41, failed.err
    assert rows(empty_database.url, "SELECT version_num FROM meta.steps") == [("p2",)]
    assert "p3" in rows(empty_database.url, "SELECT obj_description('meta.steps'::regclass)")[0][0]
    again = forked.airlock(ini, "upgrade", url=empty_database.url)
    assert again.code == 41
    assert "p3 is half applied" in again.error


def test_a_search_path_of_env_pys_own(tmp_path: Path, empty_database: Database) -> None:
    """The version table is where env.py's session finds it: mark, standing and verdict follow it there."""
    rows(empty_database.url, "CREATE SCHEMA tenant")
    tenant = 'connection.exec_driver_sql("SET search_path TO tenant")\n    connection.commit()\n    context.configure('
    env = (HEADER + SYNC).replace("context.configure(", tenant).format(driver="psycopg2", options="")
    outside = Revision(
        "p3", 'with op.get_context().autocommit_block():\n    op.execute("SELECT broken")', revises="p2"
    )
    ini = write_project(tmp_path, [*TWO, outside], env=env)
    failed = forked.airlock(ini, "upgrade", url=empty_database.url)
    assert failed.code == 41 and "Now at p2" in failed.error, failed.err
    again = forked.airlock(ini, "upgrade", url=empty_database.url)
    assert again.code == 41 and "p3 is half applied" in again.error, again.err
    assert tables(empty_database) == []


@pytest.mark.parametrize(
    ("driver", "settings"),
    [
        ("psycopg2", {"options": "-c search_path=tenant,public -c lock_timeout=7s"}),
        ("psycopg", {"options": "-csearch_path=tenant,public --lock_timeout=7s"}),
        ("asyncpg", {"server_settings": {"search_path": "tenant,public", "lock_timeout": "7s"}}),
    ],
)
def test_settings_with_which_env_pys_sessions_begin(
    driver: str, settings: dict[str, object], tmp_path: Path, empty_database: Database
) -> None:
    """Under bare Alembic `connect_args` decides in which schema the tables land: so it does here, and in a trace."""
    rows(empty_database.url, "CREATE SCHEMA tenant")
    env = (HEADER + (ASYNC if driver == "asyncpg" else SYNC)).format(driver=driver, options="")
    env = env.replace("poolclass=", f"connect_args={settings!r}, poolclass=")
    looks = Revision(
        "p3",
        'assert op.get_bind().exec_driver_sql("SHOW search_path").scalar() == "tenant,public"',
        revises="p2",
    )
    schema = Revision("p0", 'op.execute("CREATE SCHEMA IF NOT EXISTS tenant")', revises=None)
    ini = write_project(tmp_path, [schema, dataclasses.replace(TWO[0], revises="p0"), TWO[1], looks], env=env)
    ran = forked.airlock(ini, "upgrade", url=empty_database.url)
    assert ran.code == 0, ran.err
    assert tables(empty_database) == []
    assert rows(empty_database.url, "SELECT to_regclass('tenant.first') IS NOT NULL") == [(True,)]
    traced = forked.airlock(ini, "trace", url=None)
    assert traced.code == 0, traced.err


def test_an_env_that_holds_one_transaction_for_all(tmp_path: Path, empty_database: Database) -> None:
    """With `engine.begin()` every revision is committed by a run of its own: the first stays when the second fails."""
    env = HEADER + BEGIN.format(driver="psycopg2", options="")
    broken = [TWO[0], Revision("p2", 'op.execute("CREATE TABLE second ()")\nop.execute("SELECT broken")')]
    failed = forked.airlock(
        write_project(tmp_path, broken, env=env), "upgrade", "--json", url=empty_database.url
    )
    assert failed.code == 40
    assert [event["revision"] for event in failed.events if event["event"] == "step"] == ["p1"]
    assert tables(empty_database) == ["alembic_version", "first"]
    assert rows(empty_database.url, "SELECT version_num FROM alembic_version") == [("p1",)]
    mended = forked.airlock(write_project(tmp_path, TWO, env=env), "upgrade", url=empty_database.url)
    assert mended.code == 0
    assert tables(empty_database) == ["alembic_version", "first", "second"]


OWN_URL = """\
from alembic import context
from sqlalchemy import create_engine, pool

engine = create_engine({url!r}, poolclass=pool.NullPool)
"""
CREATOR = """\
import psycopg2
from alembic import context
from sqlalchemy import create_engine, pool

engine = create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect({url!r}), poolclass=pool.NullPool)
"""
RUN = SYNC.partition("poolclass=pool.NullPool)\n")[2].format(options="")


def test_an_env_with_its_own_url_is_sent_to_the_leased_database(
    tmp_path: Path, empty_database: Database, other: Database
) -> None:
    """What env.py names by itself is not migrated: the target is."""
    own = other.url.replace("postgresql://", "postgresql+psycopg2://")
    ini = write_project(tmp_path, TWO, env=OWN_URL.format(url=own) + RUN)
    assert forked.airlock(ini, "upgrade", url=empty_database.url).code == 0
    assert tables(empty_database) == ["alembic_version", "first", "second"]
    assert tables(other) == []


def test_a_creator_that_leads_to_the_leased_database(tmp_path: Path, empty_database: Database) -> None:
    """No redirect reaches a `creator=`; the session proves itself and is named as a worker."""
    named = Revision(
        "p3",
        "op.execute(\"CREATE TABLE who AS SELECT current_setting('application_name') AS name\")",
        revises="p2",
    )
    ini = write_project(tmp_path, [*TWO, named], env=CREATOR.format(url=empty_database.url) + RUN)
    ran = forked.airlock(ini, "upgrade", url=empty_database.url)
    assert ran.code == 0, ran.err
    assert rows(empty_database.url, "SELECT name FROM who")[0][0].startswith("airlock-worker:")


def test_a_creator_that_leads_elsewhere_is_stopped(
    tmp_path: Path, empty_database: Database, other: Database
) -> None:
    """Exit 12 before env.py's first statement; neither database is changed."""
    ini = write_project(tmp_path, TWO, env=CREATOR.format(url=other.url) + RUN)
    ran = forked.airlock(ini, "upgrade", url=empty_database.url)
    assert ran.code == 12, ran.err
    assert "another database than the leased one" in ran.error
    assert tables(other) == tables(empty_database) == []


def test_the_url_of_the_command_line_reaches_env(tmp_path: Path, empty_database: Database) -> None:
    """An env.py that reads DATABASE_URL finds it, although only --url named the target."""
    ini = write_project(tmp_path, TWO)
    ran = forked.airlock(ini, "upgrade", "--url", empty_database.url, url=None)
    assert ran.code == 0, ran.err
    assert tables(empty_database) == ["alembic_version", "first", "second"]


SAYS = """
    import json, logging, urllib.parse, warnings
    from sqlalchemy.engine import make_url
    url = os.environ["DATABASE_URL"]
    password = make_url(url).password
    said = " ".join([url, password, repr(password), json.dumps(password), urllib.parse.quote_plus(password)])
    print("printed", said)
    logging.getLogger("project").error("logged " + said)
    warnings.warn("warned " + said)
    raise RuntimeError("raised " + said)
"""


@pytest.mark.proof
@pytest.mark.parametrize("password", ["hunter2", "p@ss/w:rd%&'\"\\ ü#?", "a b'c\\d"])
def test_what_a_revision_says_has_no_password(
    password: str, tmp_path: Path, empty_database: Database
) -> None:
    """Printed, logged, warned and raised, in the spellings that programs use: nothing of it arrives, nor in a traceback."""
    url = make_url(empty_database.url).set(password=password).render_as_string(hide_password=False)
    ini = write_project(tmp_path, [Revision("p1", SAYS, extra="import os")])
    log = tmp_path / "log"
    ran = forked.airlock(ini, "upgrade", "--json", "--debug", "--log", str(log), url=url)
    assert ran.code == 40
    everything = ran.out + ran.err + log.read_text()
    for word in ("printed", "logged", "warned", "raised"):
        assert f"{word} postgresql://postgres:***@" in everything
    for spelling in (
        password,
        repr(password)[1:-1],
        json.dumps(password)[1:-1],
        quote(password),
        quote_plus(password),
    ):
        assert spelling not in everything


@pytest.mark.proof
def test_an_env_that_prints_to_nobody(tmp_path: Path, empty_database: Database) -> None:
    """With the readers of both streams gone, what env.py prints does not end the run."""
    env = (
        HEADER
        + "import sys\nprint('x' * 100000)\nsys.stderr.write('y' * 100000)\n"
        + SYNC.format(driver="psycopg2", options="")
    )
    ini = write_project(tmp_path, [Revision("p1", 'print("z" * 100000)')], env=env)
    line = " ".join(command(ini, "upgrade"))
    subprocess.run(
        ["bash", "-c", f"({line}) 2>&1 | true"], env=environment(empty_database.url), timeout=60, check=True
    )
    assert rows(empty_database.url, "SELECT version_num FROM alembic_version") == [("p1",)]


TENANTS = (
    HEADER
    + """
engine = create_engine(URL.replace("postgresql://", "postgresql+psycopg2://"), poolclass=pool.NullPool)
with engine.connect() as connection:
    for tenant in ("acme", "globex"):
        connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {tenant}")
        connection.exec_driver_sql(f"SET search_path TO {tenant}")
        connection.commit()
        connection.dialect.default_schema_name = tenant
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
"""
)
DATABASES = (
    HEADER
    + """
for url in (URL, os.environ["SECOND_URL"]):
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg2://"), poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
"""
)


@pytest.mark.proof
def test_an_env_py_that_runs_the_migrations_for_one_tenant_after_the_other(
    tmp_path: Path, empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a run of its own. Drill and trace, whose version table lies in a search_path, speak of the first."""
    ini = write_project(tmp_path, TWO, env=TENANTS)
    ran = forked.airlock(ini, "upgrade", url=empty_database.url)
    assert (ran.code, ran.out.count("base -> p2")) == (0, 2)
    schemas = rows(
        empty_database.url, "SELECT schemaname FROM pg_tables WHERE tablename = 'second' ORDER BY 1"
    )
    assert schemas == [("acme",), ("globex",)]
    ran = forked.airlock(ini, "downgrade", "-1", url=empty_database.url)
    assert (ran.code, ran.out.count("p2 -> p1")) == (0, 2), ran.err
    rows(empty_database.url, "DELETE FROM globex.alembic_version RETURNING 1")
    ran = forked.airlock(ini, "status", "--no-drift", url=empty_database.url)
    assert "By globex.alembic_version it stands at base." in ran.out
    monkeypatch.chdir(tmp_path)
    assert [one.verdict for one in airlock.drill(ini).revisions] == ["proved", "proved"]
    assert airlock.trace(ini).unexamined == ()


@pytest.mark.proof
def test_an_env_py_that_goes_to_several_databases_is_told_that_one_is_reached(
    tmp_path: Path, empty_database: Database, other: Database
) -> None:
    """All its connections are led to the target: the second database would be left behind without a word."""
    ini = write_project(tmp_path, TWO, env=DATABASES)
    ran = forked.airlock(ini, "upgrade", url=empty_database.url, SECOND_URL=other.url)
    assert ran.code == 2
    assert "env.py runs the migrations in another database too" in ran.err
    assert tables(other) == []
