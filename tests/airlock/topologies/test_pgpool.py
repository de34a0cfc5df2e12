"""Pgpool-II before a primary and a standby that is behind: reads are balanced, or kept on the primary; then a failover."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.airlock import forked
from tests.airlock.histories import Revision, write_project
from tests.airlock.running import rows
from tests.airlock.topologies.standing import cluster, pgpool, standby_of, until
from tests.airlock.topologies.test_waits import ALTER, TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airlock.scratch import embedded

pytestmark = pytest.mark.proof

KEPT = {"app_name_redirect_preference_list": "'airlock.*:primary'"}
# What a revision reads of what it has just written, in a transaction and outside one.
READS = Revision(
    "w2",
    """
    op.execute("ALTER TABLE t ADD COLUMN w integer")
    op.execute("UPDATE t SET w = id")
    assert op.get_bind().execute(sa.text("SELECT count(w) FROM t")).scalar() == 100
    with op.get_context().autocommit_block():
        op.execute("UPDATE t SET w = NULL WHERE id <= 50")
        assert op.get_bind().execute(sa.text("SELECT count(w) FROM t")).scalar() == 50
    """,
)


@pytest.fixture(scope="module")
def behind() -> Iterator[tuple[embedded.Cluster, embedded.Cluster]]:
    """Serve a primary and its standby."""
    with cluster(wal_level="replica") as primary, standby_of(primary) as standby:
        until(lambda: rows(standby.url(), "SELECT 1"), "the standby")
        yield primary, standby


@pytest.fixture
def place(behind: tuple[embedded.Cluster, embedded.Cluster], tmp_path: Path) -> Iterator[Path]:
    """Bring the primary to w1, and have the standby replay so far and no further."""
    primary, standby = behind
    assert forked.airlock(write_project(tmp_path, [TABLE]), "upgrade", url=primary.url()).code == 0
    until(lambda: rows(standby.url(), "SELECT 1 FROM alembic_version"), "replayed")
    rows(standby.url(), "SELECT pg_wal_replay_pause()")
    yield write_project(tmp_path, [TABLE, READS])
    rows(standby.url(), "SELECT pg_wal_replay_resume()")
    rows(primary.url(), "DROP TABLE t, alembic_version")
    until(lambda: rows(standby.url(), "SELECT 1 WHERE to_regclass('t') IS NULL"), "replayed")


@pytest.mark.parametrize(
    "settings",
    [
        {"disable_load_balance_on_write": "'off'"},
        {"disable_load_balance_on_write": "'transaction'"},
        {"disable_load_balance_on_write": "'trans_transaction'"},
        {"disable_load_balance_on_write": "'always'"},
        {"disable_load_balance_on_write": "'dml_adaptive'"},
        # Each statement may go to either: one answer tells nothing of the next.
        {"statement_level_load_balance": "on", "backend_weight0": "1000000"},
        {"allow_sql_comments": "on"},
    ],
    ids=str,
)
def test_balanced_reads_are_refused(
    settings: dict[str, str], behind: tuple[embedded.Cluster, embedded.Cluster], place: Path
) -> None:
    """Exit 12 before anything, up and down; status says what it has read."""
    with pgpool(behind[0], behind[1], **settings) as url:
        for words in (("upgrade",), ("downgrade", "base", "--accept-unknown-loss")):
            ran = forked.airlock(place, *words, url=url)
            assert ran.code == 12, ran.err
            assert "is a pooler that sends reads to a standby" in ran.error
            assert (
                "Nothing changed. Try: the primary's own URL; Pgpool-II keeps a run on the primary by"
                in ran.error
            )
        # Under 'always' the session has stayed on the primary since its first question, which counts as a write.
        if "backend_weight0" not in settings and "'always'" not in settings.values():
            said = forked.airlock(
                place, "status", "--scratch", "postgresql://postgres@127.0.0.1:1/x", url=url
            ).out
            assert "note       Some of this was read from a standby" in said
    assert rows(behind[0].url(), "SELECT version_num FROM alembic_version") == [("w1",)]


@pytest.mark.parametrize(
    "settings",
    [
        {**KEPT, "disable_load_balance_on_write": "'off'"},
        {**KEPT, "statement_level_load_balance": "on", "disable_load_balance_on_write": "'dml_adaptive'"},
        {"load_balance_mode": "off"},
    ],
    ids=str,
)
def test_a_run_that_is_kept_on_the_primary_reads_what_it_wrote(
    settings: dict[str, str], behind: tuple[embedded.Cluster, embedded.Cluster], place: Path
) -> None:
    """In a transaction and outside one, though the standby has not replayed a row of it."""
    with pgpool(behind[0], behind[1], **settings) as url:
        ran = forked.airlock(place, "upgrade", url=url)
        assert ran.code == 0, ran.err
        assert "lease      free" in forked.airlock(place, "status", url=url).out
    assert rows(behind[0].url(), "SELECT count(w) FROM t") == [(50,)]


def test_a_failover_behind_it(tmp_path: Path) -> None:
    """The primary dies during a revision: exit 50; once the standby is the primary, the same run ends it."""
    slow = Revision("w2", ALTER.up + '; op.execute("SELECT pg_sleep(60)")')
    with cluster(wal_level="replica") as primary, standby_of(primary) as standby:
        ini = write_project(tmp_path, [TABLE, slow])
        assert forked.airlock(ini, "upgrade", "w1", url=primary.url()).code == 0
        until(lambda: rows(standby.url(), "SELECT 1 FROM alembic_version"), "replayed")
        with pgpool(primary, standby, **KEPT) as url:
            started = forked.start(ini, "upgrade", "--wait", "5s", url=url)
            sleeping = (
                "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
            )
            until(lambda: rows(primary.url(), sleeping), "the revision sleeps")
            os.kill(int((primary.data / "postmaster.pid").read_text().splitlines()[0]), signal.SIGQUIT)
            ran = started.finish(60)
            assert ran.code == 50, ran.err
            rows(standby.url(), "SELECT pg_promote()")
            ini = write_project(tmp_path, [TABLE, ALTER])
            deadline = time.monotonic() + 60
            # Until Pgpool-II has found the new primary it lets nobody in, or leads to a standby: 10 or 12.
            while (ran := forked.airlock(ini, "upgrade", "--wait", "5s", url=url)).code in (10, 12, 50):
                assert time.monotonic() < deadline, ran.err
            assert ran.code == 0, ran.err
        assert rows(standby.url(), "SELECT version_num FROM alembic_version") == [("w2",)]
