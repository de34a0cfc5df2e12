"""Numbers read the same wherever they stand."""

from __future__ import annotations

import pytest

from airlock.reports import text


@pytest.mark.parametrize(
    ("ms", "spelled"),
    [
        (0.04, "0.0 ms"),
        (9.94, "9.9 ms"),
        (9.96, "10 ms"),
        (999.4, "999 ms"),
        (999.6, "1.0 s"),
        (59_940, "59.9 s"),
        (59_960, "1 min"),
        (250_000, "4 min 10 s"),
        (3_600_000, "1 h"),
        (7_500_000, "2 h 5 min"),
    ],
)
def test_a_duration_has_the_unit_of_its_size(ms: float, spelled: str) -> None:
    """No boundary prints 1000 ms or 60.0 s."""
    assert text.duration(ms) == spelled


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 kB"),
        (16_384, "16 kB"),
        (9_771_050_598, "9.1 GB"),
        (2**41, "2.0 TB"),
    ],
)
def test_a_size_is_spelled_as_the_server_spells_it(value: int, spelled: str) -> None:
    """Powers of 1,024, PostgreSQL's own unit names."""
    assert text.size(value) == spelled


def test_counts_and_enumerations_are_grammar() -> None:
    """One row, two rows, no rows; a, b and c."""
    assert [text.count(n, "row") for n in (0, 1, 2, 48_210_113)] == [
        "no rows",
        "1 row",
        "2 rows",
        "48,210,113 rows",
    ]
    assert text.count(2, "index", "indexes") == "2 indexes"
    assert [text.enumeration(list("abc")[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert [text.some("abcdef"[:n], 2) for n in (2, 3)] == ["a and b", "a, b and 1 more"]


def test_a_table_is_aligned_also_with_wide_letters_and_broken_lines() -> None:
    """Every column starts at one cell, whatever stands in it."""
    lines = text.table(["object", "rows"], [["表", "7"], ["a\nb", "1,000"]], right=[1]).splitlines()
    assert lines == ["object   rows", "表          7", "a b     1,000"]


def test_shortening_says_that_it_cut() -> None:
    """The ellipsis is inside the limit."""
    assert text.shorten("SELECT  1\n", 20) == "SELECT 1"
    assert text.shorten("x" * 30, 10) == "x" * 9 + "…"
