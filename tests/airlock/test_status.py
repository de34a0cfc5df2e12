"""airlock status: where a database stands, on one screen; it writes nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.airlock import forked
from tests.airlock.histories import Revision, write_project
from tests.airlock.running import rows

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Database

HISTORY = [
    Revision("a1", 'op.execute("CREATE TABLE item (id serial PRIMARY KEY, size int)")', title="Create item"),
    Revision("a2", 'op.execute("ALTER TABLE item ADD CHECK (size > 0) NOT VALID")', title="Check item.size"),
    Revision("a3", 'op.execute("CREATE INDEX ix_item_size ON item (size)")', title="Index item.size"),
]


def status(ini: Path, database: Database) -> dict[str, Any]:
    """Ask, with scratch databases on the test's own server."""
    ran = forked.airlock(ini, "status", "--json", "--scratch", database.url, url=database.url)
    assert ran.code == 0, ran.err
    found: dict[str, Any] = json.loads(ran.out)
    return found


@pytest.mark.proof
def test_a_database_half_way(tmp_path: Path, empty_database: Database) -> None:
    """Current, heads, pending with titles, what is NOT VALID, and no drift."""
    ini = write_project(tmp_path, HISTORY)
    forked.airlock(ini, "upgrade", "a2", url=empty_database.url)
    found = status(ini, empty_database)
    assert (found["current"], found["heads"]) == (["a2"], ["a3"])
    assert found["pending"] == [{"revision": "a3", "title": "Index item.size"}]
    assert found["not_validated"] == ["public.item.item_size_check"]
    assert (found["invalid_indexes"], found["drift"], found["lease"]) == ([], [], None)


@pytest.mark.proof
def test_what_env_py_logs_in_scratch_is_not_shown(tmp_path: Path, empty_database: Database) -> None:
    """As `alembic init` writes it, env.py turns logging on: "Running upgrade" would read as the target's."""
    ini = write_project(tmp_path, HISTORY)
    env = tmp_path / "alembic" / "env.py"
    env.write_text("import logging\n\nlogging.basicConfig(level=logging.INFO)\n" + env.read_text())
    ran = forked.airlock(ini, "status", "--scratch", empty_database.url, url=empty_database.url)
    assert (ran.code, ran.err) == (0, "")


@pytest.mark.proof
def test_drift_is_named_object_by_object(tmp_path: Path, empty_database: Database) -> None:
    """What is missing, what is unknown, what differs; another schema is nobody's business."""
    ini = write_project(tmp_path, HISTORY)
    forked.airlock(ini, "upgrade", url=empty_database.url)
    rows(
        empty_database.url,
        "DROP INDEX ix_item_size; ALTER TABLE item ALTER size SET DEFAULT 7; CREATE TABLE extra ()",
    )
    rows(empty_database.url, "CREATE SCHEMA theirs; CREATE TABLE theirs.t ()")
    found = {
        (one["object"], one["expected"] is None, one["found"] is None)
        for one in status(ini, empty_database)["drift"]
    }
    assert found == {
        ("index public.ix_item_size", False, True), ("public.item.size", True, False), ("public.extra", True, False),
    }  # fmt: skip


@pytest.mark.proof
def test_status_writes_nothing(tmp_path: Path, empty_database: Database) -> None:
    """Not even the version table that any run of env.py would make; and a read-only database can be asked."""
    ini = write_project(tmp_path, HISTORY)
    rows(empty_database.url, f'ALTER DATABASE "{empty_database.name}" SET default_transaction_read_only = on')
    ran = forked.airlock(ini, "status", "--scratch", "embedded:9", url=empty_database.url)
    assert ran.code == 0 and "read-only" in ran.out
    assert "drift      not examined: PostgreSQL 9 is not installed" in ran.out
    assert rows(
        empty_database.url, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    ) == [(0,)]


@pytest.mark.proof
def test_a_fault_of_the_version_rows_is_said(tmp_path: Path, empty_database: Database) -> None:
    """A database newer than the code is shown, not refused: status is for looking."""
    ini = write_project(tmp_path, HISTORY)
    forked.airlock(ini, "upgrade", url=empty_database.url)
    rows(empty_database.url, "UPDATE alembic_version SET version_num = 'deadbeef'")
    found = status(ini, empty_database)
    assert "'deadbeef', which this code does not know" in found["fault"]
    assert found["drift"] is None


@pytest.mark.proof
def test_the_way_back_is_counted_with_its_queries_and_nothing_is_written(
    tmp_path: Path, empty_database: Database
) -> None:
    """What downgrade would lose or be stopped by now: rows of each kind, the query that counts them, what no query tells."""
    ini = write_project(
        tmp_path,
        [
            HISTORY[0],
            Revision(
                "b2",
                'op.execute("ALTER TABLE item ADD note text")',
                'op.execute("ALTER TABLE item DROP note")',
            ),
            Revision(
                "b3",
                'op.execute("ALTER TABLE item ALTER size TYPE bigint")',
                'op.execute("ALTER TABLE item ALTER size TYPE integer")',
            ),
        ],
    )
    forked.airlock(ini, "upgrade", url=empty_database.url)
    rows(
        empty_database.url,
        "INSERT INTO item (size, note) VALUES (5000000000, 'kept'), (1, NULL) RETURNING id",
    )
    ran = forked.airlock(
        ini, "status", "--json", "--back-to", "a1", "--scratch", empty_database.url, url=empty_database.url
    )
    assert ran.code == 0, ran.err
    way = json.loads(ran.out)["way_back"]
    told = {one["object"]: (one["revision"], one["rows"]) for one in way["conditions"]}
    assert told == {"public.item.note": ("b2", 1), "public.item.size": ("b3", 1)}
    for one in way["conditions"]:
        assert rows(empty_database.url, one["sql"]) == [(1,)]
    text = forked.airlock(
        ini, "status", "--back-to", "a1", "--scratch", empty_database.url, url=empty_database.url
    )
    assert "way back   to a1: 2 rows or values in its way" in text.out
    nowhere = forked.airlock(
        ini, "status", "--back-to", "zz", "--scratch", empty_database.url, url=empty_database.url
    )
    assert nowhere.code == 2
