"""`airlock check`: say whether the whole history is fit to be deployed, without a target and without Docker."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airlock.commands.arguments import add_rows
from airlock.records.errors import AirlockError, Usage
from airlock.records.trace import JUDGED_FROM_ROWS

if TYPE_CHECKING:
    import argparse

_SAID = {
    "drill": "drilling every revision",
    "models": "comparing the history with the models",
    "trace": "tracing every statement",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument(
        "--baseline", metavar="FILE", help="judge no revision that is listed there and is as it was then"
    )
    parser.add_argument("--since", metavar="REVISION", help="judge the revisions after this one alone")
    parser.add_argument(
        "--write-baseline", metavar="FILE", help="list all revisions of today there, and judge nothing"
    )
    add_rows(parser, JUDGED_FROM_ROWS, least=JUDGED_FROM_ROWS, more=" while tracing")


def run(arguments: argparse.Namespace) -> int:
    """Check in scratch; 0 proved, 1 refused, 3 where a question has no answer."""
    from airlock.commands.answer import answer
    from airlock.commands.progress_line import Begun
    from airlock.operations.check import check
    from airlock.reports import check as text
    from airlock.scratch.isolation import watched

    if arguments.write_baseline is not None:
        return _write(arguments)
    settings = arguments.settings
    if arguments.baseline is not None:
        settings = dataclasses.replace(settings, baseline=Path(arguments.baseline))
    if arguments.since is not None:
        settings = dataclasses.replace(settings, since=arguments.since)
    begun = Begun()

    def tell(what: str) -> None:
        begun.end()
        sys.stderr.write(f"{_SAID.get(what, what)} ...\n")

    try:
        with watched(begun):
            report = check(
                arguments.config,
                scratch=arguments.scratch,
                rows=arguments.rows,
                x_arguments=arguments.x,
                settings=settings,
                progress=tell,
            )
    finally:
        begun.end()
    answer(arguments, text.document(report), text.lines(report))
    return 1 if report.faults else 3 if report.unseen else 0


def _write(arguments: argparse.Namespace) -> int:
    from airlock.operations.check import baseline_lines, model_lines
    from airlock.scratch.loading import opened

    lines = baseline_lines(opened(arguments.config, arguments.x))
    differing: list[str] = []
    try:
        differing = model_lines(
            arguments.config, scratch=arguments.scratch, x_arguments=arguments.x, settings=arguments.settings
        )
    except AirlockError as error:
        # The revisions can be listed all the same.
        sys.stderr.write(f"the models are not compared: {error}\n")
    try:
        Path(arguments.write_baseline).write_text(
            "".join(f"{line}\n" for line in (*lines, *differing)), encoding="utf-8"
        )
    except OSError as error:
        raise Usage(f"--write-baseline cannot write its file: {error.strerror}.") from error
    sys.stdout.write(
        f"{len(lines)} revisions{_and(differing)} written; "
        f"airlock check --baseline {arguments.write_baseline} judges those that come or change.\n"
    )
    return 0


def _and(differing: list[str]) -> str:
    from airlock.reports.text import count

    return f" and {count(len(differing), 'difference')} from the models" if differing else ""
