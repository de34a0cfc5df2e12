"""Arguments that several commands declare, each declared once."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def at_least(least: int) -> Callable[[str], int]:
    """Make a type of whole numbers from `least` up; anything else is a usage error that says so."""

    def read(text: str) -> int:
        try:
            found = int(text)
        except ValueError:
            found = least - 1
        if found < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least:,} up")
        return found

    return read


def add_range(parser: argparse.ArgumentParser) -> None:
    """Add the revisions to look at, as `range`; None is the whole history."""
    parser.add_argument(
        "range",
        nargs="?",
        metavar="FROM:TO",
        help="revisions after FROM up to and with TO (default: base:head)",
    )


def add_rows(parser: argparse.ArgumentParser, default: int, *, least: int = 1, more: str = "") -> None:
    """Add how many sample rows every table gets, as `rows`; `more` ends the sentence of its help.

    Where a verdict of "nothing dangerous" hangs on them, `least` is from where on scans are judged.
    """
    parser.add_argument(
        "--rows",
        type=at_least(least),
        default=default,
        metavar="N",
        help=f"sample rows in every table{more} (default: %(default)s{f', at least {least}' if least > 1 else ''})",
    )


def add_blocker(parser: argparse.ArgumentParser) -> None:
    """Add a reader before each statement, as `blocker`, and how long it reads, as `blocker_seconds`."""
    parser.add_argument(
        "--blocker",
        action="store_true",
        help="put a reader before each statement, and see who waits behind it",
    )
    parser.add_argument(
        "--blocker-seconds",
        type=at_least(1),
        default=5,
        metavar="S",
        help="with --blocker: how long the reader reads (default: %(default)s)",
    )


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add what every command takes."""
    group = parser.add_argument_group("common options")
    group.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        help="Alembic's ini or a pyproject.toml (default: alembic.ini, pyproject.toml, Flask-Migrate's migrations/alembic.ini)",
    )
    group.add_argument(
        "-n", "--name", metavar="SECTION", help="section of the ini, as Alembic's -n (default: alembic)"
    )
    group.add_argument(
        "-x", action="append", default=[], metavar="KEY=VALUE", help="pass to env.py, as Alembic's -x"
    )
    group.add_argument("--tag", metavar="TAG", help="pass to env.py, as Alembic's --tag")
    group.add_argument(
        "--env", action="append", default=[], metavar="NAME=VALUE", help="set a variable that env.py reads"
    )
    group.add_argument(
        "--configure",
        metavar="MODULE:FUNCTION",
        help="call it with Alembic's Config before env.py runs: what only the project's own program sets there",
    )
    group.add_argument("--url", help="the target (else DATABASE_URL_UNPOOLED, DATABASE_URL, the ini)")
    group.add_argument(
        "--scratch",
        default="embedded",
        metavar="WHERE",
        help="where scratch databases are made: embedded, embedded:16, container, or a server's URL (default: %(default)s)",
    )
    group.add_argument(
        "--before",
        metavar="FILE",
        help="SQL that every scratch database begins with: what stands before the first revision",
    )
    group.add_argument("--json", action="store_true", help="data as JSON on standard output")
    group.add_argument(
        "--log", metavar="FILE", help="append the run's events to FILE, one JSON document a line"
    )
    group.add_argument("--debug", action="store_true", help="show tracebacks")
