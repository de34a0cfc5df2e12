"""`airlock trace`: see what each statement of a revision locks, rewrites and scans; 0, or 3 where something was not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock import api
from airlock.commands.arguments import add_blocker, add_range, add_rows

if TYPE_CHECKING:
    import argparse

    from airlock.records.trace import TraceReport


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    add_range(parser)
    add_rows(parser, api.TRACE_ROWS, least=0, more="; scans show from 1,000 on")
    add_blocker(parser)


def run(arguments: argparse.Namespace) -> int:
    """Trace in scratch, contacting no target, and print what was seen."""
    from airlock.commands.answer import answer
    from airlock.records.errors import NOT_EXAMINED
    from airlock.reports import trace as text

    def show(report: TraceReport) -> None:
        answer(arguments, text.document(report), text.lines(report))

    report = api.trace(
        arguments.config,
        revisions=arguments.range,
        scratch=arguments.scratch,
        rows=arguments.rows,
        blocker_s=arguments.blocker_seconds if arguments.blocker else 0.0,
        x_arguments=arguments.x,
        # Whatever ends it: what was seen until then is worth as much as ever.
        cut_short=show,
    )
    show(report)
    return NOT_EXAMINED if report.unexamined else 0
