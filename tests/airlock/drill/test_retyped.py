"""Changes of types: every column whose values some change loses is named; what loses none is proved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import airlock
from airlock.records.drill import NOT_EXAMINED, PROVED, REFUSED
from tests.airlock.drill.reached import write
from tests.airlock.drill.retyped import (
    APART,
    BOUNDS,
    CUT_CASES,
    CUTS,
    DAYS,
    KEEPING,
    LOSING,
    ROOM,
    SKIPPED,
    TYPES,
    case,
    made_anew,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.proof


def test_each_column_that_loses_values_is_named(tmp_path: Path) -> None:
    """Scale, precision, blanks, zones, weights, parts of nested types, lengths; sound changes are proved."""
    cases = [
        case("losing", LOSING),
        case("keeping", KEEPING),
        case("skipped", SKIPPED),
        case("bounds", BOUNDS),
        *APART,
        *CUT_CASES,
        *DAYS,
        made_anew("room", ROOM),
    ]
    report = airlock.drill(write(tmp_path, cases, first=TYPES))
    proofs = {one.revision: one for one in report.revisions}
    named = {
        name: {one.object.rpartition(".")[2] for one in proof.differences} for name, proof in proofs.items()
    }
    assert {one.name for one in LOSING} - named["losing"] == set()
    assert (proofs["keeping"].verdict, named["keeping"]) == (PROVED, set()), proofs["keeping"]
    tried = {one.object.rpartition(".")[2] for one in proofs["keeping"].conditions if one.tried is not None}
    assert "a_document" in tried, "a text that is no document ends the query that counts"
    assert proofs["skipped"].verdict == NOT_EXAMINED
    assert (
        "no local time is in an hour that its zone skips: public.t_skipped.local: "
        in proofs["skipped"].reason
    )
    there_and_back, by_python = (proofs[one.name] for one in DAYS)
    assert (there_and_back.verdict, by_python.verdict) == (PROVED, NOT_EXAMINED)
    assert [one.tried is not None for one in there_and_back.conditions] == [True]
    assert "is spelled as the type spells it" in by_python.reason, "the format is read"
    assert proofs["bounds"].verdict == PROVED
    assert any("only while no array begins elsewhere than at 1" in note for note in proofs["bounds"].notes)
    assert {one.name: proofs[one.name].verdict for one in APART} == {one.name: REFUSED for one in APART}
    assert {one.name: proofs[one.name].verdict for one in CUT_CASES} == {
        one.name: REFUSED for one in CUT_CASES
    }
    assert named["cuts"] == named["cuts_anew"] == {one.name for one in CUTS}
    assert proofs["room"].verdict == PROVED, proofs["room"]
    assert named["overwrites"] == {"b", "e", "g", "j", "l"}
    assert named["drops_a_part"] == {"c", "d"}
