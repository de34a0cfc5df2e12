"""What two readings of a table's rows say of the way between them."""

from __future__ import annotations

from collections.abc import Iterable

from airlock.records.rows import RowDifference
from airlock.samples.digests import TableDigest, compare

COLUMNS = ("a", "b", "c")
Row = tuple[str | None, ...]
ROWS: tuple[Row, ...] = (("1", "x", "p"), ("1", "y", "q"), ("2", "x", None))


def reading(rows: Iterable[Row], key: tuple[str, ...] = COLUMNS) -> TableDigest:
    """Read rows as a table's digest does that nothing but all their values tells apart, or a key."""
    found = {", ".join(str(row[COLUMNS.index(name)]) for name in key): row for row in rows}
    return TableDigest(key, COLUMNS, len(found), rows=found)


def lost(
    rows: Iterable[Row], key: tuple[str, ...] = COLUMNS
) -> list[tuple[str | None, int, str | None, str | None]]:
    """List the columns, or None for whole rows, that differ from ROWS, with how many rows and their first value."""
    found: tuple[RowDifference, ...] = compare(reading(ROWS, key), reading(rows, key), "public.t")
    return [(one.column, one.rows, one.before, one.after) for one in found]


def test_without_a_key_a_lost_value_is_the_columns() -> None:
    """All else of each row is there: what is lost is the value of the column, or of two, beside other rows that came."""
    assert lost([(a, b, None) for a, b, _ in ROWS]) == [("c", 2, "p", None)]
    assert lost([*((a, b, None) for a, b, _ in ROWS), ("7", "z", "r")]) == [("c", 2, "p", None)]
    assert lost([(a, None, None) for a, _, _ in ROWS[:1]] + list(ROWS[1:])) == [
        ("b", 1, "x", None), ("c", 1, "p", None),
    ]  # fmt: skip


def test_without_a_key_a_row_that_is_gone_is_gone() -> None:
    """No row beside it has its other values: it is the row that is lost, and so it is where every value is another one."""
    assert lost(ROWS[1:]) == [(None, 1, None, None)]
    assert lost([*ROWS[1:], ("8", "y", None)]) == [(None, 1, None, None)]
    # As often as it was: one row does not stand for two.
    assert lost([("1", "x", None), ROWS[2]]) == [(None, 2, None, None)]


def test_a_key_tells_rows() -> None:
    """With a key it is asked row by row."""
    assert lost([("1", "x", None), *ROWS[1:]], ("a", "b")) == [("c", 1, "p", None)]
    assert lost([("9", "x", "p"), *ROWS[1:]], ("a", "b")) == [(None, 1, None, None)]
