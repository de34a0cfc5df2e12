"""What a run waits for besides sessions: prepared transactions, the server's own workers, standbys that are away."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest

from tests.airlock import forked
from tests.airlock.histories import Revision, write_project
from tests.airlock.running import rows
from tests.airlock.topologies.standing import cluster, until

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.proof

TABLE = Revision("w1", 'op.execute("CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 100) AS g")')
ALTER = Revision("w2", 'op.execute("ALTER TABLE t ADD COLUMN w integer")')


def test_an_orphaned_prepared_transaction_is_named_with_its_end(tmp_path: Path) -> None:
    """`pg_blocking_pids` gives 0 for it and no session holds it: its gid is named, and how it is ended."""
    with cluster(max_prepared_transactions="5") as server:
        url = server.url()
        ini = write_project(tmp_path, [TABLE])
        assert forked.airlock(ini, "upgrade", url=url).code == 0
        with contextlib.closing(psycopg2.connect(url)) as connection:
            connection.tpc_begin(connection.xid(1, "left's over", "x"))
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO t VALUES (1)")
            connection.tpc_prepare()
        (gid,) = rows(url, "SELECT gid FROM pg_prepared_xacts")[0]
        ini = write_project(tmp_path, [TABLE, ALTER])
        ran = forked.airlock(ini, "upgrade", "--lock-timeout", "300ms", "--wait", "1s", "--json", url=url)
        assert ran.code == 21, ran.err
        assert f"t is held by the prepared transaction {gid}" in ran.error
        assert "ROLLBACK PREPARED '" + gid.replace("'", "''") + "'" in ran.error
        assert "blocked" in {event["event"] for event in ran.events}
        rows(url, "ROLLBACK PREPARED '" + gid.replace("'", "''") + "'")
        assert forked.airlock(ini, "upgrade", url=url).code == 0


def test_a_vacuum_against_wraparound_is_named_as_such(tmp_path: Path) -> None:
    """It does not give way to a lock as other autovacuums do; a user waits for it and should know."""
    with cluster(autovacuum_naptime="1s") as server:
        url = server.url()
        # Switched off, it comes against wraparound only: an ordinary one would have marked each page visible, and this one
        # skips those, since vacuum_freeze_table_age is far off, and ends at once. It is slow for this table alone: a
        # throttle for all would be spent on the catalogue.
        parameters = (
            "autovacuum_enabled = off, autovacuum_freeze_max_age = 100000, autovacuum_vacuum_cost_delay = 50, "
            "autovacuum_vacuum_cost_limit = 1"
        )
        big = Revision(
            "w1",
            f'op.execute("CREATE TABLE t WITH ({parameters}) AS SELECT g AS id FROM generate_series(1, 50000) AS g")',
        )
        assert forked.airlock(write_project(tmp_path, [big]), "upgrade", url=url).code == 0
        rows(
            url,
            "CREATE TEMP TABLE used (i int); DO $$ BEGIN FOR i IN 1..110000 LOOP BEGIN INSERT INTO used VALUES (i);"
            " EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$",
        )
        busy = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'autovacuum: VACUUM%public.t (to prevent wraparound)'"
        until(lambda: rows(url, busy), "it has come")
        ini = write_project(tmp_path, [big, ALTER])
        ran = forked.airlock(ini, "upgrade", "--lock-timeout", "300ms", "--wait", "1s", url=url)
        assert ran.code == 21, ran.err
        assert "autovacuum worker" in ran.error
        assert "to prevent wraparound, which gives way to nobody" in ran.error


def test_a_commit_that_no_standby_confirms_is_let_go_at_the_deadline(tmp_path: Path) -> None:
    """It would wait for ever; after --wait exit 22 says that it is committed here and nowhere else, and where it stands."""
    with cluster() as server:
        url = server.url()
        ini = write_project(tmp_path, [TABLE])
        assert forked.airlock(ini, "upgrade", url=url).code == 0
        rows(url, "ALTER SYSTEM SET synchronous_standby_names = 'away'")
        rows(url, "SELECT pg_reload_conf()")
        time.sleep(0.3)
        ini = write_project(tmp_path, [TABLE, ALTER, Revision("w3", 'op.execute("DROP TABLE t")')])
        ran = forked.airlock(ini, "upgrade", "--wait", "2s", url=url, timeout=40)
        assert ran.code == 22, ran.err
        assert "for a synchronous standby" in ran.error
        assert "committed on this server, and no standby has confirmed it" in ran.error
        assert "Now at w2 (1 done)." in ran.error
        assert rows(url, "SELECT version_num FROM alembic_version") == [("w2",)]
        rows(url, "ALTER SYSTEM RESET synchronous_standby_names")
        rows(url, "SELECT pg_reload_conf()")
        assert forked.airlock(ini, "upgrade", url=url).code == 0


@pytest.mark.parametrize(
    "setting",
    [
        "idle_in_transaction_session_timeout",
        "transaction_timeout",
        "idle_session_timeout",
        "statement_timeout",
    ],
)
def test_a_timeout_of_the_role_shorter_than_the_run_is_lifted_or_said(setting: str, tmp_path: Path) -> None:
    """The lease is never lost in silence: either the run ends well, or its one line names the timeout."""
    slow = Revision(
        "w1", 'op.execute("SELECT 1"); import time; time.sleep(2.5); op.execute("CREATE TABLE t (id int)")'
    )
    with cluster() as server:
        rows(server.url(), f"ALTER ROLE postgres SET {setting} = '1s'")
        ran = forked.airlock(write_project(tmp_path, [slow, ALTER]), "upgrade", url=server.url())
        assert ran.code == 0, ran.err
        assert rows(server.url(), "SELECT version_num FROM alembic_version") == [("w2",)]
        if setting != "idle_session_timeout":
            assert f"{setting} = 1s stands on this role or database" in ran.err
