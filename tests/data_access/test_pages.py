"""Cursors and limits: text and numbers, no database."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.pages import InvalidCursor, bounds, cursor_of, cut, position_of

MOMENTS = st.datetimes(timezones=st.just(UTC))


@given(MOMENTS, st.uuids())
def test_a_cursor_reads_back_as_the_position_it_was_made_of(moment: datetime, id_: UUID) -> None:
    """To the microsecond, in a short text that a URL takes as it is."""
    cursor = cursor_of(moment, id_)
    assert position_of(cursor) == (moment, id_)
    assert len(cursor) == 32
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.text() | st.text("ABCabc019-_=", min_size=28, max_size=36))
def test_any_text_is_a_position_or_refused(text: str) -> None:
    """Whatever is sent as a cursor is an InvalidCursor or a position, nothing else."""
    try:
        moment, id_ = position_of(text)
    except InvalidCursor:
        return
    assert cursor_of(moment, id_) == text


@pytest.mark.parametrize("text", ["", "x", "AAAA", "é", "*" * 32, "A" * 31, "f" * 32, "A" * 33, "A" * 400])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    """Too short, too long, other letters, or a moment that no calendar has."""
    with pytest.raises(InvalidCursor):
        bounds(1, text)


@pytest.mark.parametrize("limit", [0, -1, 101])
def test_a_page_has_between_one_and_a_hundred_rows(limit: int) -> None:
    """Other limits are the caller's error."""
    with pytest.raises(ValueError, match="1 to 100"):
        bounds(limit, None)


def test_only_a_page_that_another_follows_has_a_cursor() -> None:
    """A list that ends exactly with the page is known to end there."""
    rows = [(datetime(2026, 1, number, tzinfo=UTC), UUID(int=number)) for number in (1, 2, 3)]
    assert cut(rows, 3, lambda row: row).next is None
    page = cut(rows, 2, lambda row: row)
    assert page.items == tuple(rows[:2])
    assert page.next is not None
    assert position_of(page.next) == rows[1]
