"""A step that asks for a second table while it holds a first is found, with the order of its locks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airlock.operations.trace import trace
from tests.airlock.histories import Revision, write_project

if TYPE_CHECKING:
    from airlock.records.trace import TraceReport
    from tests.servers import Server

BASE = Revision(
    "0001",
    """
    op.execute("CREATE TABLE a (id int PRIMARY KEY, b_id int)")
    op.execute("CREATE TABLE b (id int PRIMARY KEY)")
    op.execute("CREATE TABLE c (id int PRIMARY KEY)")
    op.execute("CREATE TABLE whole (id int) PARTITION BY RANGE (id)")
    op.execute("CREATE TABLE part1 PARTITION OF whole FOR VALUES FROM (0) TO (9)")
    op.execute("CREATE TABLE part2 PARTITION OF whole DEFAULT")
    op.execute("CREATE VIEW seen AS SELECT id FROM c")
    """,
)
# The upgrade, and of each finding the table and the order that its sentence tells.
CASES: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "two_tables": (
        'op.execute("ALTER TABLE a ADD x int"); op.execute("ALTER TABLE b ADD x int")',
        [("public.b", "ACCESS EXCLUSIVE on public.a, then ACCESS EXCLUSIVE on public.b")],
    ),
    "three_tables": (
        """
        op.execute("LOCK TABLE c IN SHARE MODE")
        op.execute("ALTER TABLE b ADD y int, ADD z int")
        op.execute("ALTER TABLE a ADD y int")
        """,
        [
            ("public.b", "SHARE on public.c, then ACCESS EXCLUSIVE on public.b"),
            ("public.a", "SHARE on public.c, then ACCESS EXCLUSIVE on public.b, then ACCESS EXCLUSIVE on public.a"),
        ],
    ),
    "foreign_key": (
        'op.execute("ALTER TABLE a ADD FOREIGN KEY (b_id) REFERENCES b NOT VALID")',
        [("public.b", "SHARE ROW EXCLUSIVE on public.a, then SHARE ROW EXCLUSIVE on public.b")],
    ),
    "new_table_of_two_keys": (
        'op.execute("CREATE TABLE pair (a int REFERENCES a, b int REFERENCES b)")',
        [("public.b", "SHARE ROW EXCLUSIVE on public.a, then SHARE ROW EXCLUSIVE on public.b")],
    ),
    "new_table_of_one_key": ('op.execute("CREATE TABLE one (b int REFERENCES b)")', []),
    "new_tables": ('op.execute("CREATE TABLE n (id int)"); op.execute("CREATE TABLE m (id int)")', []),
    "one_table_twice": ('op.execute("ALTER TABLE b ADD v int"); op.execute("ALTER TABLE b ADD w int")', []),
    "partitions": ('op.execute("ALTER TABLE whole ADD x int")', []),
    "a_write_and_a_lock": ('op.execute("UPDATE c SET id = id"); op.execute("ALTER TABLE b ADD r int")', []),
    "committed_between": (
        """
        with op.get_context().autocommit_block():
            op.execute("ALTER TABLE a ADD s int")
            op.execute("ALTER TABLE b ADD s int")
        """,
        [],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, server: Server) -> TraceReport:
    """One trace of all cases, one revision each."""
    ini = write_project(
        tmp_path_factory.mktemp("waiting"), [BASE, *(Revision(name, case[0]) for name, case in CASES.items())]
    )
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(ini.parent)
        return trace(ini, rows=0, scratch=server.admin_url)


@pytest.mark.parametrize("name", CASES)
def test_the_second_table_is_found_with_the_order(name: str, report: TraceReport) -> None:
    """Only blocking locks on tables that existed, held in one transaction."""
    step = next(one for one in report.revisions if (one.revision, one.direction) == (name, "up"))
    found = [one for one in step.findings if one.id == "holds-and-waits"]
    assert [one.object for one in found] == [table for table, _ in CASES[name][1]]
    for one, (_, order) in zip(found, CASES[name][1], strict=True):
        assert one.sentence.endswith(f"(order: {order})")
        assert one.file.endswith(f"{name}.py") and one.line
