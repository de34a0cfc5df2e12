"""`airlock trace`: see what each statement of a revision locks, rewrites and scans; 0, or 3 where something was not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock import api
from airlock.commands.arguments import add_blocker, add_range, add_rows

if TYPE_CHECKING:
    import argparse

    from airlock.records.trace import TracedRevision, TraceReport


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
    from airlock.scratch.isolation import watched

    progress = Progress()

    def show(report: TraceReport) -> None:
        progress.end()
        answer(arguments, text.document(report), text.lines(report))

    with watched(progress):
        report = api.trace(
            arguments.config,
            revisions=arguments.range,
            scratch=arguments.scratch,
            rows=arguments.rows,
            blocker_s=arguments.blocker_seconds if arguments.blocker else 0.0,
            x_arguments=arguments.x,
            # Whatever ends it: what was seen until then is worth as much as ever.
            cut_short=show,
            progress=progress.count,
        )
    show(report)
    return NOT_EXAMINED if report.unexamined else 0


class Progress:
    """How many steps were seen, and which one is taken."""

    def __init__(self) -> None:
        from airlock.commands.progress_line import Begun

        self.seen = 0
        self.begun = Begun()

    def __call__(self, what: str) -> None:
        """Show that a step is taken: one to be seen, or one that only leads there."""
        from airlock.reports.text import count

        self.begun(f"{count(self.seen, 'step')} seen, now {what}")

    def count(self, _step: TracedRevision) -> None:
        """Count one more."""
        self.seen += 1

    def end(self) -> None:
        """Take the line away."""
        self.begun.end()
