"""What a sequence hands out next, held against what it handed out before."""

from __future__ import annotations

import pytest

from airlock.samples.sequences import Next, compare_sequences


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (Next(50, 1, "t.id", 40), Next(41, 1, "t.id", 40), None),
        (Next(-50, -1, "t.id", -40), Next(-41, -1, "t.id", -40), None),
        (Next(50, 1, "t.id", 40), Next(40, 1, "t.id", 40), "40, but t.id holds up to 40"),
        (Next(50, 1, "t.id", 40), Next(45, 1, "t.id", 40), "45, handed out before"),
        (Next(50, 1, "t.id", None), Next(1, 1, "t.id", None), "1, handed out before"),
        (Next(50, 1, None, None), Next(49, 1, None, None), "49, handed out before"),
        (Next(50, 1, "t.id", 40), Next(60, 1, "t.id", 40), None),
    ],
)
def test_a_sequence_goes_on_behind_the_last_key_or_where_it_was(
    before: Next, after: Next, told: str | None
) -> None:
    """`setval(…, max(id))` is how a sequence is set: keys in between that no row holds are handed out again."""
    found = compare_sequences({"sequence s": before}, {"sequence s": after})
    assert [one.after for one in found] == ([] if told is None else [told])
