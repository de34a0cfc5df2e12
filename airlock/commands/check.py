"""`airlock check`: say whether the whole history is fit to be deployed, without a target and without Docker."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from airlock.commands.arguments import add_rows
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
    add_rows(parser, JUDGED_FROM_ROWS, least=JUDGED_FROM_ROWS, more=" while tracing")


def run(arguments: argparse.Namespace) -> int:
    """Check in scratch; 0 proved, 1 refused, 3 where a question has no answer."""
    from airlock.commands.answer import answer
    from airlock.operations.check import check
    from airlock.reports import check as text

    report = check(
        arguments.config,
        scratch=arguments.scratch,
        rows=arguments.rows,
        x_arguments=arguments.x,
        progress=_tell,
    )
    answer(arguments, text.document(report), text.lines(report))
    return 1 if report.faults else 3 if report.unseen else 0


def _tell(what: str) -> None:
    sys.stderr.write(f"{_SAID.get(what, what)} ...\n")
