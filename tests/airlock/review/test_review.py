"""A review gathers what was seen, what a linter thinks and what the target holds, and answers by exit code."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from airlock.catalogue import fingerprint
from airlock.operations.review import review
from airlock.project.project import Project
from tests.airlock.histories import BEGIN, HEADER, Revision, write_project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Server

CREATE = Revision(
    "0001",
    """
    op.execute("CREATE SCHEMA shop")
    op.execute("CREATE TABLE shop.item (id int PRIMARY KEY, amount int, share text DEFAULT '50%')")
    """,
    """
    op.execute("DROP TABLE shop.item")
    op.execute("DROP SCHEMA shop")
    """,
    title="Create items.",
)
WIDEN = Revision(
    "0002",
    """
    op.add_column("item", sa.Column("note", sa.String(20)), schema="shop")
    op.alter_column("item", "amount", type_=sa.BigInteger, schema="shop")
    """,
    """
    op.alter_column("item", "amount", type_=sa.Integer, schema="shop")
    op.drop_column("item", "note", schema="shop")
    """,
    title="Widen item.amount.",
)
INDEX = Revision(
    "0003",
    """
    with op.get_context().autocommit_block():
        op.create_index("ix", "item", ["amount"], schema="shop", postgresql_concurrently=True)
    """,
    """
    with op.get_context().autocommit_block():
        op.drop_index("ix", "item", schema="shop", postgresql_concurrently=True)
    """,
    title="Index item.amount.",
)
READS = Revision(
    "0004",
    """
    for (one,) in op.get_bind().execute(sa.text("SELECT id FROM shop.item ORDER BY id LIMIT 1")).all():
        op.execute(f"UPDATE shop.item SET note = 'first' WHERE id = {one}")
    """,
    "pass",
    title="Note the first item.",
)


def _review(
    ini: Path, server: Server, *arguments: str, target: str = ""
) -> tuple[subprocess.CompletedProcess[str], Path]:
    out = ini.parent / "out"
    command = [sys.executable, "-m", "airlock", "review", "-c", str(ini), "--scratch", server.admin_url]
    command += ["--rows", "1000", "--out", str(out), *arguments, *(["--url", target] if target else [])]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "DATABASE_URL": ""},
    )
    return done, out


def _read(out: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((out / "review.json").read_text())
    return document


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    """A history with a dangerous revision, a harmless one, and one that reads rows."""
    return write_project(tmp_path, [CREATE, WIDEN, INDEX, READS])


@pytest.mark.proof
def test_a_pending_rewrite_is_refused_with_the_targets_numbers(ini: Path, server: Server) -> None:
    """Exit 1; only pending revisions are reviewed; rows, bytes and losses are the target's; it is only read."""
    with server.database() as database:
        connection = psycopg2.connect(database.url)
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE SCHEMA shop")
            cursor.execute("CREATE TABLE shop.item (id int PRIMARY KEY, amount int, note varchar(20))")
            cursor.execute(
                "INSERT INTO shop.item SELECT n, n, CASE WHEN n <= 5000 THEN 'x' END FROM generate_series(1, 20000) n"
            )
            cursor.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
            cursor.execute("INSERT INTO alembic_version VALUES ('0001')")
            cursor.execute("ANALYZE shop.item")
            cursor.execute("CREATE PUBLICATION news FOR TABLE shop.item")
        before = fingerprint.read(connection)
        done, out = _review(ini, server, "--pending", target=database.url)
        assert fingerprint.read(connection) == before
        connection.close()
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[-1].startswith("refused: ")
    read = _read(out)
    assert [one["revision"] for one in read["revisions"]] == ["0002", "0003", "0004"]
    danger = read["dangerous"][0]
    assert (danger["findings"], danger["line"] > 0) == (["rewrite shop.item"], True)
    (size,) = danger["sizes"]
    assert (size["rows"], size["bytes"] > 500_000) == (20_000, True)
    assert danger["expected_ms"] > 0
    # The history knows nothing of the publication, and scratch has none.
    assert (
        "news of the target publishes it: a subscriber must have a new column first"
        in (out / "review.md").read_text()
    )
    assert read["revisions"][0]["losses"] == [
        {"object": "shop.item.amount", "why": "values that integer does not hold", "rows": None},
        {"object": "shop.item.note", "why": "the column is dropped: its values", "rows": 5000},
    ]
    assert "password" not in (out / "review.html").read_text()


@pytest.mark.proof
def test_without_a_target_and_with_an_excuse_it_is_not_refused(tmp_path: Path, server: Server) -> None:
    """Exit 0 where every finding is accepted in the revision; the excuse is in the page."""
    excused = dataclasses.replace(WIDEN, extra='accepted = {"rewrite": "the table is tiny"}')
    done, out = _review(write_project(tmp_path, [CREATE, excused]), server)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the table is tiny" in (out / "review.html").read_text()
    assert _read(out)["target"] is None


@pytest.mark.proof
def test_what_the_settings_accept_is_taken_on(tmp_path: Path, server: Server) -> None:
    """By statement for one direction, by the finding for the other; trace shows both reasons, review exits 0."""
    ini = write_project(tmp_path, [CREATE, WIDEN])
    (tmp_path / "airlock.toml").write_text(
        '[accepted.0002]\n"ALTER TABLE shop.item ALTER COLUMN amount TYPE BIGINT" = "tiny going up"\n'
    )
    done, _ = _review(ini, server)
    assert done.returncode == 1, "the other direction has no reason yet"
    with (tmp_path / "airlock.toml").open("a") as settings:
        settings.write('"rewrite shop.item" = "tiny going down"\n')
    done, out = _review(ini, server)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [one["accepted"] for one in _read(out)["dangerous"]] == [
        {"rewrite shop.item": "tiny going down"}
    ] * 2
    command = [sys.executable, "-m", "airlock", "trace", "-c", str(ini), "--scratch", server.admin_url]
    told = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "DATABASE_URL": ""},
    )  # fmt: skip
    assert told.stdout.count("        accepted: rewrite shop.item: tiny going down") == 2
    assert "(each accepted with a reason)" in told.stdout.splitlines()[-1]


@pytest.mark.proof
def test_the_scripts_run_in_psql_and_make_the_same_database(ini: Path, server: Server) -> None:
    """Up by psql ends where Alembic ends, literal percent signs included; down leads back to nothing."""
    psql = shutil.which("psql")
    if psql is None:
        pytest.skip("psql is not installed")
    _, out = _review(ini, server, ":0003")
    readings = []
    with server.database() as database, server.database() as other:
        for name in ("0001.up", "0002.up", "0003.up", "0003.down", "0002.down", "0001.down"):
            done = subprocess.run(
                [psql, "--no-psqlrc", "--quiet", "--dbname", database.url, "--file", str(out / f"{name}.sql")],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert (done.returncode, done.stderr) == (0, ""), name
            connection = psycopg2.connect(database.url)
            readings.append(fingerprint.read(connection))
            connection.close()
        subprocess.run(
            [sys.executable, "-m", "alembic", "-c", str(ini), "upgrade", "0003"],
            check=True, capture_output=True, env={**os.environ, "DATABASE_URL": other.url}, cwd=ini.parent,
        )  # fmt: skip
        connection = psycopg2.connect(other.url)
        assert fingerprint.differences(readings[2], fingerprint.read(connection)) == ()
        connection.close()
    assert fingerprint.differences(readings[0], readings[4]) == ()


@pytest.mark.proof
def test_a_revision_that_reads_rows_has_its_executed_statements_as_a_script(
    ini: Path, server: Server
) -> None:
    """It cannot be written without a database; the script says so and holds what was executed."""
    _, out = _review(ini, server, "0003:0004")
    script = (out / "0004.up.sql").read_text()
    assert "needs a database to be written" in script
    assert "psql" not in script
    assert "UPDATE shop.item SET note = 'first' WHERE id =" in script
    assert "depends on rows: this is one path" in (out / "review.md").read_text().replace(
        "Depends", "depends"
    )


@pytest.mark.proof
def test_two_reviews_of_the_same_history_have_the_same_findings(ini: Path, server: Server) -> None:
    """SARIF holds no time, so two runs are the same bytes. Scripts of an earlier bundle go, other files stay."""
    out = ini.parent / "out"
    out.mkdir()
    (out / "old.up.sql").write_text("-- old Of an earlier bundle (up)\n")
    (out / "mine.up.sql").write_text("SELECT 1;\n")
    first, second = ((_review(ini, server, ":0002")[1] / "review.sarif").read_bytes() for _ in range(2))
    assert first == second
    assert not (out / "old.up.sql").exists()
    assert (out / "mine.up.sql").exists()


@pytest.mark.proof
def test_pending_and_a_range_exclude_each_other(ini: Path, server: Server) -> None:
    """Exit 2 and one line."""
    done, _ = _review(ini, server, "0001:0002", "--pending")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


@pytest.mark.proof
def test_a_history_with_a_merge_is_reviewed(tmp_path: Path, server: Server) -> None:
    """Alembic cannot write a merge without a database; its script says so, the review goes on."""
    left, right = (Revision(one, "pass", "pass", revises="0001") for one in ("00aa", "00bb"))
    merge = Revision("00cc", "pass", "pass", revises=("00aa", "00bb"), title="Merge.")
    done, out = _review(write_project(tmp_path, [CREATE, left, right, merge]), server)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (out / "00cc.up.sql").exists()
    assert (out / "0001.up.sql").read_text().count("CREATE TABLE shop.item") == 1


@pytest.mark.proof
def test_nothing_pending_is_nothing_dangerous(ini: Path, server: Server) -> None:
    """Exit 0, and the empty bundle says so."""
    with server.database() as database:
        connection = psycopg2.connect(database.url)
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
            cursor.execute("INSERT INTO alembic_version VALUES ('0004')")
        connection.close()
        done, out = _review(ini, server, "--pending", target=database.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert _read(out)["revisions"] == []


@pytest.mark.parametrize("external", [pytest.param(True, marks=pytest.mark.proof), False])
def test_a_generated_column_that_goes_is_no_loss(
    external: bool, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its values can be computed again; the plain column beside it is one, whoever holds the transaction."""
    adds = Revision(
        "0002",
        """
        op.execute("ALTER TABLE shop.item ADD twice int GENERATED ALWAYS AS (amount * 2) STORED")
        op.execute("ALTER TABLE shop.item ADD word text")
        """,
        'op.execute("ALTER TABLE shop.item DROP twice, DROP word")',
    )
    env = HEADER + BEGIN.format(driver="psycopg2", options="") if external else None
    monkeypatch.chdir((ini := write_project(tmp_path, [CREATE, adds], env=env)).parent)
    made = review(Project.open(ini, ()), ini, from_to="0001:0002", scratch=server.admin_url, rows=1_000)
    assert [one.object for revision in made.revisions for one in revision.losses] == ["shop.item.word"]
