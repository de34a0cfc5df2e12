"""`--sql`, piped through psql, ends where the online run ends."""

from __future__ import annotations

import psycopg2
import pytest

from tests.catalogue import catalogue, differences, psql
from tests.history import History, revisions
from tests.rows import read_rows, write_rows
from tests.servers import Database, Server

pytestmark = pytest.mark.server
EXPAND = "2962789fd751"


def versions(database: Database) -> list[tuple[str, ...]]:
    with psycopg2.connect(database.url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT version_num FROM phase2.alembic_version")
        return cursor.fetchall()


def test_the_script_up_makes_what_the_online_run_makes(history: History, empty_database: Database) -> None:
    """From an empty database: same catalogue, same version."""
    done = psql(empty_database, history.sql("upgrade", "head"))
    assert done.returncode == 0, done.stderr
    assert differences(catalogue(history.database), catalogue(empty_database)) == []
    assert versions(empty_database) == versions(history.database)


def test_the_script_down_makes_what_the_online_run_makes(
    history: History, server: Server, template: str
) -> None:
    """From head to base, with rows: same catalogue, no version."""
    with server.database(template) as offline:
        write_rows(offline, "row")
        done = psql(offline, history.sql("downgrade", "head:base"))
        assert done.returncode == 0, done.stderr
        history.downgrade("base")
        assert differences(catalogue(history.database), catalogue(offline)) == []
        assert versions(offline) == versions(history.database) == []


@pytest.mark.proof
@pytest.mark.parametrize("revision", revisions()[1:])
def test_each_revision_by_script_is_the_revision_online(
    empty_database: Database, server: Server, revision: str
) -> None:
    """One step up and one step down, with rows: same catalogue, same rows."""
    history = History(empty_database)
    below = revisions()[revisions().index(revision) - 1]
    for earlier in revisions()[: revisions().index(revision)]:
        history.upgrade(earlier)
        write_rows(empty_database, earlier)
    with server.database(empty_database.name) as offline:
        for direction, span in (("upgrade", f"{below}:{revision}"), ("downgrade", f"{revision}:{below}")):
            done = psql(offline, history.sql(direction, span))
            assert done.returncode == 0, done.stderr
            getattr(history, direction)(span.partition(":")[2])
            assert differences(catalogue(empty_database), catalogue(offline)) == []
            assert versions(offline) == versions(empty_database)
            assert read_rows(offline) == read_rows(empty_database)


def test_a_script_stops_at_its_first_fault(empty_database: Database, history: History) -> None:
    """With ON_ERROR_STOP psql says so, and the revisions before the fault stand."""
    History(empty_database).upgrade(EXPAND)
    with psycopg2.connect(empty_database.url) as connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE phase2.task ADD CONSTRAINT ck_task_priority_present CHECK (true)")
    done = psql(empty_database, history.sql("upgrade", f"{EXPAND}:head"))
    assert done.returncode == 3
    assert versions(empty_database) == [("1fbaac01e8bc",)]
