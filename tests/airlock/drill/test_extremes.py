"""Upgrades that compute past the edge of a type are examined on ordinary values, and the proof says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import airlock
from tests.airlock.histories import HEADER, SYNC, Revision, write_project

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = "id serial PRIMARY KEY, x varchar(200), n int, s smallint, a numeric(6,2), f float8, d date, w timestamptz, i interval"
# Name: the way up, the way down, the verdict.
CASES = {
    "adds": ("UPDATE {t} SET n = n + 1", "UPDATE {t} SET n = n - 1", "proved"),
    "adds_and_forgets": ("UPDATE {t} SET n = n + 1", "", "refused"),
    "rounds": ("UPDATE {t} SET a = round(a, 1)", "", "refused"),
    "without_signs": ("UPDATE {t} SET n = abs(n), s = abs(s)", "", "refused"),
    "squares": ("UPDATE {t} SET f = f * f", "", "refused"),
    # Numbers that are no arguments of a function: zeros, negative ones, and then such as are too large.
    "divides": (
        "ALTER TABLE {t} ADD q numeric; UPDATE {t} SET q = a / n / s",
        "ALTER TABLE {t} DROP q",
        "proved",
    ),
    "divides_and_forgets": ("UPDATE {t} SET a = a / s", "", "refused"),
    "raises_to_a_power": (
        "ALTER TABLE {t} ADD q float8; UPDATE {t} SET q = power(s, n)",
        "ALTER TABLE {t} DROP q",
        "proved",
    ),
    "repeats": (
        "ALTER TABLE {t} ADD q text; UPDATE {t} SET q = repeat('*', n)",
        "ALTER TABLE {t} DROP q",
        "proved",
    ),
    "joins": (
        "DELETE FROM {t} WHERE NOT EXISTS (SELECT FROM {t} o WHERE o.n = {t}.n + 100000)",
        "",
        "refused",
    ),
    "copies_a_long_text": (
        "ALTER TABLE {t} ADD short varchar(30); UPDATE {t} SET short = initcap(x)",
        "ALTER TABLE {t} DROP short",
        "proved",
    ),
    "narrows": ("ALTER TABLE {t} ALTER n TYPE smallint", "ALTER TABLE {t} ALTER n TYPE int", "proved"),
}


@pytest.mark.proof
def test_values_at_the_edge_are_not_what_a_verdict_ends_at(tmp_path: Path) -> None:
    """Sound ones are proved with a note; faulty ones refused, not left unexamined."""
    revisions = []
    for name, (up, down, _) in CASES.items():
        table = f"t_{name}"
        revisions.append(
            Revision(f"{name}_made", f'op.execute("CREATE TABLE {table} ({COLUMNS})")', f'op.execute("DROP TABLE {table}")')
        )  # fmt: skip
        for_table = [one.replace("{t}", table) for one in (up, down)]
        went, back = (f'op.execute("{one}")' if one else "pass" for one in for_table)
        revisions.append(Revision(name, went, back))
    ini = write_project(tmp_path, revisions, env=HEADER + SYNC.format(driver="psycopg2", options=""))
    proofs = {proof.revision: proof for proof in airlock.drill(ini).revisions}
    assert {name: proofs[name].verdict for name in CASES} == {
        name: verdict for name, (_, _, verdict) in CASES.items()
    }
    assert any(
        "t_divides.s, public.t_divides.a (division by zero)" in note for note in proofs["divides"].notes
    )
    for name in ("adds", "narrows"):
        assert any(
            "out of range" in note and "ordinary ones took their place" in note for note in proofs[name].notes
        ), name


@pytest.mark.proof
def test_rows_that_no_upgrade_can_be_fitted_with_prove_nothing(tmp_path: Path) -> None:
    """A table that was emptied for an upgrade outside a transaction, and could not be filled again, is named."""
    retyped = "with op.get_context().autocommit_block():\n    op.execute({!r})"
    made = (
        "CREATE DOMAIN odd AS text CHECK (VALUE = repeat(md5(VALUE), 2))",
        "CREATE TABLE held (id serial PRIMARY KEY, v text NOT NULL)",
    )
    revisions = [
        Revision(
            "made", "\n".join(f"op.execute({one!r})" for one in made),
            'op.execute("DROP TABLE held")\nop.execute("DROP DOMAIN odd")',
        ),
        Revision(
            "retyped", retyped.format("ALTER TABLE held ALTER v TYPE odd USING v::odd"),
            retyped.format("ALTER TABLE held ALTER v TYPE text USING 'lost'"),
        ),
    ]  # fmt: skip
    ini = write_project(tmp_path, revisions, env=HEADER + SYNC.format(driver="psycopg2", options=""))
    _, proof = airlock.drill(ini).revisions
    assert proof.verdict == "not examined"
    assert proof.reason == (
        "public.held could not be filled: its triggers, rules or CHECKs let no more rows through"
    )
