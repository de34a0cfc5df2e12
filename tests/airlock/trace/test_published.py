"""What a step changes of a published table is found, and what no subscriber sees is not."""

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
    op.execute("CREATE TABLE a (id int PRIMARY KEY, note varchar(9), gone int, k int NOT NULL UNIQUE)")
    op.execute("CREATE TABLE few (id int PRIMARY KEY, sent int, kept int)")
    op.execute("CREATE TABLE mine (id int PRIMARY KEY, x int)")
    op.execute("CREATE TABLE whole (id int PRIMARY KEY) PARTITION BY RANGE (id)")
    op.execute("CREATE TABLE part PARTITION OF whole DEFAULT")
    op.execute("CREATE PUBLICATION news FOR TABLE a, few (id, sent) WHERE (id > 5), whole")
    """,
)
COLUMN = "a subscriber of news"
# The upgrade, and what is found of which table.
CASES: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "adds": ('op.execute("ALTER TABLE a ADD w int")', [("public.a", f"adds w: {COLUMN} must have the column first")]),
    "drops": ('op.execute("ALTER TABLE a DROP gone")', [("public.a", f"drops gone: {COLUMN} must lose the column last")]),
    "renames": ('op.execute("ALTER TABLE a RENAME note TO said")', [("public.a", f"renames note to said: {COLUMN} finds")]),
    "retypes": (
        'op.execute("ALTER TABLE a ALTER said TYPE text")',
        [("public.a", f"makes said text: {COLUMN} must be able")],
    ),
    "computes": ('op.execute("ALTER TABLE a ADD c int GENERATED ALWAYS AS (k + 1) STORED")', []),
    "adds_beside_a_list": ('op.execute("ALTER TABLE few ADD w int")', []),
    "drops_beside_a_list": ('op.execute("ALTER TABLE few DROP kept")', []),
    "renames_in_a_list": ('op.execute("ALTER TABLE few RENAME sent TO told")', [("public.few", "renames sent to told")]),
    "not_published": ('op.execute("ALTER TABLE mine ADD w int")', []),
    "a_partitioned_table": ('op.execute("ALTER TABLE whole ADD w int")', [("public.whole", "adds w")]),
    "swaps_the_key_whole": (
        """
        op.execute("ALTER TABLE a DROP CONSTRAINT a_pkey")
        op.execute("ALTER TABLE a ADD PRIMARY KEY (k)")
        """,
        [("public.a", "tells its rows by k, no longer by id: a subscriber of news whose key is id stops at the first UPDATE")],
    ),
    "makes_the_key_wider": (
        """
        op.execute("ALTER TABLE a DROP CONSTRAINT a_pkey")
        op.execute("ALTER TABLE a ADD PRIMARY KEY (k, id)")
        """,
        [],
    ),
    "sends_whole_rows": ('op.execute("ALTER TABLE a REPLICA IDENTITY FULL")', []),
    "sends_keys_again": (
        'op.execute("ALTER TABLE a REPLICA IDENTITY DEFAULT")',
        [("public.a", "sends no whole old rows any more: a subscriber of news without the key id, k stops")],
    ),
    "names_another_column_so": (
        """
        op.execute("ALTER TABLE a ADD other bigint")
        op.execute("UPDATE a SET other = id")
        op.execute("ALTER TABLE a DROP CONSTRAINT a_pkey")
        op.execute("ALTER TABLE a DROP id")
        op.execute("ALTER TABLE a RENAME other TO id")
        op.execute("ALTER TABLE a ADD PRIMARY KEY (id, k)")
        """,
        [("public.a", "drops id: "), ("public.a", "adds id: ")],
    ),
    "loses_the_key": (
        'op.execute("ALTER TABLE a DROP CONSTRAINT a_pkey")',
        [("public.a", "has no replica identity, and news publishes its changes: every UPDATE and DELETE on it fails")],
    ),
    "leaves": (
        'op.execute("ALTER PUBLICATION news DROP TABLE few")',
        [("public.few", "news no longer publishes it")],
    ),
    "a_new_publication": ('op.execute("CREATE PUBLICATION own FOR TABLE mine")', []),
}  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, server: Server) -> TraceReport:
    """One trace of all cases, one revision each."""
    ini = write_project(
        tmp_path_factory.mktemp("published"),
        [BASE, *(Revision(name, case[0]) for name, case in CASES.items())],
    )
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(ini.parent)
        return trace(ini, rows=0, scratch=server.admin_url)


@pytest.mark.parametrize("name", CASES)
def test_what_a_subscriber_must_know_is_found(name: str, report: TraceReport) -> None:
    """Each table and the beginning of its sentence, and no other."""
    (step,) = (one for one in report.revisions if (one.revision, one.direction) == (name, "up"))
    found = [(one.object, one.sentence) for one in step.findings if one.id == "published"]
    wanted = CASES[name][1]
    assert [table for table, _ in found] == [table for table, _ in wanted], found
    # What was asked to find them is no statement of the revision.
    assert not [one.sql for one in step.statements if "pg_publication" in one.sql]
    assert all(told.startswith(begin) for (_, told), (_, begin) in zip(found, wanted, strict=True)), found
