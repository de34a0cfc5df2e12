"""`airlock upgrade [TARGET]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.commands.migrating import configure_budgets, configure_instead, go
from airlock.records.upgrade import UP

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument(
        "target",
        nargs="?",
        default="head",
        metavar="TARGET",
        help="a revision, head, heads or +N (default: head)",
    )
    configure_budgets(parser)
    configure_instead(parser)


def run(arguments: argparse.Namespace) -> int:
    """Upgrade the target database."""
    return go(arguments, UP)
