"""Every revision of a history as others write them gets its verdict, the same whatever is drilled beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from airlock.operations.drill import drill
from airlock.records.drill import RevisionProof
from airlock.scratch.servers import ScratchServer
from tests.airlock.drill.foreign import foreign
from tests.airlock.histories import write_project

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
