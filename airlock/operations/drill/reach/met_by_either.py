"""What a step met on two ways: on the sample rows, and on rows of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airlock.operations.drill.reach.statements_met import NO_OTHER_VALUE

if TYPE_CHECKING:
    from airlock.records.drill import Met


def met_by_either(first: tuple[Met, ...], second: tuple[Met, ...]) -> tuple[Met, ...]:
    """Join what a step met on two ways: of rows, and of each branch, the more; a problem is one where both had it."""
    earlier = {(one.direction, one.place, one.sql): one for one in first}
    found = []
    for one in second:
        if one.passed_by and (one.direction, one.place, one.sql) not in earlier:
            continue  # the first way came to it
        other = earlier.pop((one.direction, one.place, one.sql), None)
        found.append(one if other is None else _of_both(other, one))
    return (*found, *(one for one in earlier.values() if not one.passed_by))


def _of_both(first: Met, second: Met) -> Met:
    fuller = second if (second.changed or 0) >= (first.changed or 0) else first
    ways = fuller.ways
    if len(first.ways) == len(second.ways):
        ways = tuple(
            old if (old.rows or 0) >= (new.rows or 0) else new
            for old, new in zip(first.ways, second.ways, strict=True)
        )
    problem = first.problem and second.problem
    if problem and fuller.changed:
        unmet = [way.text for way in ways if way.rows == 0]
        same = problem if first.problem.endswith(NO_OTHER_VALUE) else ""
        problem = f"{second.place}: {second.sql}: {', '.join(unmet)} met no row" if unmet else same
    return replace(fuller, ways=ways, problem=problem)
