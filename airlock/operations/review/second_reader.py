"""Ask the second reader about the statements that were executed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.operations.review import squawk
from airlock.records.review import Second

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airlock.records.trace import TraceReport

Said = dict[tuple[str, str], tuple[Second, ...]]


def second(report: TraceReport) -> tuple[str, Said]:
    """Name the linter and give its findings by (revision, direction); ("", {}) where it is not installed."""
    program = squawk.find()
    if program is None:
        return "", {}
    steps = {
        f"{one.revision} {one.direction}": (
            [statement.sql for statement in one.statements],
            one.transactional,
            one.direction,
        )
        for one in report.revisions
    }
    major = int(report.server_version.partition(".")[0])
    found: Mapping[str, tuple[squawk.Said, ...]] = squawk.read(program, steps, major)
    said: Said = {}
    for name, findings in found.items():
        revision, _, direction = name.rpartition(" ")
        said[revision, direction] = tuple(
            Second(one.statement, one.rule, one.message, one.rule in squawk.ABOUT_LOCKS) for one in findings
        )
    return squawk.version(program), said
