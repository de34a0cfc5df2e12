"""`airlock trace`: see what each statement of a revision locks, rewrites and scans; 0, or 3 where something was not seen."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airlock import api
from airlock.commands.arguments import add_blocker, add_range, add_rows

if TYPE_CHECKING:
    import argparse

    from airlock.records.trace import TracedRevision, TraceReport

# Where nobody sees a line being overwritten: a pipeline ends a job that says nothing for long.
_EVERY_SECONDS = 60


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

    progress = Progress()

    def show(report: TraceReport) -> None:
        progress.end()
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
        progress=progress,
    )
    show(report)
    return NOT_EXAMINED if report.unexamined else 0


class Progress:
    """How many steps were seen; where no terminal is, a line a minute."""

    def __init__(self) -> None:
        from airlock.commands.progress_line import Overwritten

        self.began = self.told = time.monotonic()
        self.seen = 0
        self.line = Overwritten()

    def __call__(self, step: TracedRevision) -> None:
        """Count one more."""
        from airlock.reports.text import duration

        self.seen += 1
        now = time.monotonic()
        due = now - self.told >= _EVERY_SECONDS
        line = f"{self.seen} steps, {duration((now - self.began) * 1000)}: {step.revision} {step.direction}"
        self.line.show(line, due=due)
        if due:
            self.told = now

    def end(self) -> None:
        """Take the line away."""
        self.line.end()
