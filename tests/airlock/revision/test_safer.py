"""`airlock revision --safer`: what is written in place of a revision leads where it leads, on rows, and back."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest
from alembic import command
from alembic.config import Config

from airlock.cli import main
from airlock.project.project import Project
from tests.airlock.histories import Revision, write_project
from tests.airlock.revision.harness import MAKO

if TYPE_CHECKING:
    from tests.servers import Database, Server

BASE = Revision(
    "0001",
    """
    op.execute("CREATE TYPE mood AS ENUM ('sad', 'ok')")
    op.execute("CREATE SCHEMA shop")
    op.execute("CREATE TABLE shop.customer (id serial PRIMARY KEY)")
    op.execute("CREATE TABLE task (id serial PRIMARY KEY, customer_id int, size int, note text, mood mood)")
    """,
    """
    op.execute("DROP TABLE task")
    op.execute("DROP TABLE shop.customer")
    op.execute("DROP SCHEMA shop")
    op.execute("DROP TYPE mood")
    """,
)
BLOCKS = Revision(
    "0002",
    """
    op.create_index("ix_note", "task", ["note"])
    op.alter_column("task", "size", nullable=False)
    op.create_table("extra", sa.Column("id", sa.Integer, primary_key=True))
    """,
    "pass",
    title="Require sizes.",
)


def _project(directory: Path, *revisions: Revision) -> Path:
    ini = write_project(directory, [BASE, *revisions])
    (directory / "alembic" / "script.py.mako").write_text(MAKO)
    return ini


def _files(ini: Path) -> set[str]:
    return {path.name for path in (ini.parent / "alembic" / "versions").glob("*.py")}


@pytest.mark.proof
def test_what_is_written_leads_where_the_revision_leads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server, capsys: pytest.CaptureFixture[str],
    empty_database: Database,
) -> None:  # fmt: skip
    """Proved, nothing dangerous, the revision's own file as it was; without it, rows go up and down the new way."""
    ini = _project(tmp_path, BLOCKS)
    monkeypatch.chdir(tmp_path)
    versions = tmp_path / "alembic" / "versions"
    own = (versions / "0002.py").read_text()
    assert main(["revision", "--safer", "0002", "--rows", "1000", "--scratch", server.admin_url]) == 0, (
        capsys.readouterr()
    )
    told = capsys.readouterr().out
    assert "in place of 0002: nothing dangerous, every downgrade proved, they lead where 0002 leads" in told
    assert (versions / "0002.py").read_text() == own
    (versions / "0002.py").unlink()
    (head,) = Project.open(ini).heads
    monkeypatch.setenv("DATABASE_URL", empty_database.url)
    command.upgrade(Config(ini), "0001")
    with (
        contextlib.closing(psycopg2.connect(empty_database.url)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("INSERT INTO shop.customer SELECT generate_series(1, 50)")
        cursor.execute("INSERT INTO task SELECT n, n, nullif(n, 7), 'x', 'ok' FROM generate_series(1, 50) n")
        connection.commit()
        command.upgrade(Config(ini), "head")
        cursor.execute("SELECT count(size), sum(size), sum(customer_id) FROM task")
        assert cursor.fetchall() == [(50, 1268, 1275)]
        connection.commit()
        command.downgrade(Config(ini), "0001")
        cursor.execute("SELECT count(size), sum(size), sum(customer_id) FROM task")
        assert cursor.fetchall() == [(50, 1268, 1275)]
    assert head not in ("0001", "0002")


@pytest.mark.proof
def test_what_cannot_be_replaced_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server, capsys: pytest.CaptureFixture[str],
    empty_database: Database,
) -> None:  # fmt: skip
    """Another stands on it; it is applied; it may rename; it also changes rows. No file is left, none is written over."""
    rows = Revision("0003", "op.create_index('ix', 'task', ['size'])\nop.execute('UPDATE task SET size = 1')")
    ini = _project(tmp_path, BLOCKS, rows)
    monkeypatch.chdir(tmp_path)
    before = _files(ini)

    def said(*arguments: str) -> tuple[int, str]:
        code = main(["revision", "--scratch", server.admin_url, *arguments])
        told = capsys.readouterr()
        return code, told.out + told.err

    code, words = said("--safer", "0002")
    assert (code, "0003 stands on 0002: only a head is replaced. Nothing was written." in words) == (1, True)
    code, words = said("--safer", "0003")
    assert (
        code,
        "! still to be written: alembic/versions/0003.py:13 changes rows: UPDATE task SET size = 1" in words,
    ) == (1, True), words
    assert "The files are removed again; --keep keeps them." in words
    monkeypatch.setenv("DATABASE_URL", empty_database.url)
    command.upgrade(Config(ini), "head")
    capsys.readouterr()
    code, words = said("--safer", "0003", "--url", empty_database.url)
    assert (code, "0003 is applied on" in words) == (1, True), words
    assert said("--safer", "0003", "-m", "x")[0] == 2
    assert _files(ini) == before
    (tmp_path / "alembic" / "versions" / "0003.py").unlink()
    ini.write_text(ini.read_text() + "file_template = 0002\n")
    code, words = said("--safer", "0002")
    assert (code, "0002.py is there already, and is not written over" in words) == (1, True), words
    (tmp_path / "alembic" / "script.py.mako").unlink()
    ini.write_text(ini.read_text().replace("= 0002", "= 0004"))
    code, words = said("--safer", "0002")
    assert (code, "could not be written: " in words, "mako: No such file" in words) == (2, True, True), words
    assert _files(ini) == {"0001.py", "0002.py"}
    assert "ix_note" in (tmp_path / "alembic" / "versions" / "0002.py").read_text()
