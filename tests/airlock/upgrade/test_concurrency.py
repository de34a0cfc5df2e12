"""Eight runners at once: one migrates, the others wait and find nothing to do."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.airlock import forked
from tests.airlock.histories import Revision, write_project
from tests.airlock.pooler import pgbouncer
from tests.airlock.running import rows

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Database, Server

RUNNERS = 8
HISTORY = [
    Revision(
        "c1",
        'op.execute("CREATE TABLE account AS SELECT g AS id, 100 AS balance FROM generate_series(1, 50) AS g")',
    ),
    Revision("c2", 'op.execute("UPDATE account SET balance = balance + 10")'),
    Revision(
        "c3",
        """
        with op.get_context().autocommit_block():
            op.execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_balance ON account (balance)")
        """,
        extra="resumable = True",
    ),
    Revision(
        "c4",
        """
        with op.get_context().autocommit_block():
            op.execute("ALTER TABLE account ADD COLUMN IF NOT EXISTS paid boolean")
            op.execute("UPDATE account SET balance = balance + 1, paid = true WHERE paid IS NULL")
        """,
        extra="resumable = True",
    ),
]


def run_together(ini: Path, url: str) -> list[str]:
    """Start all runners at once; return the output of each, in the order they were started."""
    started = [forked.start(ini, "upgrade", "--wait", "120s", url=url) for _ in range(RUNNERS)]
    ran = [one.finish(150) for one in started]
    assert [one.code for one in ran] == [0] * RUNNERS, "\n".join(one.err for one in ran if one.code)
    return [one.out for one in ran]


def check_effects(url: str) -> None:
    assert rows(url, "SELECT count(*), min(balance), max(balance) FROM account") == [(50, 111, 111)]
    assert rows(url, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [(0,)]
    assert rows(
        url, "SELECT version_num, obj_description('alembic_version'::regclass) FROM alembic_version"
    ) == [("c4", None)]
    assert rows(url, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


@pytest.mark.proof
@pytest.mark.parametrize("way", ["direct", "pooled"])
def test_eight_runners_apply_every_effect_once(way: str, tmp_path: Path, server: Server) -> None:
    """In each of 20 rounds all eight exit 0, exactly one of them applied something, and every effect is there once."""
    ini = write_project(tmp_path, HISTORY)
    with contextlib.ExitStack() as stack:
        pooled = None
        if way == "pooled":
            pooled = stack.enter_context(pgbouncer(server.admin_url)).rpartition("/")[0]
        for _round in range(20):
            with server.database("template0") as database:
                said = run_together(ini, f"{pooled}/{database.name}" if pooled else database.url)
                applied = [out for out in said if out.startswith("base -> c4")]
                assert len(applied) == 1, said
                check_effects(database.url)


@pytest.mark.proof
@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_any_driver_through_a_pooler(driver: str, tmp_path: Path, empty_database: Database) -> None:
    """Prepared statements, which a transaction pooler loses, are not used; the pooler is said, once."""
    ini = write_project(tmp_path, HISTORY, driver=driver)
    with pgbouncer(empty_database.url) as url:
        ran = forked.airlock(ini, "upgrade", "--json", url=url)
    assert ran.code == 0, ran.err
    assert ran.events[0]["pooled"] is True
    assert [event["event"] for event in ran.events].count("note") == 1
    check_effects(empty_database.url)


def test_two_runners_at_once(tmp_path: Path, server: Server) -> None:
    """The quick sister of the proof above: one applies, one waits."""
    ini = write_project(tmp_path, HISTORY)
    with server.database("template0") as database:
        started = [forked.start(ini, "upgrade", url=database.url) for _ in range(2)]
        ran = [one.finish() for one in started]
        assert [one.code for one in ran] == [0, 0]
        check_effects(database.url)
