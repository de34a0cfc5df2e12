"""`airlock status`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from airlock import api
from airlock.commands.answer import answer
from airlock.commands.progress_line import Begun
from airlock.reports import status as text

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `status`."""
    parser.add_argument(
        "--back-to",
        metavar="REVISION",
        help="count the rows that a downgrade to there would lose or be stopped by",
    )
    parser.add_argument(
        "--no-drift",
        action="store_true",
        help="do not build the history in scratch to look for drift: an answer in a moment",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print where the target stands."""
    begun = Begun()
    with contextlib.ExitStack() as rehearsing:
        if arguments.back_to or not arguments.no_drift:
            from airlock.scratch.isolation import watched

            rehearsing.callback(begun.end)
            rehearsing.enter_context(watched(begun))
        found = api.status(
            arguments.config, url=arguments.url, scratch=arguments.scratch, x_arguments=arguments.x,
            back_to=arguments.back_to, drift=not arguments.no_drift,
        )  # fmt: skip
    answer(arguments, text.document(found), text.text(found).splitlines())
    return 0
