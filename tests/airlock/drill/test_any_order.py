"""Every revision of a history as others write them gets its verdict, the same whatever is drilled beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from airlock.operations.drill import drill
from airlock.records.drill import RevisionProof
from airlock.scratch.servers import ScratchServer
from tests.airlock.drill.foreign import foreign
from tests.airlock.histories import Revision, write_project

pytestmark = pytest.mark.proof
LENGTH = 48


def judged(proofs: tuple[RevisionProof, ...]) -> dict[str, tuple[str, str]]:
    """Map each revision to its verdict and the reason."""
    return {one.revision: (one.verdict, one.reason) for one in proofs}


RANGES = ((4, 9), (8, 8), (17, 25))


def test_every_revision_has_its_verdict_and_the_range_makes_no_difference(
    scratch: ScratchServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """None stands behind another's failure, and a part says of each revision what the whole says, to the word."""
    revisions, expected = foreign(LENGTH)
    ini = write_project(tmp_path, revisions)
    monkeypatch.chdir(tmp_path)
    whole = judged(drill(ini, scratch=scratch.admin_url).revisions)
    wrong = {name: (whole[name], verdict) for name, verdict in expected.items() if whole[name][0] != verdict}
    assert wrong == {}
    assert whole.keys() == expected.keys()
    for first, last in RANGES:
        part = f"f{first - 1:04d}:f{last:04d}"
        found = judged(drill(ini, scratch=scratch.admin_url, from_to=part).revisions)
        assert found == {name: whole[name] for name in found}, part
        assert f"f{last:04d}" in found
    final = f"f{LENGTH - 1:04d}"
    assert judged(drill(ini, scratch=scratch.admin_url, last=1).revisions) == {final: whole[final]}


TYPED = "sa.Column('id', sa.Integer, primary_key=True), sa.Column('way', sa.Enum('up', 'down', name='way'))"
# The type is there already: in one run Alembic remembers that, a step by itself fails. Then its own code refuses rows.
FAILS_ALONE = f"""
op.create_table('path', {TYPED})
for (said,) in op.get_bind().execute(sa.text('SELECT said FROM study')):
    if said != 'nobody says this':
        raise ValueError(said)
"""
LOOKS_UP = """
with op.batch_alter_table('path') as batch:
    sa.Table('path', sa.MetaData(), autoload_with=op.get_bind())
    batch.add_column(sa.Column('length', sa.Integer))
"""
REFUSES_ROWS = """
if op.get_bind().execute(sa.text('SELECT FROM study')).first():
    raise ValueError('rows')
op.add_column('path', sa.Column('height', sa.Integer))
"""


@pytest.mark.parametrize("end", ["", "raise RuntimeError('always')"])
def test_what_stands_on_a_revision_that_fails_is_not_blamed_for_it(
    end: str, scratch: ScratchServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is examined where that could be applied without rows; else it is not examined, naming what it needs."""
    revisions = [
        Revision("a1", f"op.create_table('study', {TYPED}, sa.Column('said', sa.Text, nullable=False))",
                 "op.drop_table('study')\nop.execute('DROP TYPE way')"),
        Revision("b1", FAILS_ALONE + end, "op.drop_table('path')"),
        Revision("c1", LOOKS_UP, "op.drop_column('path', 'length')"),
        Revision("d1", REFUSES_ROWS, "op.drop_column('path', 'height')"),
        Revision("e1", "op.execute('CREATE TABLE other (i int)')", "op.execute('DROP TABLE other')"),
    ]  # fmt: skip
    ini = write_project(tmp_path, revisions)
    monkeypatch.chdir(tmp_path)
    found = judged(drill(ini, scratch=scratch.admin_url).revisions)
    assert found["a1"][0] == found["e1"][0] == "proved"
    assert found["b1"][0] == "refused"
    assert 'type "way" already exists' in found["b1"][1]
    if end:
        assert {found[name][0] for name in ("c1", "d1")} == {"not examined"}, found
        assert all("it needs b1" in found[name][1] for name in ("c1", "d1")), found
    else:
        assert found["c1"][0] == "proved", found
        assert "it needs" not in found["d1"][1]
