"""Beside what blocks stands how the same end is reached without blocking, with the names of this table."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from airlock.catalogue import fingerprint
from airlock.operations.trace import trace
from airlock.operations.trace.safer import Planner
from airlock.reports.trace import lines
from tests.airlock.histories import Revision, write_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airlock.scratch.servers import ScratchDatabase, ScratchServer
    from tests.servers import Server

BASE = """
CREATE SCHEMA s; CREATE TYPE s.mood AS ENUM ('sad', 'ok');
CREATE TABLE s.parent (id int PRIMARY KEY);
CREATE TABLE s.task (id serial PRIMARY KEY, parent_id int, note text, size int, mood s.mood, "Odd name" text);
CREATE INDEX ix_size ON s.task (size);
CREATE TABLE plain (id int PRIMARY KEY, a int);
"""
# The statement; what each draft's title says, in order.
CASES: dict[str, tuple[str, str, list[str]]] = {
    "not null": ("s.task", "ALTER TABLE s.task ALTER note SET NOT NULL", ["fill", "of new rows", "meanwhile", "of every row"]),
    "not null, a name that is quoted": (
        "s.task", 'ALTER TABLE s.task ALTER "Odd name" SET NOT NULL', ["fill", "of new rows", "meanwhile", "of every row"],
    ),
    "check": ("s.task", "ALTER TABLE s.task ADD CONSTRAINT c CHECK (size > 0)", ["for new rows", "validate c"]),
    "foreign key": (
        "s.task", "ALTER TABLE s.task ADD CONSTRAINT fk FOREIGN KEY (parent_id) REFERENCES s.parent",
        ["for new rows", "validate fk"],
    ),
    "not valid and validate in one": (
        "public.plain", "ALTER TABLE plain ADD CONSTRAINT c CHECK (a > 0) NOT VALID; ALTER TABLE plain VALIDATE CONSTRAINT c",
        ["for new rows", "validate c"],
    ),
    "index": ("s.task", "CREATE INDEX ix ON s.task (note)", ["index s.ix"]),
    "unique": ("s.task", "ALTER TABLE s.task ADD CONSTRAINT u UNIQUE (note)", ["add unique u"]),
    "type": (
        "s.task", "ALTER TABLE s.task ALTER size TYPE bigint",
        ["size_new of type bigint", "fill", "index", "swap", "drop"],
    ),
    "volatile default": (
        "s.task", "ALTER TABLE s.task ADD x uuid DEFAULT gen_random_uuid()", ["x, nullable", "fill"],
    ),
    "a renamed column has no other form": ("s.task", "ALTER TABLE s.task RENAME note TO remark", []),
    "rows alone": ("s.task", "UPDATE s.task SET size = 1", []),
}  # fmt: skip


@pytest.fixture(scope="module")
def below(scratch: ScratchServer) -> Iterator[ScratchDatabase]:
    """A database that each case is copied from."""
    with scratch.database() as made:
        with contextlib.closing(_connect(made)) as connection:
            connection.cursor().execute(BASE)
        yield made


def _connect(database: ScratchDatabase) -> Any:
    connection = psycopg2.connect(database.admin_url)
    connection.autocommit = True
    return connection


@pytest.mark.parametrize("name", CASES)
def test_the_safe_form_leads_to_the_same_catalogue(
    name: str, scratch: ScratchServer, below: ScratchDatabase
) -> None:
    """Its statements, run on a copy of what stood below, make the catalogue that the statement made."""
    table, up, titles = CASES[name]
    with scratch.database(below) as made, contextlib.closing(_connect(made)) as connection:
        planner = Planner(lambda: _connect(made), made.admin_url)
        with planner.looking():
            pass
        before = fingerprint.read(connection)
        connection.cursor().execute(up)
        wanted = fingerprint.read(connection)
        found = planner.safer({table})
        assert fingerprint.read(connection) == wanted, "what was tried is rolled back"
        planner.close()
    drafts = [draft for one in found for draft in one.drafts]
    assert len(drafts) == len(titles)
    assert all(said in draft.title for said, draft in zip(titles, drafts, strict=True))
    if not drafts:
        return
    with scratch.database(below) as made, contextlib.closing(_connect(made)) as connection:
        assert fingerprint.read(connection) == before
        for draft in drafts:
            for statement in draft.statements:
                connection.cursor().execute(statement)
        left = fingerprint.differences(wanted, fingerprint.read(connection))
    # A column that was made anew stands last.
    assert [one for one in left if not one.is_note and one.kind != "column order"] == []


@pytest.mark.proof
def test_a_trace_prints_the_safe_form_below_the_statement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """For an upgrade without a way back as well; nothing is printed beside a step that blocks nobody."""
    table = Revision("0001", 'op.execute("CREATE TABLE task (id int PRIMARY KEY, note text)")')
    index = Revision("0002", 'op.execute("CREATE INDEX ix ON task (note)")')
    column = Revision("0003", 'op.execute("ALTER TABLE task ADD x int")')
    back = Revision("0004", 'op.execute("DROP INDEX ix")', 'op.execute("CREATE INDEX ix ON task (note)")')
    ini = write_project(tmp_path, [table, index, column, back])
    monkeypatch.chdir(ini.parent)
    report = trace(ini, rows=1_000, scratch=server.admin_url)
    found = [(one.revision, one.direction) for one in report.revisions if one.safer]
    assert found == [("0002", "up"), ("0004", "down")]
    told = list(lines(report))
    assert "    INSTEAD, for public.task: 1 revision in place of 0002" in told
    assert "    INSTEAD, for public.task: 1 revision in place of the downgrade of 0004" in told
    assert sum("CREATE INDEX CONCURRENTLY ix ON public.task" in line for line in told) == 2
    assert any("CREATE INDEX CONCURRENTLY ix ON public.task" in line and "outside" in line for line in told)
