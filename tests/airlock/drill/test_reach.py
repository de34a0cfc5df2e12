"""A data statement that met no row proves nothing; one that met some is judged by what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airlock.operations.drill import drill
from airlock.operations.drill.reach import chooses_rows
from airlock.records.drill import NOT_EXAMINED, PROVED, REFUSED
from tests.airlock.histories import Revision, write_project

if TYPE_CHECKING:
    from pathlib import Path

TABLE = Revision(
    "r1",
    'op.execute("CREATE TABLE item (id serial PRIMARY KEY, state text NOT NULL, n integer NOT NULL)")',
    'op.execute("DROP TABLE item")',
)


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("UPDATE t SET a = 1 WHERE b = 2", True),
        ("-- why\n  DELETE FROM t USING u WHERE t.a = u.a", True),
        ("INSERT INTO t SELECT * FROM u", True),
        ("MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE", True),
        ("WITH gone AS (DELETE FROM t WHERE a = 1 RETURNING *) INSERT INTO u SELECT * FROM gone", True),
        ("UPDATE t SET a = 1", False),
        ("INSERT INTO t VALUES (1)", False),
        ("SELECT 1 FROM t WHERE a = 1", False),
        ("ALTER TABLE t ADD CHECK (a > 0)", False),
    ],
)
def test_what_finds_its_rows_by_a_condition_is_told(sql: str, told: bool) -> None:
    """Only what could find none."""
    assert chooses_rows(sql) is told


@pytest.mark.proof
@pytest.mark.parametrize(
    ("up", "down", "verdict"),
    [
        # Met by nobody: upwards, downwards, and behind a Core statement with bound values.
        ("op.execute(\"UPDATE item SET n = 0 WHERE state = 'archived'\")", "pass", NOT_EXAMINED),
        ("pass", "op.execute(\"DELETE FROM item WHERE state LIKE 'old-%'\")", NOT_EXAMINED),
        (
            'import sqlalchemy as sa; op.get_bind().execute(sa.text("UPDATE item SET n = 0 WHERE state = :s"), {"s": "gone"})',
            "pass",
            NOT_EXAMINED,
        ),
        # Met, and the rows are not put back: refused, as before.
        ('op.execute("UPDATE item SET n = ~n WHERE n IS NOT NULL")', "pass", REFUSED),
        # Met, and put back.
        (
            'op.execute("UPDATE item SET n = ~n WHERE id > 0")',
            'op.execute("UPDATE item SET n = ~n WHERE id > 0")',
            PROVED,
        ),
        # In batches until nothing is left: the last round finds none, the statement did.
        (
            (
                "while op.get_bind().exec_driver_sql(\"UPDATE item SET state = state || '!' WHERE id IN "
                "(SELECT id FROM item WHERE right(state, 1) <> '!' LIMIT 20)\").rowcount: pass"
            ),
            "op.execute(\"UPDATE item SET state = left(state, -1) WHERE right(state, 1) = '!'\")",
            PROVED,
        ),
    ],
)
def test_a_statement_that_met_no_row_is_not_examined(
    up: str, down: str, verdict: str, tmp_path: Path
) -> None:
    """It is named by file and line; nothing green is said of the revision."""
    report = drill(write_project(tmp_path, [TABLE, Revision("r2", up, down)]))
    proof = report.revisions[1]
    assert proof.verdict == verdict, proof
    if verdict == NOT_EXAMINED:
        assert "r2.py:" in proof.reason
        assert "met no row: nothing is proved of it" in proof.reason
