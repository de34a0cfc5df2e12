"""Differences stand in one order, whatever they hold."""

from airlock.records.difference import Difference


def test_one_attribute_that_differs_twice_has_an_order() -> None:
    """Down it came as one thing, down again as another: what was not there stands first."""
    first, second = (Difference("function f()", "privileges", was, "=X/o") for was in (None, "o=X/o"))
    assert sorted([second, first]) == [first, second]
