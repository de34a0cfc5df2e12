"""Rows of both generations: from before, written between, changed and deleted between; each after down, up again, down again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airlock.operations.drill import drill
from airlock.operations.drill.phases.second_downgrade import BACK, UNDONE
from airlock.records.drill import PROVED, REFUSED
from tests.airlock.drill.reached import Case, sql, write

if TYPE_CHECKING:
    from pathlib import Path

_COLUMNS = "state text NOT NULL, n integer NOT NULL CHECK (n < 2000000000)"
CASES = (
    # What others did meanwhile stays: the downgrade computes from what is there.
    Case("computes_back", _COLUMNS, sql("UPDATE $t SET n = n # 1"), sql("UPDATE $t SET n = n # 1")),
    # All old rows come back as they were, whatever has become of them.
    Case("brings_back", _COLUMNS, sql("CREATE TABLE k_$t AS SELECT * FROM $t", "UPDATE $t SET n = n # 1"),
         sql("DELETE FROM $t WHERE id IN (SELECT id FROM k_$t)", "INSERT INTO $t SELECT * FROM k_$t", "DROP TABLE k_$t")),
    # Rows written meanwhile go.
    Case("takes_the_new", _COLUMNS, sql("CREATE TABLE k_$t AS SELECT * FROM $t"),
         sql("DELETE FROM $t WHERE id NOT IN (SELECT id FROM k_$t)", "UPDATE $t SET n = n", "DROP TABLE k_$t")),
    # The second way is another one than the first.
    Case("once_only", _COLUMNS, sql("CREATE TABLE IF NOT EXISTS m_$t (times integer)", "INSERT INTO m_$t VALUES (1)"),
         sql("UPDATE $t SET n = n # 1 WHERE (SELECT count(*) FROM m_$t) > 1", "INSERT INTO m_$t VALUES (2)"),
         beside="CREATE TABLE m_$t (times integer)"),
)  # fmt: skip


@pytest.mark.proof
def test_rows_of_both_generations_are_compared_on_every_way(tmp_path: Path) -> None:
    """Changes and deletions of old rows that a downgrade undoes are named; so are new rows that go; once is not always."""
    proofs = {one.revision: one for one in drill(write(tmp_path, CASES)).revisions}
    losses = {name: {(it.object, it.why) for it in one.losses} for name, one in proofs.items()}
    assert proofs["computes_back"].verdict == PROVED, proofs["computes_back"]
    assert not {why for _, why in losses["computes_back"]} & {BACK, UNDONE}
    table = "public.t_brings_back"
    assert proofs["brings_back"].verdict == PROVED, proofs["brings_back"]
    assert {(table, BACK), (f"{table}.state", UNDONE)} <= losses["brings_back"]
    assert ("public.t_takes_the_new", "the rows go") in losses["takes_the_new"]
    assert proofs["takes_the_new"].verdict == REFUSED, proofs["takes_the_new"]
    (gone,) = proofs["takes_the_new"].differences
    assert gone.kind == "rows written above by the release below"
    assert proofs["once_only"].verdict == REFUSED, proofs["once_only"]
