"""`airlock drill`: prove in scratch that every revision can be undone. Exits 1 where one is refused."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from airlock import api
from airlock.commands.arguments import add_range, add_rows, at_least

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from airlock.records.drill import DrillProgress, DrillReport


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    add_range(parser)
    parser.add_argument(
        "--last", type=at_least(1), metavar="N", help="only the last N revisions of the range"
    )
    parser.add_argument(
        "--pending", action="store_true", help="what the target lacks (reads its version table)"
    )
    add_rows(parser, api.DRILL_ROWS)
    parser.add_argument(
        "--traffic",
        type=at_least(0),
        default=0,
        metavar="N",
        help="N clients of the other release write and read during each step",
    )
    parser.add_argument(
        "--blocker", action="store_true", help="with --traffic: a reader that stays in its transaction"
    )
    parser.add_argument("--crash", action="store_true", help="cut each step at every statement and run again")
    parser.add_argument("--out", metavar="DIR", help="write drill.html, drill.json and junit.xml there")


def run(arguments: argparse.Namespace) -> int:
    """Drill in scratch, write the report, answer with its verdict."""
    from airlock.commands.answer import answer, made_directory, write_reports
    from airlock.records.errors import Usage
    from airlock.reports import drill as text

    out = made_directory(arguments.out) if arguments.out else None
    progress = _Progress()

    def show(report: DrillReport) -> None:
        progress.end()
        *said, verdict = text.lines(report)
        unwritten: Usage | None = None
        if out is not None:
            try:
                write_reports(out, _reports(report))
                said.append(f"report: {out / 'drill.html'}")
            except Usage as error:
                unwritten = error
        # What was found out is said all the same.
        answer(arguments, text.document(report), (*said, verdict))
        if unwritten is not None:
            raise unwritten

    try:
        report = api.drill(
            arguments.config,
            revisions=arguments.range,
            last=arguments.last,
            pending=arguments.pending,
            url=arguments.url,
            scratch=arguments.scratch,
            rows=arguments.rows,
            traffic=arguments.traffic,
            blocker=arguments.blocker,
            crash=arguments.crash,
            x_arguments=arguments.x,
            progress=progress,
            # Whatever ends it: the verdicts there are hold as they stand.
            cut_short=show,
        )
    finally:
        progress.end()
    show(report)
    return report.exit_code


class _Progress:
    """Where no terminal is, a line for each revision."""

    def __init__(self) -> None:
        from airlock.commands.progress_line import Overwritten

        self.began = time.perf_counter()
        self.last = 0
        self.line = Overwritten()

    def __call__(self, now: DrillProgress) -> None:
        from airlock.reports.drill import progress

        line = progress(now, (time.perf_counter() - self.began) * 1000)
        self.line.show(line, due=now.number != self.last)
        self.last = now.number

    def end(self) -> None:
        self.line.end()


def _reports(report: DrillReport) -> Iterator[tuple[str, Iterable[str]]]:
    from airlock.reports import drill as text
    from airlock.reports.drill_page import html
    from airlock.reports.junit import junit

    yield "drill.html", (html(report),)
    yield "junit.xml", (junit(report),)
    yield "drill.json", (json.dumps(text.document(report), indent=2, ensure_ascii=False), "\n")
