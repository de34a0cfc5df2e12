"""env.py's that hold a transaction of their own: each revision is committed by itself, in few runs of env.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airlock import forked
from tests.airlock.histories import HEADER, Revision, write_project
from tests.airlock.running import rows

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Database

COUNTS = """\
import pathlib

with (pathlib.Path(__file__).parent / "runs").open("a") as runs:
    runs.write("run\\n")
"""
SYNC = """\
engine = create_engine(URL.replace("postgresql://", "postgresql+{driver}://"), poolclass=pool.NullPool)
with engine.begin() as connection:
    {first}
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
SAVEPOINT = SYNC.replace("    with context.begin", "    with connection.begin_nested(), context.begin")
SESSION = """\
from sqlalchemy.orm import Session

engine = create_engine(URL.replace("postgresql://", "postgresql+{driver}://"), poolclass=pool.NullPool)
with Session(engine) as session, session.begin():
    context.configure(connection=session.connection())
    context.run_migrations()
"""
ASYNC = """\
import asyncio


def go(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


async def main():
    engine = create_async_engine(URL.replace("postgresql://", "postgresql+{driver}://"), poolclass=pool.NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(go)
    await engine.dispose()


asyncio.run(main())
"""
# What a revision finds of what env.py laid before it.
SEEN = (
    "op.execute(\"INSERT INTO public.seen SELECT {number}, current_setting('search_path') || ' '"
    " || coalesce(current_setting('app.tenant', true), '') || ' ' || (SELECT count(*) FROM pg_locks WHERE"
    " locktype = 'advisory' AND pid = pg_backend_pid())\")"
)
KINDS: dict[str, tuple[str, str, str, bool]] = {
    "plain": (SYNC, "psycopg2", "pass", True),
    "psycopg": (SYNC, "psycopg", "pass", True),
    "asyncpg": (ASYNC, "asyncpg", "pass", True),
    "orm session": (SESSION, "psycopg2", "pass", True),
    "a schema of its own": (SYNC, "psycopg2", 'connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS x")', True),
    "session setting": (SYNC, "psycopg2", 'connection.exec_driver_sql("SET search_path = x, public")', True),
    "local setting": (SYNC, "psycopg2", 'connection.exec_driver_sql("SET LOCAL search_path = x, public")', False),
    "local by a raw cursor": (
        SYNC, "psycopg2", 'connection.connection.cursor().execute("SET LOCAL search_path = x, public")', False,
    ),
    "the project's own": (SYNC, "psycopg2", 'connection.exec_driver_sql("SET LOCAL app.tenant = 7")', False),
    "by a function": (
        SYNC, "psycopg2", "connection.exec_driver_sql(\"SELECT set_config('app.tenant', '7', true)\")", False,
    ),
    "a lock": (SYNC, "psycopg2", 'connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7)")', False),
    "a savepoint": (SAVEPOINT, "psycopg2", "pass", False),
}  # fmt: skip


def history() -> list[Revision]:
    made = Revision(
        "r0",
        "op.execute('CREATE TABLE public.seen (number int, what text)')",
        "op.execute('DROP TABLE public.seen')",
    )
    return [made, *(
        Revision(f"r{number}", SEEN.format(number=number), f"op.execute('DELETE FROM public.seen WHERE number = {number}')")
        for number in range(1, 6)
    )]  # fmt: skip


@pytest.mark.proof
@pytest.mark.parametrize("kind", KINDS)
def test_a_held_transaction_is_left_once_a_revision(
    kind: str, tmp_path: Path, empty_database: Database
) -> None:
    """Each revision sees what env.py laid before it; env.py runs four times in all where nothing of it ends with a commit."""
    text, driver, first, outlives = KINDS[kind]
    ini = write_project(tmp_path, history(), env=COUNTS + HEADER + text.format(driver=driver, first=first))
    runs = tmp_path / "alembic" / "runs"
    ran = forked.airlock(ini, "upgrade", url=empty_database.url)
    assert ran.code == 0, ran.err
    seen = rows(empty_database.url, "SELECT number, what FROM seen ORDER BY 1")
    assert [number for number, _ in seen] == [1, 2, 3, 4, 5]
    assert len({what for _, what in seen}) == 1, seen
    assert rows(empty_database.url, "SELECT count(DISTINCT xmin::text) FROM seen") == [(5,)]
    # One with a step, one that shows that env.py commits, one that asks what a commit would end; then all the rest.
    assert len(runs.read_text().split()) == (4 if outlives else 8)
    runs.unlink()
    ran = forked.airlock(ini, "downgrade", "base", "--accept-losses", url=empty_database.url)
    assert ran.code in (0, 2), ran.err


@pytest.mark.proof
def test_a_failure_in_a_held_transaction_takes_one_revision(tmp_path: Path, empty_database: Database) -> None:
    """What came before stands, announced; the one that fails is undone whole, and a second run goes on there."""
    bad = Revision(
        "r6", "op.execute('CREATE TABLE half (id int)')\nop.execute('SELECT 1 / (SELECT count(*) FROM gate)')"
    )
    deferred = Revision("r7", "op.execute('INSERT INTO child VALUES (1)')")
    tables = Revision("r5b", "op.execute('CREATE TABLE gate (id int)')\nop.execute('CREATE TABLE parent (id int PRIMARY KEY)')\n"
                      "op.execute('CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)')")  # fmt: skip
    ini = write_project(
        tmp_path, [*history(), tables, bad, deferred, Revision("r8", "pass")],
        env=COUNTS + HEADER + SYNC.format(driver="psycopg2", first="pass"),
    )  # fmt: skip
    ran = forked.airlock(ini, "upgrade", url=empty_database.url)
    assert ran.code == 40 and "at r5b" in ran.err, ran.err
    assert rows(empty_database.url, "SELECT version_num, to_regclass('half')::text FROM alembic_version") == [
        ("r5b", None)
    ]
    rows(empty_database.url, "INSERT INTO gate VALUES (1) RETURNING id")
    # Refused by the commit below env.py's transaction: what r6 did stands.
    ran = forked.airlock(ini, "upgrade", url=empty_database.url)
    assert ran.code == 40 and "at r6" in ran.err, ran.err
    assert rows(empty_database.url, "SELECT version_num, to_regclass('half')::text FROM alembic_version") == [
        ("r6", "half")
    ]
