"""PgBouncer in its three modes, and with the settings that end a client or a query early."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.airlock import forked
from tests.airlock.histories import Revision, write_project
from tests.airlock.pooler import Pooler, pgbouncer
from tests.airlock.running import rows
from tests.airlock.topologies.standing import cluster, until
from tests.airlock.topologies.test_waits import ALTER, TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airlock.scratch import embedded

pytestmark = pytest.mark.proof


@pytest.fixture(scope="module")
def server() -> Iterator[embedded.Cluster]:
    with cluster() as made:
        yield made


@pytest.fixture
def url(server: embedded.Cluster) -> Iterator[str]:
    """Give the server's URL; its database is empty again afterwards."""
    yield server.url()
    rows(server.url(), "DROP TABLE IF EXISTS t, alembic_version")


@pytest.mark.parametrize("words", [("upgrade", "--wait", "2s"), ("downgrade", "base"), ("status",)])
def test_statement_mode_is_refused_in_one_sentence(words: tuple[str, ...], tmp_path: Path, url: str) -> None:
    """PgBouncer cuts the client off without a reason; exit 12 names it, and nothing is changed."""
    ini = write_project(tmp_path, [TABLE, ALTER])
    if words[0] != "upgrade":
        assert forked.airlock(ini, "upgrade", url=url).code == 0
    before = rows(url, "SELECT count(*) FROM pg_class")
    with pgbouncer(url, pool_mode="statement") as pooled:
        ran = forked.airlock(ini, *words, url=pooled)
    assert ran.code == 12, ran.err
    assert (
        "is a pooler in statement mode, which ends whoever begins a transaction. Nothing changed."
        in ran.error
    )
    assert rows(url, "SELECT count(*) FROM pg_class") == before


@pytest.mark.parametrize(
    "settings",
    [
        {"pool_mode": "session"},
        {"pool_mode": "session", "server_reset_query": "DISCARD ALL"},
        {"server_reset_query": "DISCARD ALL", "server_reset_query_always": "1"},
        {"ignore_startup_parameters": "extra_float_digits,options"},
        {"client_idle_timeout": "1"},
        {"idle_transaction_timeout": "60"},
    ],
    ids=str,
)
def test_a_run_goes_through(settings: dict[str, str], tmp_path: Path, url: str) -> None:
    """Up and down, one commit a revision, whatever the pooler does between transactions."""
    slow = Revision("w2", 'import time; time.sleep(1.5); op.execute("ALTER TABLE t ADD COLUMN w integer")')
    ini = write_project(tmp_path, [TABLE, slow])
    with pgbouncer(url, **settings) as pooled:
        ran = forked.airlock(ini, "upgrade", url=pooled)
        assert ran.code == 0, ran.err
    assert rows(url, "SELECT version_num FROM alembic_version") == [("w2",)]


def test_a_query_timeout_of_the_pooler_leaves_nothing_half_applied(tmp_path: Path, url: str) -> None:
    """One line, the code of a lost connection, and the revision undone; a second run without it goes through."""
    slow = Revision(
        "w2", 'op.execute("ALTER TABLE t ADD COLUMN w integer"); op.execute("SELECT pg_sleep(4)")'
    )
    ini = write_project(tmp_path, [TABLE, slow])
    began = time.monotonic()
    with pgbouncer(url, query_timeout="1") as pooled:
        ran = forked.airlock(ini, "upgrade", "--wait", "5s", url=pooled)
    assert ran.code == 50, ran.err
    assert time.monotonic() - began < 30
    assert rows(url, "SELECT version_num FROM alembic_version") in ([], [("w1",)])
    assert not rows(url, "SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass('t') AND attname = 'w'")
    assert forked.airlock(ini, "upgrade", url=url).code == 0


def test_a_pooler_that_is_restarted_in_the_middle(tmp_path: Path, url: str) -> None:
    """Every connection ends at once: exit 50, the revision undone, and the same run goes through it again."""
    slow = Revision(
        "w2", 'op.execute("ALTER TABLE t ADD COLUMN w integer"); op.execute("SELECT pg_sleep(20)")'
    )
    with Pooler(url).running() as pooler:
        started = forked.start(write_project(tmp_path, [TABLE, slow]), "upgrade", url=pooler.url)
        sleeping = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
        until(lambda: rows(url, sleeping), "the revision sleeps")
        pooler.restart()
        ran = started.finish(60)
        assert ran.code == 50, ran.err
        assert "Now at w1 (1 done)" in ran.error or "Where the database stands could not be read" in ran.error
        ran = forked.airlock(write_project(tmp_path, [TABLE, ALTER]), "upgrade", url=pooler.url)
        assert ran.code == 0, ran.err
    assert rows(url, "SELECT version_num FROM alembic_version") == [("w2",)]


PREPARES = """
import os

from alembic import context
from sqlalchemy import create_engine, pool

engine = create_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://"), poolclass=pool.NullPool,
    connect_args={"prepare_threshold": THRESHOLD},
)
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
REPEATS = Revision(
    "w2",
    """
    op.execute("ALTER TABLE t ADD COLUMN w integer")
    for batch in range(8):
        with op.get_context().autocommit_block():
            op.get_bind().execute(sa.text("UPDATE t SET w = id WHERE id = :id"), {"id": batch})
    """,
)


@pytest.mark.parametrize(("mode", "threshold"), [("session", "0"), ("transaction", "None")])
def test_prepared_statements(mode: str, threshold: str, tmp_path: Path, url: str) -> None:
    """A driver that prepares needs a session of its own; in transaction mode, where 1.18 keeps none, it is told not to."""
    ini = write_project(tmp_path, [TABLE, REPEATS], env=PREPARES.replace("THRESHOLD", threshold))
    with pgbouncer(
        url, pool_mode=mode, server_reset_query="DISCARD ALL", server_reset_query_always="1"
    ) as pooled:
        ran = forked.airlock(ini, "upgrade", url=pooled)
    assert ran.code == 0, ran.err
    assert rows(url, "SELECT count(w) FROM t") == [(7,)]
